//! Tells when something is made in a folder, so that a child's socket is tried the moment it is there. A user may have
//! few watches (128 by default) for all its programs, and what is made waits in the kernel until it is read: so few are
//! held at once, and each only while a child starts.
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::sandbox::wire::register;

/// Held by all children that start at the same time.
const MOST: usize = 32;
static WATCHES: Semaphore = Semaphore::const_new(MOST);

/// As much as may wait in the kernel.
const READS: usize = 64;

/// `None` where there are no more watches: whoever waits must look by itself now and then anyway.
#[derive(Default)]
pub struct Arrival(Option<(AsyncFd<OwnedFd>, SemaphorePermit<'static>)>);

impl Arrival {
    /// `folder`: wherever it is mounted. Inside the runtime.
    pub fn watch(folder: BorrowedFd<'_>) -> Self {
        let Ok(permit) = WATCHES.try_acquire() else { return Self::default() };
        let watch = || -> std::io::Result<AsyncFd<OwnedFd>> {
            let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            inotify::add_watch(&fd, format!("/proc/self/fd/{}", folder.as_raw_fd()), WatchFlags::CREATE)?;
            register(fd)
        };
        Self(watch().ok().map(|fd| (fd, permit)))
    }

    /// Waits for the next one; safe to cancel.
    pub async fn next(&self) {
        let Some((fd, _)) = &self.0 else { return std::future::pending().await };
        let Ok(mut ready) = fd.readable().await else { return std::future::pending().await };
        // Which name it has is of no interest. Who makes more meanwhile must not keep this thread.
        let mut events = [0u8; 4096];
        if (0..READS).any(|_| !rustix::io::read(fd, &mut events).is_ok_and(|read| read > 0)) {
            ready.clear_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_is_made_is_told_once_and_watches_are_few() {
        let dir = tempfile::tempdir().expect("a folder");
        let arrival = Arrival::watch(std::fs::File::open(dir.path()).expect("open").as_fd());
        assert!(arrival.next().now_or_never().is_none(), "nothing was made");
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("http.sock")).expect("a socket");
        arrival.next().await;
        assert!(arrival.next().now_or_never().is_none(), "it was told");
        drop(arrival);

        let folder = std::fs::File::open(dir.path()).expect("open");
        let held: Vec<_> = (0..MOST + 10).map(|_| Arrival::watch(folder.as_fd())).collect();
        assert!(held.iter().filter(|arrival| arrival.0.is_some()).count() <= MOST);
        drop(held);
        assert_eq!(WATCHES.available_permits(), MOST, "they come back");
    }
}
