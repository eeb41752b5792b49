//! One lock per project.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Locks kept before those nobody holds or waits for are dropped.
const IDLE: usize = 256;

/// Held while a repository's refs change: a push, a deploy, an editor's save onto main.
pub struct RepoLock {
    _held: OwnedMutexGuard<()>,
}

#[derive(Default)]
pub(super) struct Locks {
    map: Mutex<HashMap<i64, Arc<AsyncMutex<()>>>>,
}

impl Locks {
    fn of(&self, project: i64) -> Arc<AsyncMutex<()>> {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= IDLE {
            // A count of one is the map's own: every holder and waiter has another.
            map.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        Arc::clone(map.entry(project).or_default())
    }

    pub(super) fn blocking(&self, project: i64) -> RepoLock {
        RepoLock { _held: self.of(project).blocking_lock_owned() }
    }

    pub(super) async fn wait(&self, project: i64) -> RepoLock {
        RepoLock { _held: self.of(project).lock_owned().await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_forgets_what_nobody_holds() {
        let locks = Locks::default();
        let held = locks.blocking(-1);
        for project in 0..1000 {
            drop(locks.blocking(project));
        }
        assert!(locks.map.lock().unwrap().len() <= IDLE, "idle locks are dropped");
        assert!(locks.of(-1).try_lock().is_err(), "a held lock is the same lock after the sweep");
        drop(held);
        assert!(locks.of(-1).try_lock().is_ok());
    }
}
