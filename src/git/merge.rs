//! Three-way merge of two commits' files.
use std::collections::BTreeSet;

use git2::{ErrorCode, Index, IndexConflict, IndexEntry, MergeFileOptions, MergeOptions};

use super::tree::add;
use super::{Merged, Oid, Repo};
use crate::base::{Error, Kind, Result, ResultExt as _};

/// Files larger than this are not merged line by line, in bytes.
const TEXT: u64 = 8 << 20;

impl Repo {
    /// Merges two commits' trees over their merge base, writing conflict markers where both changed a text.
    /// Where that cannot be (a binary file, a removal against a change), the changed side is kept, ours first,
    /// and the path is named as a conflict too.
    pub fn merge(&self, ours: Oid, theirs: Oid) -> Result<Merged> {
        let base = match self.git.merge_base(ours, theirs) {
            Ok(base) => self.tree_of(base)?,
            Err(e) if e.code() == ErrorCode::NotFound => {
                self.git.treebuilder(None).and_then(|b| b.write()).internal("while merging")?
            }
            Err(e) => return Err(Error::new(Kind::NotFound, "one of the two commits does not exist").because(e)),
        };
        let (base, our, their) = (self.tree(base)?, self.tree(self.tree_of(ours)?)?, self.tree(self.tree_of(theirs)?)?);
        // Renames are not followed: every conflict then has one path, which the markers are written to.
        let mut options = MergeOptions::new();
        options.find_renames(false).fail_on_conflict(false);
        let mut index = self.git.merge_trees(&base, &our, &their, Some(&options)).internal("while merging")?;
        let found: Vec<IndexConflict> =
            index.conflicts().internal("while merging")?.collect::<Result<_, _>>().internal("while merging")?;
        let mut paths = BTreeSet::new();
        let mut settled = Vec::new();
        for conflict in found {
            let Some(any) = conflict.our.as_ref().or(conflict.their.as_ref()).or(conflict.ancestor.as_ref()) else {
                continue;
            };
            paths.insert(any.path.clone());
            settled.push((any.path.clone(), self.keep_of(&conflict)?));
        }
        for path in &paths {
            clear(&mut index, path)?;
        }
        for (path, kept) in settled {
            let Some((id, mode)) = kept else { continue };
            // A folder won this name on the other side: keep the file beside it.
            let taken = index.find_prefix([&path[..], b"/"].concat()).is_ok();
            let path = if taken { [&path[..], b"~yours"].concat() } else { path };
            add(&mut index, path, id, mode)?;
        }
        let tree = self.write_index(&mut index)?;
        let conflicts = paths.into_iter().map(|p| String::from_utf8_lossy(&p).into_owned()).collect();
        Ok(Merged { tree, conflicts })
    }

    /// What to write at a conflict's path: the blob and its mode.
    fn keep_of(&self, conflict: &IndexConflict) -> Result<Option<(Oid, u32)>> {
        let keep = |entry: &IndexEntry| Some((entry.id, entry.mode));
        let (ours, theirs) = match (&conflict.our, &conflict.their) {
            (Some(ours), Some(theirs)) => (ours, theirs),
            (Some(only), None) | (None, Some(only)) => return Ok(keep(only)),
            (None, None) => return Ok(None),
        };
        let text = |entry: &IndexEntry| {
            let file = entry.mode & 0o170_000 == 0o100_000;
            let blob = self.git.find_blob(entry.id).ok().filter(|b| b.size() as u64 <= TEXT && !b.is_binary());
            blob.filter(|_| file)
        };
        let (Some(our_text), Some(their_text)) = (text(ours), text(theirs)) else { return Ok(keep(ours)) };
        let base_text = conflict.ancestor.as_ref().and_then(text);
        let mut options = MergeFileOptions::new();
        options.our_label("yours").their_label("main").accept_conflicts(false);
        let mut sides = [git2::MergeFileInput::new(), git2::MergeFileInput::new(), git2::MergeFileInput::new()];
        let contents = [base_text.as_ref().map_or(&[][..], |b| b.content()), our_text.content(), their_text.content()];
        for (side, content) in sides.iter_mut().zip(contents) {
            side.content(content).path("file");
        }
        let merged =
            git2::merge_file(&sides[0], &sides[1], &sides[2], Some(&mut options)).internal("while merging a file")?;
        let id = self.git.blob(merged.content()).internal("while storing a merged file")?;
        Ok(Some((id, ours.mode)))
    }
}

/// Removes all stages of a path.
fn clear(index: &mut Index, path: &[u8]) -> Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
    for stage in 0..=3 {
        match index.remove(path, stage) {
            Err(e) if e.code() == ErrorCode::NotFound => {}
            other => other.internal("while merging")?,
        }
    }
    Ok(())
}
