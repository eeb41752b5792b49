//! Threads that each run connections of their own. What begins on one stays there: neither it nor what it wakes is
//! ever handed to another processor.
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{Result, ResultExt as _};

/// Files and names are looked up off the workers' threads, by at most so many for each.
const HELPERS: usize = 64;

thread_local! {
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Ends all of them when dropped, and what still runs there.
pub struct Workers {
    all: Vec<Worker>,
    stop: CancellationToken,
}

struct Worker {
    handle: Handle,
    busy: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// A place on a worker; it counts as one of its connections until dropped.
pub struct Seat {
    handle: Handle,
    busy: Arc<AtomicUsize>,
}

impl Workers {
    /// One for each processor.
    /// Errors: `Internal` when the system gives no threads.
    pub fn start() -> Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let stop = CancellationToken::new();
        let mut workers = Self { all: Vec::with_capacity(count), stop };
        for number in 0..count {
            let worker = Worker::start(number, workers.stop.clone()).internal("while starting a worker's thread")?;
            workers.all.push(worker);
        }
        Ok(workers)
    }

    /// The worker with the fewest connections. `None` when there are no workers.
    pub fn seat(&self) -> Option<Seat> {
        let worker = self.all.iter().min_by_key(|worker| worker.busy.load(Ordering::Relaxed))?;
        worker.busy.fetch_add(1, Ordering::Relaxed);
        Some(Seat { handle: worker.handle.clone(), busy: worker.busy.clone() })
    }
}

impl Worker {
    fn start(number: usize, stop: CancellationToken) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(HELPERS)
            .thread_name("worker-helper")
            .build()?;
        let handle = runtime.handle().clone();
        let work = move || {
            NUMBER.set(Some(number));
            runtime.block_on(stop.cancelled());
            // Whoever still waits for a disk here is not waited for.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(work)?;
        Ok(Self { handle, busy: Arc::default(), thread: Some(thread) })
    }
}

impl Seat {
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
        for worker in &mut self.all {
            // It cannot panic, and if it did its work is over all the same.
            let _ = worker.thread.take().map(JoinHandle::join);
        }
    }
}

/// Which worker this thread is; `None` on any other thread.
pub fn current() -> Option<usize> {
    NUMBER.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Tasks;

    #[tokio::test]
    async fn connections_are_dealt_out_and_stay() {
        let (workers, tasks) = (Workers::start().expect("threads"), Tasks::new());
        let mut seats = vec![];
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..workers.all.len() * 3 {
            let seat = workers.seat().expect("a worker");
            let other = tasks.clone();
            let place = async move {
                let here = current();
                tokio::task::yield_now().await;
                let inner = other.spawn_here("test", async { current() }).await.expect("no panic");
                let home = other.spawn("test", async { current() }).await.expect("no panic");
                assert_eq!((inner, home, current()), (here, None, here));
                here.expect("a worker")
            };
            let number = tasks.spawn_on(seat.handle(), "test", place).await.expect("no panic");
            *seen.entry(number).or_insert(0) += 1;
            seats.push(seat);
        }
        assert!(seen.len() == workers.all.len() && seen.values().all(|n| *n == 3), "{seen:?}");
        drop(seats);
        assert!(workers.all.iter().all(|worker| worker.busy.load(Ordering::Relaxed) == 0));
    }
}
