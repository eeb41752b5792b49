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
