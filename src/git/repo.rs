//! One opened repository: its history.
use std::path::{Path, PathBuf};

use git2::{ErrorCode, ObjectType, Sort};

use super::{CommitInfo, Identity, Oid, Options};
use crate::base::{Error, Kind, Result, ResultExt as _, name::clip};

/// One opened repository. `Send`, not `Sync`: open one per task.
pub struct Repo {
    pub(super) git: git2::Repository,
    pub(super) path: PathBuf,
    pub(super) options: Options,
}

impl Repo {
    pub(super) fn at(path: &Path, options: Options) -> Result<Self> {
        let git = git2::Repository::open_bare(path).map_err(|e| match e.code() {
            ErrorCode::NotFound => Error::not_found("this project has no repository").because(e),
            _ => Error::internal("the repository cannot be opened").because(e),
        })?;
        // Only our own config counts: none of the machine's or the user's.
        let config = git2::Config::open(&path.join("config")).internal("while reading a repository's config")?;
        git.set_config(&config).internal("while setting a repository's config")?;
        Ok(Self { git, path: path.to_owned(), options })
    }

    pub(super) fn objects_dir(&self) -> PathBuf {
        self.path.join("objects")
    }

    /// Rust's reader of the same objects, for all that touches the wire.
    pub(super) fn objects(&self) -> Result<super::objects::Objects> {
        super::objects::Objects::at(&self.objects_dir())
    }

    /// Finds a full or abbreviated (≥ 7) commit id, or a branch or tag name. Errors: `NotFound`.
    pub fn resolve(&self, text: &str) -> Result<Oid> {
        let missing = || Error::not_found(format!("there is no commit, branch or tag `{}`", clip(text)));
        for space in ["refs/heads/", "refs/tags/"] {
            let name = format!("{space}{text}");
            if super::ref_name::valid(&name)
                && let Ok(found) = self.git.find_reference(&name)
            {
                return Ok(found.peel_to_commit().map_err(|_| missing())?.id());
            }
        }
        if !(7..=40).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(missing());
        }
        let found = match text.len() {
            40 => Oid::from_str(text).and_then(|id| self.git.find_commit(id)),
            _ => self.git.find_commit_by_prefix(text),
        };
        Ok(found.map_err(|e| missing().because(e))?.id())
    }

    pub(super) fn find_commit(&self, commit: Oid) -> Result<git2::Commit<'_>> {
        self.git.find_commit(commit).map_err(|e| Error::not_found(format!("there is no commit {commit}")).because(e))
    }

    pub fn commit_info(&self, commit: Oid) -> Result<CommitInfo> {
        Ok(info(&self.find_commit(commit)?))
    }

    /// The whole message.
    pub fn message(&self, commit: Oid) -> Result<String> {
        Ok(String::from_utf8_lossy(self.find_commit(commit)?.message_bytes()).into_owned())
    }

    /// Writes to `path` the index of a clean checkout of `commit`, for a copy of this repository that gets a
    /// work tree.
    pub fn write_checkout_index(&self, commit: Oid, path: &Path) -> Result<()> {
        let tree = self.find_commit(commit)?.tree().internal("while reading a tree")?;
        let mut index = git2::Index::open(path).internal("while beginning an index")?;
        index.read_tree(&tree).internal("while filling an index")?;
        index.write().internal("while writing an index")
    }

    /// `from` and its ancestors, newest first.
    pub fn log(&self, from: Oid, limit: usize) -> Result<Vec<CommitInfo>> {
        let mut walk = self.git.revwalk().internal("while reading history")?;
        walk.set_sorting(Sort::TIME).internal("while reading history")?;
        walk.push(from).or_error(Kind::NotFound, format!("there is no commit {from}"))?;
        let mut out = Vec::new();
        for id in walk.take(limit) {
            out.push(self.commit_info(id.internal("while reading history")?)?);
        }
        Ok(out)
    }

    pub fn tree_of(&self, commit: Oid) -> Result<Oid> {
        Ok(self.find_commit(commit)?.tree_id())
    }

    /// Whether `new` contains `old` (a commit contains itself).
    pub fn is_ancestor(&self, old: Oid, new: Oid) -> Result<bool> {
        if old == new {
            return Ok(true);
        }
        self.git.graph_descendant_of(new, old).or_error(Kind::NotFound, "one of the two commits does not exist")
    }

    /// Writes a commit object; moves nothing.
    pub fn commit(&self, tree: Oid, parents: &[Oid], who: &Identity, message: &str) -> Result<Oid> {
        let signature = signature(who)?;
        let tree = self.git.find_tree(tree).internal("while writing a commit: its tree is missing")?;
        let parents = parents.iter().map(|id| self.find_commit(*id)).collect::<Result<Vec<_>>>()?;
        let parents: Vec<_> = parents.iter().collect();
        let message: String = message.chars().filter(|c| *c != '\0').collect();
        let id = self
            .git
            .commit(None, &signature, &signature, &message, &tree, &parents)
            .internal("while writing a commit")?;
        self.sync_objects(&[id])?;
        Ok(id)
    }

    /// The kind of an object; `None` when it is missing.
    pub(super) fn kind_of(&self, id: Oid) -> Option<ObjectType> {
        self.git.odb().and_then(|odb| odb.read_header(id)).ok().map(|(_, kind)| kind)
    }

    /// Makes the folders of fresh loose objects durable: libgit2 syncs files and their folder, not the folder's
    /// own entry when it is new.
    pub(super) fn sync_objects(&self, _written: &[Oid]) -> Result<()> {
        crate::base::fs::sync_dir(&self.objects_dir()).internal("while syncing objects")
    }
}

/// A git signature with characters that would break a commit's header removed.
pub(super) fn signature(who: &Identity) -> Result<git2::Signature<'static>> {
    let clean = |text: &str, or: &str| {
        let text: String = text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).take(200).collect();
        let text = text.trim_matches(|c: char| c.is_whitespace() || ".,:;\\\"'".contains(c)).to_owned();
        if text.is_empty() { or.to_owned() } else { text }
    };
    let time = git2::Time::new(who.at.div_euclid(1000), 0);
    git2::Signature::new(&clean(&who.name, "somebody"), &clean(&who.email, "nobody@localhost"), &time)
        .internal("while signing a commit")
}

fn info(commit: &git2::Commit<'_>) -> CommitInfo {
    CommitInfo {
        id: commit.id().to_string(),
        summary: String::from_utf8_lossy(commit.message_bytes()).lines().next().unwrap_or_default().to_owned(),
        author: String::from_utf8_lossy(commit.author().name_bytes()).into_owned(),
        at: commit.time().seconds().saturating_mul(1000),
        parents: commit.parent_ids().map(|id| id.to_string()).collect(),
    }
}
