//! Descriptors that were open when this program began, because its parent meant them for it.
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc;
use rustix::io::FdFlags;

/// By the convention of systemd (`LISTEN_FDS`) they begin behind standard error.
const FIRST: RawFd = 3;
/// Nobody passes more.
const MOST: u32 = 64;

/// Listening sockets, `count` from [`FIRST`] on; from now on no child inherits them. The environment said that they
/// were passed to this very process. Errors: one is no listening socket, or they were taken before.
pub fn descriptors(count: u32) -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if count > MOST || TAKEN.swap(true, Ordering::SeqCst) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    (0..).zip(0..count).map(|(n, _)| one(FIRST + n)).collect()
}

fn one(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: a number that is not open is refused here; one that is was open when the program began, since the
    // caller read that it was passed, and nobody in here owns it: numbers are taken once.
    let fd = unsafe {
        if libc::fcntl(number, libc::F_GETFD) < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(number)
    };
    let listens = rustix::net::sockopt::socket_acceptconn(&fd);
    if !matches!(listens, Ok(true)) {
        std::mem::forget(fd); // what it is instead, we do not know: it stays as it was
        return Err(io::ErrorKind::InvalidInput.into());
    }
    rustix::io::fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
    Ok(fd)
}
