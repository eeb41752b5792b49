//! What runs below a server, read from /proc.
use std::fs;
use std::path::Path;

/// A process and when it started, so that a reused number is not taken for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proc {
    pub pid: u32,
    started: String,
    pub command: String,
}

fn read(pid: u32) -> Option<(u32, Proc)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, rest) = stat.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_whitespace().collect();
    // A zombie holds nothing and is its parent's business.
    if *fields.first()? == "Z" || *fields.first()? == "X" {
        return None;
    }
    let parent = fields.get(1)?.parse().ok()?;
    let started = (*fields.get(19)?).to_owned();
    let command = head.split_once('(')?.1.to_owned();
    Some((parent, Proc { pid, started, command }))
}

/// The process of that number, unless it has ended.
pub fn of(pid: u32) -> Option<Proc> {
    read(pid).map(|(_, proc)| proc)
}

/// The server that `pid` has started to take over from it.
pub fn heir_of(pid: u32) -> Option<u32> {
    let serves = |pid: u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|b| *b == 0).nth(1) == Some(b"serve")
    };
    all().into_iter().find(|(parent, proc)| *parent == pid && serves(proc.pid)).map(|(_, proc)| proc.pid)
}

fn all() -> Vec<(u32, Proc)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| read(e.file_name().to_str()?.parse().ok()?)).collect()
}

/// All processes below `pid`, itself not among them.
pub fn below(pid: u32) -> Vec<Proc> {
    let all = all();
    let mut found: Vec<Proc> = vec![];
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for (_, child) in all.iter().filter(|(of, _)| *of == parent) {
            parents.push(child.pid);
            found.push(child.clone());
        }
    }
    found
}

/// Those that still run.
pub fn alive(procs: &[Proc]) -> Vec<Proc> {
    procs.iter().filter(|p| read(p.pid).is_some_and(|(_, now)| now == **p)).cloned().collect()
}

pub fn end_all(procs: &[Proc]) {
    for one in alive(procs) {
        let _ = std::process::Command::new("kill").args(["-KILL", &one.pid.to_string()]).status();
    }
}

/// Processes that name `folder` in their arguments, environment or working folder, or have part of it mounted.
pub fn of_folder(folder: &Path) -> Vec<Proc> {
    let name = folder.to_str().expect("temporary folders have plain names");
    let own_mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let holds = |pid: u32| {
        let has = |file: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains(name)
        };
        let link = |file: &str| fs::read_link(format!("/proc/{pid}/{file}")).is_ok_and(|p| p.starts_with(folder));
        let mounted = has("mountinfo") && !own_mounts.contains(name);
        has("cmdline") || has("environ") || link("cwd") || link("exe") || mounted
    };
    let me = std::process::id();
    all().into_iter().map(|(_, p)| p).filter(|p| p.pid != me && holds(p.pid)).collect()
}
