use std::os::unix::fs::{chown, symlink};

use rustix::thread::CapabilitySet;

use super::means::has_project_quota;
use super::*;

/// Runs `test` on a file system with project quotas; elsewhere it checks that they are not chosen. TMPDIR
/// says where; the virtual machine of the tests has such a file system.
fn with_projects(test: impl FnOnce(&Path, &Disk)) {
    let dir = tempfile::tempdir().expect("temp dir");
    fs::create_dir(dir.path().join("tmp")).expect("scratch");
    let disk = Disk::probe(dir.path(), &dir.path().join("tmp"), false);
    if has_project_quota(dir.path()) && rustix::process::geteuid().is_root() {
        assert_eq!(disk.active(), Kind::Project, "{:?}", disk.checks());
        test(dir.path(), &disk);
    } else {
        assert_eq!(disk.active(), Kind::Accounting);
        assert!(disk.checks()[0].found.contains("no project quota: "), "{:?}", disk.checks());
    }
}

/// Root may go above every quota; apps are not root.
fn as_app<T: Send>(uid: u32, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(uid)).expect("uid");
            let now = rustix::thread::capabilities(None).expect("capabilities");
            assert!(!now.effective.contains(CapabilitySet::SYS_RESOURCE));
            work()
        });
        match done.join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn open_up(root: &Path) {
    for path in [root.to_owned(), root.join("apps")] {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o711)).expect("mode");
    }
}

#[test]
fn the_file_system_stops_bytes_and_files_exactly() {
    with_projects(|root, disk| {
        let (one, two) = (home(root, "1"), home(root, "2"));
        open_up(root);
        for (home, uid) in [(&one, 70_001), (&two, 70_002)] {
            chown(home, Some(uid), Some(uid)).expect("chown");
        }
        let held = disk.prepare(&one, 70_001, quota(8 * MIB, 50)).expect("prepare");
        let _other = disk.prepare(&two, 70_002, quota(8 * MIB, 50)).expect("prepare");
        assert!(held.note().is_none());
        let before = disk.usage(&one).expect("usage");
        assert_eq!((before.limit, before.files), (quota(8 * MIB, 50), 1), "the home itself counts");
        let (written, error) = as_app(70_001, || fill(&one.join("big")));
        assert_eq!(error.raw_os_error(), Some(nix::libc::EDQUOT));
        assert!((8 * MIB - (128 << 10)..=8 * MIB).contains(&written), "{written}");
        let why = disk.explain(&one).expect("full");
        assert!(why.starts_with("the disk quota of 8 MiB is full"), "{why}");
        as_app(70_002, || fs::write(two.join("file"), vec![1; 4 << 20])).expect("the neighbour writes");
        fs::remove_file(one.join("big")).expect("remove");
        let made = as_app(70_001, || (0..100).take_while(|n| fs::write(one.join(format!("{n}")), b"").is_ok()).count());
        assert_eq!(made, 49);
        assert!(disk.explain(&one).expect("full").contains("50 files is full"));
        let _more = disk.prepare(&one, 70_001, quota(9 * MIB, 60)).expect("a new quota");
        as_app(70_001, || fs::write(one.join("one more"), b"1")).expect("room");
        let _less = disk.prepare(&one, 70_001, quota(9 * MIB, 10)).expect("a smaller one");
        assert!(as_app(70_001, || fs::write(one.join("another"), b"1")).is_err());
        assert!(disk.usage(&one).expect("usage").files > 10, "nothing is taken away");
    });
}

#[test]
fn an_existing_home_is_counted_whole() {
    with_projects(|root, disk| {
        let home = home(root, "1");
        open_up(root);
        fs::create_dir_all(home.join("a/b")).expect("folders");
        fs::write(home.join("a/b/file"), vec![1; 1 << 20]).expect("write");
        fs::write(home.join("top"), vec![1; 1 << 20]).expect("write");
        fs::hard_link(home.join("top"), home.join("a/twin")).expect("hard link");
        symlink("/etc/passwd", home.join("link")).expect("link");
        symlink("b/file", home.join("a/inner")).expect("link");
        nix::unistd::mkfifo(&home.join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("pipe");
        for path in ["", "a", "a/b", "a/b/file", "top", "link", "a/inner", "pipe"] {
            std::os::unix::fs::lchown(home.join(path), Some(70_003), Some(70_003)).expect("chown");
        }
        let _held = disk.prepare(&home, 70_003, quota(8 * MIB, 50)).expect("prepare");
        let usage = disk.usage(&home).expect("usage");
        assert!((2 * MIB..2 * MIB + (128 << 10)).contains(&usage.bytes), "{usage:?}");
        // home, a, b, file, top, two links; a pipe cannot be marked.
        assert_eq!(usage.files, 7);
        let link = fs::symlink_metadata(home.join("a/inner")).expect("meta");
        assert_eq!((link.uid(), fs::read_link(home.join("a/inner")).expect("link")), (70_003, "b/file".into()));
        as_app(70_003, || {
            fs::rename(home.join("link"), home.join("a/link")).expect("a link can be moved");
            fs::rename(home.join("a/b/file"), home.join("file")).expect("a file can be moved");
        });
        assert!(!beside_exists(&home), "helpers were left");
        let _again = disk.prepare(&home, 70_003, quota(8 * MIB, 50)).expect("again");
        disk.usage(&home).expect("usage");
    });
}

fn beside_exists(home: &Path) -> bool {
    fs::read_dir(home.parent().expect("parent")).expect("list").count() != 1
}

#[test]
fn removing_gives_bytes_and_limits_back() {
    with_projects(|root, disk| {
        let home = home(root, "1");
        let held = disk.prepare(&home, 70_004, quota(8 * MIB, 50)).expect("prepare");
        fs::write(home.join("file"), vec![1; 1 << 20]).expect("write");
        drop(held);
        disk.remove(&home).expect("remove");
        assert_eq!(disk.usage(&home).expect("usage").limit, quota(0, 0));
        crate::base::fs::remove_tree(&home).expect("remove");
        fs::create_dir(&home).expect("again");
        let _held = disk.prepare(&home, 70_004, quota(8 * MIB, 50)).expect("prepare");
        assert!(disk.usage(&home).expect("usage").bytes < 64 << 10);
    });
}
