//! No program from memory: Landlock and `noexec` mounts say nothing about `memfd_create` and `execve`.
use std::io::{self, Write as _};

const SYSCTL: &str = "/proc/sys/vm/memfd_noexec";

/// Makes every memfd of this process's *pid namespace* one that cannot be executed (`vm.memfd_noexec` = 2),
/// for good: a namespace's value only rises. For init of a new pid namespace, as root of the machine, while a
/// `/proc` with `sys` is still mounted (one with `subset=pid` has none; the machine's own will do, the kernel
/// looks at who writes). `false`: Linux before 6.3 knows no such thing. Code in memory can still be
/// made and run by a JIT, so this closes a door and is no wall.
pub fn forbid_memfd_exec() -> io::Result<bool> {
    match std::fs::OpenOptions::new().write(true).open(SYSCTL) {
        Ok(mut file) => file.write_all(b"2").map(|()| true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use nix::libc;
    use nix::sched::{CloneFlags, unshare};

    use super::*;
    use crate::runner::sandbox::forked::{Ending, call, forked};
    use crate::runner::sandbox::probe::can_build_root;

    /// `MFD_EXEC`, Linux 6.3.
    const EXECUTABLE: u64 = 0x10;

    /// As root in a pid namespace of its own; without root nothing may change.
    #[test]
    fn memory_cannot_be_executed_afterwards() {
        let root = can_build_root();
        let make = |flags| call(libc::SYS_memfd_create, [c"x".as_ptr().addr() as u64, flags, 0, 0, 0, 0]).min(0);
        let init = || {
            let before = make(EXECUTABLE);
            let done = forbid_memfd_exec().map_or(-1, i64::from);
            vec![before, done, make(EXECUTABLE), make(0)]
        };
        let ending = forked(|| {
            if root {
                unshare(CloneFlags::CLONE_NEWPID).expect("a pid namespace");
            }
            let Ending::Said(answers) = forked(init) else { return vec![] };
            answers
        });
        let (denied, old) = (-i64::from(libc::EACCES), -i64::from(libc::EINVAL));
        let expected = match (std::path::Path::new(SYSCTL).exists(), root) {
            (false, _) => [old, 0, old, 0],
            (true, false) => [0, -1, 0, 0],
            (true, true) => [0, 1, denied, 0],
        };
        assert_eq!(ending, Ending::Said(expected.to_vec()));
    }
}
