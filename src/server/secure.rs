//! TLS from the settings: its listener, where certificates come from, and what follows when files change.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::hsts::Hsts;
use super::plain::Plain;
use super::tls::Tls;
use super::{HTTPS, Sockets};
use crate::base::{Clock, DataDir, Error, Result, ResultExt as _, Tasks};
use crate::config::Config;
use crate::http::host::{self, Domains, Site};
use crate::proxy::Routes;
use crate::tls::Owns;
use crate::tls::local::LocalCa;
use crate::tls::own::{OwnFiles, Pair};
use crate::tls::resolver::{Parts, Resolver};

/// How often the owner's files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// TLS that is on.
pub(super) struct Secure {
    pub listener: TcpListener,
    pub address: SocketAddr,
    pub tls: Tls,
    pub plain: Option<Plain>,
    pub hsts: Option<Hsts>,
    resolver: Resolver,
    clock: Clock,
    /// For people: where certificates come from.
    pub words: String,
}

/// What can be known of TLS before the data folder is this server's own.
pub(super) struct Files {
    own: OwnFiles,
    listener: TcpListener,
}

impl Files {
    /// `None` when the settings say `tls = "off"`.
    /// Errors: `BadInput` naming file and reason; `Conflict` when the address is taken.
    pub(super) fn open(config: &Config, sockets: &mut Sockets, clock: &Clock) -> Result<Option<Self>> {
        let pairs = pairs(config)?;
        if config.tls == "off" {
            return Ok(None);
        }
        if config.tls == "files" && pairs.is_empty() {
            return Err(Error::bad_input("tls is \"files\", and no files are named")
                .hint("Name them with tls_cert and tls_key, or let tls be \"local\"."));
        }
        let own = OwnFiles::open(&pairs, clock.now())?;
        Ok(Some(Self { own, listener: sockets.open(HTTPS, config.tls_listen)? }))
    }

    pub(super) fn secure(
        self,
        config: &Config,
        dir: &DataDir,
        domains: &Domains,
        routes: &Routes,
        clock: &Clock,
    ) -> Result<Secure> {
        let Self { own, listener } = self;
        let local = (config.tls == "local")
            .then(|| LocalCa::open(dir, &[&domains.apps, &domains.editor], clock.now()))
            .transpose()?;
        let words = words(&own, local.as_ref());
        let owns = owns(domains, routes);
        let resolver = Resolver::new(Parts { own, local, owns, editor: domains.editor.clone(), clock: clock.clone() });
        let address = listener.local_addr().internal("while asking for the bound address")?;
        // `scheme = "https"` says that what comes in plain has been through somebody else's TLS.
        let fronted = config.scheme == "https";
        let hsts = match config.hsts.as_str() {
            "on" => true,
            "auto" => config.tls != "local",
            _ => false,
        };
        Ok(Secure {
            plain: (!fronted).then(|| Plain { port: address.port() }),
            hsts: hsts.then(|| Hsts::open(dir, clock.clone())).transpose()?,
            tls: Tls::new(resolver.clone())?,
            listener,
            address,
            resolver,
            clock: clock.clone(),
            words,
        })
    }
}

fn pairs(config: &Config) -> Result<Vec<Pair>> {
    let (certificates, keys) = (&config.tls_cert, &config.tls_key);
    if certificates.len() != keys.len() {
        return Err(Error::bad_input(format!(
            "tls_cert names {} files and tls_key {}",
            certificates.len(),
            keys.len()
        ))
        .hint("Each certificate needs the file of its key, at the same place of the list."));
    }
    let pairs = certificates.iter().zip(keys);
    Ok(pairs.map(|(certificate, key)| Pair { certificate: certificate.clone(), key: key.clone() }).collect())
}

fn words(own: &OwnFiles, local: Option<&LocalCa>) -> String {
    let names: Vec<String> = own.all().iter().flat_map(|own| own.facts.names.clone()).collect();
    let own = (!names.is_empty()).then(|| format!("own files for {}", names.join(", ")));
    let local = local.map(|_| "this machine's own authority (`steady ca` says how to trust it)".to_owned());
    [own, local].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The editor, labels that lead to an app or a draft, and custom domains that were proved. Nothing else, so that a
/// stranger's guess costs nothing.
fn owns(domains: &Domains, routes: &Routes) -> Owns {
    let (domains, routes) = (domains.clone(), routes.clone());
    Arc::new(move |name| match host::classify(name, &domains) {
        Site::Editor => true,
        Site::App(label) => routes.get(&label).is_some(),
        Site::Foreign(name) => routes.get(&name).is_some(),
        Site::Bad => false,
    })
}

impl Secure {
    /// Keeps the owner's files up to date: when they change, and at SIGHUP.
    /// Errors: `Internal` when the signal cannot be listened for.
    pub(super) fn watch(&self, tasks: &Tasks) -> Result<()> {
        let (resolver, clock, stopping) = (self.resolver.clone(), self.clock.clone(), tasks.stopping());
        let mut hang_up = signal(SignalKind::hangup()).internal("while listening for SIGHUP")?;
        tasks.spawn("certificate files", async move {
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    _ = hang_up.recv() => tracing::info!("SIGHUP: looking at the certificate files"),
                }
                let (resolver, now) = (resolver.clone(), clock.now());
                let said = tokio::task::spawn_blocking(move || resolver.own().refresh(now)).await.unwrap_or_default();
                for said in said {
                    match said {
                        Ok(news) => tracing::info!("{news}"),
                        Err(trouble) => tracing::error!("{trouble}"),
                    }
                }
            }
        });
        Ok(())
    }
}
