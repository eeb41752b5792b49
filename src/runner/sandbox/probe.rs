//! What this kernel and container allow, found out once at start.
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::cgroup::Cgroups;
use super::disk::Disk;
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

/// Whether a root can be built and users changed: root with the capabilities for it.
pub fn can_build_root() -> bool {
    // chown, dac_override, kill, setgid, setuid, setpcap, net_admin, sys_chroot, sys_ptrace, sys_admin
    const NEEDED: u64 = 1 | 1 << 1 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 18 | 1 << 19 | 1 << 21;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    nix::unistd::geteuid().is_root() && effective & NEEDED == NEEDED
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
            (None, false, false) => "no root, or without its capabilities".into(),
        },
        "Start Steady as root, or by the systemd unit in docs/systemd.md; in a container, give it CAP_SYS_ADMIN and no seccomp profile.",
    )];
    if tier != Some(Tier::Full) {
        let found = why(Tier::Rootless).unwrap_or_else(|| match tier {
            Some(Tier::Rootless) => "allowed".into(),
            _ => "not tried: root needs none".into(),
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
    let disk = found.disk.map(|disk| format!("; disk quota: {}", disk.kind().0)).unwrap_or_default();
    format!("{what}; {limits}{disk}")
}

/// The same without a server, for `steady doctor`: leaves nothing behind. `data` is the data folder.
pub fn here(data: &Path, uid_base: u32) -> Confinement {
    let cgroups = Cgroups::probe("doctor");
    // On the data folder's file system; where there is no data folder yet, none is made by looking.
    let tmp = std::path::absolute(data.join("tmp")).unwrap_or_else(|_| data.join("tmp"));
    let place = tmp.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    let scratch = place.join(format!("doctor-{}", std::process::id()));
    let made = crate::base::fs::make_dir(&scratch, 0o700);
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
    let disk = Disk::probe(place, &scratch, false);
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
