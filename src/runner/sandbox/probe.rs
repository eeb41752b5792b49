//! What this kernel and container allow, found out once at start.
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::cgroup::Cgroups;
use super::disk::{self, Disk};
use super::landlock;
use super::tier::{Check, Confinement, Tier};
use super::wire::{self, Told};
use super::zygote::Setup;

/// How many uids apps may come to need.
const UIDS: u32 = 1_000_000;

/// What the checks are made from.
pub struct Found<'a> {
    pub tier: Option<Tier>,
    /// Stronger tiers that were tried, and the step that failed.
    pub weaker: &'a [(Tier, String)],
    pub maps_owners: bool,
    pub uid_base: u32,
    pub cgroups: &'a Cgroups,
    pub disk: Option<&'a Disk>,
}

/// The tiers worth trying, strongest first, none above `most`.
pub fn candidates(most: Option<Tier>, uid_base: u32) -> Vec<Tier> {
    let root = nix::unistd::geteuid().is_root();
    let all = [Tier::Full, Tier::Rootless, Tier::ProcessOnly];
    // Root in a user namespace of its own would run apps as the host's root.
    let fits = |tier: &Tier| match tier {
        Tier::Full => can_build_root() && has_uid(uid_base.saturating_add(UIDS)),
        Tier::Rootless => !root,
        Tier::ProcessOnly => true,
    };
    all.into_iter().filter(fits).filter(|tier| most.is_none_or(|most| *tier >= most)).collect()
}

/// What the tier `full` takes of root: names, and numbers of linux/capability.h.
const CAPABILITIES: [(&str, u32); 10] = [
    ("CAP_CHOWN", 0),
    ("CAP_DAC_OVERRIDE", 1),
    ("CAP_KILL", 5),
    ("CAP_SETGID", 6),
    ("CAP_SETUID", 7),
    ("CAP_SETPCAP", 8),
    ("CAP_NET_ADMIN", 12),
    ("CAP_SYS_CHROOT", 18),
    ("CAP_SYS_PTRACE", 19),
    ("CAP_SYS_ADMIN", 21),
];

/// Whether a root can be built and users changed: root with the capabilities for it.
pub fn can_build_root() -> bool {
    nix::unistd::geteuid().is_root() && lacking().is_empty()
}

/// The capabilities that are needed and not held.
fn lacking() -> Vec<&'static str> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    CAPABILITIES.iter().filter(|(_, bit)| effective & (1 << bit) == 0).map(|(name, _)| *name).collect()
}

/// Whether the uids of apps exist here: a container may map only some.
fn has_uid(uid: u32) -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let number = |word: Option<&str>| word.and_then(|w| w.parse::<u64>().ok());
    map.lines().any(|line| {
        let mut words = line.split_whitespace();
        let (first, count) = (number(words.next()), number(words.nth(1)));
        first.zip(count).is_some_and(|(first, count)| (first..first + count).contains(&u64::from(uid)))
    })
}

/// For people: the tier, and each feature with what to do where it is missing.
pub fn confinement(found: &Found<'_>) -> Confinement {
    let check = |name, ok: bool, found: String, fix: &str| Check {
        name,
        ok,
        found,
        fix: if ok { String::new() } else { fix.to_owned() },
    };
    let tier = found.tier;
    let why = |tier: Tier| found.weaker.iter().find(|(t, _)| *t == tier).map(|(_, why)| why.clone());
    let mut checks = vec![check(
        "root",
        tier == Some(Tier::Full),
        match (why(Tier::Full), tier == Some(Tier::Full), can_build_root()) {
            (Some(why), ..) => why,
            (None, true, _) => "root with its capabilities".into(),
            (None, false, true) => format!(
                "root, but the user ids of apps, {} and a million more, do not exist in this container",
                found.uid_base
            ),
            (None, false, false) if nix::unistd::geteuid().is_root() => {
                format!("root without {}", lacking().join(", "))
            }
            (None, false, false) => "an ordinary user".into(),
        },
        "Start Steady as root, or by the systemd unit in docs/systemd.md; in a container, with the options at the top of the Dockerfile.",
    )];
    if tier != Some(Tier::Full) {
        let found = why(Tier::Rootless).unwrap_or_else(|| match tier {
            Some(Tier::Rootless) => "allowed".into(),
            _ => "not for root: it needs the capabilities instead".into(),
        });
        let fix = "Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1; with AppArmor a profile), or start Steady as root.";
        checks.push(check("user namespaces", tier == Some(Tier::Rootless), found, fix));
    }
    let abi = landlock::best_abi();
    let shown = if abi == 0 { "none".into() } else { format!("ABI {abi}") };
    let fix = "Use Linux 6.7 or newer with Landlock switched on (boot with lsm=landlock,…).";
    checks.push(check("landlock", abi >= 4 || (abi > 0 && tier == Some(Tier::Full)), shown, fix));
    if let Some(why) = why(Tier::ProcessOnly) {
        let fix = "Use a kernel with seccomp filters and user notification (Linux 5.9 or newer).";
        checks.push(check("seccomp", false, why, fix));
    } else {
        checks.push(check("seccomp", true, "filters, with connections watched".into(), ""));
    }
    if tier == Some(Tier::Full) {
        let shown = if found.maps_owners { "yes" } else { "no: files belong to each app's own uid instead" };
        checks.push(check(
            "idmapped mounts",
            found.maps_owners,
            shown.into(),
            "Keep the data folder on ext4, xfs or btrfs.",
        ));
        let there = Path::new("/proc/sys/vm/memfd_noexec").exists();
        let shown =
            if there { "programs in memory are forbidden" } else { "this kernel lets programs run from memory" };
        checks.push(check("memfd_noexec", there, shown.into(), "Use Linux 6.3 or newer."));
    }
    checks.extend(found.cgroups.checks());
    checks.extend(found.disk.map(Disk::checks).unwrap_or_default());
    Confinement { tier, summary: summary(found), checks }
}

fn summary(found: &Found<'_>) -> String {
    let what = match found.tier {
        Some(Tier::Full) => "each app has its own user, files, processes and network",
        Some(Tier::Rootless) => "each app has its own files, processes and network, inside one user",
        Some(Tier::ProcessOnly) => "apps run as the server's own user behind file and system call walls",
        None => return "no program can be confined here".into(),
    };
    let limits = match found.cgroups {
        Cgroups::None { .. } => "memory and process limits are not enforced",
        Cgroups::V1 { .. } => "limits by cgroup v1",
        Cgroups::V2 { .. } => "limits by cgroup v2",
    };
    let quota = found.disk.map(|disk| format!("; disk quota: {}", disk.kind().0)).unwrap_or_default();
    format!("{what}; {limits}{quota}")
}

/// The same without a server, for `steady doctor`: leaves nothing behind. `data` is the data folder.
pub fn here(data: &Path, uid_base: u32) -> Confinement {
    // On the data folder's file system; where there is no data folder yet, none is made by looking.
    let tmp = std::path::absolute(data.join("tmp")).unwrap_or_else(|_| data.join("tmp"));
    let place = tmp.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    let scratch = place.join(format!("doctor-{}", std::process::id()));
    let made = crate::base::fs::make_dir(&scratch, 0o700);
    let cgroups = Cgroups::probe("doctor").for_data(place);
    let (mut tier, mut maps_owners, mut weaker) = (None, false, Vec::new());
    for candidate in candidates(None, uid_base) {
        let setup = Setup { tier: candidate, at: scratch.clone(), binds: Vec::new(), data: scratch.clone() };
        match made.as_ref().map_err(ToString::to_string).and_then(|()| try_out(&setup)) {
            Ok(maps) => {
                (tier, maps_owners) = (Some(candidate), maps);
                break;
            }
            Err(why) => weaker.push((candidate, why)),
        }
    }
    // As the server asks, in a folder of its own: what the server has mounted in its data folder is left alone.
    let disk = Disk::probe(&scratch, &scratch, tier == Some(Tier::Full) && disk::has_own_mounts());
    let found = Found { tier, weaker: &weaker, maps_owners, uid_base, cgroups: &cgroups, disk: Some(&disk) };
    let confinement = confinement(&found);
    cgroups.leave();
    // A folder of ours, empty by now.
    let _ = crate::base::fs::remove_tree(&scratch);
    confinement
}

/// Starts a zygote and lets it go again: whether owners can be mapped. Errors: the step that failed.
fn try_out(setup: &Setup) -> Result<bool, String> {
    let run = || -> std::io::Result<Option<(Told, Vec<std::os::fd::OwnedFd>)>> {
        let (mine, theirs) = wire::pair()?;
        let mut zygote = Command::new(std::env::current_exe()?);
        let mut zygote = zygote.arg("zygote").env_clear().stdin(Stdio::from(theirs)).stdout(Stdio::null()).spawn()?;
        let timeout = Some(Duration::from_secs(20));
        rustix::net::sockopt::set_socket_timeout(&mine, rustix::net::sockopt::Timeout::Recv, timeout)?;
        let told = wire::send(&mine, setup, &[]).and_then(|()| wire::receive::<Told>(&mine));
        drop(mine);
        zygote.wait()?;
        told
    };
    match run() {
        Ok(Some((Told::Ready { maps_owners }, _))) => Ok(maps_owners),
        Ok(Some((Told::Unable { why }, _))) => Err(why),
        Ok(_) => Err("the zygote ended before it was ready".into()),
        Err(e) => Err(e.to_string()),
    }
}

/// The least Landlock that keeps connections in without a network namespace.
pub(super) fn walls_without_namespaces() -> Result<(), String> {
    match landlock::best_abi() {
        0 => Err("no Landlock".into()),
        abi if abi < 4 => Err(format!("Landlock ABI {abi}, and without namespaces 4 is needed")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_and_the_container_give_what_is_needed() {
        let unit = include_str!("../../../docs/systemd.md");
        let bounding =
            unit.lines().find(|line| line.starts_with("CapabilityBoundingSet=")).expect("a line of the unit");
        let docker_gives =
            ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_SYS_CHROOT"];
        let containers = [include_str!("../../../Dockerfile"), include_str!("../../../docs/sandbox.md")];
        for (name, _) in CAPABILITIES {
            assert!(bounding.split(['=', ' ']).any(|word| word == name), "{name} in the unit of docs/systemd.md");
            let option = format!("--cap-add {}", name.trim_start_matches("CAP_"));
            assert!(docker_gives.contains(&name) || containers.iter().all(|text| text.contains(&option)), "{option}");
        }
    }
}
