//! Noticing at once that a limit was met: that the kernel killed for want of memory, or refused another process. The
//! crate watches v1's file for want of memory in v2 as well, where it does not exist.
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::tree::{field, number};

/// How often a counter is read where the kernel does not tell that it changed: v1 tells that a group runs short, which
/// is before anything is killed, and new kernels tell nothing of v1's processes.
const KILLS: Duration = Duration::from_millis(200);
const FORKS: Duration = Duration::from_secs(2);

/// A number of the kernel's that grows whenever a limit was met.
pub(super) struct Counter {
    path: PathBuf,
    name: &'static str,
    /// Whether the kernel makes the file ready when it grows.
    tells: bool,
    tick: Duration,
}

impl Counter {
    /// Of the processes that were killed. `dir`: the group's, for memory.
    pub(super) fn kills(dir: &std::path::Path, v2: bool) -> Self {
        let path = dir.join(if v2 { "memory.events" } else { "memory.oom_control" });
        Self { path, name: "oom_kill", tells: v2, tick: KILLS }
    }

    /// Of the processes and threads that could not be started. `dir`: the group's, for processes.
    pub(super) fn refused_forks(dir: &std::path::Path, v2: bool) -> Self {
        Self { path: dir.join("pids.events"), name: "max", tells: v2, tick: FORKS }
    }

    pub(super) fn read(&self) -> u64 {
        field(&self.path, self.name)
    }

    /// Returns when it is more than `before`. Inside the runtime.
    pub(super) async fn above(&self, before: u64) {
        if let Some(events) = self.tells.then(|| self.watched()).flatten() {
            while self.read_from(events.get_ref()) <= before {
                match events.ready(Interest::PRIORITY).await {
                    Ok(mut guard) => guard.clear_ready(),
                    Err(_) => tokio::time::sleep(self.tick).await,
                }
            }
            return;
        }
        while self.read() <= before {
            tokio::time::sleep(self.tick).await;
        }
    }

    /// The kernel makes the file ready whenever it changes, until it is read again through the same descriptor.
    /// Unlike inotify that takes nothing of which a user has only so many.
    fn watched(&self) -> Option<AsyncFd<File>> {
        let file = File::open(&self.path).ok()?;
        // SAFETY: a `File` owns its descriptor, which stays open and the same until it is dropped; it is only
        // lent out by shared reference from here on.
        unsafe { AsyncFd::register_with_interest(file, Interest::PRIORITY) }.ok()
    }

    fn read_from(&self, events: &File) -> u64 {
        let mut text = [0u8; 512];
        let length = events.read_at(&mut text, 0).unwrap_or(0);
        number(&String::from_utf8_lossy(&text[..length]), self.name)
    }
}
