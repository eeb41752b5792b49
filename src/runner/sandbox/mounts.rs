//! What one child sees: the shared root, and in its empty places its own code, home, `/tmp` and `/proc`.
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};

use super::attach::{self, Rights, Unmapped, attach, open_mount};
use super::base::{folder_in, inside};
use super::jail::{Failure, Step as _};
use super::{HOME, RUN, Root};

const NONE: Option<&str> = None;

/// Attaches all of it and leaves the old root for good. In namespaces of the caller's own. `owners`: the user namespace
/// that was made for it, where one is needed. Answers the folder of the socket, where there is one.
pub(super) fn enter(root: &Root, owners: Option<Unmapped>) -> Result<Option<OwnedFd>, Failure> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).step("make mounts private")?;
    let at = root.at.as_path();
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let tmpfs = |to: &str, options: &str| mount(Some("tmpfs"), &at.join(to), Some("tmpfs"), quiet, Some(options));
    tmpfs("run", "size=64k,mode=755,nr_inodes=64").step("mount /run")?;
    who(&at.join("run"), root.uid).step("write /run")?;
    let socket = root.socket.then(|| socket_folder(at, root.uid)).transpose().step(&format!("make {RUN}"))?;
    tmpfs("tmp", &tmp_options(root.tmp_bytes)).step("mount /tmp")?;
    // A parked program's folders come later.
    let owners = if root.binds.iter().any(|bind| bind.writable) { mapped(root, owners)? } else { None };
    for bind in &root.binds {
        let name = bind.to.display();
        let to = at.join(inside(&bind.to));
        if bind.to.starts_with("/run") {
            folder_in(at, inside(&bind.to)).step(&format!("make {name}"))?;
        }
        let rights = Rights { write: bind.writable, execute: bind.execute, devices: false };
        let owners = owners.as_ref().filter(|_| bind.writable).map(|o| o.as_fd());
        attach(&bind.from, &to, rights, owners).step(&format!("mount {name}"))?;
    }
    // Only processes, and of them only its own: neither the machine's settings nor its devices.
    mount(Some("proc"), &at.join("proc"), Some("proc"), quiet, Some("hidepid=2,subset=pid")).step("mount /proc")?;
    chdir(at).step("enter the root")?;
    pivot_root(".", ".").step("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).step("leave the old root")?;
    chdir("/").step("enter the root")?;
    Ok(socket)
}

/// What maps the owners of a child's writable folders, where that is needed: `made`, or else a new one.
pub(super) fn mapped(root: &Root, made: Option<Unmapped>) -> Result<Option<OwnedFd>, Failure> {
    let Some(disk) = root.disk.filter(|disk| *disk != root.uid) else { return Ok(None) };
    let mapped = made.map_or_else(|| attach::owners(disk, root.uid), |made| made.map(disk, root.uid));
    mapped.map(Some).step("map owners")
}

pub(super) fn tmp_options(bytes: u64) -> String {
    format!("size={},mode=1777,nr_inodes=20000", bytes.max(1 << 20))
}

/// On the small `/run`, so that what a child puts there takes no room of the host's disk.
fn socket_folder(at: &Path, uid: u32) -> io::Result<OwnedFd> {
    let inside = inside(Path::new(RUN));
    folder_in(at, inside)?;
    let path = at.join(inside);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
    std::os::unix::fs::chown(&path, Some(uid), Some(uid))?;
    open_mount(&path)
}

fn who(run: &Path, uid: u32) -> io::Result<()> {
    let put = |name: &str, text: String| File::create(run.join(name))?.write_all(text.as_bytes());
    put("passwd", format!("root:x:0:0:::\napp:x:{uid}:{uid}::{HOME}:/bin/sh\n"))?;
    put("group", format!("root:x:0:\napp:x:{uid}:\n"))
}

/// Makes `folder` and all inside belong to `uid`, if its top does not yet. No link is followed.
pub(super) fn give(folder: &Path, uid: u32) -> io::Result<()> {
    if fs::symlink_metadata(folder)?.uid() == uid {
        return Ok(());
    }
    let mut waiting = vec![folder.to_owned()];
    // The top changes last, so that an interrupted walk starts again.
    let mut folders: Vec<PathBuf> = Vec::new();
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            } else {
                std::os::unix::fs::lchown(entry.path(), Some(uid), Some(uid))?;
            }
        }
        folders.push(dir);
    }
    folders.iter().rev().try_for_each(|dir| std::os::unix::fs::lchown(dir, Some(uid), Some(uid)))
}
