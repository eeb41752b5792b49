//! The disk that a folder is on: limits of reads and writes are per whole disk, never per partition.
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor, stat};

use super::tree::put;

/// A block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    pub(super) major: u64,
    pub(super) minor: u64,
}

impl Disk {
    /// Errors: why there is none; half a sentence.
    pub(super) fn of(folder: &Path) -> Result<Self, String> {
        let number = device(folder)?;
        let at = fs::canonicalize(format!("/sys/dev/block/{number}"))
            .map_err(|e| format!("the disk {number} of {} is not shown in /sys: {e}", folder.display()))?;
        let whole = match at.parent() {
            Some(disk) if at.join("partition").exists() => disk,
            _ => &at,
        };
        let number = fs::read_to_string(whole.join("dev")).map_err(|e| format!("the disk has no number: {e}"))?;
        Self::parse(number.trim()).ok_or_else(|| format!("the disk has an odd number: {number}"))
    }

    fn parse(number: &str) -> Option<Self> {
        let (major, minor) = number.split_once(':')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// Whether the kernel takes limits for it: tried with none, below the given folder.
    pub(super) fn accepted(self, base: &Path, v2: bool) -> Result<(), String> {
        let Self { major, minor } = self;
        let tried = if v2 {
            put(&base.join("io.max"), &format!("{major}:{minor} rbps=max wbps=max"))
        } else {
            put(&base.join("blkio.throttle.read_bps_device"), &format!("{major}:{minor} 0"))
        };
        tried.map_err(|e| format!("the disk {major}:{minor} takes no limit: {e}"))
    }
}

/// `8:1`: of the file system itself, or of what it is mounted from where it makes up a number (btrfs).
fn device(folder: &Path) -> Result<String, String> {
    let of = |path: &Path| stat(path).map_err(|e| format!("{}: {e}", path.display()));
    let dev = of(folder)?.st_dev;
    if major(dev) != 0 {
        return Ok(format!("{}:{}", major(dev), minor(dev)));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|e| format!("/proc/self/mountinfo: {e}"))?;
    let folder = fs::canonicalize(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let (kind, source) = mounted_from(&mounts, &folder).ok_or("its file system is not listed")?;
    if !source.starts_with("/dev/") {
        return Err(format!("its file system ({kind}) has no disk of its own"));
    }
    let dev = of(&source)?.st_rdev;
    Ok(format!("{}:{}", major(dev), minor(dev)))
}

/// Kind and source of the file system that a folder is in: the last mount on the nearest parent.
fn mounted_from(mountinfo: &str, folder: &Path) -> Option<(String, PathBuf)> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let point = Path::new(left.split(' ').nth(4)?);
        let mut right = right.split(' ');
        let found = (right.next()?.to_owned(), PathBuf::from(right.next()?));
        folder.starts_with(point).then(|| (point.components().count(), found))
    });
    mounts.max_by_key(|(depth, _)| *depth).map(|(_, found)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_and_last_mount_counts() {
        let info = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:40 /sub /srv rw - btrfs /dev/sdb rw\n\
                    3 1 0:41 / /srv rw shared:1 - btrfs /dev/sdc rw\n4 1 0:5 / /srv2 rw - tmpfs none rw\n";
        let of = |folder: &str| mounted_from(info, Path::new(folder)).unwrap().1;
        assert_eq!(of("/srv/data"), Path::new("/dev/sdc"));
        assert_eq!(of("/home"), Path::new("/dev/sda1"));
        assert_eq!(of("/srv2/x"), Path::new("none"));
    }

    #[test]
    fn what_has_no_disk_says_so() {
        let why = Disk::of(Path::new("/proc/self")).unwrap_err();
        assert!(why.contains("(proc) has no disk"), "{why}");
    }
}
