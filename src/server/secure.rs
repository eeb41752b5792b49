//! TLS from the settings: its listener, where certificates come from, and what follows when files change.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::hsts::Hsts;
use super::plain::Plain;
use super::tls::Tls;
use super::{HTTPS, Sockets, zone};
use crate::apps::domain::Certificates;
use crate::base::{Clock, DataDir, Error, Result, ResultExt as _, Secret, Tasks};
use crate::config::Config;
use crate::http::host::{self, Domains, Site};
use crate::proxy::Routes;
use crate::store::Store;
use crate::store::seal::Key;
use crate::tls::local::LocalCa;
use crate::tls::overview::Overview;
use crate::tls::own::{OwnFiles, Pair};
use crate::tls::resolver::{Parts, Resolver};
use crate::tls::{self, Certs, ExternalAccount, Owns};

/// How often the owner's files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// TLS that is on.
pub(super) struct Secure {
    pub listener: TcpListener,
    pub address: SocketAddr,
    pub tls: Tls,
    pub plain: Plain,
    pub hsts: Option<Hsts>,
    resolver: Resolver,
    clock: Clock,
    /// For people: where certificates come from.
    pub words: String,
}

/// What can be known of TLS before the data folder is this server's own.
pub(super) struct Files {
    own: OwnFiles,
    /// Of the engine that speaks with authorities, where there is to be one.
    options: Option<tls::Options>,
    listener: TcpListener,
}

/// What certificates are kept by.
pub(super) struct Engines<'a> {
    pub dir: &'a DataDir,
    pub store: &'a Store,
    pub key: &'a Key,
    pub clock: &'a Clock,
    pub tasks: &'a Tasks,
}

impl Files {
    /// `None` when the settings say `tls = "off"`.
    /// Errors: `BadInput` naming file and reason; `Conflict` when the address is taken.
    pub(super) fn open(config: &Config, sockets: &mut Sockets, clock: &Clock) -> Result<Option<Self>> {
        let pairs = Pair::zip(&config.tls_cert, &config.tls_key)?;
        if config.tls == "off" {
            return Ok(None);
        }
        if config.tls == "files" && pairs.is_empty() {
            return Err(Error::bad_input("tls is \"files\", and no files are named")
                .hint("Name them with tls_cert and tls_key, or let tls be \"local\"."));
        }
        let own = OwnFiles::open(&pairs, clock.now())?;
        let options = (config.tls == "auto").then(|| options(config)).transpose()?;
        Ok(Some(Self { own, options, listener: sockets.open(HTTPS, config.tls_listen)? }))
    }

    pub(super) fn secure(
        self,
        config: &Config,
        domains: &Domains,
        routes: &Routes,
        Engines { dir, store, key, clock, tasks }: Engines<'_>,
    ) -> Result<Secure> {
        let Self { own, options, listener } = self;
        let local = (config.tls == "local")
            .then(|| LocalCa::open(dir, &[&domains.apps, &domains.editor], clock.now()))
            .transpose()?;
        let owns = owns(domains, routes);
        let certs = options
            .map(|options| {
                Certs::start(options, store.clone(), key.clone(), clock.clone(), tasks.clone(), owns.clone())
            })
            .transpose()?;
        let words = words(&own, local.as_ref(), certs.as_ref().map(|_| config));
        let (editor, clock) = (domains.editor.clone(), clock.clone());
        let resolver = Resolver::new(Parts { own, certs, local, owns, editor, clock: clock.clone() });
        let address = listener.local_addr().internal("while asking for the bound address")?;
        // `scheme = "https"` says that what comes in plain has been through somebody else's TLS.
        let fronted = config.scheme == "https";
        let hsts = match config.hsts.as_str() {
            "on" => true,
            "auto" => config.tls != "local",
            _ => false,
        };
        Ok(Secure {
            plain: Plain { port: address.port(), challenges: resolver.challenges(), fronted },
            hsts: hsts.then(|| Hsts::open(dir, clock.clone())).transpose()?,
            tls: Tls::new(resolver.clone())?,
            listener,
            address,
            resolver,
            clock,
            words,
        })
    }
}

/// What the engine that speaks with authorities is told.
fn options(config: &Config) -> Result<tls::Options> {
    let external = match (&config.acme_eab_kid, &config.acme_eab_key_file) {
        (None, None) => None,
        (Some(kid), Some(file)) => {
            let key = std::fs::read_to_string(file).map_err(|e| {
                Error::bad_input(format!("acme_eab_key_file {} cannot be read: {e}", file.display()))
                    .hint("It holds the key that the authority gave you, in base64.")
            })?;
            Some(ExternalAccount { kid: kid.clone(), key: Secret::new(key.trim().to_owned()) })
        }
        _ => {
            return Err(Error::bad_input("acme_eab_kid and acme_eab_key_file go together, and one is not set")
                .hint("The authority gave you both: the name of the account and its key."));
        }
    };
    let usual = tls::Options::default();
    let authorities = if config.acme.is_empty() { usual.authorities.clone() } else { config.acme.clone() };
    let (email, roots) = (config.acme_email.clone(), config.acme_roots.clone());
    let dns = config.acme_dns_file.as_ref().map(|file| zone::read(file, &config.domain)).transpose()?;
    Ok(tls::Options { authorities, email, roots, external, dns, ..usual })
}

fn words(own: &OwnFiles, local: Option<&LocalCa>, auto: Option<&Config>) -> String {
    let names: Vec<String> = own.all().iter().flat_map(|own| own.facts.names.clone()).collect();
    let own = (!names.is_empty()).then(|| format!("own files for {}", names.join(", ")));
    let local = local.map(|_| "this machine's own authority (`steady ca` says how to trust it)".to_owned());
    let auto = auto.map(|config| match config.acme.first() {
        Some(url) => format!("certificates from {url} when a host is first visited"),
        None => "certificates from Let's Encrypt when a host is first visited".to_owned(),
    });
    [own, local, auto].into_iter().flatten().collect::<Vec<_>>().join("; ")
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

/// For whoever owns the server.
pub(super) fn overview(secure: Option<&Secure>, mode: &str) -> Arc<dyn Fn() -> Result<Overview> + Send + Sync> {
    let (resolver, mode) = (secure.map(|secure| secure.resolver.clone()), mode.to_owned());
    Arc::new(move || match &resolver {
        Some(resolver) => resolver.overview(&mode),
        None => Ok(Overview { mode: mode.clone(), ..Overview::default() }),
    })
}

/// What a custom domain has for TLS. Without TLS of our own nothing is missing here.
pub(super) fn certificates(secure: Option<&Secure>) -> Certificates {
    let resolver = secure.map(|secure| secure.resolver.clone());
    Certificates {
        has: Arc::new(move |host| resolver.as_ref().is_none_or(|resolver| resolver.has(host))),
        are_ordered: secure.is_some_and(|secure| secure.resolver.challenges().is_some()),
    }
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
