//! A commit's files: list, read, change.
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use git2::{FileMode, Index, IndexEntry, IndexTime, ObjectType};

use super::{Blob, Change, Entry, Oid, Repo};
use crate::base::{Error, Kind, Result, ResultExt as _};

/// Entries [`Repo::list`] gives at most.
const LISTED: usize = 10_000;
/// Levels of folders that are read; deeper trees can only come from a hostile pack.
pub(super) const DEPTH: usize = 64;

pub(super) const FOLDER: i32 = 0o040_000;
pub(super) const LINK: i32 = 0o120_000;
pub(super) const EXECUTABLE: i32 = 0o100_755;
pub(super) const SUBMODULE: i32 = 0o160_000;

impl Repo {
    /// All files of a commit, sorted by path, at most 10,000.
    pub fn list(&self, commit: Oid) -> Result<Vec<Entry>> {
        let tree = self.tree(self.tree_of(commit)?)?;
        let odb = self.git.odb().internal("while listing files")?;
        let mut out = Vec::new();
        let mut waiting = vec![(String::new(), tree, 0)];
        let mut seen = 0;
        while let Some((prefix, tree, depth)) = waiting.pop() {
            for entry in &tree {
                seen += 1;
                if out.len() >= LISTED || seen > 10 * LISTED {
                    break;
                }
                let path = format!("{prefix}{}", String::from_utf8_lossy(entry.name_bytes()));
                match entry.filemode() {
                    FOLDER if depth < DEPTH => waiting.push((format!("{path}/"), self.tree(entry.id())?, depth + 1)),
                    FOLDER | SUBMODULE => {}
                    mode => out.push(Entry {
                        path,
                        size: odb.read_header(entry.id()).internal("while listing files")?.0 as u64,
                        executable: mode == EXECUTABLE,
                        link: mode == LINK,
                        blob: entry.id().to_string(),
                    }),
                }
            }
        }
        out.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(out)
    }

    /// Errors: `NotFound`; `TooLarge` past `max` bytes.
    pub fn read(&self, commit: Oid, path: &Path, max: u64) -> Result<Blob> {
        let missing = || Error::not_found(format!("there is no file {} in that commit", path.display()));
        let tree = self.tree(self.tree_of(commit)?)?;
        let entry = tree.get_path(path).map_err(|_| missing())?;
        if entry.kind() != Some(ObjectType::Blob) {
            return Err(missing());
        }
        let odb = self.git.odb().internal("while reading a file")?;
        let (size, _) = odb.read_header(entry.id()).internal("while reading a file")?;
        if size as u64 > max {
            return Err(Error::new(
                Kind::TooLarge,
                format!("{} is {size} bytes; at most {max} are shown", path.display()),
            ));
        }
        let bytes = self.git.find_blob(entry.id()).internal("while reading a file")?.content().to_vec();
        let binary = bytes.contains(&0) || std::str::from_utf8(&bytes).is_err();
        Ok(Blob { bytes, binary, executable: entry.filemode() == EXECUTABLE })
    }

    /// The tree of `base` (empty when none) with the changes applied; nothing is referenced yet.
    /// Errors: `NotFound` / `Conflict` naming the path of a change that does not apply.
    pub fn change(&self, base: Option<Oid>, changes: &[Change]) -> Result<Oid> {
        let mut index = Index::new().internal("while changing files")?;
        if let Some(base) = base {
            index.read_tree(&self.tree(self.tree_of(base)?)?).internal("while changing files")?;
        }
        for change in changes {
            match change {
                Change::Write { path, bytes, executable } => self.write(&mut index, path, bytes, *executable)?,
                Change::Remove { path } => {
                    take(&mut index, path)?;
                }
                Change::Move { from, to } => rename(&mut index, from, to)?,
            }
        }
        self.write_index(&mut index)
    }

    /// A tree made of exactly these files.
    pub fn tree_from(&self, files: &[(PathBuf, Vec<u8>, bool)]) -> Result<Oid> {
        let mut index = Index::new().internal("while storing files")?;
        for (path, bytes, executable) in files {
            self.write(&mut index, path, bytes, *executable)?;
        }
        self.write_index(&mut index)
    }

    /// Paths that differ between two commits.
    pub fn changed(&self, from: Oid, to: Oid) -> Result<Vec<String>> {
        let (from, to) = (self.tree(self.tree_of(from)?)?, self.tree(self.tree_of(to)?)?);
        let diff = self.git.diff_tree_to_tree(Some(&from), Some(&to), None).internal("while comparing commits")?;
        let mut paths = BTreeSet::new();
        for delta in diff.deltas() {
            for side in [delta.old_file(), delta.new_file()] {
                paths.extend(side.path_bytes().map(|p| String::from_utf8_lossy(p).into_owned()));
            }
        }
        Ok(paths.into_iter().collect())
    }

    pub(super) fn tree(&self, id: Oid) -> Result<git2::Tree<'_>> {
        self.git.find_tree(id).internal("while reading a folder of the repository")
    }

    pub(super) fn write_index(&self, index: &mut Index) -> Result<Oid> {
        let tree = index.write_tree_to(&self.git).internal("while writing a tree")?;
        self.sync_objects(&[tree])?;
        Ok(tree)
    }

    fn write(&self, index: &mut Index, path: &Path, bytes: &[u8], executable: bool) -> Result<()> {
        // An index would silently put a file in a folder's place, or the other way round.
        if !below(index, path).is_empty() {
            return Err(Error::conflict(format!("{} is a folder", path.display())));
        }
        no_file_above(index, path)?;
        if bytes.len() as u64 > self.options.max_object {
            let max = self.options.max_object;
            return Err(Error::new(Kind::TooLarge, format!("{} is larger than {max} bytes", path.display())));
        }
        let mode = if executable { FileMode::BlobExecutable } else { FileMode::Blob };
        let id = self.git.blob(bytes).internal("while storing a file")?;
        add(index, path.as_os_str().as_bytes().to_vec(), id, u32::from(mode))
    }
}

pub(super) fn add(index: &mut Index, path: Vec<u8>, id: Oid, mode: u32) -> Result<()> {
    let time = IndexTime::new(0, 0);
    let shown = String::from_utf8_lossy(&path).into_owned();
    let entry = IndexEntry {
        ctime: time,
        mtime: time,
        dev: 0,
        ino: 0,
        mode,
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: 0,
        flags_extended: 0,
        path,
    };
    index.add(&entry).or_error(Kind::BadInput, format!("`{shown}` cannot be stored in a repository"))
}

/// The entries inside the folder `path`.
fn below(index: &Index, path: &Path) -> Vec<IndexEntry> {
    let mut prefix = path.as_os_str().as_bytes().to_vec();
    prefix.push(b'/');
    let Ok(first) = index.find_prefix(prefix.as_slice()) else { return Vec::new() };
    (first..).map_while(|n| index.get(n)).take_while(|e| e.path.starts_with(&prefix)).collect()
}

fn no_file_above(index: &Index, path: &Path) -> Result<()> {
    for above in path.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()) {
        if index.get_path(above, 0).is_some() {
            return Err(Error::conflict(format!("{} is a file, so nothing can be inside it", above.display())));
        }
    }
    Ok(())
}

/// Removes a file, or a folder with all in it, and gives what was there.
fn take(index: &mut Index, path: &Path) -> Result<Vec<IndexEntry>> {
    if let Some(file) = index.get_path(path, 0) {
        index.remove(path, 0).internal("while removing a file")?;
        return Ok(vec![file]);
    }
    let inside = below(index, path);
    if inside.is_empty() {
        return Err(Error::not_found(format!("there is no {}", path.display())));
    }
    index.remove_dir(path, 0).internal("while removing a folder")?;
    Ok(inside)
}

fn rename(index: &mut Index, from: &Path, to: &Path) -> Result<()> {
    if to.starts_with(from) {
        return Err(Error::conflict(format!("{} cannot be moved into itself", from.display())));
    }
    let moved = take(index, from)?;
    if index.get_path(to, 0).is_some() || !below(index, to).is_empty() {
        return Err(Error::conflict(format!("{} exists already", to.display())));
    }
    no_file_above(index, to)?;
    let skip = from.as_os_str().as_bytes().len();
    for entry in moved {
        let mut path = to.as_os_str().as_bytes().to_vec();
        path.extend_from_slice(&entry.path[skip..]);
        add(index, path, entry.id, entry.mode)?;
    }
    Ok(())
}
