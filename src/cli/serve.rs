//! `steady serve`: build, announce, run until told, drain.
use std::io::IsTerminal as _;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::args::{Global, Serve};
use super::fail::{Done, FAILED, Fail};
use super::{local, out};
use crate::config::Config;
use crate::runner::sandbox::disk;
use crate::server::Server;

pub fn run(serve: &Serve, global: &Global) -> Done {
    let config = local::load(serve, global)?;
    log(&config, global)?;
    // Before the first thread. Without the right there are no mounts to hide, and homes are only counted.
    if let Err(error) = disk::own_mounts() {
        tracing::debug!(%error, "no mounts of its own");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Fail::io("the runtime"))?;
    runtime.block_on(until_told(config))
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

async fn until_told(config: Config) -> Done {
    // Listened for before the start, so that a stop during it is not lost.
    let mut terminate = signal(SignalKind::terminate()).map_err(Fail::io("SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Fail::io("SIGINT"))?;
    let server = Server::build(config).await?;
    announce(&server)?;
    let stop = CancellationToken::new();
    let told = async {
        for round in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if round == 0 {
                stop.cancel();
                out::note("Stopping: running requests may finish. A second signal stops at once.");
            }
        }
    };
    tokio::select! {
        ended = server.run(stop.cancelled()) => Ok(ended?),
        // Nothing acknowledged is lost: the next start sweeps what is left, as after a crash.
        () = told => Err(Fail::new(FAILED, "stopped before all requests had finished")),
    }
}

/// Addresses first; a reader that is gone is no reason not to serve.
fn announce(server: &Server) -> Done {
    let confinement = server.confinement();
    let mut text = vec![
        format!("Steady {} on http://{}", env!("CARGO_PKG_VERSION"), server.address),
        format!("  editor  {}", server.editor_url),
        format!("  apps    {}", server.apps_url),
        format!("  data    {}", server.data().display()),
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
