//! Real file systems, real mounts. A test that mounts does it in a mount namespace of its own, so that nothing
//! is left on the machine however it ends.
#![allow(clippy::disallowed_methods)] // files that may tear
mod crash;
mod image;
mod many;
mod means;
mod project;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::{Disk, Kind, Quota, Shared, Table, mkfs};

const MIB: u64 = 1 << 20;

/// Whether images can work here at all, found otherwise than by the code under test.
fn can_have_images() -> bool {
    rustix::process::geteuid().is_root()
        && Path::new("/dev/loop-control").exists()
        && mkfs::find("mkfs.ext4").is_some()
        && std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWNS).is_ok()).join().expect("thread")
}

/// Runs `test` on a folder, in mounts of its own. Without the means for images it checks that none are promised.
fn with_images(test: impl FnOnce(&Path, &Disk) + Send) {
    if !can_have_images() {
        let dir = tempfile::tempdir().expect("temp dir");
        let disk = Disk::probe(dir.path(), dir.path(), rustix::process::geteuid().is_root());
        assert_ne!(disk.active(), Kind::Image);
        return;
    }
    apart(|| {
        let dir = tempfile::tempdir().expect("temp dir");
        let scratch = dir.path().join("tmp");
        fs::create_dir(&scratch).expect("scratch");
        test(dir.path(), &disk_of(Kind::Image, dir.path()));
    });
}

/// In a thread with a mount namespace of its own, which ends with it.
fn apart(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).expect("unshare");
            let none: Option<&str> = None;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private");
            test();
        });
        if let Err(panic) = done.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// The same kind on every machine.
fn disk_of(kind: Kind, root: &Path) -> Disk {
    let (data_root, scratch) = (root.to_owned(), root.join("tmp"));
    Disk(Arc::new(Shared { kind, data_root, scratch, why: [None, None], table: Table::default() }))
}

fn home(root: &Path, name: &str) -> PathBuf {
    let home = root.join("apps").join(name).join("home");
    fs::create_dir_all(&home).expect("home");
    home
}

fn quota(bytes: u64, files: u64) -> Quota {
    Quota { bytes, files }
}

/// Writes zeros until it is refused. How many bytes, and why it ended.
fn fill(path: &Path) -> (u64, io::Error) {
    let mut file = fs::File::create(path).expect("create");
    let piece = vec![7u8; 64 << 10];
    loop {
        if let Err(error) = file.write_all(&piece).and_then(|()| file.sync_data()) {
            return (file.metadata().expect("meta").blocks() * 512, error);
        }
    }
}

/// Loop devices whose file lies below `root`, deleted or not.
fn loops_of(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/block").expect("sysfs").flatten() {
        let backing = fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        if backing.starts_with(root.to_str().expect("text")) {
            found.push(backing);
        }
    }
    found
}

/// The kernel lets devices go a moment after the last mount is gone.
fn until_no_loops(root: &Path) {
    for _ in 0..600 {
        if loops_of(root).is_empty() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("still attached: {:?}", loops_of(root));
}
