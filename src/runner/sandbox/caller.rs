//! Looking into a process that waits in a call: its memory, its descriptors, what it asks for.
use std::io::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

use nix::libc;
use rustix::io::Errno;

/// No socket address is longer: `sockaddr_storage`.
pub(super) const LONGEST: usize = 128;
/// `PIDFD_THREAD`, Linux 6.9.
const PIDFD_THREAD: u32 = libc::O_EXCL as u32;

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    Ip(SocketAddr),
    /// The bytes of `sun_path`: a path, or with a zero first an abstract name.
    Unix(Vec<u8>),
    /// `AF_UNSPEC`: the socket forgets where it was connected to.
    Nowhere,
    /// Another family, or fewer bytes than its family needs: the kernel would refuse.
    Other(u16),
}

/// Whether the caller's descriptor closes on exec. Nearly all do: taken for granted where it cannot be read.
pub(super) fn close_on_exec(thread: i32, fd: RawFd) -> bool {
    let info = std::fs::read_to_string(format!("/proc/{thread}/fdinfo/{fd}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|octal| i32::from_str_radix(octal.trim(), 8).ok());
    flags.is_none_or(|flags| flags & libc::O_CLOEXEC != 0)
}

pub(super) fn read_memory(thread: i32, from: u64, length: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0u8; length];
    let here = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: length };
    let there = libc::iovec { iov_base: from as *mut libc::c_void, iov_len: length };
    // SAFETY: the kernel writes at most `length` bytes into `bytes`, which is that long; the other process's
    // address is checked there.
    let read = unsafe { libc::process_vm_readv(thread, &raw const here, 1, &raw const there, 1, 0) };
    if read < 0 {
        Err(last())
    } else if read.cast_unsigned() < length {
        Err(Errno::FAULT)
    } else {
        Ok(bytes)
    }
}

/// A copy of another process's descriptor.
pub(super) fn descriptor(thread: i32, fd: RawFd) -> Result<OwnedFd, Errno> {
    let process = match open_pid(thread, PIDFD_THREAD) {
        Err(Errno::INVAL) => open_pid(leader(thread)?, 0),
        other => other,
    }?;
    // SAFETY: plain integers.
    let got = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0u32) };
    own(got)
}

fn open_pid(pid: i32, flags: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: plain integers.
    own(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) })
}

/// The process of a thread. Threads of a process share its descriptors.
fn leader(thread: i32) -> Result<i32, Errno> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).map_err(|_| Errno::SRCH)?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    line.and_then(|pid| pid.trim().parse().ok()).ok_or(Errno::SRCH)
}

fn own(fd: libc::c_long) -> Result<OwnedFd, Errno> {
    match RawFd::try_from(fd) {
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(last()),
    }
}

pub(super) fn last() -> Errno {
    Errno::from_io_error(&Error::last_os_error()).unwrap_or(Errno::IO)
}

pub(super) fn to(bytes: &[u8]) -> To {
    let Some(family) = bytes.first_chunk() else { return To::Other(0) };
    let family = u16::from_ne_bytes(*family);
    let port = || bytes.get(2..4).map(|port| u16::from_be_bytes([port[0], port[1]]));
    match i32::from(family) {
        libc::AF_UNSPEC => To::Nowhere,
        libc::AF_UNIX => To::Unix(bytes[2..].to_vec()),
        libc::AF_INET if bytes.len() >= 16 => {
            let ip: [u8; 4] = bytes[4..8].try_into().unwrap_or_default();
            To::Ip(SocketAddrV4::new(Ipv4Addr::from(ip), port().unwrap_or_default()).into())
        }
        // The scope came later: 24 bytes are enough for the kernel.
        libc::AF_INET6 if bytes.len() >= 24 => {
            let ip: [u8; 16] = bytes[8..24].try_into().unwrap_or_default();
            let scope = bytes.get(24..28).and_then(|scope| scope.try_into().ok()).map_or(0, u32::from_ne_bytes);
            To::Ip(SocketAddrV6::new(Ipv6Addr::from(ip), port().unwrap_or_default(), 0, scope).into())
        }
        _ => To::Other(family),
    }
}
