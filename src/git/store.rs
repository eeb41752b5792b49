//! The folder of all repositories: make, open, copy, measure, sweep.
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::locks::Locks;
use super::{Options, Repo, RepoLock, import, ingest, pack_write, walk};
use crate::base::{DataDir, Error, Progress, Result, ResultExt as _};

/// What `config` of each repository holds. `fsyncObjectFiles` makes libgit2 sync objects and refs; the rest
/// makes an administrator's stock git harmless in there.
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n\tlogAllRefUpdates = true\n\tfsyncObjectFiles = true\n\
[user]\n\tname = Steady\n\temail = steady@localhost\n[transfer]\n\tfsckObjects = true\n[gc]\n\tauto = 0\n";

/// All repositories of this server. Cheap to clone.
#[derive(Clone)]
pub struct Repos(Arc<Shared>);

struct Shared {
    dir: DataDir,
    options: Options,
    locks: Locks,
}

impl Repos {
    pub fn new(dir: DataDir, options: Options) -> Self {
        Self(Arc::new(Shared { dir, options, locks: Locks::default() }))
    }

    /// An empty bare repository whose HEAD is main. Errors: `Conflict` when the project has one already.
    pub fn create(&self, project: i64) -> Result<Repo> {
        let path = self.path(project);
        if path.exists() {
            return Err(Error::conflict("this project already has a repository"));
        }
        let make = || -> std::io::Result<()> {
            let parent = path.parent().unwrap_or(&path);
            crate::base::fs::make_dir(parent, 0o700)?;
            crate::base::fs::sync_dir(self.0.dir.root().join("repos").as_path())?;
            for part in ["objects/pack", "objects/info", "refs/heads", "refs/tags", "refs/notes", "refs/steady/drafts"]
            {
                crate::base::fs::make_dir(&path.join(part), 0o700)?;
            }
            crate::base::fs::write_atomic(&path.join("config"), CONFIG.as_bytes(), 0o600)?;
            for part in ["objects", "refs/steady", "refs"] {
                crate::base::fs::sync_dir(&path.join(part))?;
            }
            // Last: without HEAD the folder is not a repository.
            crate::base::fs::write_atomic(&path.join("HEAD"), b"ref: refs/heads/main\n", 0o600)?;
            crate::base::fs::sync_dir(parent)
        };
        make().internal(format!("while creating the repository of project {project}"))?;
        self.open(project)
    }

    /// Errors: `NotFound` when the project has no repository.
    pub fn open(&self, project: i64) -> Result<Repo> {
        Repo::at(&self.path(project), self.0.options.clone())
    }

    /// A new repository with main (and tags) of `from`, sharing nothing.
    pub fn fork(&self, from: i64, to: i64) -> Result<Repo> {
        let source = self.open(from)?;
        self.fill(to, |repo| {
            let refs: Vec<_> = source
                .public_refs()?
                .into_iter()
                .filter(|r| r.name == "refs/heads/main" || r.name.starts_with("refs/tags/"))
                .collect();
            let tips: Vec<_> = refs.iter().map(|r| r.id).collect();
            if tips.is_empty() {
                return Ok(());
            }
            let odb = source.objects()?;
            let ids = walk::objects(&odb, &tips, &[])?;
            let mut incoming = ingest::Incoming::begin(repo)?;
            pack_write::write(&source.objects_dir(), &odb, &ids, true, incoming.spool())?;
            incoming.store(repo)?;
            let refs: Vec<_> = refs.iter().map(|r| (r.name.as_str(), r.id)).collect();
            repo.add_new_refs(&refs, "fork")
        })
    }

    /// Fetches branches and tags of a public http(s) repository into a new one; its default branch becomes main.
    /// Refuses other schemes and (unless allowed) private addresses. Blocking.
    pub fn import(&self, project: i64, url: &str, progress: &Progress) -> Result<Repo> {
        let source = import::Source::parse(url)?;
        self.fill(project, |repo| import::fetch(repo, &source, &self.0.options, progress))
    }

    /// Makes a repository and fills it, or leaves nothing behind.
    fn fill(&self, project: i64, fill: impl FnOnce(&Repo) -> Result<()>) -> Result<Repo> {
        let repo = self.create(project)?;
        if let Err(error) = fill(&repo) {
            if let Err(left) = crate::base::fs::remove_tree(&self.path(project)) {
                tracing::warn!(project, error = %left, "a half-made repository stays behind");
            }
            return Err(error);
        }
        Ok(repo)
    }

    /// Waits its turn. Blocking; call from `spawn_blocking`.
    pub fn lock(&self, project: i64) -> RepoLock {
        self.0.locks.blocking(project)
    }

    pub async fn lock_async(&self, project: i64) -> RepoLock {
        self.0.locks.wait(project).await
    }

    /// Where the project's repository is (or would be).
    pub fn path(&self, project: i64) -> PathBuf {
        self.0.dir.repo(project)
    }

    /// Bytes on disk.
    pub fn size(&self, project: i64) -> u64 {
        crate::base::fs::tree_size(&self.path(project))
    }

    /// Whether main is at that commit for sure, by one look at its file. False says nothing: it may be packed.
    pub fn is_main(&self, project: i64, commit: &str) -> bool {
        let main = fs::read_to_string(self.path(project).join("refs/heads/main"));
        main.is_ok_and(|id| id.trim_end() == commit)
    }

    /// Removes what a crash left: incoming packs, lock files. Called after a crash, before anything serves.
    pub fn sweep(&self) -> Result<()> {
        let repos = self.0.dir.root().join("repos");
        for shard in folders(&repos) {
            for repo in folders(&shard) {
                sweep_one(&repo).internal(format!("while cleaning {}", repo.display()))?;
            }
        }
        Ok(())
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}

fn sweep_one(repo: &Path) -> std::io::Result<()> {
    for folder in folders(&repo.join("objects")) {
        if folder.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"incoming-")) {
            crate::base::fs::remove_tree(&folder)?;
        }
    }
    // Nothing in `refs` is temporary but its locks: a branch may be called `tmp_x`.
    let mut waiting = vec![repo.to_owned()];
    while let Some(folder) = waiting.pop() {
        let objects = folder.starts_with(repo.join("objects"));
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.as_encoded_bytes();
            let left = name.ends_with(b".lock")
                || (objects && (name.starts_with(b"tmp_") || name.ends_with(b".keep")))
                || (folder == repo && name.starts_with(b".") && name.ends_with(b".tmp"));
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => waiting.push(path),
                Ok(_) if left => crate::base::fs::remove_tree(&path)?,
                _ => {}
            }
        }
    }
    Ok(())
}
