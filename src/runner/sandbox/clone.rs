//! `clone3` as a fork into new namespaces and, on cgroup v2, straight into a group.
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use nix::libc;

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The process made, in the process that made it.
pub struct Cloned {
    pub pid: i32,
    pub pidfd: OwnedFd,
}

impl Cloned {
    /// Waits for its end.
    pub fn reap(&self) {
        let mut status = 0;
        // SAFETY: waits for our own child; the pointer is valid for the call.
        unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
    }
}

/// `None` in the new process. `namespaces` are `CLONE_NEW…` flags.
///
/// # Safety
/// As `fork`: the caller must have one thread, and the new process must not rely on anything but copies.
pub unsafe fn clone(namespaces: u64, group: Option<BorrowedFd<'_>>) -> io::Result<Option<Cloned>> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all-zero is a valid value of this plain struct.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = namespaces | libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(group) = group {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(group.as_raw_fd()).unwrap_or_default();
    }
    // SAFETY: no CLONE_VM and no stack: both processes go on here, each with its own memory.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => {
            // SAFETY: the kernel has just made this descriptor for us.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Some(Cloned { pid: i32::try_from(pid).unwrap_or(-1), pidfd }))
        }
    }
}
