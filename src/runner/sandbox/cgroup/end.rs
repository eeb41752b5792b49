//! Certain death. Done with plain files, not with the crate: it must also work for folders that an earlier
//! run left; the crate kills in v2 only, gives up at the first folder that is busy, and reads a list of
//! processes that it cannot open as an empty one.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::tree::put;
use crate::base::Clock;

const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(2);

/// Kills and removes every group below an instance's folder.
pub fn sweep(base: &Path) {
    for dir in below(base) {
        end(&[dir]);
    }
}

/// Kills all that is in these folders of one group, then removes them with what is below.
pub(super) fn end(dirs: &[PathBuf]) {
    let began = Clock::stopwatch();
    while !dirs.iter().all(|dir| is_empty(dir)) && began.elapsed() < PATIENCE {
        kill(dirs);
        std::thread::sleep(PAUSE);
    }
    // The kernel needs a moment after the last process has gone.
    while !dirs.iter().all(|dir| remove(dir)) && began.elapsed() < PATIENCE {
        std::thread::sleep(PAUSE);
    }
}

fn kill(dirs: &[PathBuf]) {
    if dirs.iter().any(|dir| put(&dir.join("cgroup.kill"), "1").is_ok()) {
        return;
    }
    // Frozen, none of them can start another while the list is read. Where freezing is not to be had the
    // caller's repetition catches up with them.
    let freezers: Vec<&PathBuf> = dirs.iter().filter(|dir| set_frozen(dir, true)).collect();
    for pid in dirs.iter().flat_map(|dir| processes(dir)) {
        let _ = kill_process(pid, Signal::KILL);
    }
    // A v1 group that stays frozen never dies.
    for dir in freezers {
        set_frozen(dir, false);
    }
}

/// Whether this folder is one with a freezer.
fn set_frozen(dir: &Path, frozen: bool) -> bool {
    let (v1, v2) = if frozen { ("FROZEN", "1") } else { ("THAWED", "0") };
    put(&dir.join("freezer.state"), v1).is_ok() || put(&dir.join("cgroup.freeze"), v2).is_ok()
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}

/// Of the group and those below it. A process of another pid namespace reads as 0 and cannot be killed.
fn processes(dir: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let own = text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?));
    own.chain(below(dir).iter().flat_map(|child| processes(child))).collect()
}

fn is_empty(dir: &Path) -> bool {
    let own = match fs::read_to_string(dir.join("cgroup.procs")) {
        Ok(text) => text.trim().is_empty(),
        Err(e) => is_gone(&e),
    };
    own && below(dir).iter().all(|child| is_empty(child))
}

/// Whether it is gone.
fn remove(dir: &Path) -> bool {
    for child in below(dir) {
        remove(&child);
    }
    match fs::remove_dir(dir) {
        Err(e) => is_gone(&e),
        Ok(()) => true,
    }
}

fn is_gone(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
