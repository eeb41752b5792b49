//! Bare repositories and the wire protocol. Knows no HTTP and no users.
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

pub use git2::Oid;
use serde::Serialize;

use crate::base::{DataDir, Millis, Progress, Result};

#[derive(Clone, Debug)]
pub struct Options {
    /// Largest pack accepted, in bytes on the wire.
    pub max_pack: u64,
    /// Largest single object, in bytes.
    pub max_object: u64,
    /// Whether a project may be imported from a private or loopback address (tests, intranets).
    pub import_private: bool,
}

/// All repositories of this server. Cheap to clone.
#[derive(Clone)]
pub struct Repos {}

/// One opened repository. `Send`, not `Sync`: open one per task.
pub struct Repo {}

/// Held while a repository's refs change: a push, a deploy, an editor's save onto main.
pub struct RepoLock {}

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

impl Repos {
    pub fn new(_dir: DataDir, _options: Options) -> Self {
        todo!()
    }
    pub fn create(&self, _project: i64) -> Result<Repo> {
        todo!()
    }
    pub fn open(&self, _project: i64) -> Result<Repo> {
        todo!()
    }
    /// A new repository with main (and tags) of `from`, sharing nothing.
    pub fn fork(&self, _from: i64, _to: i64) -> Result<Repo> {
        todo!()
    }
    /// Fetches branches and tags of a public http(s) repository into a new one; its default branch becomes main.
    /// Refuses other schemes and (unless allowed) private addresses. Blocking.
    pub fn import(&self, _project: i64, _url: &str, _progress: &Progress) -> Result<Repo> {
        todo!()
    }
    /// Waits its turn. Blocking; call from `spawn_blocking`.
    pub fn lock(&self, _project: i64) -> RepoLock {
        todo!()
    }
    pub async fn lock_async(&self, _project: i64) -> RepoLock {
        todo!()
    }
    /// Moves the repository to `to` (the trash), or back.
    pub fn path(&self, _project: i64) -> PathBuf {
        todo!()
    }
    /// Bytes on disk.
    pub fn size(&self, _project: i64) -> u64 {
        todo!()
    }
    /// Removes what a crash left: incoming packs, lock files. Called at start, before anything serves.
    pub fn sweep(&self) -> Result<()> {
        todo!()
    }
}

impl Repo {
    /// The commit `refs/heads/<branch>` points to.
    pub fn branch(&self, _branch: &str) -> Result<Option<Oid>> {
        todo!()
    }
    /// The commit of a user's draft (`refs/steady/drafts/<user>`, hidden from the wire).
    pub fn draft(&self, _user: i64) -> Result<Option<Oid>> {
        todo!()
    }
    /// Moves any ref from `old` to `new` or fails with `Conflict` when it is not at `old` any more.
    /// Writes the reflog with `why`. fsyncs.
    pub fn set_ref(&self, _name: &str, _old: Option<Oid>, _new: Option<Oid>, _why: &str) -> Result<()> {
        todo!()
    }
    /// Finds a full or abbreviated (≥ 7) commit id, or a branch or tag name.
    pub fn resolve(&self, _text: &str) -> Result<Oid> {
        todo!()
    }
    pub fn commit_info(&self, _commit: Oid) -> Result<CommitInfo> {
        todo!()
    }
    /// The whole message.
    pub fn message(&self, _commit: Oid) -> Result<String> {
        todo!()
    }
    pub fn log(&self, _from: Oid, _limit: usize) -> Result<Vec<CommitInfo>> {
        todo!()
    }
    pub fn tree_of(&self, _commit: Oid) -> Result<Oid> {
        todo!()
    }
    pub fn is_ancestor(&self, _old: Oid, _new: Oid) -> Result<bool> {
        todo!()
    }
    /// All files of a commit, sorted by path, at most 10,000.
    pub fn list(&self, _commit: Oid) -> Result<Vec<Entry>> {
        todo!()
    }
    /// Errors: `NotFound`; `TooLarge` past `max` bytes.
    pub fn read(&self, _commit: Oid, _path: &Path, _max: u64) -> Result<Blob> {
        todo!()
    }
    /// The tree of `base` (empty when none) with the changes applied; nothing is referenced yet.
    /// Errors: `NotFound` / `Conflict` naming the path of a change that does not apply.
    pub fn change(&self, _base: Option<Oid>, _changes: &[Change]) -> Result<Oid> {
        todo!()
    }
    /// A tree made of exactly these files.
    pub fn tree_from(&self, _files: &[(PathBuf, Vec<u8>, bool)]) -> Result<Oid> {
        todo!()
    }
    /// Writes a commit object; moves nothing.
    pub fn commit(&self, _tree: Oid, _parents: &[Oid], _who: &Identity, _message: &str) -> Result<Oid> {
        todo!()
    }
    /// Merges two commits' trees over their merge base, writing conflict markers where both changed a text.
    pub fn merge(&self, _ours: Oid, _theirs: Oid) -> Result<Merged> {
        todo!()
    }
    /// Paths that differ between two commits.
    pub fn changed(&self, _from: Oid, _to: Oid) -> Result<Vec<String>> {
        todo!()
    }
    /// Writes a commit's files below `into` (which exists and is empty), following no link, running no filter.
    pub fn checkout(&self, _commit: Oid, _into: &Path, _limits: CheckoutLimits) -> Result<CheckoutReport> {
        todo!()
    }
    /// The answer to `GET info/refs?service=…`. `version` is what `Git-Protocol` asked for.
    pub fn advertise(&self, _service: Service, _version: u8, _out: &mut dyn Write) -> Result<()> {
        todo!()
    }
    /// The answer to `POST git-upload-pack`. Blocking, streaming.
    pub fn upload_pack(&self, _version: u8, _input: &mut dyn Read, _out: &mut dyn Write) -> Result<()> {
        todo!()
    }
    /// The answer to `POST git-receive-pack`. Blocking, streaming; progress reaches the client as `remote:` lines
    /// while `decide` works, with a keep-alive every 5 s of silence. The caller holds the lock.
    pub fn receive_pack(
        &self,
        _who: &Identity,
        _input: &mut dyn Read,
        _out: Box<dyn Write + Send>,
        _decide: &mut Decide<'_>,
    ) -> Result<()> {
        todo!()
    }
}
