//! The system calls for quotas and loop devices that no crate wraps.
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::libc;

/// `struct fsxattr`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FsXattr {
    pub xflags: u32,
    pub extsize: u32,
    pub nextents: u32,
    pub projid: u32,
    pub cowextsize: u32,
    pub pad: [u8; 8],
}

/// New files take the folder's project id.
pub const PROJECT_INHERIT: u32 = 0x200;

/// `struct if_dqblk`: limits in KiB, use in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Dqblk {
    pub block_hard: u64,
    pub block_soft: u64,
    pub space: u64,
    pub inode_hard: u64,
    pub inode_soft: u64,
    pub inodes: u64,
    pub block_time: u64,
    pub inode_time: u64,
    pub valid: u32,
}

/// Both limits of a [`Dqblk`] are meant.
const LIMITS_VALID: u32 = 1 | 4;

/// `struct fs_quota_statv`, of which only the version and the flags are used.
#[repr(C)]
struct QuotaState {
    version: i8,
    pad: u8,
    flags: u16,
    rest: [u64; 32],
}

/// `struct loop_info64`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LoopInfo {
    pub device: u64,
    pub inode: u64,
    pub rdevice: u64,
    pub offset: u64,
    pub size_limit: u64,
    pub number: u32,
    pub encrypt_type: u32,
    pub encrypt_key_size: u32,
    pub flags: u32,
    pub file_name: [u8; 64],
    pub crypt_name: [u8; 64],
    pub encrypt_key: [u8; 32],
    pub init: [u64; 2],
}

#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// The device lets its file go when nobody holds it any more.
pub const LOOP_AUTOCLEAR: u32 = 4;
/// The image's pages are cached once, not twice.
pub const LOOP_DIRECT_IO: u32 = 16;

const FS_GET: u64 = 0x801c_581f;
const FS_SET: u64 = 0x401c_5820;
const LOOP_GET_STATUS64: u64 = 0x4c05;
const LOOP_SET_CAPACITY: u64 = 0x4c07;
const LOOP_CONFIGURE: u64 = 0x4c0a;
const LOOP_CTL_GET_FREE: u64 = 0x4c82;
const EXT4_RESIZE: u64 = 0x4008_6610;

const PROJECT: i32 = 2;
const Q_GETQUOTA: i32 = 0x80_0007;
const Q_SETQUOTA: i32 = 0x80_0008;
const Q_XGETQSTATV: i32 = 0x5808;
/// Project quotas are counted and enforced.
const PROJECT_ENFORCED: u16 = 1 << 4 | 1 << 5;

fn checked(result: i64) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(result).map_err(io::Error::other) }
}

fn ioctl<T>(fd: BorrowedFd<'_>, request: u64, argument: &mut T) -> io::Result<i32> {
    // SAFETY: each request of this file is called with the structure it is defined for, alive for the call.
    checked(i64::from(unsafe { libc::ioctl(fd.as_raw_fd(), request as _, std::ptr::from_mut(argument)) }))
}

fn ioctl_plain(fd: BorrowedFd<'_>, request: u64) -> io::Result<i32> {
    // SAFETY: the requests called with no argument do not look at it.
    checked(i64::from(unsafe { libc::ioctl(fd.as_raw_fd(), request as _, 0) }))
}

fn quotactl<T>(fd: BorrowedFd<'_>, command: i32, id: u32, argument: &mut T) -> io::Result<i32> {
    let command = command << 8 | PROJECT;
    // SAFETY: each command of this file is called with the structure it is defined for, alive for the call.
    checked(unsafe { libc::syscall(libc::SYS_quotactl_fd, fd.as_raw_fd(), command, id, std::ptr::from_mut(argument)) })
}

pub fn get_xattr(file: BorrowedFd<'_>) -> io::Result<FsXattr> {
    let mut found = FsXattr::default();
    ioctl(file, FS_GET, &mut found).map(|_| found)
}

pub fn set_xattr(file: BorrowedFd<'_>, mut value: FsXattr) -> io::Result<()> {
    ioctl(file, FS_SET, &mut value).map(drop)
}

/// Whether the file system of `file` counts projects and refuses what is above their limits.
pub fn project_enforced(file: BorrowedFd<'_>) -> io::Result<bool> {
    let mut state = QuotaState { version: 1, pad: 0, flags: 0, rest: [0; 32] };
    quotactl(file, Q_XGETQSTATV, 0, &mut state)?;
    Ok(state.flags & PROJECT_ENFORCED == PROJECT_ENFORCED)
}

pub fn get_quota(file: BorrowedFd<'_>, project: u32) -> io::Result<Dqblk> {
    let mut found = Dqblk::default();
    quotactl(file, Q_GETQUOTA, project, &mut found).map(|_| found)
}

/// Hard limits; 0 = none.
pub fn set_quota(file: BorrowedFd<'_>, project: u32, bytes: u64, files: u64) -> io::Result<()> {
    let mut wanted =
        Dqblk { block_hard: bytes.div_ceil(1024), inode_hard: files, valid: LIMITS_VALID, ..Dqblk::default() };
    quotactl(file, Q_SETQUOTA, project, &mut wanted).map(drop)
}

/// The number of a loop device nobody uses, for this moment.
pub fn loop_free(control: BorrowedFd<'_>) -> io::Result<i32> {
    ioctl_plain(control, LOOP_CTL_GET_FREE)
}

pub fn loop_configure(device: BorrowedFd<'_>, file: BorrowedFd<'_>, flags: u32, block: u32) -> io::Result<()> {
    let fd = u32::try_from(file.as_raw_fd()).map_err(io::Error::other)?;
    let info = LoopInfo { flags, ..no_loop() };
    let mut config = LoopConfig { fd, block_size: block, info, reserved: [0; 8] };
    ioctl(device, LOOP_CONFIGURE, &mut config).map(drop)
}

/// Errors: `ENXIO` when nothing is attached.
pub fn loop_status(device: BorrowedFd<'_>) -> io::Result<LoopInfo> {
    let mut found = no_loop();
    ioctl(device, LOOP_GET_STATUS64, &mut found).map(|_| found)
}

/// Takes notice of a file that grew.
pub fn loop_grown(device: BorrowedFd<'_>) -> io::Result<()> {
    ioctl_plain(device, LOOP_SET_CAPACITY).map(drop)
}

/// Grows a mounted ext4 to `blocks`.
pub fn ext4_grow(mounted: BorrowedFd<'_>, mut blocks: u64) -> io::Result<()> {
    ioctl(mounted, EXT4_RESIZE, &mut blocks).map(drop)
}

fn no_loop() -> LoopInfo {
    LoopInfo {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: 0,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    }
}
