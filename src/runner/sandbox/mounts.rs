//! The root a child sees: an empty tmpfs with the few things it needs bound in, pivoted to.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, pivot_root, sethostname};

use super::jail::{Failure, Step};
use super::{Bind, Root};

const NONE: Option<&str> = None;

/// New namespaces, a new root, and no way back to the old one.
pub(super) fn build(root: &Root) -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS).step("unshare")?;
    sethostname("app").step("set the host name")?;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).step("make mounts private")?;
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), &root.at, Some("tmpfs"), plain, Some("size=2m,mode=755")).step("mount the root")?;
    let at = root.at.as_path();
    for (folder, mode) in [("bin", 0o755), ("etc", 0o755), ("proc", 0o555), ("dev", 0o755), ("tmp", 0o1777)] {
        folder_in(at, Path::new(folder), mode).step(&format!("make /{folder}"))?;
    }
    let tmp = format!("size={},mode=1777,nr_inodes=20000", root.tmp_bytes.max(1 << 20));
    mount(Some("tmpfs"), &at.join("tmp"), Some("tmpfs"), plain, Some(tmp.as_str())).step("mount /tmp")?;
    devices(at)?;
    stubs(at, root.uid).step("write /etc")?;
    for bind in &root.binds {
        bind_in(at, bind)?;
    }
    // hidepid: of /proc a child sees the processes of its own uid only.
    let proc_flags = plain | MsFlags::MS_NOEXEC;
    mount(Some("proc"), &at.join("proc"), Some("proc"), proc_flags, Some("hidepid=2")).step("mount /proc")?;
    chdir(at).step("enter the root")?;
    pivot_root(".", ".").step("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).step("leave the old root")?;
    chdir("/").step("enter the root")?;
    let sealed = plain | MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(NONE, "/", NONE, sealed, NONE).step("seal the root")
}

fn devices(at: &Path) -> Result<(), Failure> {
    for name in ["null", "zero", "full", "random", "urandom"] {
        let to = at.join("dev").join(name);
        File::create(&to).step(&format!("make /dev/{name}"))?;
        let from = Path::new("/dev").join(name);
        mount(Some(&from), &to, NONE, MsFlags::MS_BIND, NONE).step(&format!("mount /dev/{name}"))?;
    }
    for (name, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        symlink(target, at.join("dev").join(name)).step(&format!("link /dev/{name}"))?;
    }
    Ok(())
}

/// The few files a program looks up who and where it is from.
fn stubs(at: &Path, uid: u32) -> io::Result<()> {
    let put = |name: &str, text: &str| File::create(at.join("etc").join(name))?.write_all(text.as_bytes());
    put("passwd", &format!("root:x:0:0:::\napp:x:{uid}:{uid}::{}:/bin/sh\n", super::HOME))?;
    put("group", &format!("root:x:0:\napp:x:{uid}:\n"))?;
    put("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")?;
    let sh = at.join("bin/sh");
    File::create(&sh)?.write_all(SH.as_bytes())?;
    fs::set_permissions(sh, fs::Permissions::from_mode(0o755))?;
    symlink("bun", at.join("bin/node"))?;
    symlink("bun", at.join("bin/bunx"))
}

/// `sh -c TEXT` is Bun's own shell: scripts and `exec` work without a single program of the host.
const SH: &str = "#!/bin/bun
const at = process.argv.indexOf('-c');
const run = Bun.spawnSync(['/bin/bun', 'exec', process.argv[at + 1] ?? ''], { stdio: ['inherit', 'inherit', 'inherit'] });
process.exit(run.exitCode ?? 1);
";

fn bind_in(at: &Path, bind: &Bind) -> Result<(), Failure> {
    let name = bind.to.display();
    let meta = match fs::metadata(&bind.from) {
        Err(_) if bind.optional => return Ok(()),
        other => other.step(&format!("find what is mounted on {name}"))?,
    };
    let inside = bind.to.strip_prefix("/").unwrap_or(&bind.to);
    let to = at.join(inside);
    if meta.is_dir() {
        folder_in(at, inside, 0o755).step(&format!("make {name}"))?;
    } else {
        if let Some(parent) = inside.parent() {
            folder_in(at, parent, 0o755).step(&format!("make {name}"))?;
        }
        OpenOptions::new().create(true).append(true).open(&to).step(&format!("make {name}"))?;
    }
    mount(Some(&bind.from), &to, NONE, MsFlags::MS_BIND, NONE).step(&format!("mount {name}"))?;
    let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    if !bind.writable {
        flags |= MsFlags::MS_RDONLY;
    }
    mount(NONE, &to, NONE, flags, NONE).step(&format!("protect {name}"))
}

/// Makes `inside` below `at`, each new part with `mode` whatever the umask.
fn folder_in(at: &Path, inside: &Path, mode: u32) -> io::Result<()> {
    let mut path = at.to_owned();
    for part in inside.components() {
        path.push(part);
        match fs::create_dir(&path) {
            Ok(()) => fs::set_permissions(&path, fs::Permissions::from_mode(mode))?,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
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
