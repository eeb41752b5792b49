//! Loop devices: one per mounted image, never two for one image, gone with the last mount.
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};

use super::sys;

/// Bytes of a block, of the device and of the file systems made here.
pub const BLOCK: u64 = 4096;

/// An attached image. The device stays while this or a mount of it lives.
pub struct Loop {
    pub device: File,
    /// A path to `device` for `mount`.
    path: PathBuf,
}

impl Loop {
    /// Attaches `image`, or finds the device it is attached to already: a second device for one image would
    /// be a second, blind writer. `scratch` is for the node where /dev lacks it.
    pub fn attach(image: &Path, scratch: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(image)?;
        if let Some(found) = attached(image, &file, scratch)? {
            return Ok(found);
        }
        let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
        let mut busy = 0;
        loop {
            let number = sys::loop_free(control.as_fd())?;
            let node = node(&format!("loop{number}"), scratch)?;
            let device = OpenOptions::new().read(true).write(true).open(&node)?;
            let set = |flags| sys::loop_configure(device.as_fd(), file.as_fd(), flags, BLOCK as u32);
            let direct = set(sys::LOOP_AUTOCLEAR | sys::LOOP_DIRECT_IO);
            let set = match direct {
                // Not every file system can do without the page cache.
                Err(e) if e.raw_os_error() == Some(nix::libc::EINVAL) => set(sys::LOOP_AUTOCLEAR),
                other => other,
            };
            match set {
                Ok(()) => return Ok(Self { device, path: node }),
                // Another was quicker.
                Err(e) if e.raw_os_error() == Some(nix::libc::EBUSY) && busy < 100 => busy += 1,
                Err(e) => return Err(e),
            }
        }
    }

    pub fn mount(&self, on: &Path) -> io::Result<()> {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOATIME;
        // discard: what an app deletes leaves the image too. noinit_itable: nothing is written unasked.
        let options = Some("discard,noinit_itable,errors=remount-ro");
        Ok(mount(Some(&self.path), on, Some("ext4"), flags, options)?)
    }
}

/// The device that has `image` already.
fn attached(image: &Path, file: &File, scratch: &Path) -> io::Result<Option<Loop>> {
    let meta = file.metadata()?;
    let Ok(devices) = fs::read_dir("/sys/block") else { return Ok(None) };
    for entry in devices.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let backing = entry.path().join("loop/backing_file");
        if !name.starts_with("loop") || !backing.exists() {
            continue;
        }
        let Ok(path) = node(&name, scratch) else { continue };
        let Ok(device) = OpenOptions::new().read(true).write(true).open(&path) else { continue };
        // Held open from here on: it cannot let go of its file between this look and the mount.
        let Ok(status) = sys::loop_status(device.as_fd()) else { continue };
        let same = status.device == meta.dev() && status.inode == meta.ino();
        // A subvolume shows another device number than the kernel has inside.
        let named = fs::read(&backing).is_ok_and(|said| said.trim_ascii_end() == image.as_os_str().as_encoded_bytes());
        if same || (status.inode == meta.ino() && named) {
            return Ok(Some(Loop { device, path }));
        }
    }
    Ok(None)
}

/// The device node, made in `scratch` where /dev has none (containers).
fn node(name: &str, scratch: &Path) -> io::Result<PathBuf> {
    let usual = Path::new("/dev").join(name);
    if usual.exists() {
        return Ok(usual);
    }
    let own = scratch.join(name);
    if own.exists() {
        return Ok(own);
    }
    let number = fs::read_to_string(Path::new("/sys/block").join(name).join("dev"))?;
    let part = |at| number.trim().split(':').nth(at).and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
    let device = rustix::fs::makedev(part(0), part(1));
    let path = CString::new(own.as_os_str().as_encoded_bytes()).map_err(io::Error::other)?;
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::BlockDevice, mode, device)?;
    Ok(own)
}

/// Whether something is mounted exactly at `path`.
pub fn is_mounted(path: &Path) -> io::Result<bool> {
    let found = rustix::fs::statx(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS);
    match found {
        Ok(found) if found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) => {
            Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
        }
        // Kernels before 5.8 do not say it.
        Ok(_) => Ok(mounts_below(path)?.iter().any(|mounted| mounted == path)),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// The device mounted exactly at `path`.
pub fn mounted_device(path: &Path) -> io::Result<Option<u64>> {
    Ok(if is_mounted(path)? { Some(fs::symlink_metadata(path)?.dev()) } else { None })
}

/// Whether `image` is attached to any device: mounted somewhere, here or in a child's namespace.
pub fn is_attached(image: &Path, scratch: &Path) -> io::Result<bool> {
    attached(image, &File::open(image)?, scratch).map(|found| found.is_some())
}

/// Whether what is mounted at `path` is `image`.
pub fn is_mount_of(path: &Path, image: &Path, scratch: &Path) -> io::Result<bool> {
    let file = File::open(image)?;
    let Some(found) = attached(image, &file, scratch)? else { return Ok(false) };
    Ok(found.device.metadata()?.rdev() == fs::symlink_metadata(path)?.dev())
}

/// Takes the mount away from here; who has it in a namespace of its own keeps it. Nothing there is success.
pub fn unmount(path: &Path) -> io::Result<()> {
    match umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Ext4 mounts of loop devices below `folder`.
pub fn mounts_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let text = fs::read_to_string("/proc/thread-self/mountinfo")?;
    let mut found = Vec::new();
    for line in text.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let Some(path) = left.split(' ').nth(4).map(unescape) else { continue };
        let mut right = right.split(' ');
        let (kind, source) = (right.next().unwrap_or_default(), right.next().unwrap_or_default());
        if kind == "ext4"
            && source.rsplit('/').next().unwrap_or_default().starts_with("loop")
            && path.starts_with(folder)
        {
            found.push(path);
        }
    }
    Ok(found)
}

/// `\040` and the like of mountinfo.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 8).ok());
        match (first, octal) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes))
}
