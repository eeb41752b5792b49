//! What this kernel and container give, as the owner is told.
use super::tree::{Kind, Tree};
use super::{Cgroups, Check};

const DELEGATE: &str =
    "Start Steady as a systemd service with Delegate=yes, or in a container with cgroups of its own.";
const UNIFIED: &str = "Boot with cgroup v2 (kernel parameter systemd.unified_cgroup_hierarchy=1).";

pub(super) fn all(groups: &Cgroups) -> Vec<Check> {
    match groups {
        Cgroups::V2(tree) | Cgroups::V1(tree) => of(tree),
        Cgroups::None { why } => vec![check("cgroups", false, why.clone(), DELEGATE)],
    }
}

fn of(tree: &Tree) -> Vec<Check> {
    let version = if tree.v2 { "v2" } else { "v1" };
    let base = tree.base(Kind::Memory).map(std::path::Path::to_owned).unwrap_or_default();
    let file = |name: &str| base.join(name).exists();
    let mut checks = vec![check("cgroups", true, version.into(), "")];
    let named = [
        ("cgroup memory", Kind::Memory),
        ("cgroup pids", Kind::Pids),
        ("cgroup cpu", Kind::Cpu),
        ("cgroup freezer", Kind::Freezer),
    ];
    for (name, kind) in named {
        let ok = tree.base(kind).is_some();
        checks.push(check(name, ok, if ok { version } else { "not there" }.into(), DELEGATE));
    }
    checks.push(match (&tree.disk, tree.v2) {
        (Ok(disk), true) => check("cgroup io", true, format!("v2, disk {}:{}", disk.major, disk.minor), ""),
        (Ok(disk), false) => {
            let found = format!("v1, disk {}:{}, all reads and direct writes", disk.major, disk.minor);
            check("cgroup io", true, found, "")
        }
        (Err(why), _) => check(
            "cgroup io",
            false,
            why.clone(),
            "Reads and writes are not limited: keep data on a disk of the host, and delegate the io controller.",
        ),
    });
    let kill = file("cgroup.kill");
    let found = if kill { "v2" } else { "not there: processes are frozen and killed one by one" };
    checks.push(check("cgroup kill", kill, found.into(), "Use Linux 5.14 or newer with cgroup v2."));
    let events = file("memory.events");
    let found = if events { "memory.events" } else { "read five times a second" };
    checks.push(check("cgroup oom events", events, found.into(), UNIFIED));
    let reclaim = file(if tree.v2 { "memory.reclaim" } else { "memory.force_empty" });
    let found = if reclaim { version } else { "not there" };
    checks.push(check("cgroup reclaim", reclaim, found.into(), "Use Linux 5.19 or newer."));
    let pressure = file("memory.pressure");
    let found = if pressure { "memory.pressure" } else { "not there" };
    let fix = if tree.v2 { "Boot with the kernel parameter psi=1." } else { UNIFIED };
    checks.push(check("cgroup pressure", pressure, found.into(), fix));
    checks
}

fn check(name: &'static str, ok: bool, found: String, fix: &str) -> Check {
    Check { name, ok, found, fix: if ok { String::new() } else { fix.to_owned() } }
}
