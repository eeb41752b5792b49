//! The kernel's word that programs wait for memory, told at once by a trigger on a pressure file.
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Microseconds of waiting within microseconds of time. Without privileges the window must be whole multiples
/// of two seconds. The kernel takes the last byte for the end of the text.
const TRIGGER: &[u8] = b"some 200000 2000000\0";

/// One trigger. It is gone when this is dropped.
#[derive(Debug)]
pub struct Stall(AsyncFd<File>);

impl Stall {
    /// On `/proc/pressure/memory`, or a group's `memory.pressure`. Inside the runtime.
    /// Errors: the kernel does not count there, or does not tell us.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        file.write_all(TRIGGER)?;
        // SAFETY: a `File` owns its descriptor, which stays open and the same until it is dropped; it is only
        // lent out by shared reference from here on.
        let watched = unsafe { AsyncFd::register_with_interest(file, Interest::PRIORITY) };
        Ok(Self(watched.map_err(io::Error::from)?))
    }

    /// Returns when programs have waited too long, at most once every two seconds.
    pub async fn next(&self) -> io::Result<()> {
        self.0.ready(Interest::PRIORITY).await?.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_trigger_is_taken_and_tells_nothing_by_itself() {
        let path = Path::new("/proc/pressure/memory");
        if !path.exists() {
            assert!(Stall::open(path).is_err());
            return;
        }
        // A container may show the file and refuse triggers; that must be an error, not a panic.
        let Ok(stall) = Stall::open(path) else { return };
        let soon = tokio::time::timeout(Duration::from_millis(50), stall.next()).await;
        assert!(soon.is_err() || soon.is_ok_and(|told| told.is_ok()));
        assert!(Stall::open(Path::new("/proc/meminfo")).is_err(), "no pressure file");
    }
}
