//! Which certificate a handshake gets: the owner's own files, then those kept in the store, then the local authority,
//! then one ordered on the spot; and for hosts that are not ours none, at no cost.
use std::sync::Arc;

use tokio_rustls::rustls::sign::CertifiedKey;

use super::Owns;
use super::local::LocalCa;
use super::own::OwnFiles;
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
            Ok(None) => Answer::Missing,
            Err(error) => {
                tracing::error!(host = named, ?error, "no certificate could be made");
                Answer::Missing
            }
        }
    }

    fn at_hand(&self, host: &str) -> Result<Option<Arc<CertifiedKey>>> {
        if let Some(own) = self.0.own.find(host) {
            return Ok(Some(own));
        }
        match &self.0.local {
            Some(local) => local.leaf(host, self.0.clock.now()),
            None => Ok(None),
        }
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
