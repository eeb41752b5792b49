//! Walls around files, TCP, signals and abstract sockets, that the process itself puts up and cannot take down.
//!
//! A rule holds for the folder that a path leads to *now*: put walls up after the root is built and entered,
//! and never name a folder that something is mounted on later; name its parent.
//! Bun aborts when it cannot read `/proc/self/maps`: `read` must hold `/proc`.
use std::path::{Path, PathBuf};

use ::landlock::{
    ABI, Access as _, AccessFs, AccessNet, LandlockStatus, PathBeneath, PathFd, PathFdError, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use nix::libc;
use serde::{Deserialize, Serialize};

/// The newest ABI whose rights are understood here; a kernel with less gives less, and says so.
const NEWEST: ABI = ABI::V10;

/// What may be reached; all else is denied. A path may stand in more than one list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Walls {
    /// Files and folders below may be read.
    pub read: Vec<PathBuf>,
    /// Programs below may be started; that includes reading.
    pub execute: Vec<PathBuf>,
    /// All below may be read, changed, made and removed, except devices.
    pub write: Vec<PathBuf>,
    /// No TCP connection out, no TCP port of its own (ABI 4), and where the kernel has it no UDP (ABI 10).
    /// A socket that another process connected works.
    pub deny_tcp: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The kernel's ABI, or the newest one known here; 0: there are no walls.
    pub abi: i32,
    /// Whether every right and scope asked for is enforced. The newest kernels only.
    pub whole: bool,
    /// Paths that do not exist: no rule was made for them.
    pub missing: Vec<PathBuf>,
}

impl Outcome {
    /// TCP is denied when it was asked for.
    pub fn holds_tcp(&self) -> bool {
        self.abi >= 4
    }
    /// Signals and abstract sockets end at the walls.
    pub fn holds_signals(&self) -> bool {
        self.abi >= 6
    }
}

/// The kernel's Landlock ABI; 0 when it has none or it is switched off.
pub fn best_abi() -> i32 {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the kernel reads no memory and answers a number.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION) };
    i32::try_from(abi).unwrap_or(0).max(0)
}

/// Confines this thread and all it will start, for good. Sets no_new_privs. As strong as the kernel allows:
/// look at the [`Outcome`]. The error names the step and the path.
pub fn restrict(walls: &Walls) -> Result<Outcome, String> {
    let said = |e: &dyn std::fmt::Display| format!("landlock: {e}");
    let mut rules = Ruleset::default();
    rules = rules.handle_access(AccessFs::from_all(NEWEST)).map_err(|e| said(&e))?;
    if walls.deny_tcp {
        rules = rules.handle_access(AccessNet::from_all(NEWEST)).map_err(|e| said(&e))?;
    }
    rules = rules.scope(Scope::from_all(NEWEST)).map_err(|e| said(&e))?;
    let mut rules = rules.create().map_err(|e| said(&e))?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let change = AccessFs::from_write(NEWEST) & !(AccessFs::MakeChar | AccessFs::MakeBlock);
    let mut missing = Vec::new();
    let lists = [(&walls.read, read), (&walls.execute, read | AccessFs::Execute), (&walls.write, read | change)];
    for (paths, access) in lists {
        for path in paths {
            match open(path)? {
                None => missing.push(path.clone()),
                Some((fd, is_dir)) => {
                    let access = if is_dir { access } else { access & AccessFs::from_file(NEWEST) };
                    let rule = PathBeneath::new(fd, access);
                    rules = rules.add_rule(rule).map_err(|e| format!("landlock: {}: {e}", path.display()))?;
                }
            }
        }
    }
    let status = rules.restrict_self().map_err(|e| said(&e))?;
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as i32,
        _ => 0,
    };
    Ok(Outcome { abi, whole: status.ruleset == RulesetStatus::FullyEnforced, missing })
}

/// The path itself, and whether it is a folder; `None` when there is nothing.
fn open(path: &Path) -> Result<Option<(PathFd, bool)>, String> {
    let said = |e: &dyn std::fmt::Display| format!("landlock: open {}: {e}", path.display());
    match PathFd::new(path) {
        Ok(fd) => {
            let meta = rustix::fs::fstat(&fd).map_err(|e| said(&e))?;
            Ok(Some((fd, rustix::fs::FileType::from_raw_mode(meta.st_mode).is_dir())))
        }
        Err(PathFdError::OpenCall { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(said(&e)),
    }
}

#[cfg(test)]
#[path = "landlock_tests.rs"]
mod tests;
