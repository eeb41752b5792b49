use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use super::*;
use crate::runner::sandbox::disk::walk::{self, Bounds, Cut};

/// Whether the file system below `path` says that it limits projects.
pub(super) fn has_project_quota(path: &Path) -> bool {
    let device = fs::metadata(path).expect("meta").dev();
    let name = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    mounts.lines().filter(|line| line.split(' ').nth(2) == Some(&name)).any(|line| {
        line.rsplit(' ').next().is_some_and(|options| options.split(',').any(|o| o == "prjquota" || o == "pquota"))
    })
}

#[test]
fn the_best_means_there_is_is_chosen_and_shown() {
    let probe = |can_mount| {
        let dir = tempfile::tempdir().expect("temp dir");
        fs::create_dir(dir.path().join("tmp")).expect("scratch");
        let disk = Disk::probe(dir.path(), &dir.path().join("tmp"), can_mount);
        let wanted = match (has_project_quota(dir.path()), can_mount && can_have_images()) {
            (true, _) if rustix::process::geteuid().is_root() => Kind::Project,
            (_, true) => Kind::Image,
            _ => Kind::Accounting,
        };
        assert_eq!(disk.active(), wanted, "{:?}", disk.checks());
        // A machine made for a test says what it has.
        if let Ok(expected) = std::env::var("STEADY_TEST_DISK") {
            assert_eq!(disk.kind().0, expected);
        }
        let checks = disk.checks();
        let one = checks.iter().find(|check| check.name == "disk quota").expect("shown");
        assert_eq!(one.ok, wanted != Kind::Accounting);
        assert_eq!(one.fix.is_empty(), one.ok);
        assert!(one.found.contains("no project quota: ") != (wanted == Kind::Project), "{}", one.found);
        assert!(fs::read_dir(dir.path().join("tmp")).expect("list").next().is_none(), "the trial left something");
        until_no_loops(dir.path());
    };
    probe(false);
    if rustix::process::geteuid().is_root() && can_have_images() {
        apart(|| probe(true));
    } else {
        probe(rustix::process::geteuid().is_root());
    }
}

#[test]
fn counting_says_what_is_above() {
    let dir = tempfile::tempdir().expect("temp dir");
    let disk = Disk::accounting(dir.path());
    let home = home(dir.path(), "1");
    let _held = disk.prepare(&home, 1, quota(MIB, 20)).expect("prepare");
    assert!(disk.over_limit(&home).is_none() && disk.explain(&home).is_none());
    fs::write(home.join("large"), vec![1; 2 << 20]).expect("write");
    assert!(disk.over_limit(&home).is_none(), "not counted again yet");
    disk.count(&home).expect("count");
    let why = disk.over_limit(&home).expect("above");
    assert!(why.contains("its quota of 1 MiB"), "{why}");
    assert_eq!(disk.explain(&home), Some(why));
    let usage = disk.usage(&home).expect("usage");
    assert!(usage.bytes >= 2 * MIB && usage.limit.bytes == MIB);
    fs::remove_file(home.join("large")).expect("remove");
    for n in 0..30 {
        fs::write(home.join(n.to_string()), b"").expect("write");
    }
    disk.count(&home).expect("count");
    assert!(disk.over_limit(&home).expect("above").contains("more than 20 files"));
    for n in 0..30 {
        fs::remove_file(home.join(n.to_string())).expect("remove");
    }
    disk.count(&home).expect("count");
    assert!(disk.over_limit(&home).is_none());
}

const BOUNDS: Bounds = Bounds { entries: 100_000, time: Duration::from_secs(600) };

#[test]
fn a_count_follows_nothing_and_is_bounded() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (outside, home) = (dir.path().join("outside"), home(dir.path(), "1"));
    fs::create_dir(&outside).expect("folder");
    fs::write(outside.join("large"), vec![1; 4 << 20]).expect("write");
    symlink(&outside, home.join("link")).expect("link");
    symlink(outside.join("large"), home.join("file")).expect("link");
    fs::write(home.join("one"), vec![1; 100 << 10]).expect("write");
    fs::hard_link(home.join("one"), home.join("two")).expect("hard link");
    fs::File::create(home.join("sparse")).and_then(|file| file.set_len(1 << 40)).expect("sparse");
    let counted = walk::count(&home, BOUNDS).expect("count");
    assert_eq!((counted.files, counted.cut), (4, None), "a hard link is no second file");
    assert!((100 << 10..300 << 10).contains(&counted.bytes), "{counted:?}");
    let few = walk::count(&home, Bounds { entries: 2, ..BOUNDS }).expect("count");
    assert_eq!(few.cut, Some(Cut::Entries));
    fs::create_dir(home.join("folder")).expect("folder");
    let none = walk::count(&home, Bounds { time: Duration::ZERO, ..BOUNDS }).expect("count");
    assert_eq!(none.cut, Some(Cut::Time));
    assert!(walk::count(&home.join("link"), BOUNDS).is_err(), "a link is no home");
}

#[test]
fn no_nesting_is_too_deep_to_count() {
    let dir = tempfile::tempdir().expect("temp dir");
    let home = home(dir.path(), "1");
    let chain = "d/".repeat(1500);
    fs::create_dir_all(home.join("n0").join(&chain)).expect("folders");
    fs::write(home.join("n0").join(&chain).join("file"), b"1").expect("write");
    // One chain is hung below the next: deeper than a path or a table of descriptors.
    for n in 1..3 {
        let next = home.join(format!("n{n}")).join(&chain);
        fs::create_dir_all(&next).expect("folders");
        fs::rename(home.join(format!("n{}", n - 1)), next.join("x")).expect("move");
    }
    let counted = walk::count(&home, BOUNDS).expect("count");
    assert_eq!((counted.files, counted.cut), (3 * 1500 + 3 + 1, None));
    crate::base::fs::remove_tree(&home).expect("remove");
}

#[test]
fn a_folder_that_hides_its_content_is_told() {
    if rustix::process::geteuid().is_root() {
        // Root reads everything: nothing can be hidden from it.
        let dir = tempfile::tempdir().expect("temp dir");
        let home = home(dir.path(), "1");
        fs::create_dir(home.join("shut")).expect("folder");
        fs::write(home.join("shut/file"), b"1").expect("write");
        fs::set_permissions(home.join("shut"), fs::Permissions::from_mode(0o0)).expect("mode");
        assert_eq!(walk::count(&home, BOUNDS).expect("count").files, 2);
        // Without the rights of root the count says what it could not see.
        let denied = std::thread::scope(|scope| {
            let counting = scope.spawn(|| {
                let user = rustix::process::Uid::from_raw(70_001);
                std::os::unix::fs::chown(&home, Some(70_001), None).expect("chown");
                std::os::unix::fs::chown(home.join("shut"), Some(70_001), None).expect("chown");
                fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).expect("mode");
                rustix::thread::set_thread_uid(user).expect("uid");
                walk::count(&home, BOUNDS).expect("count")
            });
            counting.join().expect("thread")
        });
        assert_eq!(denied.cut, Some(Cut::Denied));
    } else {
        let dir = tempfile::tempdir().expect("temp dir");
        let home = home(dir.path(), "1");
        fs::create_dir(home.join("shut")).expect("folder");
        fs::set_permissions(home.join("shut"), fs::Permissions::from_mode(0o0)).expect("mode");
        assert_eq!(walk::count(&home, BOUNDS).expect("count").cut, Some(Cut::Denied));
    }
}

#[test]
fn the_floor_speaks_only_when_little_is_left() {
    let dir = tempfile::tempdir().expect("temp dir");
    let disk = Disk::accounting(dir.path());
    let found = rustix::fs::statvfs(dir.path()).expect("statvfs");
    let free = found.f_bavail * found.f_frsize;
    let low = free < (512 * MIB).min(found.f_blocks * found.f_frsize / 50)
        || found.f_files > 0 && found.f_favail < 10_000.min(found.f_files / 50);
    assert_eq!(disk.floor().is_some(), low);
    with_images(|root, disk| {
        // An image of its own stands for a small disk.
        let home = home(root, "1");
        let _held = disk.prepare(&home, 1, quota(16 * MIB, 200_000)).expect("prepare");
        let small = Disk::accounting(&home);
        assert_eq!(small.floor(), None);
        fill(&home.join("big"));
        let why = small.floor().expect("full");
        assert!(why.contains("nearly full"), "{why}");
    });
}
