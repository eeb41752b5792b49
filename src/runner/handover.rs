//! Changing what runs while requests wait: hand-over to a new version, trial of one, work on a stopped app.
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::{Request, header};

use super::app::App;
use super::supervisor::{Event, Phase};
use super::{BootFailure, BootReport, LaunchSpec};
use crate::base::Result;

type Commit = Box<dyn FnOnce() -> Result<()> + Send>;

/// How long a health check may take once the app listens.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests wait while this lives.
pub struct Hold(Arc<App>);

impl Hold {
    /// Closes the gate and waits until no child is left.
    pub async fn on(app: &Arc<App>) -> (Self, bool) {
        app.event(Event::Hold);
        let hold = Self(app.clone());
        let down = app.until_down().await;
        (hold, down)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.event(Event::Release);
    }
}

/// Puts the old spec back when the hand-over is given up at any point.
struct Undo {
    app: Arc<App>,
    old: Option<LaunchSpec>,
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(old) = self.old.take() {
            self.app.set_spec(old);
            self.app.event(Event::Stop);
        }
    }
}

/// See `Runner::hand_over`.
pub async fn hand_over(
    app: &Arc<App>,
    spec: LaunchSpec,
    commit: Commit,
) -> std::result::Result<BootReport, BootFailure> {
    let ran = !matches!(app.phase(), Phase::Asleep);
    // Declared first, so dropped last: the gate opens when the old spec is back.
    let (_hold, down) = Hold::on(app).await;
    if !down {
        return Err(failure("the running version did not stop", app));
    }
    let mut undo = Undo { app: app.clone(), old: Some(app.spec()) };
    app.set_spec(spec.clone());
    let failed = match boot(app).await {
        Ok(report) => match tokio::task::spawn_blocking(commit).await {
            Ok(Ok(())) => {
                undo.old = None;
                // The idle time may be another, and old crashes say nothing of this version.
                app.settled();
                return Ok(report);
            }
            Ok(Err(error)) => BootFailure { why: error.public, tail: Vec::new() },
            Err(_) => BootFailure { why: "the deploy could not be recorded".into(), tail: Vec::new() },
        },
        Err(failed) => failed,
    };
    drop(undo);
    app.until_down().await;
    if ran && let Err(again) = boot(app).await {
        tracing::warn!(app = %spec.key.0, why = %again.why, "the old version did not come back");
    }
    Err(failed)
}

/// Starts a held app and waits until it is ready or has died.
async fn boot(app: &Arc<App>) -> std::result::Result<BootReport, BootFailure> {
    app.forget_crash();
    app.event(Event::StartHeld);
    let limit = app.shared().options.start_timeout + Duration::from_secs(20);
    let over = |phase| matches!(phase, Phase::Ready { .. } | Phase::Asleep | Phase::Crashed { .. });
    let settled = app.until(limit, over).await;
    match app.lease_anyway() {
        Some(upstream) if settled => Ok(BootReport { ms: upstream.boot_us / 1000 }),
        _ => Err(failure("it did not start", app)),
    }
}

/// What the last crash says.
fn failure(otherwise: &str, app: &App) -> BootFailure {
    match app.last_crash() {
        Some(crash) => BootFailure { why: sentence(&crash.ending), tail: crash.tail },
        None => BootFailure { why: otherwise.to_owned(), tail: Vec::new() },
    }
}

fn sentence(ending: &str) -> String {
    match ending.split_once(' ') {
        Some(("exit", rest)) => format!("exited with {rest}"),
        Some(("signal", "9 (out of memory)")) => "was killed: out of memory".to_owned(),
        Some(("signal", rest)) => format!("was killed by signal {rest}"),
        _ => ending.to_owned(),
    }
}

/// See `Runner::trial`. `app` is in no table; it is stopped whatever happens.
pub async fn trial(app: &Arc<App>, health: &str) -> std::result::Result<BootReport, BootFailure> {
    let (hold, _) = Hold::on(app).await;
    let stop = Undo { app: app.clone(), old: Some(app.spec()) };
    let mark = app.logs().mark();
    let result = match boot(app).await {
        Ok(report) => check(app, health, mark).await.map(|()| report),
        Err(failed) => Err(failed),
    };
    app.event(Event::Remove);
    drop((stop, hold));
    app.until_down().await;
    result
}

async fn check(app: &Arc<App>, health: &str, mark: u64) -> std::result::Result<(), BootFailure> {
    let request = Request::get(health)
        .header(header::HOST, "localhost")
        .header(header::USER_AGENT, "steady-health")
        .header(header::ACCEPT, "*/*")
        .body(Body::empty());
    let (Ok(request), Some(upstream)) = (request, app.lease_anyway()) else {
        return Err(failure("it did not stay up", app));
    };
    let why = match tokio::time::timeout(HEALTH_TIMEOUT, upstream.send(request)).await {
        Ok(Ok((response, _))) if response.status().as_u16() < 500 => return Ok(()),
        Ok(Ok((response, _))) => format!("GET {health} → {}", response.status().as_u16()),
        Ok(Err(error)) => format!("GET {health} → no answer ({})", error.public),
        Err(_) => format!("GET {health} → no answer within {} s", HEALTH_TIMEOUT.as_secs()),
    };
    // What it printed on the way to its answer is still in the pipe.
    tokio::time::sleep(Duration::from_millis(50)).await;
    Err(BootFailure { why, tail: app.logs().since(mark, 100) })
}
