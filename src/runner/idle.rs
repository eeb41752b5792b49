//! An app nobody asks: frozen, then out of memory, then stopped. The supervisor says when; here it is done.
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::LaunchSpec;
use super::app::{App, millis};
use super::child::{Ask, Child};
use super::sandbox::cgroup::Group;
use super::supervisor::{ChildId, Idle, Phase};

/// Bytes taken back at a time: between two somebody may want the app.
const PORTION: u64 = 16 << 20;
/// Less than this in a portion, and the rest is not worth the effort.
const CRUMBS: u64 = 64 << 10;

/// What comes before an idle app is stopped. Stopping is [`LaunchSpec::idle`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// How long without requests before it is frozen; `None` = never: it works in the background.
    pub freeze: Option<Duration>,
    /// How long without requests before the memory of a frozen one goes to swap; `None` = never.
    pub reclaim: Option<Duration>,
}

/// What the supervisor goes by. Without swap there is nowhere to put memory.
pub fn times(spec: &LaunchSpec, swaps: bool) -> Idle {
    let Some(stop) = spec.idle else { return Idle::default() };
    let freeze = spec.rest.freeze.map(millis);
    let reclaim = spec.rest.reclaim.map(millis).filter(|_| swaps);
    Idle { freeze, reclaim, stop: Some(millis(stop)) }
}

/// Nothing is in flight, and nothing can come in before [`thaw`]: both run under the app's lock.
/// Errors: there is no freezer here.
pub fn freeze(child: &Child) -> io::Result<()> {
    child.group().ok_or(io::ErrorKind::Unsupported)?.freeze()?;
    // It cannot close them in time, and would at its first moment awake, under a request.
    child.line.forget();
    Ok(())
}

/// Lets it go on; one that cannot is killed, so that the next request finds another.
pub fn thaw(child: &Child) {
    let done = child.group().map_or(Ok(()), Group::thaw);
    if let Err(error) = done {
        tracing::error!(%error, version = child.version, "a frozen app cannot go on, and is ended");
        child.demand(Ask::Kill);
    }
}

/// Puts the memory of a frozen child into swap, portion by portion, until nothing is left or it is wanted.
pub async fn reclaim(app: Arc<App>, child: Arc<Child>) {
    // One at a time: all of them write to the same disk.
    let Ok(_turn) = app.shared().reclaims.acquire().await else { return };
    let stop = app.shared().tasks.stopping();
    while is_frozen(&app, child.id) && !stop.is_cancelled() {
        let Some(group) = child.group().cloned() else { return };
        let portion = move || {
            let before = group.anonymous();
            group.reclaim(before.min(PORTION))?;
            io::Result::Ok((before, group.anonymous()))
        };
        match tokio::task::spawn_blocking(portion).await {
            Ok(Ok((before, after))) if after + CRUMBS < before => {}
            Ok(Err(error)) => return tracing::debug!(%error, "memory of a frozen app stays where it is"),
            _ => return,
        }
    }
}

fn is_frozen(app: &App, id: ChildId) -> bool {
    matches!(app.phase(), Phase::Frozen { child, .. } if child == id)
}
