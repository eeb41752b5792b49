//! Reading and moving refs.
use std::path::Path;

use git2::ErrorCode;

use super::{Oid, Repo, ref_name};
use crate::base::{Error, Kind, Result, ResultExt as _};

const MAIN: &str = "refs/heads/main";

/// A ref as clients see it.
#[derive(Clone, Debug)]
pub(super) struct PublicRef {
    pub(super) name: String,
    pub(super) id: Oid,
    /// What an annotated tag points to in the end.
    pub(super) peeled: Option<Oid>,
}

impl Repo {
    /// The commit `refs/heads/<branch>` points to.
    pub fn branch(&self, branch: &str) -> Result<Option<Oid>> {
        self.ref_target(&format!("refs/heads/{branch}"))
    }

    /// The commit of a user's draft (`refs/steady/drafts/<user>`, hidden from the wire).
    pub fn draft(&self, user: i64) -> Result<Option<Oid>> {
        self.ref_target(&format!("refs/steady/drafts/{user}"))
    }

    /// Every draft: its ref and commit.
    pub fn drafts(&self) -> Result<Vec<(String, Oid)>> {
        let found = self.git.references_glob("refs/steady/drafts/*").internal("while listing drafts")?;
        let drafts = found.filter_map(|draft| {
            let draft = draft.ok()?;
            Some((draft.name().ok()?.to_owned(), draft.target()?))
        });
        Ok(drafts.collect())
    }

    pub(super) fn ref_target(&self, name: &str) -> Result<Option<Oid>> {
        if !ref_name::valid(name) {
            return Ok(None);
        }
        match self.git.refname_to_id(name) {
            Ok(id) => Ok(Some(id)),
            Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
            Err(e) => Err(Error::internal("while reading a ref").because(e)),
        }
    }

    /// Every ref a client may see, sorted by name as the protocol wants.
    pub(super) fn public_refs(&self) -> Result<Vec<PublicRef>> {
        let mut out = Vec::new();
        for found in self.git.references().internal("while listing refs")? {
            let found = found.internal("while listing refs")?;
            let (Ok(name), Some(id)) = (found.name(), found.target()) else { continue };
            if ref_name::hidden(name) {
                continue;
            }
            let peeled = found.peel(git2::ObjectType::Any).ok().map(|o| o.id()).filter(|p| *p != id);
            out.push(PublicRef { name: name.to_owned(), id, peeled });
        }
        out.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        Ok(out)
    }

    /// Moves any ref from `old` to `new` or fails with `Conflict` when it is not at `old` any more.
    /// Writes the reflog with `why`. fsyncs.
    pub fn set_ref(&self, name: &str, old: Option<Oid>, new: Option<Oid>, why: &str) -> Result<()> {
        if !ref_name::valid(name) {
            return Err(Error::bad_input(format!("`{}` is not a valid ref name", crate::base::name::clip(name))));
        }
        let why = why.replace(['\n', '\r', '\0'], " ");
        match (old, new) {
            (None, Some(new)) => self.git.reference(name, new, false, &why).map(drop),
            (Some(old), Some(new)) => self.git.reference_matching(name, new, true, old, &why).map(drop),
            // libgit2 deletes only while the ref is still what was looked up.
            (Some(old), None) => self
                .git
                .find_reference(name)
                .and_then(|mut found| if found.target() == Some(old) { found.delete() } else { Err(moved_error()) }),
            (None, None) => match self.git.find_reference(name) {
                Err(e) if e.code() == ErrorCode::NotFound => Ok(()),
                Err(e) => Err(e),
                Ok(_) => Err(moved_error()),
            },
        }
        .map_err(|e| conflict(name, e))?;
        self.sync_refs(std::iter::once(name))
    }

    /// Fills a fresh repository. Main, and few of them, get a reflog.
    pub(super) fn add_new_refs(&self, refs: &[(&str, Oid)], why: &str) -> Result<()> {
        let (main, mut others): (Vec<_>, Vec<_>) = refs.iter().copied().partition(|(name, _)| *name == MAIN);
        if others.len() >= super::packed_refs::MANY {
            self.add_packed(&others)?;
            others.clear();
        }
        others.into_iter().chain(main).try_for_each(|(name, id)| self.set_ref(name, None, Some(id), why))
    }

    /// Moves all of them or none. Not durable before [`Repo::sync_refs`]. Errors as [`Repo::set_ref`].
    pub(super) fn move_refs(&self, updates: &[super::RefUpdate], who: &git2::Signature<'_>, why: &str) -> Result<()> {
        let mut all = self.git.transaction().internal("while beginning a ref transaction")?;
        for update in updates {
            all.lock_ref(&update.name).map_err(|e| conflict(&update.name, e))?;
            // Looked up under the lock, so that it cannot move before the commit below.
            if self.ref_target(&update.name)? != update.old {
                return Err(conflict(&update.name, moved_error()));
            }
        }
        for update in updates {
            match update.new {
                Some(new) => all.set_target(&update.name, new, Some(who), why),
                None => all.remove(&update.name),
            }
            .map_err(|e| conflict(&update.name, e))?;
        }
        all.commit().internal("while moving refs")?;
        for gone in updates.iter().filter(|u| u.new.is_none()) {
            // A transaction leaves it, where it would be in the way of a ref named like its folder.
            self.git.reflog_delete(&gone.name).internal("while removing a reflog")?;
        }
        Ok(())
    }

    /// Makes moved refs durable: libgit2 syncs the ref's file; the folders in its name are synced here.
    pub(super) fn sync_refs<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<()> {
        let mut folders = std::collections::BTreeSet::new();
        for name in names {
            let above = self.path.join(name);
            folders.extend(above.ancestors().skip(1).take_while(|f| f.starts_with(&self.path)).map(Path::to_owned));
        }
        // The deepest first.
        for folder in folders.into_iter().rev() {
            match crate::base::fs::sync_dir(&folder) {
                // The last ref of a folder was deleted, and the folder with it.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                other => other.internal("while syncing refs")?,
            }
        }
        Ok(())
    }
}

fn moved_error() -> git2::Error {
    git2::Error::new(ErrorCode::Modified, git2::ErrorClass::Reference, "the ref is not where it was")
}

fn conflict(name: &str, e: git2::Error) -> Error {
    let what = match e.code() {
        ErrorCode::Modified | ErrorCode::Exists | ErrorCode::NotFound => format!("{name} has moved meanwhile"),
        ErrorCode::Locked => format!("{name} is being changed by somebody else"),
        ErrorCode::Directory => format!("{name} is in the way of, or below, another ref"),
        _ => format!("{name} cannot be moved"),
    };
    Error::new(Kind::Conflict, what).because(e).hint("Fetch, look at what changed, and try again.")
}
