//! What this kernel and container allow, found out once at start.
use super::cgroup::Cgroups;
use super::tier::{Check, Confinement, Tier};

/// Whether a root can be built and users changed: root with the capabilities for it.
pub fn can_build_root() -> bool {
    // chown, setgid, setuid, setpcap, sys_chroot, sys_admin
    const NEEDED: u64 = 1 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 18 | 1 << 21;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    nix::unistd::geteuid().is_root() && effective & NEEDED == NEEDED
}

/// What was found at the server's start.
pub fn confinement(root: bool, cgroups: &Cgroups) -> Confinement {
    let (limited, found) = match cgroups {
        Cgroups::None { why } => (false, format!("none ({why})")),
        Cgroups::V1 { .. } => (true, "v1".to_owned()),
        Cgroups::V2 { .. } => (true, "v2".to_owned()),
    };
    let limits = match limited {
        true => format!("memory, process and processor limits by cgroup {found}"),
        false => "memory and process limits are not enforced".to_owned(),
    };
    let (tier, what) = match root {
        true => (Tier::Full, "each app has a user id and a file system of its own"),
        false => (Tier::ProcessOnly, "apps run as the server's own user and can read what it can"),
    };
    let check = |name, ok: bool, found: &str, fix: &str| Check {
        name,
        ok,
        found: found.to_owned(),
        fix: if ok { String::new() } else { fix.to_owned() },
    };
    let checks = vec![
        check(
            "root",
            root,
            if root { "root with its capabilities" } else { "no root, or without its capabilities" },
            "Start Steady as root, or by the systemd unit in docs/systemd.md.",
        ),
        check(
            "control groups",
            limited,
            &found,
            "Run it as a service with Delegate=yes, see docs/systemd.md; in a container, give it a writable /sys/fs/cgroup.",
        ),
    ];
    Confinement { tier: Some(tier), summary: format!("{what}; {limits}"), checks }
}

/// The same without a server, for `steady doctor`: leaves nothing behind.
pub fn here() -> Confinement {
    let cgroups = Cgroups::probe("doctor");
    let found = confinement(can_build_root(), &cgroups);
    cgroups.leave();
    found
}
