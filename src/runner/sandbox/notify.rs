//! Answering a jail's `connect` (and `listen`) calls from outside it: the other end of [`super::seccomp::Filters::listen`].
//!
//! A caller waits in its call until it is answered: go on, an error, or a socket in place of its own. What it
//! asked for is read out of its memory, and may have changed a moment later. So *go on* promises nothing
//! about where the call leads, and is only for jails whose own network namespace decides that.
//!
//! Looking can take as long as a hostile caller likes: its memory may be slow to come, and who closes a socket
//! last waits for what is unsent in it (SO_LINGER). So it is done where a thread may block, and no descriptor
//! of a caller is kept, unless its socket is to be replaced.
use std::io::{self, Error};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nix::libc;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use tokio::io::unix::AsyncFd;

use super::caller;
pub use super::caller::To;

/// The calls of all processes under one filter.
pub struct Listener {
    fd: AsyncFd<OwnedFd>,
    /// Looking and taking are one step, or the second of two takers would block.
    taking: Mutex<()>,
    /// Whether calls come with their socket.
    keeps_sockets: bool,
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
    /// The caller's socket itself, whatever it does to its number meanwhile, where it may be replaced.
    socket: Option<OwnedFd>,
}

impl Call {
    fn socket(&self) -> Result<&OwnedFd, Errno> {
        self.socket.as_ref().ok_or(Errno::BADF)
    }
}

enum Taken {
    Call(libc::seccomp_notif),
    Nothing,
    End,
}

impl Listener {
    /// Takes the descriptor over. Within a tokio runtime. `replaces`: for a jail without a network of its own,
    /// whose calls are answered by [`Self::replace`], [`Self::reach_unix`] and [`Self::forget`] too.
    pub fn new(fd: OwnedFd, replaces: bool) -> io::Result<Self> {
        // SAFETY: the descriptor is owned, and is neither replaced nor closed while registered.
        let fd = unsafe { AsyncFd::register(fd)? };
        Ok(Self { fd, taking: Mutex::new(()), keeps_sockets: replaces })
    }

    /// The next call; `None` when the last process under the filter has ended (Linux 5.9; before, never).
    /// Calls whose thread died, and such that fail anyhow, are not reported. `listen` is answered here: on a
    /// unix socket it is done for the caller, on any other it fails with EACCES. Safe to cancel.
    pub async fn next(&self) -> io::Result<Option<Call>> {
        loop {
            let mut ready = self.fd.readable().await?;
            match ready.try_io(|fd| self.take(fd.get_ref())) {
                Ok(Ok(Taken::Call(raw))) => {
                    if let Some(call) = crate::base::task::blocking(|| self.look(&raw))? {
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
        // The kernel reads descriptor, length and backlog as int.
        let (fd, length, backlog) = (fd as RawFd, length as i32, address as i32);
        let listens = i64::from(raw.data.nr) == libc::SYS_listen;
        let bytes = match usize::try_from(length) {
            _ if listens => Ok(Vec::new()),
            Ok(length) if length <= caller::LONGEST => caller::read_memory(thread, address, length),
            _ => Err(Errno::INVAL),
        };
        let found = bytes.and_then(|bytes| Ok((bytes, caller::descriptor(thread, fd)?)));
        // Only now is it sure that the number still meant that thread.
        if !self.waits(raw.id) {
            return Ok(None);
        }
        let call = found.and_then(|(bytes, socket)| {
            let family = sockopt::socket_domain(&socket)?;
            if listens {
                let unix = family == AddressFamily::UNIX;
                return if unix { rustix::net::listen(&socket, backlog).map(|()| None) } else { Err(Errno::ACCESS) };
            }
            let datagram = sockopt::socket_type(&socket)? != SocketType::STREAM && family != AddressFamily::UNIX;
            let nonblocking = rustix::fs::fcntl_getfl(&socket)?.contains(OFlags::NONBLOCK);
            let to = caller::to(&bytes);
            let socket = self.keeps_sockets.then_some(socket);
            Ok(Some(Call { id: raw.id, thread, fd, to, family, datagram, nonblocking, socket }))
        });
        match call {
            Ok(Some(call)) => Ok(Some(call)),
            Ok(None) => self.answer(raw.id, 0, 0).map(|()| None),
            Err(errno) => {
                // Ours to look at, or the kernel keeps processes from each other: then nothing can connect.
                if matches!(errno, Errno::PERM | Errno::NOSYS) {
                    tracing::warn!(thread, %errno, "a jail's connect call could not be looked at");
                }
                self.answer(raw.id, 0, errno.raw_os_error()).map(|()| None)
            }
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

    /// Connects a caller to the unix socket it asks for, if that lies in `folder` (an absolute path, without
    /// links in it) and no link leads out of it; else the call fails with EACCES. For jails where going on is
    /// unsafe. The other side sees this process as its peer.
    pub fn reach_unix(&self, call: Call, folder: &Path) -> io::Result<()> {
        match connect_beneath(&call, folder) {
            Ok(socket) => self.replace(call, socket),
            Err(errno) => self.refuse(call, errno.raw_os_error()),
        }
    }

    /// Makes the caller's socket forget where it was connected to: what [`To::Nowhere`] asks for.
    pub fn forget(&self, call: Call) -> io::Result<()> {
        let errno = call.socket().and_then(rustix::net::connect_unspec).map_or_else(Errno::raw_os_error, |()| 0);
        self.answer(call.id, 0, errno)
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

/// A new socket, connected to the path the caller asked for as it is at this moment.
fn connect_beneath(call: &Call, folder: &Path) -> Result<OwnedFd, Errno> {
    let To::Unix(name) = &call.to else { return Err(Errno::AFNOSUPPORT) };
    let path = Path::new(std::ffi::OsStr::from_bytes(name.split(|byte| *byte == 0).next().unwrap_or_default()));
    let inside = path.strip_prefix(folder).map_err(|_| Errno::ACCESS)?;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let top = rustix::fs::open(folder, flags | OFlags::DIRECTORY, Mode::empty())?;
    let strict = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let found = openat2(&top, inside, flags, Mode::empty(), strict).map_err(|errno| match errno {
        Errno::XDEV | Errno::LOOP => Errno::ACCESS,
        other => other,
    })?;
    let kind = sockopt::socket_type(call.socket()?)?;
    let quick = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, quick, None)?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket)
}

/// Makes the new socket behave like the old; answers the flags for the caller's descriptor.
fn dress(call: &Call, socket: &OwnedFd) -> Result<u32, Errno> {
    let asked = call.socket()?;
    let old = rustix::fs::fcntl_getfl(asked)?;
    rustix::fs::fcntl_setfl(socket, old)?;
    // A socket of another kind has none of these: nothing to copy then.
    let _ = sockopt::tcp_nodelay(asked).and_then(|on| sockopt::set_tcp_nodelay(socket, on));
    let _ = sockopt::socket_keepalive(asked).and_then(|on| sockopt::set_socket_keepalive(socket, on));
    let _ = sockopt::tcp_keepidle(asked).and_then(|time| sockopt::set_tcp_keepidle(socket, time));
    let _ = sockopt::tcp_keepintvl(asked).and_then(|time| sockopt::set_tcp_keepintvl(socket, time));
    let _ = sockopt::tcp_keepcnt(asked).and_then(|count| sockopt::set_tcp_keepcnt(socket, count));
    Ok(if caller::close_on_exec(call.thread, call.fd) { libc::O_CLOEXEC as u32 } else { 0 })
}

fn ioctl<T>(fd: &OwnedFd, request: libc::Ioctl, value: &mut T) -> Result<(), Errno> {
    ioctl_value(fd, request, value).map(drop)
}

fn ioctl_value<T>(fd: &OwnedFd, request: libc::Ioctl, value: &mut T) -> Result<i32, Errno> {
    // SAFETY: every caller passes the struct that its request is defined for; the number holds its size.
    let answer = unsafe { libc::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(value)) };
    if answer < 0 { Err(caller::last()) } else { Ok(answer) }
}

#[cfg(test)]
#[path = "notify_tests.rs"]
mod tests;
