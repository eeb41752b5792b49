//! A home as an image of its own: `home.img`, sparse ext4, beside the folder it is mounted on.
//!
//! What lies there says how far an interrupted change came: `home.img.new` is half made and goes; `home.img`
//! is whole and is the home; `home.old`, or anything in the unmounted folder, was copied into it before.
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::loops::{self, BLOCK, Loop};
use super::mkfs::{self, Shape};
use super::walk::{self, Bounds, Counted};
use super::{Quota, Usage, beside, sys};
use crate::base::fs::{remove_tree, rename_durable, sync_dir};

/// The smallest image: less has no room for a journal.
pub const SMALLEST: u64 = 8 << 20;
/// A home that takes longer to look at is on a broken disk.
const ALL: Bounds = Bounds { entries: 50_000_000, time: Duration::from_secs(1800) };

/// How ext4 says at mounting that a file system is not sound.
const DAMAGED: [i32; 4] = [nix::libc::EUCLEAN, nix::libc::EBADMSG, nix::libc::EINVAL, nix::libc::EIO];

pub fn image(home: &Path) -> PathBuf {
    beside(home, ".img")
}

/// Whether this home is an image, mounted or not.
pub fn is_image(home: &Path) -> bool {
    image(home).exists()
}

/// Makes, mounts and grows as needed. The sentence says where the quota differs from what was asked.
/// `alone`: nobody else uses it.
pub fn prepare(home: &Path, scratch: &Path, quota: Quota, alone: bool) -> io::Result<Option<String>> {
    let quota = Quota { bytes: quota.bytes.max(SMALLEST), files: quota.files.max(16) };
    let image = image(home);
    let made = beside(home, ".img.new");
    if loops::is_mounted(home)? {
        if !loops::is_mount_of(home, &image, scratch)? {
            return Err(io::Error::other(format!("something that is not {} is mounted there", image.display())));
        }
    } else if image.exists() {
        forget_half(home, &made)?;
        mount(home, &image, scratch)?;
    } else {
        forget_half(home, &made)?;
        convert(home, &image, &made, scratch, quota)?;
    }
    fit(home, &image, scratch, quota, alone)
}

/// What an interrupted conversion left: its image, and the folder that was mounted to be looked at.
fn forget_half(home: &Path, made: &Path) -> io::Result<()> {
    let trial = beside(home, ".new");
    if loops::is_mounted(&trial)? {
        loops::unmount(&trial)?;
    }
    remove_tree(&trial)?;
    remove_tree(made)
}

/// Mounts a whole image on its folder. What lies in the folder itself was copied into the image before.
fn mount(home: &Path, image: &Path, scratch: &Path) -> io::Result<()> {
    clear(home)?;
    let mounted = Loop::attach(image, scratch)?.mount(home);
    match mounted {
        Err(e) if DAMAGED.iter().any(|n| e.raw_os_error() == Some(*n)) => {
            // Damaged, as by a disk that lied: e2fsck is there for that, but never on what somebody uses.
            if !is_let_go(image, scratch)? {
                return Err(e);
            }
            mkfs::repair(image).map_err(|why| io::Error::other(format!("{e}; {why}")))?;
            Loop::attach(image, scratch)?.mount(home)
        }
        other => other,
    }
}

/// An empty folder to mount on, which nobody but root may write should it ever stand bare.
fn clear(home: &Path) -> io::Result<()> {
    let old = beside(home, ".old");
    let empty = |path: &Path| fs::read_dir(path).map(|mut entries| entries.next().is_none());
    match fs::symlink_metadata(home) {
        Ok(meta) if meta.is_dir() && meta.uid() == 0 && empty(home)? => {}
        Ok(_) => {
            remove_tree(&old)?;
            rename_durable(home, &old)?;
            fs::DirBuilder::new().mode(0o700).create(home)?;
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => fs::DirBuilder::new().mode(0o700).create(home)?,
        Err(e) => return Err(e),
    }
    remove_tree(&old)
}

/// Makes an image of a plain folder and mounts it there. The rename of the image is the moment of truth.
fn convert(home: &Path, image: &Path, made: &Path, scratch: &Path, quota: Quota) -> io::Result<()> {
    let meta = fs::symlink_metadata(home)?;
    if !meta.is_dir() {
        return Err(io::Error::other("the home is not a folder"));
    }
    let before = counted(home)?;
    // More than its quota allows is kept; the quota stays above it.
    let room = |asked: u64, used: u64, extra: u64| if used > asked { used + used / 20 + extra } else { asked };
    let quota = Quota { bytes: room(quota.bytes, before.bytes, 1 << 20), files: room(quota.files, before.files, 16) };
    mkfs::make(made, Shape::of(quota), (before.files > 0).then_some(home))
        .map_err(|why| io::Error::other(format!("its image could not be made: {why}")))?;
    let trial = beside(home, ".new");
    crate::base::fs::make_dir(&trial, 0o700)?;
    let device = Loop::attach(made, scratch)?;
    device.mount(&trial)?;
    let done = (|| {
        // Every new ext4 has one; e2fsck makes it again when it needs it. One of the app's own stays.
        if fs::symlink_metadata(home.join("lost+found")).is_err() {
            remove_tree(&trial.join("lost+found"))?;
        }
        let top = File::open(&trial)?;
        fchown(&top, Some(meta.uid()), Some(meta.gid()))?;
        top.set_permissions(fs::Permissions::from_mode(meta.mode() & 0o7777))?;
        let after = counted(&trial)?;
        // A socket whose server has ended is of no use to anybody, and is left behind.
        if after.files - after.sockets != before.files - before.sockets {
            let text = format!("{} of its {} files reached the image", after.files, before.files);
            return Err(io::Error::other(text));
        }
        rustix::fs::syncfs(&top)?;
        File::open(made)?.sync_all()?;
        rename_durable(made, image)?;
        clear(home)?;
        device.mount(home)
    })();
    loops::unmount(&trial)?;
    remove_tree(&trial)?;
    if let Some(parent) = home.parent() {
        sync_dir(parent)?;
    }
    done
}

fn counted(home: &Path) -> io::Result<Counted> {
    let counted = walk::count(home, ALL)?;
    match counted.cut {
        None => Ok(counted),
        Some(cut) => Err(io::Error::other(format!("its files could not be counted: {cut:?}"))),
    }
}

/// Grows a mounted image to its quota. One that is larger stays: ext4 does not shrink while mounted, and a
/// power cut while it shrinks otherwise could cost the data.
fn fit(home: &Path, image: &Path, scratch: &Path, quota: Quota, alone: bool) -> io::Result<Option<String>> {
    let mut now = usage(home)?;
    if now.limit.bytes < quota.bytes {
        match grow_mounted(home, image, scratch, quota) {
            // Growing a mounted one takes a right (CAP_SYS_RESOURCE) that root in a container may lack.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied && alone => {
                grow_unmounted(home, image, scratch, quota.bytes - now.limit.bytes)?;
            }
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
            other => other?,
        }
        now = usage(home)?;
    }
    if now.limit.bytes < quota.bytes {
        return Ok(Some(format!(
            "the disk quota stays at {} instead of {} until nothing uses the data",
            super::size(now.limit.bytes),
            super::size(quota.bytes)
        )));
    }
    let more = |have: u64, asked: u64| have > asked + asked / 20 + (1 << 20);
    if more(now.limit.bytes, quota.bytes) {
        return Ok(Some(format!(
            "the disk quota stays at {}, although {} is asked: an image cannot shrink",
            super::size(now.limit.bytes),
            super::size(quota.bytes)
        )));
    }
    if now.limit.files < quota.files {
        return Ok(Some(format!(
            "the quota of files stays at {}, although {} is asked: an image cannot be given more",
            now.limit.files, quota.files
        )));
    }
    Ok(None)
}

fn grow_mounted(home: &Path, image: &Path, scratch: &Path, quota: Quota) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(image)?;
    let device = Loop::attach(image, scratch)?;
    let mounted = File::open(home)?;
    let mut extra = 0;
    for _ in 0..12 {
        let before = usage(home)?.limit.bytes;
        let missing = quota.bytes.saturating_sub(before).div_ceil(BLOCK);
        if missing == 0 {
            break;
        }
        let wanted = mkfs::blocks(&device.device)? + missing + extra;
        if file.metadata()?.len() < wanted * BLOCK {
            file.set_len(wanted * BLOCK)?;
        }
        sys::loop_grown(device.device.as_fd())?;
        sys::ext4_grow(mounted.as_fd(), wanted)?;
        // A last group that is too small to be one is left away: then a little more.
        extra = if usage(home)?.limit.bytes > before { 0 } else { extra + 1024 };
    }
    file.sync_all()
}

/// Whether nobody has it any more, in any namespace; the kernel takes a moment to let go.
fn is_let_go(image: &Path, scratch: &Path) -> io::Result<bool> {
    for _ in 0..40 {
        if !loops::is_attached(image, scratch)? {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    Ok(false)
}

/// Unmounts it for the time. When a child still has it in its namespace, nothing is done.
fn grow_unmounted(home: &Path, image: &Path, scratch: &Path, missing: u64) -> io::Result<()> {
    loops::unmount(home)?;
    let free = is_let_go(image, scratch)?;
    let grown = match free {
        true => mkfs::grow(image, missing.div_ceil(BLOCK)).map_err(io::Error::other),
        false => Ok(()),
    };
    mount(home, image, scratch)?;
    grown
}

/// Of a mounted home. What ext4 keeps for itself is not part of the limit.
pub fn usage(home: &Path) -> io::Result<Usage> {
    let found = rustix::fs::statvfs(home)?;
    let used = found.f_blocks.saturating_sub(found.f_bfree);
    let limit =
        Quota { bytes: (used + found.f_bavail) * found.f_frsize, files: found.f_files.saturating_sub(mkfs::RESERVED) };
    let files = found.f_files.saturating_sub(found.f_ffree).saturating_sub(mkfs::RESERVED);
    Ok(Usage { bytes: used * found.f_frsize, files, limit })
}

/// Bytes an unmounted image takes of the disk.
pub fn taken(home: &Path) -> io::Result<u64> {
    Ok(fs::metadata(image(home))?.blocks() * 512)
}

/// Removes the image for good. Who has it mounted in another namespace keeps it until it ends.
pub fn remove(home: &Path) -> io::Result<()> {
    if loops::is_mounted(home)? {
        loops::unmount(home)?;
    }
    forget_half(home, &beside(home, ".img.new"))?;
    remove_tree(&image(home))?;
    remove_tree(&beside(home, ".old"))
}
