//! What a child is confined to. The server decides (a [`JailSpec`], passed in a descriptor so that no value
//! shows in `ps`); the zygote clones, init builds the child's world, and the child becomes its program.
//!
//! The only place with `unsafe`: a few system calls that no crate wraps.
#![allow(unsafe_code)]
mod attach;
mod base;
mod caller;
pub mod cgroup;
mod clone;
pub mod disk;
pub mod elf;
#[cfg(test)]
mod forked;
mod init;
mod jail;
pub mod landlock;
pub mod links;
mod memfd;
mod mounts;
mod netns;
pub mod notify;
pub mod park;
pub mod passed;
pub mod probe;
pub mod seccomp;
pub mod serving;
pub mod tier;
pub mod wire;
pub mod zygote;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where things are inside a built root.
pub const CODE: &str = "/app";
pub const HOME: &str = "/home/app";
pub const JOB_HOME: &str = "/home/job";
/// The folders of a job: `/job/0`, `/job/1`, …
pub const JOB: &str = "/job";
pub const JOB_FOLDERS: usize = 8;
pub const RUN: &str = "/run/steady";
pub const BUN: &str = "/bin/bun";
pub const STEADY: &str = "/bin/steady";
pub const POOL: &str = "/lib/steady/pool.js";
pub const WRAPPER: &str = "/lib/steady/wrapper.js";
/// As deep as a job's folders: paths in its source map count from there.
pub const BUNDLE: &str = "/lib/bundle";

/// One process to confine. Holds secrets (`env`): neither printed nor kept.
#[derive(Serialize, Deserialize)]
pub struct JailSpec {
    pub open_files: u64,
    /// Bytes no single file may exceed.
    pub file_bytes: Option<u64>,
    /// `None` where no root can be built: plain paths, the server's own uid.
    pub root: Option<Root>,
    /// What it may reach, as it sees it; what is not there is left out.
    pub walls: landlock::Walls,
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
    pub cwd: PathBuf,
    /// Code folder and home as the child sees them, when code is to be linked into the home.
    pub links: Option<(PathBuf, PathBuf)>,
}

/// What a child's world is made of, and who it is in there.
#[derive(Serialize, Deserialize)]
pub struct Root {
    /// Where the zygote has built the root that all share.
    pub at: PathBuf,
    pub uid: u32,
    /// Who its writable folders belong to on disk, when owners can be mapped; else to `uid`.
    pub disk: Option<u32>,
    pub tmp_bytes: u64,
    /// Whether it gets a [`RUN`] to put its socket in; init hands the folder out.
    pub socket: bool,
    pub binds: Vec<Bind>,
    /// Folders (outside paths) that must belong to it; given to it, with all inside, when they do not.
    pub own: Vec<PathBuf>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bind {
    pub from: PathBuf,
    pub to: PathBuf,
    pub writable: bool,
    pub execute: bool,
    /// A missing source is skipped.
    pub optional: bool,
}

impl Bind {
    /// Programs in it can be run.
    pub fn read(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Self {
        Self {
            from: from.as_ref().to_owned(),
            to: to.as_ref().to_owned(),
            writable: false,
            execute: true,
            optional: false,
        }
    }
    /// What is written there is data: it cannot be run.
    pub fn write(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Self {
        Self { writable: true, execute: false, ..Self::read(from, to) }
    }
    pub fn maybe(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Self {
        Self { optional: true, ..Self::read(from, to) }
    }
}
