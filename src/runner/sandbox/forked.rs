//! For tests: runs code in a forked process, since walls cannot be taken down again.
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::libc;

/// A child that hangs ends by this; the slowest machine needs far less.
const SECONDS: u32 = 60;

/// How the process ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// What the work answered.
    Said(Vec<i64>),
    /// A signal's number; SIGALRM when it hung.
    Killed(i32),
    /// It panicked.
    Failed(i32),
}

/// A process that does `work` and ends.
pub(super) struct Child {
    pub(super) pid: i32,
    from: OwnedFd,
}

impl Child {
    pub(super) fn start(work: impl FnOnce() -> Vec<i64>) -> Self {
        let (from, to) = std::io::pipe().expect("a pipe");
        // SAFETY: the child runs one thread and ends with _exit; glibc makes its allocator usable after fork.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork");
        if pid == 0 {
            drop(from);
            // SAFETY: a timer for this process alone, whose default action ends it.
            unsafe { libc::alarm(SECONDS) };
            let said = catch_unwind(AssertUnwindSafe(work));
            let code = said.is_err();
            let bytes: Vec<u8> = said.unwrap_or_default().iter().flat_map(|n| n.to_ne_bytes()).collect();
            let mut to = to;
            let written = to.write_all(&bytes);
            // SAFETY: ends this process without running what belongs to its parent.
            unsafe { libc::_exit(i32::from(code || written.is_err())) };
        }
        Self { pid, from: from.into() }
    }

    pub(super) fn end(self) -> Ending {
        let mut bytes = Vec::new();
        std::fs::File::from(self.from).read_to_end(&mut bytes).expect("the child's answer");
        let mut status = 0;
        // SAFETY: our own child, waited for once; `status` is an int.
        let waited = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        assert_eq!(waited, self.pid, "waitpid");
        if libc::WIFSIGNALED(status) {
            return Ending::Killed(libc::WTERMSIG(status));
        }
        match libc::WEXITSTATUS(status) {
            0 => Ending::Said(bytes.as_chunks().0.iter().map(|n| i64::from_ne_bytes(*n)).collect()),
            code => Ending::Failed(code),
        }
    }
}

pub(super) fn forked(work: impl FnOnce() -> Vec<i64>) -> Ending {
    Child::start(work).end()
}

/// A system call's answer, or `-errno`.
pub(super) fn call(number: i64, args: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = args;
    // SAFETY: only used with numbers and null or valid pointers, in a forked process of a test.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if answer == -1 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { answer }
}
