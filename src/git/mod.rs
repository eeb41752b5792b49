//! Bare repositories and the wire protocol. Knows no HTTP and no users.
mod advertise;
mod checkout;
mod fsck;
mod import;
mod ingest;
mod locks;
mod merge;
mod objects;
mod pack_write;
mod packed_refs;
pub mod pktline;
pub mod prescan;
mod receive_pack;
mod ref_name;
mod refs;
mod repo;
mod sideband;
mod store;
#[cfg(test)]
mod tests;
mod tree;
mod upload_pack;
mod walk;

use std::path::PathBuf;

/// A client that is not git's own, for tests of the host.
#[cfg(test)]
pub(crate) use git2 as other_client;
pub use git2::Oid;
use serde::Serialize;

use crate::base::{Millis, Progress};

pub use locks::RepoLock;
pub use repo::Repo;
pub use store::Repos;

#[derive(Clone, Debug)]
pub struct Options {
    /// Largest pack accepted, in bytes on the wire.
    pub max_pack: u64,
    /// Largest single object, in bytes.
    pub max_object: u64,
    /// Whether a project may be imported from a private or loopback address (tests, intranets).
    pub import_private: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub path: String,
    /// Bytes.
    pub size: u64,
    pub executable: bool,
    /// A link's target is shown, never followed.
    pub link: bool,
    pub blob: String,
}

#[derive(Clone, Debug)]
pub struct Blob {
    pub bytes: Vec<u8>,
    /// Has NUL bytes or is not UTF-8.
    pub binary: bool,
    pub executable: bool,
}

/// One change to a tree. Paths were checked by `base::fs::confine`.
#[derive(Clone, Debug)]
pub enum Change {
    Write {
        path: PathBuf,
        bytes: Vec<u8>,
        executable: bool,
    },
    /// A file, or a folder with all in it.
    Remove {
        path: PathBuf,
    },
    /// A file or a folder; the destination must not exist.
    Move {
        from: PathBuf,
        to: PathBuf,
    },
}

/// Who is written into a commit.
#[derive(Clone, Debug)]
pub struct Identity {
    pub name: String,
    pub email: String,
    pub at: Millis,
}

#[derive(Clone, Debug, Serialize)]
pub struct CommitInfo {
    pub id: String,
    pub summary: String,
    pub author: String,
    pub at: Millis,
    pub parents: Vec<String>,
}

/// What a three-way merge gave: a tree, and the paths in which conflict markers were written.
pub struct Merged {
    pub tree: Oid,
    pub conflicts: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
pub struct CheckoutLimits {
    pub files: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug, Default)]
pub struct CheckoutReport {
    pub files: u64,
    pub bytes: u64,
    /// Things left out that a person should know of (submodules, links that leave).
    pub notes: Vec<String>,
}

/// One line of a push.
#[derive(Clone, Debug)]
pub struct RefUpdate {
    pub name: String,
    pub old: Option<Oid>,
    pub new: Option<Oid>,
}

pub enum Decision {
    Accept,
    /// Shown as `! [remote rejected] main -> main (reason)`.
    Reject(String),
}

/// Asked once per push after all objects are checked and stored, before any ref moves, with the lock held.
/// Answers in the order of the updates.
pub type Decide<'a> = dyn FnMut(&Repo, &[RefUpdate], &Progress) -> Vec<Decision> + 'a;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    UploadPack,
    ReceivePack,
}
