//! What a child is confined to. The server decides (a [`JailSpec`], sent over a socket so that no value
//! shows in `ps`); `steady jail` obeys, step by step, and then becomes the child.
//!
//! The only place with `unsafe`: a few system calls that no crate wraps.
#![allow(unsafe_code)]
pub mod cgroup;
pub mod elf;
pub mod jail;
pub mod links;
pub mod mounts;
pub mod probe;
pub mod serving;
pub mod tier;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where things are inside a built root.
pub const CODE: &str = "/app";
pub const HOME: &str = "/home/app";
pub const RUN: &str = "/run/steady";
pub const BUN: &str = "/bin/bun";
pub const STEADY: &str = "/bin/steady";
pub const WRAPPER: &str = "/lib/steady/wrapper.ts";

/// One process to confine. Holds secrets (`env`): neither printed nor kept.
#[derive(Serialize, Deserialize)]
pub struct JailSpec {
    /// The server's process id: a jail whose parent is another is already orphaned and ends.
    pub parent: u32,
    /// `cgroup.procs` files to join.
    pub join: Vec<PathBuf>,
    pub open_files: u64,
    /// `None` without root: plain paths, the server's own uid.
    pub root: Option<Root>,
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
    pub cwd: PathBuf,
    /// Code folder and home as the child sees them, when code is to be linked into the home.
    pub links: Option<(PathBuf, PathBuf)>,
}

/// The root that is built for the child, and who it runs as.
#[derive(Serialize, Deserialize)]
pub struct Root {
    /// An empty folder to mount on.
    pub at: PathBuf,
    pub uid: u32,
    pub tmp_bytes: u64,
    pub binds: Vec<Bind>,
    /// Folders (outside paths) that must belong to `uid`; given to it, with all inside, when they do not.
    pub own: Vec<PathBuf>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bind {
    pub from: PathBuf,
    pub to: PathBuf,
    pub writable: bool,
    /// A missing source is skipped.
    pub optional: bool,
}

impl Bind {
    pub fn read(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Self {
        Self { from: from.as_ref().to_owned(), to: to.as_ref().to_owned(), writable: false, optional: false }
    }
    pub fn write(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Self {
        Self { writable: true, ..Self::read(from, to) }
    }
    pub fn maybe(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Self {
        Self { optional: true, ..Self::read(from, to) }
    }
}
