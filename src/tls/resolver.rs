//! Which certificate a handshake gets: the owner's own files, then those kept in the store, then the local authority,
//! then one ordered on the spot; and for hosts that are not ours none, at no cost.
use std::sync::Arc;

use tokio_rustls::rustls::sign::CertifiedKey;

use super::challenges::Challenges;
use super::local::LocalCa;
use super::overview::{CertificateView, LimitView, Overview};
use super::own::OwnFiles;
use super::{Certs, Owns};
use crate::base::{Clock, Result};

/// What a handshake is answered with.
pub enum Answer {
    Certificate(Arc<CertifiedKey>),
    /// Not ours.
    Unknown,
    /// Ours, and there is no certificate for it (yet).
    Missing,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Resolver(Arc<Parts>);

pub struct Parts {
    pub own: OwnFiles,
    /// Those of authorities.
    pub certs: Option<Certs>,
    pub local: Option<LocalCa>,
    pub owns: Owns,
    /// For clients that name no host: those old, and those that came by address.
    pub editor: String,
    pub clock: Clock,
}

impl Resolver {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// `host` is what the client named in its first message, in any spelling.
    pub async fn answer(&self, host: Option<&str>) -> Answer {
        let named = host.map_or_else(|| self.0.editor.clone(), |host| spell(host).to_ascii_lowercase());
        if !(self.0.owns)(&named) {
            return Answer::Unknown;
        }
        match self.at_hand(&named) {
            Ok(Some(certified)) => Answer::Certificate(certified),
            Ok(None) => self.ordered(&named).await,
            Err(error) => {
                tracing::error!(host = named, ?error, "no certificate could be made");
                Answer::Missing
            }
        }
    }

    async fn ordered(&self, host: &str) -> Answer {
        let Some(certs) = &self.0.certs else { return Answer::Missing };
        match certs.want(host).await {
            Ok(certified) => Answer::Certificate(certified),
            Err(error) => {
                tracing::debug!(host, ?error, "a handshake without a certificate");
                Answer::Missing
            }
        }
    }

    /// What authorities ask for to see that a host is served here.
    pub fn challenges(&self) -> Option<Challenges> {
        self.0.certs.as_ref().map(Certs::challenges)
    }

    fn at_hand(&self, host: &str) -> Result<Option<Arc<CertifiedKey>>> {
        if let Some(own) = self.0.own.find(host) {
            return Ok(Some(own));
        }
        if let Some(kept) = self.0.certs.as_ref().and_then(|certs| certs.find(host)) {
            return Ok(Some(kept));
        }
        match &self.0.local {
            Some(local) => local.leaf(host, self.0.clock.now()),
            None => Ok(None),
        }
    }

    /// Whether a handshake for that host would be answered with what is there.
    pub fn has(&self, host: &str) -> bool {
        self.at_hand(host).is_ok_and(|found| found.is_some())
    }

    /// For whoever owns the server. `mode` is the setting `tls`.
    pub fn overview(&self, mode: &str) -> Result<Overview> {
        let own = self.0.own.all();
        let files = own.iter().map(|own| CertificateView {
            hosts: own.facts.names.clone(),
            source: "file".to_owned(),
            issuer: Some(own.facts.issuer.clone()),
            file: Some(own.pair.certificate.display().to_string()),
            expires: Some(own.facts.not_after),
            trouble: own.trouble.clone().or_else(|| {
                let over = own.facts.not_after <= self.0.clock.now();
                over.then(|| "it is over: put a new one there".to_owned())
            }),
            ..CertificateView::default()
        });
        let root = self.0.local.as_ref().map(|local| {
            let root = local.root();
            CertificateView {
                hosts: root.domains.clone(),
                source: "local root".to_owned(),
                issuer: Some(root.facts.issuer.clone()),
                file: Some(root.path.display().to_string()),
                expires: Some(root.facts.not_after),
                ..CertificateView::default()
            }
        });
        let kept = self.0.certs.as_ref().map(Certs::status).unwrap_or_default();
        let kept = kept.into_iter().map(CertificateView::from);
        let limits = self.0.certs.as_ref().map(Certs::limits).transpose()?.unwrap_or_default();
        Ok(Overview {
            mode: mode.to_owned(),
            certificates: files.chain(root).chain(kept).collect(),
            limits: limits.into_iter().map(LimitView::from).collect(),
        })
    }

    pub fn own(&self) -> &OwnFiles {
        &self.0.own
    }

    pub fn local(&self) -> Option<&LocalCa> {
        self.0.local.as_ref()
    }
}

/// Without the final dot that some clients send.
fn spell(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}
