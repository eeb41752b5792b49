//! Noticing at once that the kernel killed for want of memory. The crate watches v1's file in v2 as well,
//! where it does not exist.
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::tree::{field, number};

/// How often v1's counter is read: its notification tells when the group runs short, which is before
/// anything is killed.
const TICK: Duration = Duration::from_millis(200);

/// Where the counter `oom_kill` is.
pub(super) fn file(dir: &Path, v2: bool) -> PathBuf {
    dir.join(if v2 { "memory.events" } else { "memory.oom_control" })
}

pub(super) async fn until(dir: &Path, v2: bool, before: u64) {
    let path = file(dir, v2);
    if v2 && let Some(events) = watched(&path) {
        while read(events.get_ref()) <= before {
            match events.ready(Interest::PRIORITY).await {
                Ok(mut guard) => guard.clear_ready(),
                Err(_) => tokio::time::sleep(TICK).await,
            }
        }
        return;
    }
    while field(&path, "oom_kill") <= before {
        tokio::time::sleep(TICK).await;
    }
}

/// The kernel makes `memory.events` ready whenever it changes, until it is read again through the same
/// descriptor. Unlike inotify that takes nothing of which a user has only so many.
fn watched(path: &Path) -> Option<AsyncFd<File>> {
    let file = File::open(path).ok()?;
    // SAFETY: a `File` owns its descriptor, which stays open and the same until it is dropped; it is only
    // lent out by shared reference from here on.
    unsafe { AsyncFd::register_with_interest(file, Interest::PRIORITY) }.ok()
}

fn read(events: &File) -> u64 {
    let mut text = [0u8; 512];
    let length = events.read_at(&mut text, 0).unwrap_or(0);
    number(&String::from_utf8_lossy(&text[..length]), "oom_kill")
}
