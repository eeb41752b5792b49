//! Removing what hostile code left. It may have nested folders deeper than any stack or descriptor table goes,
//! so nothing here recurses: folders found below the first level are moved up to it before they are emptied.
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, openat, renameat_with, unlinkat};
use rustix::io::Errno;

/// Removes a file or a folder with all inside, following no link. Nothing there is success.
pub(super) fn tree(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(meta) if !meta.is_dir() => gone(fs::remove_file(path)),
        Ok(_) => {
            let Some(top) = open(CWD, path)? else { return Ok(()) };
            let mut moved = 0u64;
            // Folders moved up appear in the next round; one without any left is the last.
            while clear_level(&top, &mut moved)? {}
            gone(fs::remove_dir(path))
        }
    }
}

/// One round over the first level. Whether there may be more.
fn clear_level(top: &OwnedFd, moved: &mut u64) -> io::Result<bool> {
    let mut more = false;
    for (name, kind) in entries(top.as_fd())? {
        if is_folder(top.as_fd(), &name, kind)? {
            more = true;
            let Some(folder) = open(top.as_fd(), &name)? else { continue };
            for (inner, kind) in entries(folder.as_fd())? {
                if !is_folder(folder.as_fd(), &inner, kind)? {
                    unlink(folder.as_fd(), &inner, AtFlags::empty())?;
                } else if !unlink_empty(folder.as_fd(), &inner)? {
                    lift(&folder, &inner, top, moved)?;
                }
            }
            unlink(top.as_fd(), &name, AtFlags::REMOVEDIR)?;
        } else {
            unlink(top.as_fd(), &name, AtFlags::empty())?;
        }
    }
    Ok(more)
}

/// Moves a folder up to the first level, under a name nobody has there.
fn lift(from: &OwnedFd, name: &CString, top: &OwnedFd, moved: &mut u64) -> io::Result<()> {
    loop {
        *moved += 1;
        match renameat_with(from, name, top, format!(".removing-{moved}"), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            // Not every file system knows how to refuse to replace; a full folder is never replaced anyway.
            Err(Errno::INVAL) => match rustix::fs::renameat(from, name, top, format!(".removing-{moved}")) {
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                other => return gone(other.map_err(io::Error::from)),
            },
            other => return gone(other.map_err(io::Error::from)),
        }
    }
}

/// `None` when it is gone. A folder of one's own without rights is opened up first.
fn open(at: impl AsFd, name: impl rustix::path::Arg + Copy) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(&at, name, flags, Mode::empty());
    let folder = match opened {
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(&at, name, Mode::RWXU, AtFlags::empty())?;
            openat(&at, name, flags, Mode::empty())
        }
        other => other,
    };
    match folder {
        Ok(folder) => {
            // Without the right to write nothing can be taken out of it; root needs none.
            let _ = rustix::fs::fchmod(&folder, Mode::RWXU);
            Ok(Some(folder))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn entries(folder: BorrowedFd<'_>) -> io::Result<Vec<(CString, FileType)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            found.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    Ok(found)
}

fn is_folder(at: BorrowedFd<'_>, name: &CString, kind: FileType) -> io::Result<bool> {
    match kind {
        FileType::Directory => Ok(true),
        FileType::Unknown => match rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(e.into()),
        },
        _ => Ok(false),
    }
}

fn unlink(at: BorrowedFd<'_>, name: &CString, flags: AtFlags) -> io::Result<()> {
    gone(unlinkat(at, name, flags).map_err(io::Error::from))
}

fn unlink_empty(at: BorrowedFd<'_>, name: &CString) -> io::Result<bool> {
    match unlinkat(at, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // files that may tear
mod tests {
    use super::*;

    #[test]
    fn links_are_removed_and_not_followed() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (outside, inside) = (dir.path().join("outside"), dir.path().join("inside"));
        fs::create_dir_all(outside.join("kept")).expect("folder");
        fs::create_dir_all(inside.join("a/b/c/.removing-1")).expect("folder");
        fs::create_dir_all(inside.join(".removing-1/x/y")).expect("folder");
        fs::write(inside.join("a/b/file"), b"1").expect("file");
        std::os::unix::fs::symlink(&outside, inside.join("a/b/link")).expect("link");
        std::os::unix::fs::symlink(&outside, inside.join("link")).expect("link");
        tree(&inside).expect("removed");
        assert!(!inside.exists() && outside.join("kept").is_dir());
        tree(&inside).expect("nothing there is success");
        std::os::unix::fs::symlink(&outside, &inside).expect("link");
        tree(&inside).expect("removed");
        assert!(fs::symlink_metadata(&inside).is_err() && outside.join("kept").is_dir());
    }

    #[test]
    fn no_depth_is_too_deep() {
        let dir = tempfile::tempdir().expect("temp dir");
        let root = dir.path().join("root");
        let chain = "d/".repeat(1500);
        fs::create_dir_all(root.join("n0").join(&chain)).expect("folders");
        // One chain is hung below the next: far deeper than a path can say.
        for n in 1..4 {
            let next = root.join(format!("n{n}")).join(&chain);
            fs::create_dir_all(&next).expect("folders");
            fs::rename(root.join(format!("n{}", n - 1)), next.join("x")).expect("move");
        }
        fs::write(root.join("n3/d/file"), b"1").expect("file");
        tree(&root).expect("removed");
        assert!(!root.exists());
    }
}
