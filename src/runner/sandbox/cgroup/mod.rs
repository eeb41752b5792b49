//! Limits and certain death for a whole group of processes: cgroup v2 where it is ours, else v1.
//!
//! The crate `cgroups_rs` makes, limits, fills, freezes and removes groups of both versions, below folders
//! that [`place`] found; what it lacks or gets wrong is done here, and each place says why.
mod checks;
mod disk;
mod end;
mod group;
mod limit;
mod met;
mod place;
mod room;
mod stall;
#[cfg(test)]
mod tests;
mod tree;

use std::io;
use std::path::{Path, PathBuf};

pub use end::sweep;
pub use group::{Group, Pressure};
pub use stall::Stall;
pub use tree::Tree;

use super::tier::Check;
use crate::runner::Limits;

/// Where this instance's groups live.
#[derive(Clone, Debug)]
pub enum Cgroups {
    /// One folder with controllers for what is below.
    V2(Tree),
    /// One folder per controller.
    V1(Tree),
    None {
        why: String,
    },
}

impl Cgroups {
    /// Finds what may be used and makes this instance's folder. Nothing found is said, not an error.
    pub fn probe(instance: &str) -> Self {
        let name = format!("steady-{instance}");
        let here = place::Here::read();
        let v2 = match place::v2(&here, &name) {
            Ok(tree) => return Self::V2(tree),
            Err(why) => why,
        };
        match place::v1(&here, &name) {
            Ok(tree) => Self::V1(tree),
            Err(v1) => Self::None { why: format!("cgroup v2: {v2}; v1: {v1}") },
        }
    }

    /// Limits reads and writes on the disk that this folder is on. Without this, or where the disk
    /// cannot be told, they are not limited, and [`Self::checks`] says so.
    #[must_use]
    pub fn for_data(self, folder: &Path) -> Self {
        match self {
            Self::V2(tree) => Self::V2(tree.for_data(folder)),
            Self::V1(tree) => Self::V1(tree.for_data(folder)),
            none => none,
        }
    }

    fn tree(&self) -> Option<&Tree> {
        match self {
            Self::V2(tree) | Self::V1(tree) => Some(tree),
            Self::None { .. } => None,
        }
    }

    /// The folders to sweep when the next server starts, wherever that one finds itself.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.tree().map(Tree::folders).unwrap_or_default()
    }

    /// Limit and what is left of it, in bytes, of the group around all this with the least left; `None` where
    /// no such group has a limit.
    pub fn tightest(&self) -> Option<(u64, u64)> {
        self.tree().and_then(room::tightest)
    }

    /// Where the kernel counts how long all groups of this instance wait for memory: v2 alone does.
    pub fn pressure_file(&self) -> Option<PathBuf> {
        let file = self.tree()?.base(tree::Kind::Memory)?.join("memory.pressure");
        file.exists().then_some(file)
    }

    /// Removes this instance's folders, if nothing lives there.
    pub fn leave(&self) {
        for base in self.folders() {
            let _ = std::fs::remove_dir(base);
        }
    }

    /// A fresh group with its limits set. `None` where there are no groups.
    /// Errors: the group or a limit that was promised by [`Self::checks`] cannot be made; nothing is left.
    pub fn create(&self, name: &str, limits: &Limits) -> io::Result<Option<Group>> {
        self.tree().map(|tree| Group::create(tree, name, limits)).transpose()
    }

    /// What is there and what is not, with the way to get it.
    pub fn checks(&self) -> Vec<Check> {
        checks::all(self)
    }

    /// The checks that failed.
    pub fn missing(&self) -> Vec<Check> {
        self.checks().into_iter().filter(|check| !check.ok).collect()
    }
}
