//! Answering a jail's `connect` calls from outside it: the other end of [`super::seccomp::Filters::listen`].
//!
//! A caller waits in its call until it is answered: go on, an error, or a socket in place of its own. What it
//! asked for is read out of its memory, and may have changed a moment later. So *go on* promises nothing
//! about where the call leads, and is only for jails whose own network namespace decides that.
use std::io::{self, Error};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use nix::libc;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, sockopt};
use tokio::io::unix::AsyncFd;

/// No socket address is longer: `sockaddr_storage`.
const LONGEST: usize = 128;
/// `PIDFD_THREAD`, Linux 6.9.
const PIDFD_THREAD: u32 = libc::O_EXCL as u32;

/// The calls of all processes under one filter.
pub struct Listener {
    fd: AsyncFd<OwnedFd>,
    /// Looking and taking are one step, or the second of two takers would block.
    taking: Mutex<()>,
}

/// One `connect` that waits for an answer. Unanswered, it waits until its thread is killed or the
/// listener closes.
#[derive(Debug)]
pub struct Call {
    pub id: u64,
    /// The calling *thread*, as this process numbers it.
    pub thread: i32,
    /// The caller's number for its socket.
    pub fd: RawFd,
    pub to: To,
    pub family: AddressFamily,
    /// An IP socket that is no stream: `connect` sends nothing, it only sets where sends go.
    pub datagram: bool,
    /// The caller does not want to wait.
    pub nonblocking: bool,
    /// The caller's socket itself, whatever it does to its number meanwhile.
    socket: OwnedFd,
}

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

enum Taken {
    Call(libc::seccomp_notif),
    Nothing,
    End,
}

impl Listener {
    /// Takes the descriptor over. Within a tokio runtime.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: the descriptor is owned, and is neither replaced nor closed while registered.
        let fd = unsafe { AsyncFd::register(fd)? };
        Ok(Self { fd, taking: Mutex::new(()) })
    }

    /// The next call; `None` when the last process under the filter has ended (Linux 5.9; before, never).
    /// Calls whose thread died, and such that fail anyhow, are not reported. Safe to cancel.
    pub async fn next(&self) -> io::Result<Option<Call>> {
        loop {
            let mut ready = self.fd.readable().await?;
            match ready.try_io(|fd| self.take(fd.get_ref())) {
                Ok(Ok(Taken::Call(raw))) => {
                    if let Some(call) = self.look(&raw)? {
                        return Ok(Some(call));
                    }
                }
                Ok(Ok(Taken::End)) => return Ok(None),
                Ok(Ok(Taken::Nothing)) | Err(_) => {}
                Ok(Err(e)) => return Err(e),
            }
        }
    }

    fn take(&self, fd: &OwnedFd) -> io::Result<Taken> {
        let _one = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = [PollFd::new(fd, PollFlags::IN)];
        poll(&mut state, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        let state = state[0].revents();
        if !state.contains(PollFlags::IN) {
            return if state.contains(PollFlags::HUP) { Ok(Taken::End) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        // SAFETY: the struct is plain integers; the kernel demands zeros.
        let mut raw: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        match ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_RECV, &mut raw) {
            Ok(()) => Ok(Taken::Call(raw)),
            // Its thread died between the two calls, or a signal came.
            Err(Errno::NOENT | Errno::INTR) => Ok(Taken::Nothing),
            Err(e) => Err(e.into()),
        }
    }

    /// Reads what the caller asks for. What cannot be looked at is refused here.
    fn look(&self, raw: &libc::seccomp_notif) -> io::Result<Option<Call>> {
        let thread = raw.pid.cast_signed();
        let [fd, address, length, ..] = raw.data.args;
        // The kernel reads descriptor and length as int.
        let (fd, length) = (fd as RawFd, length as i32);
        let found = usize::try_from(length).ok().filter(|length| *length <= LONGEST).ok_or(Errno::INVAL);
        let found = found.and_then(|length| read_memory(thread, address, length));
        let found = found.and_then(|bytes| Ok((bytes, descriptor(thread, fd)?)));
        // Only now is it sure that the number still meant that thread.
        if !self.waits(raw.id) {
            return Ok(None);
        }
        let call = found.and_then(|(bytes, socket)| {
            let to = to(&bytes);
            let family = sockopt::socket_domain(&socket)?;
            let datagram = sockopt::socket_type(&socket)? != SocketType::STREAM && family != AddressFamily::UNIX;
            let nonblocking = rustix::fs::fcntl_getfl(&socket)?.contains(rustix::fs::OFlags::NONBLOCK);
            Ok(Call { id: raw.id, thread, fd, to, family, datagram, nonblocking, socket })
        });
        match call {
            Ok(call) => Ok(Some(call)),
            Err(errno) => self.answer(raw.id, 0, errno.raw_os_error()).map(|()| None),
        }
    }

    fn waits(&self, id: u64) -> bool {
        ioctl(self.fd.get_ref(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &mut { id }).is_ok()
    }

    /// Lets the kernel do what the caller asks *by then*; see the module's head.
    pub fn go_on(&self, call: Call) -> io::Result<()> {
        self.answer(call.id, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32, 0)
    }

    /// Makes the call fail with this `errno` (such as `ECONNREFUSED`).
    pub fn refuse(&self, call: Call, errno: i32) -> io::Result<()> {
        self.answer(call.id, 0, errno)
    }

    /// Puts `socket`, connected or still connecting, in place of the caller's own. Options that people set
    /// before connecting are copied; others are lost, and so is the old socket's place in an epoll.
    /// A caller that waits needs a connected socket: `InvalidInput` otherwise, and the call is refused.
    pub fn replace(&self, call: Call, socket: OwnedFd) -> io::Result<()> {
        let connected = rustix::net::getpeername(&socket).is_ok();
        if !connected && !call.nonblocking {
            self.answer(call.id, 0, libc::ECONNABORTED)?;
            return Err(Error::new(io::ErrorKind::InvalidInput, "a caller that waits needs a connected socket"));
        }
        let done = dress(&call, &socket).and_then(|flags| {
            let mut add = libc::seccomp_notif_addfd {
                id: call.id,
                flags: libc::SECCOMP_ADDFD_FLAG_SETFD as u32,
                srcfd: socket.as_raw_fd().cast_unsigned(),
                newfd: call.fd.cast_unsigned(),
                newfd_flags: flags,
            };
            ioctl_value(self.fd.get_ref(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &mut add)
        });
        match done {
            Ok(_) => self.answer(call.id, 0, if connected { 0 } else { libc::EINPROGRESS }),
            Err(Errno::NOENT) => Ok(()),
            Err(e) => self.answer(call.id, 0, libc::ECONNABORTED).and(Err(e.into())),
        }
    }

    /// An answer that comes too late, the thread having died, is no error.
    fn answer(&self, id: u64, flags: u32, errno: i32) -> io::Result<()> {
        let mut answer = libc::seccomp_notif_resp { id, val: 0, error: -errno, flags };
        match ioctl(self.fd.get_ref(), libc::SECCOMP_IOCTL_NOTIF_SEND, &mut answer) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

/// Makes the new socket behave like the old; answers the flags for the caller's descriptor.
fn dress(call: &Call, socket: &OwnedFd) -> Result<u32, Errno> {
    let old = rustix::fs::fcntl_getfl(&call.socket)?;
    rustix::fs::fcntl_setfl(socket, old)?;
    // A socket of another kind has none of these: nothing to copy then.
    let _ = sockopt::tcp_nodelay(&call.socket).and_then(|on| sockopt::set_tcp_nodelay(socket, on));
    let _ = sockopt::socket_keepalive(&call.socket).and_then(|on| sockopt::set_socket_keepalive(socket, on));
    let _ = sockopt::tcp_keepidle(&call.socket).and_then(|time| sockopt::set_tcp_keepidle(socket, time));
    let _ = sockopt::tcp_keepintvl(&call.socket).and_then(|time| sockopt::set_tcp_keepintvl(socket, time));
    let _ = sockopt::tcp_keepcnt(&call.socket).and_then(|count| sockopt::set_tcp_keepcnt(socket, count));
    Ok(if close_on_exec(call) { libc::O_CLOEXEC as u32 } else { 0 })
}

/// Whether the caller's descriptor closes on exec. Nearly all do: taken for granted where it cannot be read.
fn close_on_exec(call: &Call) -> bool {
    let info = std::fs::read_to_string(format!("/proc/{}/fdinfo/{}", call.thread, call.fd)).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|octal| i32::from_str_radix(octal.trim(), 8).ok());
    flags.is_none_or(|flags| flags & libc::O_CLOEXEC != 0)
}

fn read_memory(thread: i32, from: u64, length: usize) -> Result<Vec<u8>, Errno> {
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
fn descriptor(thread: i32, fd: RawFd) -> Result<OwnedFd, Errno> {
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

fn last() -> Errno {
    Errno::from_io_error(&Error::last_os_error()).unwrap_or(Errno::IO)
}

fn ioctl<T>(fd: &OwnedFd, request: libc::Ioctl, value: &mut T) -> Result<(), Errno> {
    ioctl_value(fd, request, value).map(drop)
}

fn ioctl_value<T>(fd: &OwnedFd, request: libc::Ioctl, value: &mut T) -> Result<i32, Errno> {
    // SAFETY: every caller passes the struct that its request is defined for; the number holds its size.
    let answer = unsafe { libc::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(value)) };
    if answer < 0 { Err(last()) } else { Ok(answer) }
}

fn to(bytes: &[u8]) -> To {
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

#[cfg(test)]
#[path = "notify_tests.rs"]
mod tests;
