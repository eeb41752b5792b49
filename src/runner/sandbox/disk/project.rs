//! Project quotas: the file system counts what carries an app's project id, and refuses what is above.
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use super::walk::{Bounds, Visit, walk};
use super::{Quota, Usage, sys};

/// A home that takes longer is a home on a broken disk.
const MARKING: Bounds = Bounds { entries: 50_000_000, time: Duration::from_secs(1800) };

/// Why not, in words, when project quotas do not work here.
pub fn probe(data_root: &Path, scratch: &Path) -> Result<(), String> {
    let root = File::open(data_root).map_err(|e| e.to_string())?;
    match sys::project_enforced(root.as_fd()) {
        Ok(true) => {}
        Ok(false) => return Err("the file system counts projects but does not limit them".into()),
        Err(e) => {
            return Err(match e.raw_os_error() {
                Some(nix::libc::ENOSYS) => "the kernel has no quota support, or is older than 5.14".into(),
                Some(nix::libc::EPERM | nix::libc::EACCES) => "quotas may not be set by this user".into(),
                _ => "the file system is not mounted with project quotas".into(),
            });
        }
    }
    // What is enforced must also be settable by us, on a file of ours.
    let trial = scratch.join(format!("quota-{}", crate::base::secret::random_token(6)));
    let done = crate::base::fs::make_dir(&trial, 0o700).and_then(|()| {
        let folder = File::open(&trial)?;
        let limits = sys::get_quota(folder.as_fd(), TRIAL)?;
        mark(folder.as_fd(), TRIAL, true)?;
        sys::set_quota(folder.as_fd(), TRIAL, 1 << 20, 10)?;
        let set = sys::get_quota(folder.as_fd(), TRIAL)?;
        sys::set_quota(folder.as_fd(), TRIAL, limits.block_hard * 1024, limits.inode_hard)?;
        let counted = set.inode_hard == 10 && set.inodes > limits.inodes;
        if counted { Ok(()) } else { Err(io::Error::other("a trial folder was not counted")) }
    });
    let _ = crate::base::fs::remove_tree(&trial);
    done.map_err(|e| format!("a trial failed: {e}"))
}

/// The project id of the trial; apps' ids are their uids.
const TRIAL: u32 = 0x5354_4459;

/// Gives `home` and all inside to the project, and the project its limits.
pub fn prepare(home: &Path, id: u32, quota: Quota) -> io::Result<()> {
    let top = File::open(home)?;
    sys::set_quota(top.as_fd(), id, quota.bytes, quota.files)?;
    let now = sys::get_xattr(top.as_fd())?;
    if now.projid == id && now.xflags & sys::PROJECT_INHERIT != 0 {
        return Ok(());
    }
    // Links get their mark by being made in a marked folder.
    let links = super::beside(home, ".links");
    crate::base::fs::remove_tree(&links)?;
    crate::base::fs::make_dir(&links, 0o700)?;
    let folder = File::open(&links)?;
    mark(folder.as_fd(), id, true)?;
    // The top last: an interrupted walk is begun again.
    let mut marking = Mark { id, top: rustix::fs::fstat(&top)?.st_ino, links: folder };
    let marked = match walk(home, MARKING, &mut marking)? {
        None => mark(top.as_fd(), id, true),
        Some(cut) => Err(io::Error::other(format!("its files could not all be counted to it: {cut:?}"))),
    };
    crate::base::fs::remove_tree(&links)?;
    marked
}

pub fn usage(home: &Path) -> io::Result<Usage> {
    let top = File::open(home)?;
    let id = sys::get_xattr(top.as_fd())?.projid;
    let found = sys::get_quota(top.as_fd(), id)?;
    let limit = Quota { bytes: found.block_hard * 1024, files: found.inode_hard };
    Ok(Usage { bytes: found.space, files: found.inodes, limit })
}

/// Takes the limits of a home that goes away back, so that nothing is left in the quota file.
pub fn forget(home: &Path) -> io::Result<()> {
    let top = File::open(home)?;
    match sys::get_xattr(top.as_fd())?.projid {
        0 => Ok(()),
        id => sys::set_quota(top.as_fd(), id, 0, 0),
    }
}

fn mark(file: BorrowedFd<'_>, id: u32, folder: bool) -> io::Result<()> {
    let mut value = sys::get_xattr(file)?;
    value.projid = id;
    if folder {
        value.xflags |= sys::PROJECT_INHERIT;
    }
    sys::set_xattr(file, value)
}

struct Mark {
    id: u32,
    top: u64,
    links: File,
}

impl Visit for Mark {
    fn folder(&mut self, here: BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
        if stat.st_ino == self.top { Ok(()) } else { mark(here, self.id, true) }
    }

    fn entry(&mut self, here: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> io::Result<()> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match rustix::fs::openat(here, name, flags, Mode::empty()) {
                    Ok(file) => mark(file.as_fd(), self.id, false),
                    Err(Errno::NOENT) => Ok(()),
                    Err(e) => Err(e.into()),
                }
            }
            FileType::Symlink => self.link_anew(here, name, stat),
            // Pipes and sockets cannot be marked, and hold nothing.
            _ => Ok(()),
        }
    }
}

impl Mark {
    /// A link cannot be marked, and unmarked it could never be renamed: a new one takes its place.
    fn link_anew(&self, here: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> io::Result<()> {
        let target = rustix::fs::readlinkat(here, name, Vec::new())?;
        rustix::fs::symlinkat(&target, &self.links, c"link")?;
        let (user, group) = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
        rustix::fs::chownat(&self.links, c"link", user, group, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(rustix::fs::renameat(&self.links, c"link", here, name)?)
    }
}
