//! The editor's files: a draft commit per author, standing on main, hidden from the wire.
//! Saving replaces the draft commit, so that history holds what was deployed and no keystrokes.
use std::path::PathBuf;

use super::view::{FileEntry, FileView, Moved, UpdateHow, Workspace};
use super::{Apps, Project};
use crate::accounts::Actor;
use crate::base::fs::confine;
use crate::base::{Error, Result, ResultExt as _};
use crate::git::{Change, Oid, Repo};

const MAX_TEXT: u64 = 2 << 20;
const MAX_RAW: u64 = 32 << 20;
/// First line of a draft commit's message; the lines after it name files with conflicts.
const DRAFT: &str = "draft";

fn draft_ref(who: &Actor) -> String {
    format!("refs/steady/drafts/{}", who.user.id)
}

fn oid(text: &str) -> Result<Oid> {
    Oid::from_str(text)
        .or_error(crate::base::Kind::BadInput, format!("`{}` is not a commit id", crate::base::name::clip(text)))
}

/// Where an author stands: their draft if any, else main.
struct Stand {
    /// The commit whose files they see; `None` in an empty project.
    commit: Option<Oid>,
    draft: Option<Oid>,
    /// The commit of main the draft stands on.
    base: Option<Oid>,
    main: Option<Oid>,
}

fn stand(repo: &Repo, who: &Actor) -> Result<Stand> {
    let main = repo.branch("main")?;
    let draft = repo.draft(who.user.id)?;
    let base = match draft {
        None => main,
        Some(draft) => repo.commit_info(draft)?.parents.first().map(|p| oid(p)).transpose()?,
    };
    Ok(Stand { commit: draft.or(main), draft, base, main })
}

impl Apps {
    /// The caller's draft if there is one, else main. An empty project has an empty `commit`.
    pub fn workspace(&self, who: &Actor, project: &Project) -> Result<Workspace> {
        let repo = self.repos().open(project.id)?;
        let at = stand(&repo, who)?;
        let files = at.commit.map_or(Ok(Vec::new()), |commit| repo.list(commit))?;
        let moved = match (at.draft, at.main) {
            (Some(draft), Some(main)) if at.base != Some(main) => {
                let info = repo.commit_info(main)?;
                let paths = at.base.map_or(Ok(Vec::new()), |base| repo.changed(base, main))?;
                let mine = at.base.map_or(Ok(Vec::new()), |base| repo.changed(base, draft))?;
                let both = paths.iter().filter(|p| mine.contains(p)).cloned().collect();
                Some(Moved { to: main.to_string(), summary: info.summary, author: info.author, paths, both })
            }
            _ => None,
        };
        Ok(Workspace {
            commit: at.commit.map(|c| c.to_string()).unwrap_or_default(),
            base: at.base.map(|c| c.to_string()),
            is_draft: at.draft.is_some(),
            moved,
            conflicts: at.draft.map_or(Ok(Vec::new()), |draft| conflicts(&repo, draft))?,
            files: files
                .into_iter()
                .map(|e| FileEntry { path: e.path, size: e.size, executable: e.executable, link: e.link, blob: e.blob })
                .collect(),
        })
    }

    /// One file of that commit, at most 2 MiB of text; a binary or larger one comes without text.
    pub fn file(&self, project: &Project, commit: &str, path: &str) -> Result<FileView> {
        let repo = self.repos().open(project.id)?;
        let blob = repo.read(oid(commit)?, &confine(path)?, MAX_RAW)?;
        let size = blob.bytes.len() as u64;
        let text = if blob.binary || size > MAX_TEXT { None } else { String::from_utf8(blob.bytes).ok() };
        Ok(FileView { path: path.to_owned(), size, binary: blob.binary, text })
    }

    /// A file's raw bytes, at most 32 MiB.
    pub fn raw(&self, project: &Project, commit: &str, path: &str) -> Result<Vec<u8>> {
        Ok(self.repos().open(project.id)?.read(oid(commit)?, &confine(path)?, MAX_RAW)?.bytes)
    }

    /// Applies changes on top of what the caller last saw (`on`; empty in an empty project).
    /// Errors: `Conflict` when the draft has moved since (another tab).
    pub fn save(&self, who: &Actor, project: &Project, on: &str, changes: Vec<Change>) -> Result<Workspace> {
        let repo = self.repos().open(project.id)?;
        let at = stand(&repo, who)?;
        let on = if on.is_empty() { None } else { Some(oid(on)?) };
        let base = match (at.draft, on) {
            (Some(draft), on) if on != Some(draft) => return Err(elsewhere()),
            (Some(_), _) => at.base,
            // Main may have moved since the page was opened: the draft still begins where its author was.
            (None, Some(on)) => match at.main {
                Some(main) if main == on || repo.is_ancestor(on, main)? => Some(on),
                _ => return Err(elsewhere()),
            },
            (None, None) if at.main.is_none() => None,
            (None, None) => return Err(elsewhere()),
        };
        let still = at.draft.map_or(Ok(Vec::new()), |draft| conflicts(&repo, draft))?;
        let tree = repo.change(on, &changes)?;
        let message = [DRAFT.to_owned()].into_iter().chain(still).collect::<Vec<_>>().join("\n");
        let parents: Vec<Oid> = base.into_iter().collect();
        let commit = repo.commit(tree, &parents, &self.identity(who), &message)?;
        repo.set_ref(&draft_ref(who), at.draft, Some(commit), "saved").map_err(|e| match e.kind {
            crate::base::Kind::Conflict => elsewhere(),
            _ => e,
        })?;
        drop(repo);
        self.workspace(who, project)
    }

    /// Brings main's newer commits into the draft: merged, or the draft thrown away for main's files.
    pub fn update_draft(&self, who: &Actor, project: &Project, how: UpdateHow) -> Result<Workspace> {
        let repo = self.repos().open(project.id)?;
        let at = stand(&repo, who)?;
        if let Some(draft) = at.draft {
            match (how, at.main) {
                (UpdateHow::Discard, _) | (_, None) => repo.set_ref(&draft_ref(who), Some(draft), None, "discarded")?,
                (UpdateHow::Merge, Some(main)) => {
                    let merged = repo.merge(draft, main)?;
                    let message = [DRAFT.to_owned()].into_iter().chain(merged.conflicts).collect::<Vec<_>>().join("\n");
                    let commit = repo.commit(merged.tree, &[main], &self.identity(who), &message)?;
                    repo.set_ref(&draft_ref(who), Some(draft), Some(commit), "merged main")?;
                }
            }
        }
        drop(repo);
        self.workspace(who, project)
    }

    /// The draft's files as a commit on main (not yet moved), and main as it was.
    /// Errors: `Conflict` when main has moved or conflict markers are left.
    pub(super) fn commit_draft(&self, who: &Actor, project: &Project, message: &str) -> Result<(Oid, Option<Oid>)> {
        let repo = self.repos().open(project.id)?;
        let at = stand(&repo, who)?;
        let Some(draft) = at.draft else {
            let main = at.main.ok_or_else(|| {
                Error::conflict("there is nothing to deploy yet").hint("Add an index.ts, then deploy.")
            })?;
            return Ok((main, Some(main)));
        };
        if at.base != at.main {
            return Err(Error::conflict("main has moved since your draft began")
                .hint("Merge main into your draft, look at the result, and deploy again."));
        }
        let left = conflicts(&repo, draft)?;
        if !left.is_empty() {
            return Err(Error::conflict(format!("conflict markers are left in {}", left.join(", ")))
                .hint("Settle them in the editor, then deploy again."));
        }
        let tree = repo.tree_of(draft)?;
        if let Some(main) = at.main
            && repo.tree_of(main)? == tree
        {
            return Ok((main, Some(main)));
        }
        let parents: Vec<Oid> = at.main.into_iter().collect();
        Ok((repo.commit(tree, &parents, &self.identity(who), &clean(message))?, at.main))
    }

    /// A whole folder as a commit on main (not yet moved), and main as it was.
    pub(super) fn commit_files(
        &self,
        who: &Actor,
        project: &Project,
        files: Vec<(PathBuf, Vec<u8>, bool)>,
        message: &str,
    ) -> Result<(Oid, Option<Oid>)> {
        let repo = self.repos().open(project.id)?;
        let main = repo.branch("main")?;
        let tree = repo.tree_from(&files)?;
        if let Some(main) = main
            && repo.tree_of(main)? == tree
        {
            return Ok((main, Some(main)));
        }
        let parents: Vec<Oid> = main.into_iter().collect();
        Ok((repo.commit(tree, &parents, &self.identity(who), &clean(message))?, main))
    }

    /// Files that did not go live are not lost: they become the author's draft, unless there is one already,
    /// which is worth more. Says whether they did.
    pub(super) fn keep_as_draft(&self, who: &Actor, project: &Project, files: Oid, main: Option<Oid>) -> Result<bool> {
        let repo = self.repos().open(project.id)?;
        if repo.draft(who.user.id)?.is_some() {
            return Ok(false);
        }
        let parents: Vec<Oid> = main.into_iter().collect();
        let commit = repo.commit(repo.tree_of(files)?, &parents, &self.identity(who), DRAFT)?;
        repo.set_ref(&draft_ref(who), None, Some(commit), "not deployed")?;
        Ok(true)
    }

    /// After its files went onto main.
    pub(super) fn drop_draft_ref(&self, who: &Actor, project: &Project) -> Result<()> {
        let repo = self.repos().open(project.id)?;
        match (repo.draft(who.user.id)?, repo.branch("main")?) {
            // Saved again while the deploy ran: the draft stays, now standing on the new main.
            (Some(draft), Some(main)) if repo.tree_of(draft)? != repo.tree_of(main)? => {
                let commit = repo.commit(repo.tree_of(draft)?, &[main], &self.identity(who), DRAFT)?;
                repo.set_ref(&draft_ref(who), Some(draft), Some(commit), "deployed an earlier state")
            }
            (Some(draft), _) => repo.set_ref(&draft_ref(who), Some(draft), None, "deployed"),
            (None, _) => Ok(()),
        }
    }

    /// After a commit went live that waited for an approval: whoever's draft it was made from has none any more.
    pub(super) fn drop_deployed_drafts(&self, project: &Project, commit: Oid) -> Result<()> {
        let repo = self.repos().open(project.id)?;
        let tree = repo.tree_of(commit)?;
        for (name, draft) in repo.drafts()? {
            if repo.tree_of(draft)? == tree {
                repo.set_ref(&name, Some(draft), None, "deployed")?;
            }
        }
        Ok(())
    }

    /// The commit Run starts: the author's draft, else main.
    pub(super) fn commit_to_run(&self, who: &Actor, project: &Project) -> Result<Oid> {
        let repo = self.repos().open(project.id)?;
        stand(&repo, who)?
            .commit
            .ok_or_else(|| Error::conflict("there is nothing to run yet").hint("Add an index.ts first."))
    }
}

/// Files named in the draft's message that still hold conflict markers.
fn conflicts(repo: &Repo, draft: Oid) -> Result<Vec<String>> {
    let message = repo.message(draft)?;
    let marked = |path: &&str| {
        confine(path).and_then(|p| repo.read(draft, &p, MAX_TEXT)).is_ok_and(|blob| {
            let text = String::from_utf8_lossy(&blob.bytes);
            text.lines().any(|line| line.starts_with("<<<<<<< "))
                && text.lines().any(|line| line.starts_with(">>>>>>> "))
        })
    };
    Ok(message.lines().skip(1).filter(|line| !line.is_empty()).filter(marked).map(str::to_owned).collect())
}

fn elsewhere() -> Error {
    Error::conflict("these files were changed in another window").hint("Reload to see the newer state.")
}

fn clean(message: &str) -> String {
    let text: String = message.chars().filter(|c| !c.is_control() || *c == '\n').take(2000).collect();
    if text.trim().is_empty() { "Deploy from the editor".to_owned() } else { text.trim().to_owned() }
}
