//! Runs a hostile program in the jail and compares what it got with what it must get.
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;
use serde_json::{Value, json};
use steady::runner::LaunchSpec;
use steady::runner::sandbox::landlock;

use super::support::*;

pub const KIT: &str = include_str!("kit.ts");

/// Programs (TypeScript) and tests (Rust) of every group: their checks are counted by reading them.
const GROUPS: &[(&str, &[&str])] = &[
    ("filesystem", &[include_str!("filesystem.ts"), include_str!("filesystem.rs")]),
    ("process", &[include_str!("process.ts"), include_str!("process.rs")]),
    ("kernel", &[include_str!("kernel.ts"), include_str!("kernel.rs")]),
    (
        "network",
        &[include_str!("network.ts"), include_str!("public.ts"), include_str!("named.ts"), include_str!("network.rs")],
    ),
    ("resources", &[include_str!("resources.ts"), include_str!("resources.rs")]),
    ("cross", &[include_str!("cross.ts"), include_str!("cross.rs")]),
    ("proxy", &[include_str!("proxy.rs")]),
    ("git", &[include_str!("git.ts"), include_str!("git.rs")]),
    ("build", &[include_str!("build.ts"), include_str!("build.rs")]),
    ("snapshots", &[include_str!("snapshots.ts"), include_str!("snapshots.rs")]),
];

/// One check, done.
#[derive(Debug, Deserialize)]
struct Done {
    name: String,
    got: Value,
    /// Any of these is right.
    want: Vec<Value>,
}

/// What one group found so far.
pub struct Battery {
    group: &'static str,
    done: Vec<Done>,
}

impl Battery {
    pub fn new(group: &'static str) -> Self {
        Self { group, done: Vec::new() }
    }

    /// A check made from outside.
    pub fn check(&mut self, name: &str, got: impl serde::Serialize, want: impl serde::Serialize) {
        let value = |v: serde_json::Result<Value>| v.expect("plain data");
        let (got, want) = (value(serde_json::to_value(got)), value(serde_json::to_value(want)));
        self.done.push(Done { name: name.into(), got, want: vec![want] });
    }

    /// Has the app run the checks of one stage.
    pub async fn ask(&mut self, world: &World, app: &LaunchSpec, stage: &str) {
        let (status, body) = world.get(app, stage).await;
        assert_eq!(status, 200, "{} {stage}: {body}\n{:#?}", self.group, world.log(app));
        if app.pooled {
            let waited = |pid: &u32| {
                let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                command.contains("/lib/steady/pool.js")
            };
            let its = processes(world.options.uid_base + app.uid_offset);
            assert!(its.iter().any(waited), "{}: it was not loaded by a process that waited", self.group);
        }
        self.hear(&body);
    }

    /// The results of checks, as a program prints them.
    pub fn hear(&mut self, results: &str) {
        self.done.extend(serde_json::from_str::<Vec<Done>>(results).unwrap_or_else(|e| panic!("{e}: {results}")));
    }

    /// Every check of the group was made, and went as it must.
    pub fn finish(self) {
        let wrong = |done: &&Done| !done.want.contains(&done.got);
        let show = |done: &Done| {
            let want: Vec<String> = done.want.iter().map(Value::to_string).collect();
            format!("{}: {}, must be {}", done.name, done.got, want.join(" or "))
        };
        let wrong: Vec<String> = self.done.iter().filter(wrong).map(show).collect();
        assert!(wrong.is_empty(), "{}:\n  {}", self.group, wrong.join("\n  "));
        let made: BTreeSet<&str> = self.done.iter().map(|done| done.name.as_str()).collect();
        let (_, sources) = GROUPS.iter().find(|(name, _)| *name == self.group).expect("a group");
        let written: BTreeSet<&str> = sources.iter().flat_map(|text| names(text)).collect();
        let differ: Vec<_> = made.symmetric_difference(&written).collect();
        assert!(differ.is_empty(), "{}: not both written and made: {differ:?}", self.group);
        eprintln!("{}: {} checks", self.group, self.done.len());
    }
}

/// The names of the checks in a source text.
fn names(text: &str) -> Vec<&str> {
    // The formatter breaks long calls after the bracket.
    let calls = text.split("check(").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
    calls.filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn there_are_enough_checks_and_each_has_a_name_of_its_own() {
    let mut all = BTreeSet::new();
    let mut count = 0;
    for (group, sources) in GROUPS {
        for name in sources.iter().flat_map(|text| names(text)) {
            assert!(all.insert(name), "{group}: `{name}` is there twice");
            count += 1;
        }
    }
    assert!(count >= 150, "{count} checks");
}

/// A world with every wall; without them there is nothing to test.
pub fn world() -> World {
    // Other tests of this machine look at processes by user too.
    // No two worlds give one uid to two processes.
    static WORLDS: AtomicU32 = AtomicU32::new(0);
    let nth = WORLDS.fetch_add(1, Ordering::Relaxed) % 20;
    let world = World::with(|options| {
        options.uid_base = (1 + std::process::id() % 200 * 20 + nth) * 1_000_000;
        options.warm = usize::from(is_pooled());
    });
    let found = world.runner.confinement();
    assert_eq!(found.name(), "full", "the battery needs root: {found:?}");
    world
}

/// An app whose code is `program`, and what it is to know of the outside.
pub fn hostile(world: &World, name: &str, program: &str, more: Value) -> LaunchSpec {
    let files = [("index.ts", program), ("kit.ts", KIT), ("facts.json", "{}")];
    let mut app = world.app(name, &files);
    if is_pooled() {
        pool(world, &mut app);
    }
    write(&app.code.join("facts.json"), &facts(world, &app, more).to_string());
    app
}

/// Whether the programs are loaded by processes that waited for them: `STEADY_JAIL_POOL=1`.
pub fn is_pooled() -> bool {
    std::env::var_os("STEADY_JAIL_POOL").is_some()
}

/// Such a process loads bundles alone: this one loads the source. It is who the process that waits is.
fn pool(world: &World, app: &mut LaunchSpec) {
    let folder = app.code.with_file_name("bundle");
    write(&folder.join("index.js"), "import * as app from '/app/index.ts'; export default app.default;");
    (app.bundle, app.pooled) = (Some(folder), true);
    for _ in 0..patient(20).as_millis() / 10 {
        if let Some(uid) = world.runner.waiting() {
            app.uid_offset = uid;
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("no process waits");
}

/// What a program cannot know, among it which kernel it attacks.
fn facts(world: &World, app: &LaunchSpec, more: Value) -> Value {
    let calls: serde_json::Map<String, Value> =
        syscalls::x86_64::Sysno::iter().map(|call| (call.name().to_owned(), call.id().into())).collect();
    let mut facts = json!({
        "calls": calls,
        "patience": u64::try_from(patient(30).as_millis()).expect("a time"),
        "hostDir": world.dir.path(),
        "uid": world.options.uid_base + app.uid_offset,
        "server": std::process::id(),
        // Since 6.3 programs in memory can be forbidden.
        "memfdNoexec": Path::new("/proc/sys/vm/memfd_noexec").exists(),
        // 6 and newer hold signals and abstract sockets.
        "landlock": landlock::best_abi(),
    });
    let all = facts.as_object_mut().expect("an object");
    all.extend(more.as_object().cloned().unwrap_or_default());
    facts
}

/// Host pids of processes of a user; what an app starts cannot hide from this.
pub fn processes(uid: u32) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let own = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        // A zombie is over; only its parent has not looked.
        let alive = !line("State:").contains('Z');
        alive && line("Uid:").split_whitespace().next().is_some_and(|found| found == uid.to_string())
    };
    pids.filter(own).collect()
}
