//! Which system calls a jailed process may make. The policy is data (`calls.txt`, a reason on every line);
//! here it becomes three filters, of which the kernel takes the strictest answer:
//!
//! 1. *notify*: `connect`, and in one variant `listen`, waits for the server's answer (see [`super::notify`]);
//! 2. *allow*: what the policy lists may be called, all else fails with ENOSYS;
//! 3. *deny*: known hostile calls fail with EPERM, which says more than ENOSYS.
//!
//! Calls of another architecture (`int 0x80`) kill the process; x32 numbers are on no list: ENOSYS.
//! (libseccomp's default for both kills one thread, which leaves a hung process.)
mod names;
pub mod policy;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

use policy::{Line, Op, Test, Verb};

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
    notify: BpfProgram,
    allow: BpfProgram,
    deny: BpfProgram,
}

/// Numbers in each piece of a filter.
const PIECE: i64 = 16;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

impl Filters {
    /// Compiles the policy for this machine's architecture. The error names the line that is wrong.
    pub fn compile(variant: Variant) -> Result<Self, String> {
        let arch = std::env::consts::ARCH.try_into().map_err(|e| format!("seccomp: {e}"))?;
        Self::compile_for(arch, &policy::parse(policy::TEXT)?, variant)
    }

    fn compile_for(arch: TargetArch, lines: &[Line], variant: Variant) -> Result<Self, String> {
        let mut allow = rules(arch, lines, Verb::Allow, variant)?;
        let deny = rules(arch, lines, Verb::Deny, variant)?;
        // The deny filter is loaded under the allow filter, and then denies this itself.
        let seccomp = names::number(arch, "seccomp").ok_or("seccomp: no such architecture")?;
        allow.insert(seccomp, Vec::new());
        let errno = |errno: i32| SeccompAction::Errno(errno.unsigned_abs());
        Ok(Self {
            notify: notify(arch, variant)?,
            allow: program(arch, allow, errno(libc::ENOSYS), SeccompAction::Allow)?,
            deny: program(arch, deny, SeccompAction::Allow, errno(libc::EPERM))?,
        })
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
        // Of two equal answers (an errno each) the kernel takes that of the filter loaded last.
        load(&self.allow, 0)?;
        load(&self.deny, 0).map(drop)
    }
}

/// Loads a program into this thread; answers what the kernel answers.
fn load(program: &[sock_filter], flags: libc::c_ulong) -> io::Result<i32> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let prog = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `prog` points to `length` instructions (both crates' structs are the kernel's, repr(C)); the
    // kernel copies them and writes nothing.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const prog) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(answer).map_err(io::Error::other) }
}

/// What waits for the server, all else passes: `connect`; and where the host's network is near, `listen`,
/// which takes a port unasked when none was bound, and Landlock knows nothing of it. seccompiler has no such
/// answer.
fn notify(arch: TargetArch, variant: Variant) -> Result<BpfProgram, String> {
    let calls: &[&str] = match variant {
        Variant::Namespaced => &["connect"],
        Variant::ProcessOnly => &["connect", "listen"],
    };
    let step = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    // The first word of struct seccomp_data: the call's number.
    let mut program = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for call in calls {
        let number = names::number(arch, call).and_then(|number| u32::try_from(number).ok());
        let number = number.ok_or_else(|| format!("seccomp: no number for {call}"))?;
        program.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number));
        program.push(step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_USER_NOTIF));
    }
    program.push(step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
    Ok(program)
}

/// seccompiler compares a call's number with one after another, and when a filter is loaded the kernel tries every
/// number there is: half a millisecond of each start. So the numbers are dealt out to pieces, each a whole filter
/// that ends by itself, and a few jumps in front lead to the right one.
fn program(
    arch: TargetArch,
    rules: Rules,
    otherwise: SeccompAction,
    matching: SeccompAction,
) -> Result<BpfProgram, String> {
    let mut pieces: Vec<(i64, Rules)> = Vec::new();
    for (number, list) in rules {
        let end = (number / PIECE + 1) * PIECE;
        match pieces.last_mut().filter(|(last, _)| *last == end) {
            Some((_, piece)) => drop(piece.insert(number, list)),
            None => pieces.push((end, Rules::from([(number, list)]))),
        }
    }
    let compile = |(end, rules): (i64, Rules)| -> Result<(u32, BpfProgram), String> {
        let filter = SeccompFilter::new(rules, otherwise.clone(), matching.clone(), arch);
        let filter = filter.and_then(BpfProgram::try_from).map_err(|e| format!("seccomp: {e}"))?;
        Ok((u32::try_from(end).map_err(|e| format!("seccomp: {e}"))?, filter))
    };
    let pieces = pieces.into_iter().map(compile).collect::<Result<Vec<_>, _>>()?;
    let step = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    let jump = |over: usize| step(libc::BPF_JMP | libc::BPF_JA, 0, 0, u32::try_from(over).unwrap_or(u32::MAX));
    let mut program = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    // What is above all pieces falls into the last, which does not know it either.
    let jumps = pieces.len().saturating_sub(1);
    let mut before = 0;
    for (n, (end, piece)) in pieces.iter().take(jumps).enumerate() {
        program.push(step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 1, 0, *end));
        program.push(jump((jumps - n) * 2 - 1 + before));
        before += piece.len();
    }
    program.push(jump(before));
    program.extend(pieces.into_iter().flat_map(|(_, piece)| piece));
    Ok(program)
}

/// The lines of one verb as seccompiler takes them. Calls this architecture lacks are left out.
fn rules(arch: TargetArch, lines: &[Line], verb: Verb, variant: Variant) -> Result<Rules, String> {
    let mut found = Rules::new();
    for line in lines.iter().filter(|line| line.verb == verb && line.only.is_none_or(|only| only == variant)) {
        for call in &line.calls {
            let Some(number) = names::number(arch, call) else { continue };
            // An empty list means always; a line beside it would say nothing, or worse.
            let twice = || format!("calls.txt, line {}: `{call}` is named without a test and elsewhere", line.number);
            match (line.tests.is_empty(), found.get_mut(&number)) {
                (true, None) => drop(found.insert(number, Vec::new())),
                (false, None) => drop(found.insert(number, vec![rule(&line.tests)?])),
                (false, Some(list)) if !list.is_empty() => list.push(rule(&line.tests)?),
                _ => return Err(twice()),
            }
        }
    }
    Ok(found)
}

fn rule(tests: &[Test]) -> Result<SeccompRule, String> {
    let condition = |test: &Test| {
        let length = if test.wide { SeccompCmpArgLen::Qword } else { SeccompCmpArgLen::Dword };
        let op = match test.op {
            Op::Is => SeccompCmpOp::Eq,
            Op::IsNot => SeccompCmpOp::Ne,
            Op::Bits(mask) => SeccompCmpOp::MaskedEq(mask),
        };
        SeccompCondition::new(test.arg, length, op, test.value)
    };
    let conditions = tests.iter().map(condition).collect::<Result<_, _>>().map_err(|e| format!("seccomp: {e}"))?;
    SeccompRule::new(conditions).map_err(|e| format!("seccomp: {e}"))
}
