//! Against the real kernel, whichever version it has. What it lacks must be said by `checks`, and only
//! then may a test pass without it.
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::tree::Kind;
use super::*;
use crate::base::secret::random_token;

/// Groups of an instance of its own, removed at the end.
struct World {
    instance: String,
    groups: Cgroups,
}

impl World {
    /// `None`: there are no groups here, and that is said with a way out.
    fn new() -> Option<Self> {
        let instance = format!("test-{}", random_token(6));
        let groups = Cgroups::probe(&instance);
        if let Cgroups::None { why } = &groups {
            let told = groups.missing();
            assert!(told.iter().any(|c| c.name == "cgroups" && c.found == *why && !c.fix.is_empty()), "{told:?}");
            return None;
        }
        Some(Self { instance, groups })
    }

    fn group(&self, limits: &Limits) -> Group {
        self.groups.create("one", limits).expect("a group").expect("there are groups")
    }

    fn tree(&self) -> &Tree {
        self.groups.tree().expect("there are groups")
    }

    fn says(&self, name: &str) -> bool {
        let checks = self.groups.checks();
        let check = checks.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("no check {name}"));
        assert_eq!(check.ok, check.fix.is_empty(), "{check:?}");
        assert!(!check.found.is_empty(), "{check:?}");
        check.ok
    }

    /// One of the group's files, by its v2 or v1 name.
    fn read(&self, kind: Kind, v2: &str, v1: &str) -> Option<String> {
        let base = self.tree().base(kind)?.join("one");
        let file = base.join(if self.tree().v2 { v2 } else { v1 });
        Some(fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())).trim().to_owned())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for folder in self.groups.folders() {
            sweep(&folder);
        }
        self.groups.leave();
        for folder in self.groups.folders() {
            assert!(!folder.exists() || std::thread::panicking(), "{} was left", folder.display());
        }
    }
}

/// A shell that runs this once it is inside.
fn start(group: &Group, script: &str) -> Child {
    let script = format!("read go; {script}");
    let mut command = Command::new("sh");
    let mut child = command.args(["-c", &script]).stdin(Stdio::piped()).spawn().expect("sh");
    group.add(child.id()).expect("add");
    child.stdin.take().expect("stdin").write_all(b"go\n").expect("go");
    child
}

/// Polls for at most a minute.
fn eventually(what: &str, is: impl Fn() -> bool) {
    for _ in 0..6000 {
        if is() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never happened: {what}");
}

fn procs(group: &Group) -> usize {
    fs::read_to_string(&group.join_files()[0]).map_or(0, |text| text.lines().count())
}

#[test]
fn limits_are_what_was_asked_for() {
    let Some(world) = World::new() else { return };
    let limits = Limits { memory_bytes: 64 << 20, pids: 33, cpu_percent: 50, cpu_weight: 25, ..Limits::default() };
    let group = world.group(&limits);
    assert_eq!(world.read(Kind::Memory, "memory.max", "memory.limit_in_bytes").unwrap(), (64 << 20).to_string());
    assert_eq!(world.read(Kind::Pids, "pids.max", "pids.max").unwrap(), "33");
    assert_eq!(world.says("cgroup cpu"), world.tree().base(Kind::Cpu).is_some());
    if world.tree().v2 {
        assert_eq!(world.read(Kind::Memory, "memory.high", "").unwrap(), (62 << 20).to_string());
        assert_eq!(world.read(Kind::Memory, "memory.oom.group", "").unwrap(), "1");
    }
    if let Some(share) = world.read(Kind::Cpu, "cpu.weight", "cpu.shares") {
        assert_eq!(share, if world.tree().v2 { "25" } else { "256" });
        let quota = world.read(Kind::Cpu, "cpu.max", "cpu.cfs_quota_us").unwrap();
        assert_eq!(quota, if world.tree().v2 { "50000 100000" } else { "50000" });
    }
    assert_eq!(group.memory(), Some(0));
    group.destroy();
}

/// As a world that was made ahead for one app and taken for another.
#[test]
fn a_group_made_with_other_limits_gets_those_it_is_taken_for() {
    let Some(world) = World::new() else { return };
    let small = Limits { memory_bytes: 64 << 20, pids: 33, cpu_percent: 50, ..Limits::default() };
    let large = Limits { memory_bytes: 1 << 30, pids: 300, cpu_percent: 200, ..Limits::default() };
    let fresh = [&small, &large].map(|limits| {
        let group = world.group(limits);
        let made = limits_of(&world);
        group.destroy();
        made
    });
    let group = world.group(&small);
    for (limits, wanted) in [(&large, &fresh[1]), (&small, &fresh[0]), (&large, &fresh[1])] {
        group.limit(limits).expect("new limits");
        assert_eq!(limits_of(&world), *wanted);
    }
    // An outer group of v1 that has less: the child's quota is refused, and an earlier one must not stay.
    if let (false, Some(outer)) = (world.tree().v2, world.tree().base(Kind::Cpu)) {
        group.limit(&small).expect("less");
        // Groups that were removed count for another moment.
        eventually("an outer limit", || super::tree::put(&outer.join("cpu.cfs_quota_us"), "100000").is_ok());
        group.limit(&large).expect("as much as there is");
        assert_eq!(world.read(Kind::Cpu, "", "cpu.cfs_quota_us").unwrap(), "-1");
    }
    group.destroy();
}

fn limits_of(world: &World) -> Vec<Option<String>> {
    let files = [
        (Kind::Memory, "memory.max", "memory.limit_in_bytes"),
        (Kind::Memory, "memory.high", "memory.soft_limit_in_bytes"),
        (Kind::Pids, "pids.max", "pids.max"),
        (Kind::Cpu, "cpu.max", "cpu.cfs_quota_us"),
    ];
    files.map(|(kind, v2, v1)| world.read(kind, v2, v1)).to_vec()
}

#[test]
fn checks_follow_what_is_there() {
    let Some(world) = World::new() else { return };
    assert!(world.says("cgroups") && world.says("cgroup memory") && world.says("cgroup pids"));
    let group = world.group(&Limits::default());
    assert_eq!(world.says("cgroup freezer"), group.freeze().is_ok());
    group.thaw().unwrap();
    assert_eq!(world.says("cgroup reclaim"), group.reclaim(1 << 20).is_ok());
    assert_eq!(world.says("cgroup pressure"), group.pressure().is_some());
    assert_eq!(world.tree().v2, group.open_dir().is_some());
    let has = |file: &str| world.tree().base(Kind::Memory).unwrap().join("one").join(file).exists();
    assert_eq!(world.says("cgroup kill"), has("cgroup.kill"));
    assert_eq!(world.says("cgroup oom events"), has("memory.events"));
    // No folder was named, so nothing limits the disk.
    assert!(!world.says("cgroup io"));
}

#[test]
fn none_of_a_group_survives_and_nothing_stays() {
    let Some(world) = World::new() else { return };
    let group = world.group(&Limits::default());
    // A child that outlives its parent, and one that keeps on forking.
    let mut child = start(&group, "(trap '' TERM; sleep 1000) & (while :; do sleep 0.01; done) & wait");
    eventually("four processes", || procs(&group) >= 4);
    assert!(group.memory().unwrap() > 0);
    group.destroy();
    child.wait().unwrap();
    for file in group.join_files() {
        assert!(!file.parent().unwrap().exists(), "{} was left", file.display());
    }
}

#[test]
fn a_frozen_group_stands_still_and_still_dies() {
    let Some(world) = World::new() else { return };
    let group = world.group(&Limits::default());
    if !world.says("cgroup freezer") {
        group.freeze().unwrap_err();
        return;
    }
    let mut child = start(&group, "while :; do :; done");
    assert!(!group.is_frozen());
    group.freeze().unwrap();
    eventually("frozen", || group.is_frozen());
    group.thaw().unwrap();
    eventually("thawed", || !group.is_frozen());
    group.freeze().unwrap();
    eventually("frozen again", || group.is_frozen());
    // As the next server does, which has only the folders.
    for folder in world.groups.folders() {
        sweep(&folder);
    }
    child.wait().unwrap();
    assert_eq!(group.join_files().iter().filter(|file| file.exists()).count(), 0);
}

/// On the machines of tests/vm there is swap; elsewhere there may be none.
#[test]
fn memory_of_a_frozen_group_goes_to_swap_where_there_is_some() {
    let Some(world) = World::new() else { return };
    let group = world.group(&Limits { memory_bytes: 64 << 20, ..Limits::default() });
    let grow = "a=0123456789abcdef; n=0; while [ $n -lt 19 ]; do a=$a$a; n=$((n + 1)); done";
    let mut child = start(&group, &format!("{grow}; sleep 1000; echo ${{#a}}"));
    eventually("eight MiB", || group.anonymous() > 8 << 20 && procs(&group) > 1);
    let can = world.says("cgroup freezer") && world.says("cgroup reclaim");
    if can {
        group.freeze().unwrap();
        eventually("frozen", || group.is_frozen());
    }
    let (before, (swap, free)) = (group.anonymous(), crate::runner::pressure::swap());
    for _ in 0..8 {
        assert_eq!(group.reclaim(4 << 20).is_ok(), world.says("cgroup reclaim"));
    }
    if can && swap > 0 && free > 64 << 20 {
        assert!(group.anonymous() < before / 2, "{before} bytes, then {}", group.anonymous());
        assert!(group.swapped().is_none_or(|bytes| bytes > before / 4), "{:?} of {before}", group.swapped());
        assert!(group.is_frozen(), "nobody woke it for that");
    } else {
        assert!(group.anonymous() > before / 2, "it has nowhere else to be");
        assert!(group.swapped().is_none_or(|bytes| bytes == 0));
    }
    if world.tree().v2 {
        let most = fs::read_to_string(group.dir().join("memory.swap.max")).unwrap_or_else(|_| "0".into());
        assert_eq!(most.trim(), "0", "awake it does not swap by itself");
    }
    if can {
        group.thaw().unwrap();
    }
    group.destroy();
    child.wait().unwrap();
}

#[tokio::test]
async fn want_of_memory_is_noticed() {
    let Some(world) = World::new() else { return };
    let group = world.group(&Limits { memory_bytes: 16 << 20, ..Limits::default() });
    let before = group.oom_kills();
    assert_eq!(before, 0);
    let mut child = start(&group, "a=0123456789abcdef; while :; do a=$a$a; done");
    tokio::time::timeout(Duration::from_secs(60), group.until_oom(before)).await.expect("a kill");
    assert!(group.oom_kills() > before);
    assert!(!child.wait().unwrap().success());
    // A kill that was before does not count.
    let again = tokio::time::timeout(Duration::from_millis(300), group.until_oom(group.oom_kills())).await;
    assert!(again.is_err());
    group.destroy();
}

#[tokio::test]
async fn too_many_processes_are_refused_and_that_is_noticed() {
    let Some(world) = World::new() else { return };
    let group = world.group(&Limits { pids: 5, ..Limits::default() });
    assert_eq!(group.refused_forks(), 0);
    let (noticed, mut child) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(60), group.until_refused(0)),
        // After the other has begun to wait.
        async { start(&group, "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1000 & done; sleep 1000") }
    );
    noticed.expect("a refusal");
    assert!(group.refused_forks() > 0 && procs(&group) <= 5);
    let none = tokio::time::timeout(Duration::from_millis(300), group.until_refused(u64::MAX)).await;
    assert!(none.is_err(), "those that were before do not count");
    group.destroy();
    child.wait().unwrap();
}

#[test]
fn the_disk_of_the_data_is_limited_or_that_is_said() {
    let Some(mut world) = World::new() else { return };
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).or_else(|_| tempfile::tempdir()).unwrap();
    world.groups = world.groups.clone().for_data(dir.path());
    let group = world.group(&Limits { io_bytes_per_second: 7 << 20, ..Limits::default() });
    match &world.tree().disk {
        Err(_) => assert!(!world.says("cgroup io")),
        Ok(disk) => {
            assert!(world.says("cgroup io"));
            let number = format!("{}:{}", disk.major, disk.minor);
            assert!(!Path::new(&format!("/sys/dev/block/{number}/partition")).exists(), "{number} is a partition");
            let text = world.read(Kind::Io, "io.max", "blkio.throttle.write_bps_device").unwrap();
            let rate = (7 << 20).to_string();
            let line =
                text.lines().find(|line| line.starts_with(&number)).unwrap_or_else(|| panic!("{number}: {text}"));
            assert!(line.split([' ', '=']).any(|word| word == rate), "{text}");
        }
    }
    // Nothing on a disk of its own: not limited, and said.
    world.groups = world.groups.clone().for_data(Path::new("/proc"));
    assert!(!world.says("cgroup io"));
    assert!(world.groups.missing().iter().any(|check| check.name == "cgroup io"));
    group.destroy();
}

#[test]
fn groups_can_be_made_again_after_leaving() {
    let Some(world) = World::new() else { return };
    world.groups.leave();
    assert!(world.groups.folders().iter().all(|folder| !folder.exists()));
    let group = world.group(&Limits::default());
    assert_eq!(world.read(Kind::Pids, "pids.max", "pids.max").unwrap(), Limits::default().pids.to_string());
    group.destroy();
    assert!(matches!(Cgroups::probe(&world.instance), Cgroups::V1(_) | Cgroups::V2(_)));
}

#[test]
fn a_group_that_cannot_be_made_leaves_nothing() {
    let Some(world) = World::new() else { return };
    // A name that is taken by one of the kernel's files.
    let error = world.groups.create("cgroup.procs", &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("cgroup.procs"), "{error}");
}

#[test]
fn the_time_it_uses_is_counted_and_it_may_go_last() {
    let Some(world) = World::new() else { return };
    let group = world.group(&Limits::default());
    if world.says("cgroup cpu") {
        let mut child = start(&group, "while :; do :; done");
        if group.processor_time().is_some() {
            eventually("some time", || group.processor_time().unwrap() > Duration::from_millis(50));
        }
        if world.tree().base(Kind::Cpu).unwrap().join("one/cpu.idle").exists() {
            group.go_last(true).unwrap();
            assert_eq!(world.read(Kind::Cpu, "cpu.idle", "cpu.idle").unwrap(), "1");
            group.go_last(false).unwrap();
            assert_eq!(world.read(Kind::Cpu, "cpu.idle", "cpu.idle").unwrap(), "0");
        }
        group.destroy();
        child.wait().unwrap();
    } else {
        group.go_last(true).unwrap_err();
    }
}
