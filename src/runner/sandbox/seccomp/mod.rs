//! Which system calls a jailed process may make. The policy is data (`calls.txt`, a reason on every line);
//! here it becomes two filters, of which the kernel takes the strictest answer:
//!
//! 1. *notify*: `connect`, and in one variant `listen`, waits for the server's answer (see [`super::notify`]);
//! 2. *calls*: what the policy lists may be called; known hostile calls fail with EPERM, which says more than the ENOSYS
//!    of all else.
//!
//! Calls of another architecture (`int 0x80`) kill the process; x32 numbers are on no list: ENOSYS.
//! (libseccomp's default for both kills one thread, which leaves a hung process.)
mod compile;
mod names;
pub mod policy;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use nix::libc::{self, sock_filter};

use compile::step;
use names::Arch;
use policy::Line;

/// Which jail the filters are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Own namespaces: an address reaches nothing but the jail's own loopback.
    Namespaced,
    /// The server's own namespaces: the filters are the wall around the network, together with Landlock
    /// (ABI 4). There are no datagram sockets at all, since a filter cannot see where a datagram goes; names
    /// resolve over TCP ([`RESOLVE_OVER_TCP`]). Every `connect` must be refused, replaced or performed:
    /// to go on would be to let the caller choose another unix socket of the host meanwhile.
    ProcessOnly,
}

/// Makes glibc and c-ares (`dns.resolve` of Bun) ask name servers over TCP: for the environment of a
/// [`Variant::ProcessOnly`] jail.
pub const RESOLVE_OVER_TCP: (&str, &str) = ("RES_OPTIONS", "use-vc");

/// Compiled filters. Compile once, before forking: children inherit the memory.
#[derive(Clone)]
pub struct Filters {
    notify: Vec<sock_filter>,
    calls: Vec<sock_filter>,
}

impl Filters {
    /// Compiles the policy for this machine's architecture. The error names the line that is wrong.
    pub fn compile(variant: Variant) -> Result<Self, String> {
        Self::compile_for(Arch::here()?, &policy::parse(policy::TEXT)?, variant)
    }

    fn compile_for(arch: Arch, lines: &[Line], variant: Variant) -> Result<Self, String> {
        Ok(Self { notify: notify(arch, variant)?, calls: compile::program(arch, lines, variant)? })
    }

    /// From now on `connect` of this process and its children waits for whoever reads the returned
    /// listener ([`super::notify::Listener`]); when the last copy of it closes, `connect` fails with ENOSYS.
    /// Send it away and close it, then [`install`](Self::install). Needs no_new_privs.
    pub fn listen(&self) -> io::Result<OwnedFd> {
        // Without the second flag (Linux < 5.19) a signal may cut a wait short and make the caller ask twice.
        let best = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        let fd = match load(&self.notify, best) {
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
                load(&self.notify, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)
            }
            other => other,
        }?;
        // SAFETY: with NEW_LISTENER the call answers a new descriptor that nobody else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Confines this thread and all it will start. After this only `execve` should come: in the forked child,
    /// with one thread, after no_new_privs and Landlock.
    pub fn install(&self) -> io::Result<()> {
        load(&self.calls, 0).map(drop)
    }
}

/// Loads a program into this thread; answers what the kernel answers.
fn load(program: &[sock_filter], flags: libc::c_ulong) -> io::Result<i32> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let prog = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: `prog` points to `length` instructions; the kernel copies them and writes nothing.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const prog) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(answer).map_err(io::Error::other) }
}

/// What waits for the server, all else passes: `connect`; and where the host's network is near, `listen`,
/// which takes a port unasked when none was bound, and Landlock knows nothing of it.
fn notify(arch: Arch, variant: Variant) -> Result<Vec<sock_filter>, String> {
    let calls: &[&str] = match variant {
        Variant::Namespaced => &["connect"],
        Variant::ProcessOnly => &["connect", "listen"],
    };
    // The first word of struct seccomp_data: the call's number.
    let mut program = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for call in calls {
        let number = names::number(arch, call).ok_or_else(|| format!("seccomp: no number for {call}"))?;
        program.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number));
        program.push(step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_USER_NOTIF));
    }
    program.push(step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
    Ok(program)
}
