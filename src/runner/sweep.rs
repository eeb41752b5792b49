//! What an earlier run of this instance left behind: its cgroups, and processes that carry its mark.
use std::fs;
use std::io;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::sandbox::cgroup::{self, Cgroups};

/// Remembers where this run keeps its groups: the next may be started from another group.
const NOTE: &str = "cgroups";

/// Kills what is left, and notes the folders of this run for the next. Never touches what is not marked
/// as this instance's.
pub fn at_start(scratch: &Path, instance: &str, cgroups: &Cgroups) -> io::Result<()> {
    let name = format!("steady-{instance}");
    let note = scratch.join(NOTE);
    let before = fs::read_to_string(&note).unwrap_or_default();
    let now = cgroups.folders();
    for folder in before.lines().map(Path::new).chain(now.iter().map(|p| p.as_path())) {
        let ours = folder.starts_with("/sys/fs/cgroup") && folder.file_name().is_some_and(|n| n == name.as_str());
        if ours {
            cgroup::sweep(folder);
        }
    }
    let killed = marked(instance, None);
    if killed > 0 {
        tracing::info!(killed, "ended processes that an earlier run had left");
    }
    let text: String = now.iter().map(|p| format!("{}\n", p.display())).collect();
    crate::base::fs::write_atomic(&note, text.as_bytes(), 0o600)?;
    // Socket and job folders of children that are gone.
    for entry in fs::read_dir(scratch)?.flatten() {
        let name = entry.file_name();
        let child = name.to_str().and_then(|n| n.strip_prefix(['c', 'j'])).is_some_and(|n| n.parse::<u64>().is_ok());
        if child && let Err(error) = crate::base::fs::remove_tree(&entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "a scratch folder was left behind");
        }
    }
    Ok(())
}

/// Kills every process whose environment names this instance; only those of one session, if given.
pub fn marked(instance: &str, session: Option<u32>) -> usize {
    let mark = format!("STEADY_INSTANCE={instance}");
    let own = std::process::id();
    let mut killed = 0;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()).filter(|pid| *pid != own) else {
            continue;
        };
        if session.is_some() && session != session_of(&entry.path()) {
            continue;
        }
        let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environ.split(|b| *b == 0).any(|var| var == mark.as_bytes())
            && let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw)
            && kill_process(pid, Signal::KILL).is_ok()
        {
            killed += 1;
        }
    }
    killed
}

/// Field 6 of `stat`, counted after the name in parentheses.
fn session_of(process: &Path) -> Option<u32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(3)?.parse().ok()
}
