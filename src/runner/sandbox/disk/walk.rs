//! Walking a tree that hostile code may be changing: by descriptor, no link followed, bounded in entries and
//! time, and no deeper nesting than it can stand because only one folder is held open.
use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

use crate::base::Clock;

/// Where a walk gives up.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub entries: u64,
    pub time: Duration,
}

/// Why a walk did not see all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// More entries than allowed.
    Entries,
    Time,
    /// A folder that this user may not read.
    Denied,
    /// A folder was moved away while it was walked.
    Moved,
}

/// What is done at each place. `here` is the open folder.
pub trait Visit {
    /// All its entries were visited; its folders are not yet.
    fn folder(&mut self, here: BorrowedFd<'_>, stat: &Stat) -> io::Result<()>;
    /// Anything that is no folder.
    fn entry(&mut self, here: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> io::Result<()>;
}

struct Level {
    device: u64,
    inode: u64,
    /// Folders in it still to be walked.
    folders: Vec<CString>,
}

/// Walks `top` and all below on the same file system. `None` when nothing was left out.
pub fn walk(top: &Path, bounds: Bounds, visit: &mut dyn Visit) -> io::Result<Option<Cut>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let clock = Clock::stopwatch();
    let mut cut = None;
    let mut left = bounds.entries;
    let mut here = openat(CWD, top, flags, Mode::empty())?;
    let stat = fstat(&here)?;
    let device = stat.st_dev;
    let mut levels = vec![Level { device, inode: stat.st_ino, folders: Vec::new() }];
    if let Some(why) = read(&here, &stat, &mut levels, &mut left, visit)? {
        return Ok(Some(why));
    }
    while let Some(level) = levels.last_mut() {
        if clock.elapsed() > bounds.time {
            return Ok(Some(Cut::Time));
        }
        let Some(name) = level.folders.pop() else {
            levels.pop();
            let Some(parent) = levels.last() else { break };
            here = openat(&here, c"..", flags, Mode::empty())?;
            let stat = fstat(&here)?;
            if (stat.st_dev, stat.st_ino) != (parent.device, parent.inode) {
                return Ok(Some(Cut::Moved));
            }
            continue;
        };
        let inner = match openat(&here, &name, flags, Mode::empty()) {
            Ok(inner) => inner,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(Errno::ACCESS | Errno::PERM) => {
                cut = Some(Cut::Denied);
                continue;
            }
            Err(e) => return Err(e.into()),
        };
        let stat = fstat(&inner)?;
        if stat.st_dev != device {
            continue;
        }
        here = inner;
        levels.push(Level { device, inode: stat.st_ino, folders: Vec::new() });
        if let Some(why) = read(&here, &stat, &mut levels, &mut left, visit)? {
            return Ok(Some(why));
        }
    }
    Ok(cut)
}

fn read(
    here: &OwnedFd,
    stat: &Stat,
    levels: &mut [Level],
    left: &mut u64,
    visit: &mut dyn Visit,
) -> io::Result<Option<Cut>> {
    let Some(level) = levels.last_mut() else { return Ok(None) };
    for entry in Dir::read_from(here)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Some(fewer) = left.checked_sub(1) else { return Ok(Some(Cut::Entries)) };
        *left = fewer;
        let stat = match statat(here, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            // A folder that may be listed and not entered.
            Err(Errno::ACCESS) => return Ok(Some(Cut::Denied)),
            Err(e) => return Err(e.into()),
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            level.folders.push(name.to_owned());
        } else {
            visit.entry(here.as_fd(), name, &stat)?;
        }
    }
    visit.folder(here.as_fd(), stat).map(|()| None)
}

/// What a tree takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// As the disk has them: holes are nothing, hard links count once.
    pub bytes: u64,
    /// Files, folders and all else, without the top.
    pub files: u64,
    /// Of these.
    pub sockets: u64,
    pub cut: Option<Cut>,
}

#[derive(Default)]
struct Count {
    counted: Counted,
    linked: HashSet<u64>,
    folders: u64,
}

impl Visit for Count {
    fn folder(&mut self, _: BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
        self.folders += 1;
        self.counted.bytes += blocks(stat);
        Ok(())
    }
    fn entry(&mut self, _: BorrowedFd<'_>, _: &CStr, stat: &Stat) -> io::Result<()> {
        if stat.st_nlink < 2 || self.linked.insert(stat.st_ino) {
            self.counted.files += 1;
            let socket = FileType::from_raw_mode(stat.st_mode) == FileType::Socket;
            self.counted.sockets += u64::from(socket);
            self.counted.bytes += blocks(stat);
        }
        Ok(())
    }
}

fn blocks(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or(0) * 512
}

/// Errors: only what keeps the top from being opened, or a failing disk.
pub fn count(top: &Path, bounds: Bounds) -> io::Result<Counted> {
    let mut count = Count::default();
    let cut = walk(top, bounds, &mut count)?;
    let files = count.counted.files + count.folders.saturating_sub(1);
    Ok(Counted { files, cut, ..count.counted })
}
