//! The only wiring: builds every engine, binds, serves, drains.
mod announced;
mod crowd;
mod hsts;
mod listen;
mod lock;
mod plain;
mod secure;
mod sockets;
mod succession;
mod tls;
mod zone;

use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::accounts::{self, Accounts};
use crate::apps::ask::Terms;
use crate::apps::domain::Dns;
use crate::apps::{self, Apps};
use crate::base::fs::write_atomic;
use crate::base::secret::sha256_hex;
use crate::base::{Clock, DataDir, Error, Result, ResultExt as _, Tasks, Workers};
use crate::config::Config;
use crate::git::{self, Repos};
use crate::http::host::Domains;
use crate::http::trust::Trusted;
use crate::proxy::{self, Proxy, Routes};
use crate::runner::egress::Reach;
use crate::runner::idle::Rest;
use crate::runner::sandbox::tier::Confinement;
use crate::runner::{self, Limits, NO_LIMIT, Runner};
use crate::store::Store;
use crate::store::seal::Key;
use crate::{api, editor};
pub use sockets::Sockets;
pub use succession::{Estate, Heir, Origin};

const SWEEP_EVERY: Duration = Duration::from_secs(60);
const DAY_MS: i64 = 24 * 3600 * 1000;
const SESSION_DAYS: i64 = 30;
/// Worlds kept ready: two apps may wake at once without waiting for theirs.
const SPARES: usize = 2;
/// The value of `sandbox` that accepts walls which do not keep strangers apart.
const SINGLE_TENANT: &str = "single-tenant";

/// The listeners' names among those that one server hands to the next.
const HTTP: &str = "http";
const HTTPS: &str = "https";

/// Built and bound, not yet serving: its address is known.
pub struct Server {
    config: Config,
    listener: TcpListener,
    /// Where it listens, with the real port.
    pub address: SocketAddr,
    secure: Option<secure::Secure>,
    /// `http://localhost:8080`
    pub editor_url: String,
    /// `http://NAME.localhost:8080`
    pub apps_url: String,
    accounts: Accounts,
    apps: Apps,
    runner: Runner,
    tasks: Tasks,
    service: listen::Sites,
    dir: DataDir,
    /// Held as long as the server lives.
    lock: lock::Lock,
}

impl Server {
    /// Opens the data folder, binds, waits for its turn where another server hands over, sweeps what an earlier run
    /// left, and starts the engines.
    /// Errors: `Conflict` when another server runs on this folder or the address is taken; `BadInput` for
    /// settings that cannot work.
    pub async fn build(config: Config, origin: &mut Origin) -> Result<Self> {
        let front = front(&config)?;
        // Up to the turn nothing is changed that a server which runs there has made.
        let dir = DataDir::open(&config.data)?;
        let mut lock = origin.lock(&dir)?;
        Store::check(&dir)?;
        let key = Key::load(&dir)?;
        let bun = runner::bun::find(config.bun.as_deref(), &dir.bun())?;
        let listener = origin.sockets.open(HTTP, config.listen)?;
        let files = secure::Files::open(&config, &mut origin.sockets, &Clock::System)?;
        for unused in origin.sockets.close() {
            tracing::warn!(
                "a listening socket for {unused} was handed over, and no setting asks for it: it was closed"
            );
        }
        origin.turn().await?;
        lock.sign();
        let crashed = dir.begin()?;
        dir.clear_tmp()?;
        let (clock, tasks) = (Clock::System, Tasks::new());
        let store = Store::open(&dir)?;
        let address = listener.local_addr().internal("while asking for the bound address")?;

        let editor_domain = config.editor_domain.clone().unwrap_or_else(|| config.domain.clone());
        let domains = Domains { apps: config.domain.clone(), editor: editor_domain };
        let routes = Routes::default();
        let engines = secure::Engines { dir: &dir, store: &store, key: &key, clock: &clock, tasks: &tasks };
        let secure = files.map(|files| files.secure(&config, &domains, &routes, engines)).transpose()?;
        let scheme = if secure.is_some() { "https" } else { config.scheme.as_str() };
        let port = public_port(&config, address, secure.as_ref().map(|secure| secure.address));
        let editor_host = with_port(&domains.editor, port);
        let apps_host = with_port(&domains.apps, port);
        let editor_url = format!("{scheme}://{editor_host}");
        let root = rustix::process::geteuid().is_root();

        let accounts = Accounts::new(
            store.clone(),
            clock.clone(),
            accounts::Options {
                session_ms: SESSION_DAYS * DAY_MS,
                guests: config.guests,
                guest_ms: i64::from(config.guest_days) * DAY_MS,
            },
        );
        let repos = Repos::new(
            dir.clone(),
            git::Options {
                max_pack: config.max_pack_mb << 20,
                max_object: 100 << 20,
                import_private: config.import_private,
            },
        );
        let runner = Runner::start(runner_options(&config, &dir, bun)?, clock.clone(), tasks.clone())?;
        if let Err(refused) = runner.confinement().may_serve(config.sandbox == SINGLE_TENANT) {
            runner.stop_all().await;
            return Err(refused);
        }
        let apps = Apps::new(apps::Parts {
            store,
            accounts: accounts.clone(),
            repos: repos.clone(),
            runner: runner.clone(),
            routes: routes.clone(),
            dir: dir.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
            key,
            options: apps::Options {
                editor_url: editor_url.clone(),
                scheme: scheme.to_owned(),
                apps_host: apps_host.clone(),
                terms: terms(&config),
                idle: Duration::from_secs(config.idle_seconds),
                rest: rest(&config),
                build_hosts: config.build_hosts.clone(),
                max_domains: usize::try_from(config.max_domains).unwrap_or(usize::MAX),
                dns: Dns { server: config.dns_server },
                certificates: secure::certificates(secure.as_ref()),
                uid_base: root.then_some(config.uid_base),
            },
        });
        apps.boot(crashed).await?;

        let options = proxy_options(&config, scheme, &editor_url, &apps_host);
        let judge = Arc::new(apps.clone());
        let proxy = Proxy::new(routes.clone(), runner.clone(), clock, tasks.clone(), options, judge);
        let certificates = secure::overview(secure.as_ref(), &config.tls);
        let editor = editor::router(editor::Ctx {
            apps: apps.clone(),
            accounts: accounts.clone(),
            domains: domains.clone(),
            scheme: scheme.to_owned(),
            // With TLS of our own the listener adds it, in stages.
            hsts: secure.is_none() && scheme == "https" && config.hsts != "off",
            host: editor_host,
            tasks: tasks.clone(),
            certificates: certificates.clone(),
        });
        let api = api::router(api::Ctx {
            apps: apps.clone(),
            accounts: accounts.clone(),
            repos,
            tasks: tasks.clone(),
            certificates,
        });
        let service = listen::Sites::new(domains, api.merge(editor), proxy, front, secure.as_ref());
        let apps_url = format!("{scheme}://NAME.{apps_host}");
        Ok(Self {
            config,
            listener,
            address,
            secure,
            editor_url,
            apps_url,
            accounts,
            apps,
            runner,
            tasks,
            service,
            dir,
            lock,
        })
    }

    /// The link that creates the first owner, while there is none.
    pub fn setup_link(&self) -> Result<Option<String>> {
        let token = self.accounts.setup_token()?;
        // Shown to whoever started the server: that is what it is for.
        Ok(token.map(|token| format!("{}/setup/{}", self.editor_url, token.expose())))
    }

    /// What the next server on this folder is given; take it before [`Server::run`].
    pub fn estate(&self) -> Result<Estate> {
        let double = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().internal("while doubling a descriptor");
        let mut sockets = vec![(HTTP, double(self.listener.as_fd())?)];
        if let Some(secure) = &self.secure {
            sockets.push((HTTPS, double(secure.listener.as_fd())?));
        }
        Estate::new(double(self.lock.as_fd())?, sockets)
    }

    /// Where TLS is spoken, and where its certificates come from, in words; `None` when it is off.
    pub fn tls(&self) -> Option<(SocketAddr, &str)> {
        self.secure.as_ref().map(|secure| (secure.address, secure.words.as_str()))
    }

    /// What confinement apps get here.
    pub fn confinement(&self) -> Confinement {
        self.runner.confinement()
    }

    /// The owner wrote that all code here is their own.
    pub fn single_tenant(&self) -> bool {
        self.config.sandbox == SINGLE_TENANT
    }

    pub fn data(&self) -> &std::path::Path {
        self.dir.root()
    }

    /// Serves until `stop` completes, then drains: no new connections, running requests finish, children stop.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<()> {
        let workers = Workers::start()?;
        let address_file = self.dir.root().join("address");
        write_atomic(&address_file, self.address.to_string().as_bytes(), 0o644)
            .internal("while writing the address")?;
        self.tasks
            .spawn("sweep", sweep(self.apps.clone(), self.accounts.clone(), self.runner.clone(), self.tasks.clone()));
        self.runner.watch_memory(self.runner.memory());
        let deadline = Duration::from_secs(self.config.drain_seconds);
        let stop = async {
            stop.await;
            self.tasks.hang_up();
        };
        let mut doors = vec![listen::Door { listener: self.listener, tls: None }];
        if let Some(secure) = self.secure {
            secure.watch(&self.tasks)?;
            doors.push(listen::Door { listener: secure.listener, tls: Some(secure.tls) });
        }
        listen::serve(doors, self.service, stop, deadline, &self.tasks, &workers).await;
        self.tasks.stop();
        self.runner.stop_all().await;
        if !self.tasks.drain(deadline).await {
            tracing::warn!("some work was still running at the deadline");
        } else if let Err(error) = self.dir.end() {
            tracing::warn!(?error, "the next start takes this end for a crash");
        }
        let _ = std::fs::remove_file(address_file);
        Ok(())
    }
}

/// Steady's own timed work, once a minute.
async fn sweep(apps: Apps, accounts: Accounts, runner: Runner, tasks: Tasks) {
    let stopping = tasks.stopping();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(SWEEP_EVERY) => {}
        }
        let resting = runner.clone();
        let _ = tokio::task::spawn_blocking(move || resting.rest()).await;
        let swept = async {
            apps.sweep().await?;
            accounts.sweep()
        };
        if let Err(error) = swept.await {
            tracing::error!(?error, "timed work failed; it is tried again in a minute");
        }
    }
}

/// The port that stands in links; `None` where the scheme implies it. Behind somebody else's TLS it is theirs.
fn public_port(config: &Config, plain: SocketAddr, tls: Option<SocketAddr>) -> Option<u16> {
    match tls {
        Some(tls) => Some(tls.port()).filter(|port| *port != 443),
        None => Some(plain.port()).filter(|port| *port != 80 && config.scheme != "https"),
    }
}

/// `localhost:8080`
fn with_port(domain: &str, port: Option<u16>) -> String {
    port.map_or_else(|| domain.to_owned(), |port| format!("{domain}:{port}"))
}

/// Errors: `BadInput` when nobody may say what everybody is to say.
fn front(config: &Config) -> Result<listen::Front> {
    if config.proxy_protocol && config.trusted_proxies.is_empty() {
        return Err(Error::bad_input("`proxy_protocol` is on, but nobody is trusted to speak it")
            .hint("Name the addresses of your proxies in `trusted_proxies`, such as [\"10.0.0.5\"]."));
    }
    Ok(listen::Front { trusted: Trusted(config.trusted_proxies.clone()), announces: config.proxy_protocol })
}

/// What every app has, and the most that can be approved: never less than that.
fn terms(config: &Config) -> Terms {
    const ROOM: u64 = 4;
    let limits = Limits {
        memory_bytes: config.memory_mb << 20,
        pids: config.pids,
        cpu_percent: config.cpu_percent,
        log_bytes: config.log_mb << 20,
        rate: or_none(config.rate),
        app_rate: or_none(config.app_rate),
        concurrency: or_none(config.concurrency),
        disk_bytes: config.disk_mb << 20,
        outbound_bytes: config.outbound_mb << 20,
        ..Limits::default()
    };
    let most = Limits {
        memory_bytes: limits.memory_bytes.max(config.max_memory_mb << 20),
        cpu_percent: limits.cpu_percent.max(config.max_cpu_percent),
        disk_bytes: limits.disk_bytes.max(config.max_disk_mb << 20),
        pids: limits.pids * ROOM,
        files: limits.files * ROOM,
        tmp_bytes: limits.tmp_bytes * ROOM,
        open_files: limits.open_files * ROOM,
        connections: limits.connections * ROOM,
        rate: (limits.rate * ROOM).min(NO_LIMIT),
        app_rate: (limits.app_rate * ROOM).min(NO_LIMIT),
        concurrency: (limits.concurrency * ROOM).min(NO_LIMIT),
        ..limits
    };
    let net = if config.default_net == "public" { Reach::Public } else { Reach::None };
    Terms { net, private: config.private_hosts.clone(), limits, most }
}

/// A limit of requests, where 0 stands for none.
fn or_none(limit: u64) -> u64 {
    if limit == 0 { NO_LIMIT } else { limit.min(NO_LIMIT) }
}

fn rest(config: &Config) -> Rest {
    let after = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
    Rest { freeze: after(config.freeze_seconds), reclaim: after(config.reclaim_seconds) }
}

fn runner_options(config: &Config, dir: &DataDir, bun: PathBuf) -> Result<runner::Options> {
    let steady = own_program()?;
    Ok(runner::Options {
        steady,
        bun,
        scratch: dir.tmp(),
        uid_base: config.uid_base,
        instance: sha256_hex(dir.root().as_os_str().as_encoded_bytes())[..16].to_owned(),
        start_timeout: Duration::from_secs(config.start_timeout_seconds),
        gate_timeout: Duration::from_secs(config.start_timeout_seconds + 5),
        gate_waiters: 512,
        tier: None,
        drain_timeout: Duration::from_secs(config.drain_seconds),
        private_hosts: config.private_hosts.clone(),
        spares: SPARES,
        warm: usize::try_from(config.warm_pool).unwrap_or(usize::MAX),
    })
}

/// This program's file. Replaced on disk meanwhile, it is still there for as long as the process is.
fn own_program() -> Result<PathBuf> {
    let program = std::env::current_exe().internal("while looking for this program's own file")?;
    Ok(if program.exists() { program } else { format!("/proc/{}/exe", std::process::id()).into() })
}

fn proxy_options(config: &Config, scheme: &str, editor_url: &str, apps_host: &str) -> proxy::Options {
    proxy::Options {
        max_body: config.max_body_mb << 20,
        head_timeout: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(120),
        scheme: scheme.to_owned(),
        editor_url: editor_url.to_owned(),
        apps_host: apps_host.to_owned(),
    }
}
