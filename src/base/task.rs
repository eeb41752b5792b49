//! Named background tasks that can be told to stop and waited for. The only place that spawns.
use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// A group of tasks with one stop signal. Cheap to clone.
#[derive(Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    /// Where it was made: connections live on other threads, and what they start should not slow them.
    home: Option<Handle>,
    stop: CancellationToken,
    hang_up: CancellationToken,
}

impl Tasks {
    /// Tasks of this runtime, whoever starts them.
    pub fn new() -> Self {
        Self {
            tracker: TaskTracker::new(),
            home: Handle::try_current().ok(),
            stop: CancellationToken::new(),
            hang_up: CancellationToken::new(),
        }
    }

    /// Runs `future` in the background inside a span called `name`. It is never aborted: it watches
    /// [`Tasks::stopping`] itself.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let future = future.instrument(tracing::info_span!("task", name));
        match &self.home {
            Some(home) => self.tracker.spawn_on(future, home),
            None => self.tracker.spawn(future),
        }
    }

    /// The same on the thread of whoever calls, for a connection's own work.
    pub fn spawn_here<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(future.instrument(tracing::debug_span!("task", name)))
    }

    /// The same on another runtime.
    pub fn spawn_on<F>(&self, runtime: &Handle, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn_on(future.instrument(tracing::debug_span!("task", name)), runtime)
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

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
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
