//! What may be inside a repository: names, modes, shapes of new objects. Nothing libgit2 or a checkout sees
//! has not passed here.
use std::collections::HashMap;

use gix_hash::ObjectId;
use gix_object::Kind;

use super::objects::{Objects, parse_commit, parse_tag, tree_entries};
use super::tree::{DEPTH, FOLDER, LINK, SUBMODULE};
use crate::base::{Error, Result, name::clip};

/// Files and folders one commit may have, counted as a checkout would make them.
const ENTRIES: u64 = 200_000;

/// Errors: `BadInput` saying which name cannot be in a tree.
pub(super) fn name(name: &[u8], link: bool) -> Result<()> {
    let options =
        gix_validate::path::component::Options { protect_windows: false, protect_hfs: true, protect_ntfs: true };
    let mode = link.then_some(gix_validate::path::component::Mode::Symlink);
    let refused = |why: String| {
        let shown = String::from_utf8_lossy(name);
        Error::bad_input(format!("a tree has an entry named `{}`: {why}", clip(&shown)))
    };
    gix_validate::path::component(name.into(), mode, options).map_err(|e| refused(e.to_string()))?;
    if name.len() > 255 {
        return Err(refused("it is longer than 255 bytes".to_owned()));
    }
    if name.contains(&b'\\') {
        return Err(refused("it has a backslash".to_owned()));
    }
    // Git reads these; a link in their place has been a way out of a checkout more than once.
    let lower = name.to_ascii_lowercase();
    if link && [&b".gitmodules"[..], b".gitattributes", b".gitignore", b".mailmap"].contains(&&lower[..]) {
        return Err(refused("it must not be a link".to_owned()));
    }
    Ok(())
}

/// The size and depth of trees, each worked out once.
#[derive(Default)]
struct Sizes(HashMap<ObjectId, (u64, usize)>);

/// Checks every new object by itself and that all it names exists. As everything stored before passed the
/// same check, the new objects are then connected down to the first commit, without any walk of history.
/// Errors: `BadInput` naming the object.
pub(super) fn check(odb: &Objects, new: impl Iterator<Item = ObjectId>) -> Result<()> {
    let mut buffer = Vec::new();
    let mut sizes = Sizes::default();
    for id in new {
        let kind = odb.kind(&id)?.ok_or_else(|| Error::bad_input(format!("object {id} is missing")))?;
        if kind == Kind::Blob {
            continue;
        }
        let (_, data) = odb.read(&id, &mut buffer)?;
        let checked = match kind {
            Kind::Commit => commit(odb, data, &mut sizes),
            Kind::Tree => tree(odb, data),
            Kind::Tag => parse_tag(data).and_then(|target| exists(odb, &target, None)),
            Kind::Blob => Ok(()),
        };
        checked.map_err(|e| Error::bad_input(format!("{} ({kind} {})", e.public, &id.to_string()[..12])))?;
    }
    Ok(())
}

fn exists(odb: &Objects, id: &ObjectId, kind: Option<Kind>) -> Result<()> {
    let missing = || Error::bad_input(format!("it names {id}, which was not sent"));
    match kind {
        None if odb.exists(id) => Ok(()),
        None => Err(missing()),
        Some(kind) => match odb.kind(id)? {
            Some(found) if found == kind => Ok(()),
            Some(found) => Err(Error::bad_input(format!("it names {id} as a {kind}, which is a {found}"))),
            None => Err(missing()),
        },
    }
}

fn commit(odb: &Objects, data: &[u8], sizes: &mut Sizes) -> Result<()> {
    let header = data.split(|b| *b == b'\n').take_while(|line| !line.is_empty());
    let (mut authors, mut committers) = (0, 0);
    for line in header {
        if line.contains(&0) {
            return Err(Error::bad_input("a commit's header has a NUL byte"));
        }
        authors += usize::from(line.starts_with(b"author "));
        committers += usize::from(line.starts_with(b"committer "));
    }
    if authors != 1 || committers != 1 {
        return Err(Error::bad_input("a commit must have one author and one committer"));
    }
    let parsed = parse_commit(data)?;
    exists(odb, &parsed.tree, Some(Kind::Tree))?;
    for parent in &parsed.parents {
        exists(odb, parent, Some(Kind::Commit)).map_err(|e| {
            Error::bad_input(format!("{}; a push from a shallow clone needs `git fetch --unshallow` first", e.public))
        })?;
    }
    let (entries, _) = sizes.of(odb, parsed.tree, 0)?;
    if entries > ENTRIES {
        return Err(Error::bad_input(format!("a commit has more than {ENTRIES} files")));
    }
    Ok(())
}

fn tree(odb: &Objects, data: &[u8]) -> Result<()> {
    let mut last: Option<(Vec<u8>, bool)> = None;
    for entry in tree_entries(data) {
        let entry = entry?;
        let mode = i32::try_from(entry.mode).unwrap_or(0);
        name(entry.name, mode == LINK)?;
        if entry.id.is_null() {
            return Err(Error::bad_input("a tree has an entry without an object"));
        }
        match mode {
            FOLDER => exists(odb, &entry.id, Some(Kind::Tree))?,
            // A submodule's commit is somebody else's.
            SUBMODULE => {}
            LINK | 0o100_644 | 0o100_664 | 0o100_755 => exists(odb, &entry.id, Some(Kind::Blob))?,
            _ => return Err(Error::bad_input(format!("a tree has an entry of mode {:o}", entry.mode))),
        }
        if let Some((last, folder)) = &last
            && !in_order(last, *folder, entry.name, mode == FOLDER)
        {
            return Err(Error::bad_input("a tree is not sorted, or has one name twice"));
        }
        last = Some((entry.name.to_vec(), mode == FOLDER));
    }
    Ok(())
}

/// Git sorts a folder as if its name ended with a slash, so `a` the file and `a` the folder can be far apart;
/// that pair is caught by [`Sizes`], which sees the whole tree.
fn in_order(left: &[u8], left_folder: bool, right: &[u8], right_folder: bool) -> bool {
    let key = |name: &[u8], folder: bool| [name, if folder { b"/" } else { b"\0" }].concat();
    left != right && key(left, left_folder) < key(right, right_folder)
}

impl Sizes {
    /// Entries below a tree and levels under it.
    fn of(&mut self, odb: &Objects, tree: ObjectId, depth: usize) -> Result<(u64, usize)> {
        let too_deep = || Error::bad_input(format!("folders are nested deeper than {DEPTH} levels"));
        if let Some((entries, levels)) = self.0.get(&tree).copied() {
            return if depth + levels > DEPTH { Err(too_deep()) } else { Ok((entries, levels)) };
        }
        if depth > DEPTH {
            return Err(too_deep());
        }
        let mut buffer = Vec::new();
        let (_, data) = odb.read(&tree, &mut buffer)?;
        let mut names = std::collections::HashSet::new();
        let (mut entries, mut levels) = (0u64, 0usize);
        for entry in tree_entries(data) {
            let entry = entry?;
            if !names.insert(entry.name.to_vec()) {
                return Err(Error::bad_input("a tree has one name twice"));
            }
            entries = entries.saturating_add(1);
            if i32::try_from(entry.mode) == Ok(FOLDER) {
                let (inside, under) = self.of(odb, entry.id, depth + 1)?;
                entries = entries.saturating_add(inside);
                levels = levels.max(under + 1);
            }
        }
        self.0.insert(tree, (entries, levels));
        Ok((entries, levels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_gits_own_fsck() {
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            ".git",
            ".GIT",
            ".Git",
            ".git ",
            ".git.",
            ".git...",
            "git~1",
            "GIT~1",
            ".git::$INDEX_ALLOCATION",
            ".git\\x",
            "a\\.git",
            ".g\u{200c}it",
            ".\u{200d}git",
            "\u{feff}.git",
        ] {
            assert!(name(bad.as_bytes(), false).is_err(), "{bad:?}");
        }
        for bad in [".gitmodules", ".GITMODULES", "gitmod~1", ".gitattributes", ".gitignore", ".mailmap"] {
            assert!(name(bad.as_bytes(), true).is_err(), "{bad:?} as a link");
        }
        for good in ["index.ts", ".gitignore", ".gitmodules", ".github", "con", "aux.ts", "ü", "a b", "git", "~"] {
            assert!(name(good.as_bytes(), false).is_ok(), "{good:?}");
        }
        assert!(name(&[b'a'; 256], false).is_err());
    }

    #[test]
    fn trees_are_sorted_gits_way() {
        assert!(in_order(b"a.b", false, b"a", true), "a folder sorts as `a/`");
        assert!(in_order(b"a", false, b"a.b", false));
        assert!(!in_order(b"a", true, b"a.b", false));
        assert!(!in_order(b"a", false, b"a", true), "one name twice");
    }
}
