//! Sets of installed packages, kept by what was asked for.
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::base::Clock;
use crate::base::fs::{make_dir, remove_tree, rename_durable};

/// What is neither kept nor shared is larger.
const MOST_FILES: u64 = 500_000;
const MOST_BYTES: u64 = 8 << 30;

/// How a tree of packages is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// For what nobody writes any more.
    HardLink,
    /// For what a build may write.
    Copy,
}

/// Puts the set at `kept` to `target`; whether there is one.
pub fn take(kept: &Path, target: &Path, way: Way) -> io::Result<bool> {
    let from = kept.join("node_modules");
    if !fs::symlink_metadata(&from).is_ok_and(|meta| meta.is_dir()) {
        return Ok(false);
    }
    link_tree(&from, target, way)?;
    touch(kept);
    Ok(true)
}

/// Whether a tree is of a size that packages have, as its files say it: one of holes has it without taking room.
pub fn is_moderate(tree: &Path) -> bool {
    let (mut files, mut bytes) = (0u64, 0u64);
    let mut waiting = vec![tree.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            files += 1;
            bytes = bytes.saturating_add(if meta.is_file() { meta.len() } else { 0 });
            if files > MOST_FILES || bytes > MOST_BYTES {
                return false;
            }
            if meta.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    true
}

/// Keeps a frozen folder; `share` is given the set before it has its name. One that is there already stays.
pub fn keep(installed: &Path, kept: &Path, way: Way, share: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    // Packages run code while they are installed: a link left here leads wherever they like.
    if !fs::symlink_metadata(installed).is_ok_and(|meta| meta.is_dir()) || kept.exists() || !is_moderate(installed) {
        return Ok(());
    }
    let parent = kept.parent().unwrap_or(kept);
    make_dir(parent, 0o711)?;
    let temp = parent.join(format!(".{}", crate::base::secret::random_token(8)));
    make_dir(&temp, 0o711)?;
    let modules = temp.join("node_modules");
    let made =
        link_tree(installed, &modules, way).and_then(|()| share(&modules)).and_then(|()| rename_durable(&temp, kept));
    made.or_else(|error| {
        remove_tree(&temp)?;
        // Somebody else kept the same meanwhile.
        if kept.exists() { Ok(()) } else { Err(error) }
    })
}

/// Drops the sets above `most` that were not used for the longest, and what a crash left half made. Nobody may
/// take or keep meanwhile.
pub fn prune(parent: &Path, most: usize) -> io::Result<()> {
    let mut sets: Vec<(i64, PathBuf)> = Vec::new();
    let Ok(entries) = fs::read_dir(parent) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            remove_tree(&entry.path())?;
        } else if let Ok(meta) = entry.metadata() {
            sets.push((meta.mtime(), entry.path()));
        }
    }
    sets.sort();
    let extra = sets.len().saturating_sub(most);
    sets.into_iter().take(extra).try_for_each(|(_, old)| remove_tree(&old))
}

/// Marks a set as used now, so that the oldest is the least used.
fn touch(kept: &Path) {
    let now = Duration::from_millis(u64::try_from(Clock::System.now()).unwrap_or_default());
    let _ = fs::File::open(kept).and_then(|dir| dir.set_modified(UNIX_EPOCH + now));
}

/// Copies a folder that is no link; links in it are copied as links; where hard links do not work, files are copied.
fn link_tree(from: &Path, to: &Path, way: Way) -> io::Result<()> {
    make_dir(to, 0o755)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target, kind) = (entry.path(), to.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() {
            link_tree(&source, &target, way)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() && (way == Way::Copy || fs::hard_link(&source, &target).is_err()) {
            fs::copy(&source, &target)?;
            writable(&target)?;
        }
    }
    Ok(())
}

/// A copy is its owner's to change, though what it was made from is not.
fn writable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::symlink_metadata(path)?.mode() & 0o755;
    fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o644))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // files that may tear
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_is_kept_as_packages() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (secret, code, kept) = (dir.path().join("secret"), dir.path().join("code"), dir.path().join("deps/1"));
        for folder in [&secret, &code] {
            fs::create_dir(folder).expect("folder");
        }
        fs::write(secret.join("key"), b"k").expect("file");
        let modules = code.join("node_modules");
        let keep = |to: &Path, way| keep(&modules, to, way, |_| Ok(()));
        std::os::unix::fs::symlink(&secret, &modules).expect("link");
        keep(&kept, Way::HardLink).expect("skipped");
        assert!(!kept.exists(), "a link was followed");
        fs::remove_file(&modules).expect("remove");
        fs::create_dir(&modules).expect("folder");
        std::os::unix::fs::symlink(&secret, modules.join("inner")).expect("link");
        fs::write(modules.join("a.js"), b"1").expect("file");
        keep(&kept, Way::HardLink).expect("kept");
        assert!(fs::symlink_metadata(kept.join("node_modules/inner")).expect("there").is_symlink());
        assert_eq!(fs::metadata(modules.join("a.js")).expect("meta").nlink(), 2);
        let other = dir.path().join("deps/2");
        keep(&other, Way::Copy).expect("kept");
        assert_eq!(fs::metadata(other.join("node_modules/a.js")).expect("meta").nlink(), 1, "a build may write it");
    }

    #[test]
    fn a_folder_of_holes_is_not_read() {
        let dir = tempfile::tempdir().expect("temp dir");
        let modules = dir.path().join("node_modules");
        fs::create_dir(&modules).expect("folder");
        assert!(is_moderate(&modules));
        for name in ["a", "b", "c"] {
            fs::File::create(modules.join(name)).and_then(|file| file.set_len(3 << 30)).expect("a hole");
        }
        assert!(!is_moderate(&modules));
        keep(&modules, &dir.path().join("kept"), Way::Copy, |_| Ok(())).expect("skipped");
        assert!(!dir.path().join("kept").exists());
    }

    #[test]
    fn the_least_used_go() {
        let dir = tempfile::tempdir().expect("temp dir");
        let modules = dir.path().join("node_modules");
        fs::create_dir(&modules).expect("folder");
        let deps = dir.path().join("deps");
        for n in 0..4 {
            keep(&modules, &deps.join(n.to_string()), Way::HardLink, |_| Ok(())).expect("kept");
            let at = UNIX_EPOCH + Duration::from_secs(n);
            fs::File::open(deps.join(n.to_string())).and_then(|set| set.set_modified(at)).expect("set");
        }
        fs::create_dir(deps.join(".half")).expect("folder");
        assert!(take(&deps.join("0"), &dir.path().join("taken"), Way::HardLink).expect("taken"));
        assert!(!take(&deps.join("9"), &dir.path().join("not"), Way::HardLink).expect("looked"));
        prune(&deps, 2).expect("pruned");
        let mut left: Vec<_> = fs::read_dir(&deps).expect("list").flatten().map(|e| e.file_name()).collect();
        left.sort();
        assert_eq!(left, ["0", "3"]);
    }
}
