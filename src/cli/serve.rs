//! `steady serve`: build, announce, run until told, drain; or hand over to the next server.
use std::io::IsTerminal as _;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::args::{Global, Serve};
use super::fail::{Done, FAILED, Fail};
use super::{local, notify, out};
use crate::config::Config;
use crate::runner::sandbox::disk;
use crate::server::{Estate, Heir, Origin, Server};

pub fn run(serve: &Serve, global: &Global) -> Done {
    let mut origin = Origin::find()?;
    let ran = begin(serve, global, &mut origin);
    if let Err(Fail { message: Some(message), hint, .. }) = &ran {
        origin.unable(message, hint.as_deref());
    }
    ran
}

fn begin(serve: &Serve, global: &Global, origin: &mut Origin) -> Done {
    let config = local::load(serve, global)?;
    log(&config, global)?;
    // Before the first thread. Without the right there are no mounts to hide, and homes are only counted.
    if let Err(error) = disk::own_mounts() {
        tracing::debug!(%error, "no mounts of its own");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Fail::io("the runtime"))?;
    runtime.block_on(until_told(config, origin))
}

fn log(config: &Config, global: &Global) -> Done {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log).map_err(|e| {
        Fail::new(FAILED, format!("`log = \"{}\"` is not a log filter: {e}", config.log))
            .hint("Write it like `info` or `steady=debug,warn`.")
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if global.json {
        log.json().init();
    } else {
        log.with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()).init();
    }
    Ok(())
}

/// What a server is told while it runs.
struct Told {
    terminate: Signal,
    interrupt: Signal,
    hand_over: Signal,
}

impl Told {
    fn listen() -> Done<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(Fail::io("SIGTERM"))?,
            interrupt: signal(SignalKind::interrupt()).map_err(Fail::io("SIGINT"))?,
            hand_over: signal(SignalKind::user_defined2()).map_err(Fail::io("SIGUSR2"))?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Until this server is to end: because it was told to, or for another that is ready to take over.
    async fn end(&mut self, estate: &Estate) -> Option<Heir> {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return None,
                _ = self.interrupt.recv() => return None,
                _ = self.hand_over.recv() => {}
            }
            tracing::info!("a new server is started, which is to take over");
            notify::tell("RELOADING=1");
            let heir = tokio::select! {
                heir = estate.raise() => heir,
                () = self.stop() => return None,
            };
            match heir {
                Ok(heir) => return Some(heir),
                Err(error) => {
                    let hint = error.hint.as_deref().unwrap_or_default();
                    tracing::error!(?error, hint, "the new server cannot take over; this one goes on");
                    notify::tell("READY=1");
                }
            }
        }
    }
}

async fn until_told(config: Config, origin: &mut Origin) -> Done {
    // Listened for before the start, so that a stop during it is not lost.
    let mut told = Told::listen()?;
    let server = tokio::select! {
        server = Server::build(config, origin) => server?,
        () = told.stop() => return Err(Fail::new(FAILED, "stopped before it served")),
    };
    announce(&server)?;
    let estate = server.estate()?;
    origin.serving();
    notify::tell("READY=1");
    let stop = CancellationToken::new();
    let ending = async {
        let heir = told.end(&estate).await;
        stop.cancel();
        match heir {
            None => out::note("Stopping: running requests may finish. A second signal stops at once."),
            Some(_) => tracing::info!("a new server is ready; this one finishes what runs"),
        }
        heir
    };
    let (heir, ended) = {
        let mut running = std::pin::pin!(server.run(stop.cancelled()));
        let heir = tokio::select! {
            ended = &mut running => return Ok(ended?),
            heir = ending => heir,
        };
        if heir.is_none() {
            notify::tell("STOPPING=1");
        }
        let ended = tokio::select! {
            ended = running => ended,
            // Nothing acknowledged is lost: the next start sweeps what is left, as after a crash.
            () = told.stop() => return Err(Fail::new(FAILED, "stopped before all requests had finished")),
        };
        (heir, ended)
    };
    ended?;
    match heir {
        None => Ok(()),
        Some(heir) => bequeath(heir, &estate).await,
    }
}

/// This server is done. Should the new one fail after all, this very program begins again.
async fn bequeath(heir: Heir, estate: &Estate) -> Done {
    let pid = match heir.inherit().await {
        Ok(pid) => pid,
        Err(error) => {
            let hint = error.hint.as_deref().unwrap_or_default();
            tracing::error!(?error, hint, "the new server failed; the one that ran before is started again");
            estate.raise_own().await?.inherit().await?
        }
    };
    tracing::info!(pid, "the new server serves");
    notify::tell(&format!("MAINPID={pid}\nREADY=1"));
    Ok(())
}

/// Addresses first; a reader that is gone is no reason not to serve.
fn announce(server: &Server) -> Done {
    let confinement = server.confinement();
    let mut text = vec![
        format!("Steady {} on http://{}", env!("CARGO_PKG_VERSION"), server.address),
        format!("  editor  {}", server.editor_url),
        format!("  apps    {}", server.apps_url),
        format!("  data    {}", server.data().display()),
        match server.tls() {
            Some((address, words)) => format!("  tls     on {address}, with {words}"),
            None if server.editor_url.starts_with("https:") => "  tls     ended in front, as `scheme` says".to_owned(),
            None => "  tls     off: `tls` in steady.toml turns it on".to_owned(),
        },
        format!("  jail    {}: {}", confinement.name(), confinement.summary),
    ];
    text.extend(confinement.missing().into_iter().map(|line| format!("  missing {line}")));
    text.extend(confinement.weaker().into_iter().map(|line| format!("  weaker  {line}")));
    if server.single_tenant() {
        text.push("  sandbox is set to single-tenant: run only code you trust".to_owned());
    }
    if let Some(link) = server.setup_link()? {
        text.push(String::new());
        text.push(format!("Create the first owner here, once: {link}"));
    }
    match out::line(&text.join("\n")) {
        Err(fail) if fail.message.is_some() => Err(fail),
        _ => Ok(()),
    }
}
