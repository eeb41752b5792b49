//! Tells when something is made in a folder, so that a child's socket is tried the moment it is there.
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

use super::sandbox::wire::register;

/// `None` where the kernel gives no more watches: whoever waits must look by itself now and then anyway.
#[derive(Default)]
pub struct Arrival(Option<AsyncFd<OwnedFd>>);

impl Arrival {
    /// `folder`: wherever it is mounted. Inside the runtime.
    pub fn watch(folder: BorrowedFd<'_>) -> Self {
        let watch = || -> std::io::Result<AsyncFd<OwnedFd>> {
            let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            inotify::add_watch(&fd, format!("/proc/self/fd/{}", folder.as_raw_fd()), WatchFlags::CREATE)?;
            register(fd)
        };
        Self(watch().ok())
    }

    /// Waits for the next one; safe to cancel.
    pub async fn next(&self) {
        let Some(fd) = &self.0 else { return std::future::pending().await };
        let Ok(mut ready) = fd.readable().await else { return std::future::pending().await };
        // Which name it has is of no interest.
        let mut events = [0u8; 4096];
        while rustix::io::read(fd, &mut events).is_ok_and(|read| read > 0) {}
        ready.clear_ready();
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_is_made_is_told_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let arrival = Arrival::watch(std::fs::File::open(dir.path()).expect("open").as_fd());
        assert!(arrival.next().now_or_never().is_none(), "nothing was made");
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("http.sock")).expect("a socket");
        arrival.next().await;
        assert!(arrival.next().now_or_never().is_none(), "it was told");
    }
}
