//! Numbers of calls and constants by name. Both kernels' tables are here on every machine, so that a test
//! can tell a call of the other architecture from a misspelt one.
use nix::libc;
use syscalls::{aarch64, x86_64};

/// What Steady is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    X86_64,
    Aarch64,
}

pub const ARCHITECTURES: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

impl Arch {
    /// This machine's.
    pub fn here() -> Result<Self, String> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self::X86_64),
            "aarch64" => Ok(Self::Aarch64),
            other => Err(format!("seccomp: the calls of {other} are not known")),
        }
    }

    /// How the kernel names it to filters: linux/audit.h.
    pub fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::Aarch64 => 0xc000_00b7,
        }
    }
}

/// The number of a call on an architecture; `None` when it has no such call.
pub fn number(arch: Arch, call: &str) -> Option<u32> {
    let id = match arch {
        Arch::X86_64 => call.parse::<x86_64::Sysno>().ok()?.id(),
        Arch::Aarch64 => call.parse::<aarch64::Sysno>().ok()?.id(),
    };
    u32::try_from(id).ok()
}

/// Whether any architecture that Steady is built for has this call.
pub fn exists(call: &str) -> bool {
    ARCHITECTURES.into_iter().any(|arch| number(arch, call).is_some())
}

/// Constants of the policy. Each is compared as the kernel reads it: 32 bits.
#[allow(clippy::unnecessary_cast, reason = "some C libraries declare ioctl numbers as int")]
const CONSTANTS: &[(&str, u64)] = &[
    ("AF_UNIX", libc::AF_UNIX as u64),
    ("AF_INET", libc::AF_INET as u64),
    ("AF_INET6", libc::AF_INET6 as u64),
    ("AF_NETLINK", libc::AF_NETLINK as u64),
    ("SOCK_STREAM", libc::SOCK_STREAM as u64),
    ("SOCK_DGRAM", libc::SOCK_DGRAM as u64),
    ("SOCK_RAW", libc::SOCK_RAW as u64),
    ("SOCK_SEQPACKET", libc::SOCK_SEQPACKET as u64),
    ("IPPROTO_TCP", libc::IPPROTO_TCP as u64),
    ("IPPROTO_UDP", libc::IPPROTO_UDP as u64),
    ("NETLINK_ROUTE", libc::NETLINK_ROUTE as u64),
    ("MSG_FASTOPEN", libc::MSG_FASTOPEN as u64),
    ("PR_SET_NAME", libc::PR_SET_NAME as u64),
    ("PR_GET_NAME", libc::PR_GET_NAME as u64),
    ("PR_SET_PDEATHSIG", libc::PR_SET_PDEATHSIG as u64),
    ("PR_GET_PDEATHSIG", libc::PR_GET_PDEATHSIG as u64),
    ("PR_SET_DUMPABLE", libc::PR_SET_DUMPABLE as u64),
    ("PR_GET_DUMPABLE", libc::PR_GET_DUMPABLE as u64),
    ("PR_SET_VMA", libc::PR_SET_VMA as u64),
    ("PR_SET_NO_NEW_PRIVS", libc::PR_SET_NO_NEW_PRIVS as u64),
    ("PR_GET_NO_NEW_PRIVS", libc::PR_GET_NO_NEW_PRIVS as u64),
    ("PR_SET_TIMERSLACK", libc::PR_SET_TIMERSLACK as u64),
    ("PR_GET_TIMERSLACK", libc::PR_GET_TIMERSLACK as u64),
    ("TCGETS", libc::TCGETS as u64),
    ("TCGETS2", libc::TCGETS2 as u64),
    ("TIOCGWINSZ", libc::TIOCGWINSZ as u64),
    ("TIOCSTI", libc::TIOCSTI as u64),
    ("TIOCLINUX", libc::TIOCLINUX as u64),
    ("FIONREAD", libc::FIONREAD as u64),
    ("FIONBIO", libc::FIONBIO as u64),
    ("FIOCLEX", libc::FIOCLEX as u64),
    ("FICLONE", libc::FICLONE as u64),
    ("FS_IOC_SETFLAGS", libc::FS_IOC_SETFLAGS as u64),
    // linux/fs.h, _IOW('X', 32, struct fsxattr): absent from libc.
    ("FS_IOC_FSSETXATTR", 0x401c_5820),
];

/// A number (decimal or 0x…) or a name of the table.
pub fn constant(word: &str) -> Option<u64> {
    if let Some(hex) = word.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok();
    }
    let named = || CONSTANTS.iter().find(|(name, _)| *name == word);
    // Some C libraries declare ioctl numbers as signed: the sign is no part of them.
    word.parse().ok().or_else(|| named().map(|(_, value)| value & u64::from(u32::MAX)))
}

#[cfg(test)]
pub(super) fn all_constants() -> impl Iterator<Item = &'static str> {
    CONSTANTS.iter().map(|(name, _)| *name)
}
