//! Whether images work here, found by making, mounting and filling a tiny one.
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};

use super::{Quota, image, loops, mkfs};
use crate::base::fs::{make_dir, remove_tree};

/// Errors: why not, in words.
pub fn probe(scratch: &Path) -> Result<(), String> {
    if mkfs::find("mkfs.ext4").is_none() {
        return Err("there is no mkfs.ext4: install e2fsprogs".into());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err("there is no /dev/loop-control".into());
    }
    let folder = scratch.join(format!("trial-{}", crate::base::secret::random_token(6)));
    let home = folder.join("home");
    let done = make_dir(&folder, 0o700).and_then(|()| make_dir(&home, 0o700)).and_then(|()| fill(&home, scratch));
    let removed = image::remove(&home).and_then(|()| remove_tree(&folder));
    if let Err(error) = removed {
        tracing::warn!(folder = %folder.display(), %error, "a trial of a disk image was left behind");
    }
    done.map_err(|e| format!("a trial failed: {e}"))
}

fn fill(home: &Path, scratch: &Path) -> io::Result<()> {
    let quota = Quota { bytes: image::SMALLEST, files: 32 };
    image::prepare(home, scratch, quota, true)?;
    if !loops::is_mounted(home)? {
        return Err(io::Error::other("it was not mounted"));
    }
    let file = File::create(home.join("file"))?;
    fallocate(&file, FallocateFlags::empty(), 0, quota.bytes / 10 * 9)?;
    match fallocate(&file, FallocateFlags::empty(), 0, quota.bytes + (1 << 20)) {
        Err(rustix::io::Errno::NOSPC) => Ok(()),
        Err(e) => Err(e.into()),
        Ok(()) => Err(io::Error::other("more fits in it than its quota")),
    }
}
