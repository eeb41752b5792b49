//! What this kernel and container allow, found out once at start.
use super::cgroup::Cgroups;
use super::tier::Tier;

/// The tiers worth trying, strongest first, none above `most`.
pub fn candidates(most: Option<Tier>) -> Vec<Tier> {
    let strongest = if can_build_root() { Tier::Full } else { Tier::Rootless };
    let all = [Tier::Full, Tier::Rootless, Tier::ProcessOnly];
    // Root in a user namespace of its own would run apps as the host's root.
    let fits = |tier: &Tier| *tier >= strongest && most.is_none_or(|most| *tier >= most);
    all.into_iter().filter(fits).filter(|t| *t != Tier::Rootless || !nix::unistd::geteuid().is_root()).collect()
}

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

/// One word and one sentence for the people who run this server.
pub fn describe(root: bool, cgroups: &Cgroups) -> (&'static str, String) {
    let limits = match cgroups {
        Cgroups::None { why } => format!("memory and process limits are not enforced ({why})"),
        Cgroups::V1 { .. } => "memory, process and processor limits by cgroup v1".to_owned(),
        Cgroups::V2 { .. } => "memory, process and processor limits by cgroup v2".to_owned(),
    };
    if root {
        let what = "each app has a user id and a file system of its own";
        return ("uid", format!("{what}; {limits}; network and system calls are shared with the server"));
    }
    let what = "apps run as the server's own user and can read what it can: run only code you trust";
    ("process-only", format!("{what}; {limits}"))
}
