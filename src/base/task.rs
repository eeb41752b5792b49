//! Named background tasks that can be told to stop and waited for. The only place that spawns.
use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// A group of tasks with one stop signal. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    hang_up: CancellationToken,
}

impl Tasks {
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` in the background inside a span called `name`. It is never aborted: it watches
    /// [`Tasks::stopping`] itself.
    #[allow(clippy::disallowed_methods)]
    pub fn spawn<F>(&self, name: &'static str, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let span = tracing::info_span!("task", name);
        self.tracker.spawn(future.instrument(span))
    }

    /// A token that is cancelled when the program is told to stop.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    pub fn stop(&self) {
        self.hang_up.cancel();
        self.stop.cancel();
    }

    /// A token that is cancelled when draining begins, before [`Tasks::stopping`]: for responses that
    /// would otherwise never end, such as a followed log.
    pub fn hanging_up(&self) -> CancellationToken {
        self.hang_up.clone()
    }

    /// Ends endless responses; everything else may finish.
    pub fn hang_up(&self) {
        self.hang_up.cancel();
    }

    /// Tells all to stop and waits; false if some were still running at the deadline.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.stop();
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok()
    }
}

/// Runs what keeps its thread busy, telling the runtime when the thread is one of its own.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}
