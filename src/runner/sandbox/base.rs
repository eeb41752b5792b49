//! The root that all children of a server share, built once by the zygote: an empty tmpfs with the few
//! read-only things every program needs, and empty places for what each gets of its own.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use super::attach::{Rights, attach, open_mount, restrict};
use super::jail::{Failure, Step as _};
use super::{BUNDLE, Bind, CODE, HOME, JOB, JOB_FOLDERS, JOB_HOME};
use crate::runner::MAIN;

const NONE: Option<&str> = None;
const ETC: &[(&str, &str)] = &[
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ("hosts", "127.0.0.1 localhost app\n::1 localhost app\n"),
    ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:3 attempts:2\n"),
];

/// What scripts of a package.json call, written for Bun: they work without a single program of the host. The
/// rest (`rm`, `mkdir`, `mv`, `ls`, …) is built into Bun's shell.
const PROGRAMS: &[(&str, &str)] = &[
    ("sh", include_str!("programs/sh.js")),
    ("cat", include_str!("programs/cat.js")),
    ("cp", include_str!("programs/cp.js")),
];

/// Mounts it at `at`, sealed. In a mount namespace of the caller's own.
pub(super) fn build(at: &Path, binds: &[Bind]) -> Result<(), Failure> {
    // What the server mounts later (homes) shall appear here; nothing from here goes back.
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE).step("follow the server's mounts")?;
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), at, Some("tmpfs"), plain, Some("size=2m,mode=755")).step("mount the root")?;
    for folder in ["bin", "etc", "dev", "proc", "run", "tmp", "sys/fs/cgroup/memory", "sys/fs/cgroup/cpu"] {
        folder_in(at, Path::new(folder)).step(&format!("make /{folder}"))?;
    }
    let jobs = (0..JOB_FOLDERS).map(|n| PathBuf::from(format!("{JOB}/{n}")));
    for folder in [CODE, HOME, JOB_HOME, BUNDLE].into_iter().map(PathBuf::from).chain(jobs) {
        folder_in(at, inside(&folder)).step(&format!("make {}", folder.display()))?;
    }
    // What a process that waits is started with, and never runs: by then an app's own bundle lies over it.
    File::create(at.join(inside(Path::new(BUNDLE))).join(MAIN))
        .and_then(|mut file| file.write_all(b"process.exit(111);\n"))
        .step(&format!("make {BUNDLE}/{MAIN}"))?;
    stubs(at).step("write /etc")?;
    devices(at)?;
    for bind in binds {
        bind_in(at, bind)?;
    }
    // Nobody need list them: what is in them is the same for all. (Landlock denies it too, but to those that waited.)
    let closed = ["/", "/home", JOB, JOB_HOME].map(PathBuf::from).into_iter();
    for folder in closed.chain((0..JOB_FOLDERS).map(|n| PathBuf::from(format!("{JOB}/{n}")))) {
        let path = at.join(inside(&folder));
        fs::set_permissions(path, fs::Permissions::from_mode(0o111)).step(&format!("close {}", folder.display()))?;
    }
    let root = open_mount(at).step("find the root")?;
    restrict(std::os::fd::AsFd::as_fd(&root), Rights { execute: true, ..Rights::default() }, None).step("seal the root")
}

fn devices(at: &Path) -> Result<(), Failure> {
    for name in ["null", "zero", "full", "random", "urandom"] {
        let to = at.join("dev").join(name);
        File::create(&to).step(&format!("make /dev/{name}"))?;
        let rights = Rights { write: true, devices: true, execute: false };
        attach(&Path::new("/dev").join(name), &to, rights, None).step(&format!("mount /dev/{name}"))?;
    }
    for (name, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        symlink(target, at.join("dev").join(name)).step(&format!("link /dev/{name}"))?;
    }
    Ok(())
}

/// The few files a program looks up who and where it is from. Who it is differs: `/run` is each child's own.
fn stubs(at: &Path) -> io::Result<()> {
    for (name, text) in ETC {
        File::create(at.join("etc").join(name))?.write_all(text.as_bytes())?;
    }
    for name in ["passwd", "group"] {
        symlink(format!("/run/{name}"), at.join("etc").join(name))?;
    }
    for (name, text) in PROGRAMS {
        let program = at.join("bin").join(name);
        File::create(&program)?.write_all(text.as_bytes())?;
        fs::set_permissions(program, fs::Permissions::from_mode(0o755))?;
    }
    symlink("bun", at.join("bin/node"))?;
    symlink("bun", at.join("bin/bunx"))
}

fn bind_in(at: &Path, bind: &Bind) -> Result<(), Failure> {
    let name = bind.to.display();
    let meta = match fs::metadata(&bind.from) {
        Err(_) if bind.optional => return Ok(()),
        other => other.step(&format!("find what is mounted on {name}"))?,
    };
    let to = at.join(inside(&bind.to));
    if meta.is_dir() {
        folder_in(at, inside(&bind.to)).step(&format!("make {name}"))?;
    } else {
        if let Some(parent) = inside(&bind.to).parent() {
            folder_in(at, parent).step(&format!("make {name}"))?;
        }
        OpenOptions::new().create(true).append(true).open(&to).step(&format!("make {name}"))?;
    }
    attach(&bind.from, &to, Rights { execute: true, ..Rights::default() }, None).step(&format!("mount {name}"))
}

/// A path of the child's, without its first slash.
pub(super) fn inside(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// Makes `inside` below `at`, each new part with mode 755 whatever the umask.
pub(super) fn folder_in(at: &Path, inside: &Path) -> io::Result<()> {
    let mut path = at.to_owned();
    for part in inside.components() {
        path.push(part);
        match fs::create_dir(&path) {
            Ok(()) => fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
