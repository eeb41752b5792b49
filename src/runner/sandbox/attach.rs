//! Mounting by descriptor: a detached copy of a tree, its attributes set before anybody can see it, then
//! attached. Attributes are only ever added, as a user namespace demands.
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::path::Path;

use nix::libc;
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

const RDONLY: u64 = 0x1;
const NOSUID: u64 = 0x2;
const NODEV: u64 = 0x4;
const NOEXEC: u64 = 0x8;
const IDMAP: u64 = 0x0010_0000;

/// What may be done below a mount. Set-uid files never work; devices only where said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rights {
    pub write: bool,
    pub execute: bool,
    pub devices: bool,
}

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// Mounts `from` (a file or folder) on `to`. With `owners`, a user namespace, uids on disk are seen
/// through its map.
pub fn attach(from: &Path, to: &Path, rights: Rights, owners: Option<BorrowedFd<'_>>) -> io::Result<()> {
    put(detached(from, rights, owners)?.as_fd(), to)
}

/// The first half of [`attach`]: for a mount namespace where `from` has another name, or none.
pub fn detached(from: &Path, rights: Rights, owners: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, from, flags)?;
    restrict(tree.as_fd(), rights, owners)?;
    Ok(tree)
}

/// The second half.
pub fn put(tree: BorrowedFd<'_>, to: &Path) -> io::Result<()> {
    Ok(move_mount(tree, "", CWD, to, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Adds the restrictions to a mount given by a descriptor of its root.
pub fn restrict(mount: BorrowedFd<'_>, rights: Rights, owners: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut set = NOSUID;
    for (allowed, flag) in [(rights.write, RDONLY), (rights.execute, NOEXEC), (rights.devices, NODEV)] {
        if !allowed {
            set |= flag;
        }
    }
    let mut attr = MountAttr { set, clear: 0, propagation: 0, userns: 0 };
    if let Some(owners) = owners {
        attr.set |= IDMAP;
        attr.userns = u64::try_from(owners.as_raw_fd()).unwrap_or_default();
    }
    // SAFETY: an empty path with AT_EMPTY_PATH names the descriptor; the struct outlives the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(&attr),
            size_of::<MountAttr>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A user namespace that waits for its map, made before anybody knows whose it will be. A process of its own keeps it,
/// and ends when this is dropped; whoever made it reaps it in time.
pub struct Unmapped {
    child: super::clone::Cloned,
    _go: OwnedFd,
}

impl Unmapped {
    /// For a process with one thread.
    pub fn make() -> io::Result<Self> {
        let (wait, go) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        // SAFETY: fork-like, no shared memory; the child of this single-threaded process only reads and exits.
        let pid = unsafe { super::clone::clone(libc::CLONE_NEWUSER as u64, None)? };
        let Some(child) = pid else {
            drop(go);
            let _ = rustix::io::read(&wait, &mut [0u8; 1]);
            // SAFETY: ends the process without running anything else.
            unsafe { libc::_exit(0) };
        };
        Ok(Self { child, _go: go })
    }

    /// Its only map is `disk` ↔ `seen` from here on, for idmapped mounts. The descriptor keeps it.
    pub fn map(&self, disk: u32, seen: u32) -> io::Result<OwnedFd> {
        map(&self.child, disk, seen)
    }
}

/// The same in one go. Its process has gone when this returns.
pub fn owners(disk: u32, seen: u32) -> io::Result<OwnedFd> {
    let Unmapped { child, _go: go } = Unmapped::make()?;
    let space = map(&child, disk, seen);
    drop(go);
    child.reap();
    space
}

fn map(child: &super::clone::Cloned, disk: u32, seen: u32) -> io::Result<OwnedFd> {
    // Its number in the namespace that `/proc` shows, which may not be this process's.
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", child.pidfd.as_raw_fd()))?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).map(str::trim).unwrap_or_default();
    let at = Path::new("/proc").join(pid);
    for file in ["uid_map", "gid_map"] {
        super::jail::write_plain(&at.join(file), format!("{disk} {seen} 1").as_bytes())?;
    }
    Ok(std::fs::File::open(at.join("ns/user"))?.into())
}

/// Whether the file system of `folder` can be mounted with its owners mapped. Run where mounts are private.
pub fn can_map_owners(folder: &Path) -> bool {
    let try_it = || -> io::Result<()> {
        let space = owners(65_000, 65_001)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, folder, flags)?;
        restrict(tree.as_fd(), Rights::default(), Some(space.as_fd()))
    };
    try_it().is_ok()
}

/// A descriptor for the root of what is mounted at `path`.
pub fn open_mount(path: &Path) -> io::Result<OwnedFd> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: a plain open; the descriptor is owned from here on.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}
