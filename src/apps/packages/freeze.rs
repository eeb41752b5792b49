//! Folders that jailed processes have written, taken back: no link is followed, and nobody changes them meanwhile.
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};

use crate::base::{Result, ResultExt as _};

/// Gives a tree to another owner without following links. `None` = children run as Steady's own user.
/// Another process of the uid that wrote it may still hold folders of it open (through `/proc`), so it is
/// frozen from the top before anything in it is looked at by name.
pub fn chown_tree(path: &Path, owner: Option<u32>) -> std::io::Result<()> {
    let Some(owner) = owner else { return Ok(()) };
    freeze(rustix::fs::open(path, folder_flags(), Mode::empty())?, 0)?;
    if owner == 0 { Ok(()) } else { give(path, owner) }
}

/// Folders nested deeper are nobody's packages.
const DEPTH: u32 = 256;

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Makes a folder root's and writable by nobody else, then all that is in it.
fn freeze(folder: OwnedFd, depth: u32) -> std::io::Result<()> {
    if depth > DEPTH {
        return Err(std::io::Error::other(format!("folders are nested deeper than {DEPTH} levels")));
    }
    let (root, group) = (Some(Uid::ROOT), Some(Gid::ROOT));
    rustix::fs::fchown(&folder, root, group)?;
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&folder)?.st_mode & 0o755);
    rustix::fs::fchmod(&folder, mode | Mode::RUSR | Mode::XUSR)?;
    // From here on no entry of it can be exchanged.
    for entry in rustix::fs::Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            freeze(rustix::fs::openat(&folder, name, folder_flags(), Mode::empty())?, depth + 1)?;
        } else {
            rustix::fs::chownat(&folder, name, root, group, AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(())
}

/// Of a frozen tree; the top last, so that it stays frozen until then.
fn give(path: &Path, owner: u32) -> std::io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), owner)?;
        }
    }
    std::os::unix::fs::lchown(path, Some(owner), Some(owner))
}

/// Code is read by the app's uid and written by nobody: whatever modes a build left are made plain.
pub fn open_to_reading(path: &Path) -> Result<()> {
    fn walk(path: &Path) -> std::io::Result<()> {
        let meta = fs::symlink_metadata(path)?;
        if meta.is_dir() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
            for entry in fs::read_dir(path)? {
                walk(&entry?.path())?;
            }
        } else if meta.is_file() {
            let mode = if meta.mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            // What is shared is read-only already, and its mode is everybody's.
            if meta.mode() & 0o7777 & !0o200 != mode & !0o200 {
                fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
            }
        } else if !meta.is_symlink() {
            // A socket, pipe or device has no place in code.
            fs::remove_file(path)?;
        }
        Ok(())
    }
    walk(path).internal("while closing the version folder")
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // files that may tear
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_frozen_before_it_is_given_away() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().expect("temp dir");
        let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
        fs::create_dir_all(tree.join("a/b")).expect("folder");
        fs::write(&outside, b"1").expect("file");
        fs::set_permissions(tree.join("a"), fs::Permissions::from_mode(0o777)).expect("chmod");
        std::os::unix::fs::symlink(&outside, tree.join("a/link")).expect("link");
        chown_tree(&tree, Some(4711)).expect("given");
        let inner = fs::metadata(tree.join("a/b")).expect("meta");
        assert_eq!((inner.uid(), inner.gid()), (4711, 4711));
        assert_eq!(fs::symlink_metadata(tree.join("a/link")).expect("meta").uid(), 4711);
        assert_eq!(fs::metadata(&outside).expect("meta").uid(), 0, "a link was followed");
        chown_tree(&tree, Some(0)).expect("taken back");
        let folder = fs::metadata(tree.join("a")).expect("meta");
        assert_eq!((folder.uid(), folder.mode() & 0o777), (0, 0o755), "others may still write it");
    }
}
