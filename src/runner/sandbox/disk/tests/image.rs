use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::runner::sandbox::disk::{image, loops};

/// Polls, making the file system write what it holds back.
fn until_small(home: &Path, what: &str, bytes: impl Fn() -> u64, most: u64) {
    for _ in 0..600 {
        if bytes() < most {
            return;
        }
        rustix::fs::syncfs(fs::File::open(home).expect("open")).expect("sync");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{} bytes are still {what}", bytes());
}

#[test]
fn bytes_are_exact_and_what_is_deleted_can_be_written_again() {
    with_images(|root, disk| {
        let home = home(root, "1");
        let held = disk.prepare(&home, 1, quota(32 * MIB, 1000)).expect("prepare");
        assert!(held.note().is_none(), "{:?}", held.note());
        let empty = disk.usage(&home).expect("usage");
        assert!(empty.bytes < 64 << 10 && empty.files == 0, "{empty:?}");
        assert!(fs::read_dir(&home).expect("list").next().is_none(), "lost+found shows");
        assert!(disk.explain(&home).is_none());
        for round in 0..2 {
            let (written, error) = fill(&home.join("big"));
            assert_eq!(error.raw_os_error(), Some(nix::libc::ENOSPC));
            // The last piece may be refused whole.
            assert!(written.abs_diff(32 * MIB) <= 128 << 10, "{written} in round {round}");
            let why = disk.explain(&home).expect("full");
            assert!(why.starts_with("the disk quota of 32 MiB is full"), "{why}");
            fs::remove_file(home.join("big")).expect("remove");
            // What is freed is free once the disk below was told.
            until_small(&home, "in use", || disk.usage(&home).expect("usage").bytes, 64 << 10);
        }
        // The disk below gets it back too, but for the journal, some time after.
        until_small(&home, "taken below", || image::taken(&home).expect("taken"), 8 * MIB);
        drop(held);
        disk.remove(&home).expect("remove");
        until_no_loops(root);
    });
}

#[test]
fn files_are_exact() {
    with_images(|root, disk| {
        let home = home(root, "1");
        let _held = disk.prepare(&home, 1, quota(64 * MIB, 500)).expect("prepare");
        let limit = disk.usage(&home).expect("usage").limit;
        assert!((500..600).contains(&limit.files), "{limit:?}");
        let mut made = 0;
        let error = loop {
            match fs::File::create(home.join(format!("f{made}"))) {
                Ok(_) => made += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((error.raw_os_error(), made), (Some(nix::libc::ENOSPC), limit.files));
        assert_eq!(disk.usage(&home).expect("usage").files, made);
        let why = disk.explain(&home).expect("full");
        assert!(why.contains("files is full"), "{why}");
        fs::remove_file(home.join("f0")).expect("remove");
        fs::create_dir(home.join("folder")).expect("one more");
    });
}

#[test]
fn a_larger_quota_grows_while_mounted_and_a_smaller_one_says_so() {
    with_images(|root, disk| {
        let home = home(root, "1");
        drop(disk.prepare(&home, 1, quota(16 * MIB, 500)).expect("prepare"));
        fs::write(home.join("kept"), b"kept").expect("write");
        for bytes in [17 * MIB, 150 * MIB, 700 * MIB] {
            let more = disk.prepare(&home, 1, quota(bytes, 500)).expect("grow");
            assert!(more.note().is_none(), "{:?}", more.note());
            let limit = disk.usage(&home).expect("usage").limit.bytes;
            assert_eq!(fs::read(home.join("kept")).expect("there"), b"kept");
            assert!((bytes..bytes + bytes / 20 + 4 * MIB).contains(&limit), "{limit} for {bytes}");
        }
        let large = fs::File::create(home.join("large")).expect("create");
        rustix::fs::fallocate(&large, rustix::fs::FallocateFlags::empty(), 0, 600 * MIB).expect("there is room");
        drop(large);
        let less = disk.prepare(&home, 1, quota(16 * MIB, 500)).expect("kept");
        assert!(less.note().expect("a note").contains("stays at"), "{:?}", less.note());
        let files = disk.prepare(&home, 1, quota(16 * MIB, 5_000_000)).expect("kept");
        assert!(files.note().is_some());
        drop((less, files));
        disk.release(&home).expect("release");
        assert!(!home.join("kept").exists(), "it is unmounted");
        let _held = disk.prepare(&home, 1, quota(700 * MIB, 500)).expect("mount again");
        assert_eq!(fs::read(home.join("kept")).expect("there"), b"kept");
    });
}

#[test]
fn growing_waits_where_it_takes_unmounting_and_somebody_uses_it() {
    with_images(|root, disk| {
        let home = home(root, "1");
        let held = disk.prepare(&home, 1, quota(16 * MIB, 500)).expect("prepare");
        let open = fs::File::create(home.join("file")).expect("create");
        let may = rustix::thread::capabilities(None).expect("capabilities").effective;
        let may = may.contains(rustix::thread::CapabilitySet::SYS_RESOURCE);
        let more = disk.prepare(&home, 1, quota(32 * MIB, 500)).expect("prepare");
        assert_eq!(more.note().is_some_and(|note| note.contains("until nothing uses")), !may);
        drop((held, more));
        // Nobody is known to use it, but the file is open: as by a child in a namespace of its own.
        let more = disk.prepare(&home, 1, quota(48 * MIB, 500)).expect("prepare");
        assert_eq!(more.note().is_some(), !may);
        assert_eq!(fs::symlink_metadata(home.join("file")).expect("there").ino(), open.metadata().expect("meta").ino());
        drop((more, open));
        let more = disk.prepare(&home, 1, quota(48 * MIB, 500)).expect("prepare");
        assert_eq!(more.note(), None);
        assert!(disk.usage(&home).expect("usage").limit.bytes >= 48 * MIB);
    });
}

#[test]
fn an_existing_home_is_moved_into_its_image_whole() {
    with_images(|root, disk| {
        let home = home(root, "1");
        fs::create_dir_all(home.join("a/b")).expect("folders");
        fs::write(home.join("a/b/file"), b"text").expect("write");
        fs::hard_link(home.join("a/b/file"), home.join("a/twin")).expect("hard link");
        symlink("/etc/passwd", home.join("out")).expect("link");
        symlink("a/b", home.join("in")).expect("link");
        fs::set_permissions(home.join("a"), fs::Permissions::from_mode(0o2750)).expect("mode");
        std::os::unix::fs::chown(&home, Some(70_001), Some(70_002)).expect("chown");
        std::os::unix::fs::lchown(home.join("out"), Some(70_001), Some(70_001)).expect("chown");
        nix::unistd::mkfifo(&home.join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("pipe");
        drop(std::os::unix::net::UnixListener::bind(home.join("socket")).expect("socket"));
        let sparse = fs::File::create(home.join("sparse")).expect("create");
        std::os::unix::fs::FileExt::write_at(&sparse, b"end", 1 << 33).expect("write");
        let db = rusqlite::Connection::open(home.join("app.sqlite")).expect("open");
        db.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES (1),(41)").expect("fill");
        // The write-ahead log is there, as after a crash: the connection is not closed.
        assert!(home.join("app.sqlite-wal").metadata().expect("wal").len() > 0);
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).expect("mode");

        let held = disk.prepare(&home, 1, quota(64 * MIB, 1000)).expect("prepare");
        assert!(loops::is_mounted(&home).expect("look"));
        let top = fs::metadata(&home).expect("meta");
        assert_eq!((top.uid(), top.gid(), top.mode() & 0o7777), (70_001, 70_002, 0o700));
        assert_eq!(fs::read(home.join("in/file")).expect("through the link"), b"text");
        let (one, two) = (fs::metadata(home.join("a/b/file")), fs::metadata(home.join("a/twin")));
        assert_eq!(one.expect("meta").ino(), two.expect("meta").ino());
        assert_eq!(fs::metadata(home.join("a")).expect("meta").mode() & 0o7777, 0o2750);
        let out = fs::symlink_metadata(home.join("out")).expect("meta");
        assert!(out.is_symlink() && out.uid() == 70_001);
        let sparse = fs::metadata(home.join("sparse")).expect("meta");
        assert!(sparse.len() == (1 << 33) + 3 && sparse.blocks() * 512 < MIB);
        assert!(fs::symlink_metadata(home.join("pipe")).is_ok());
        let copy = rusqlite::Connection::open(home.join("app.sqlite")).expect("open");
        let sum: i64 = copy.query_row("SELECT sum(x) FROM t", [], |row| row.get(0)).expect("sum");
        assert_eq!(sum, 42);
        drop((db, copy, held));
        let beside: Vec<_> =
            fs::read_dir(home.parent().expect("parent")).expect("list").flatten().map(|e| e.file_name()).collect();
        assert_eq!(beside.len(), 2, "{beside:?}");
    });
}

#[test]
fn a_home_above_its_quota_keeps_all_and_says_so() {
    with_images(|root, disk| {
        let home = home(root, "1");
        fs::write(home.join("large"), vec![1; 20 << 20]).expect("write");
        for n in 0..100 {
            fs::write(home.join(format!("{n}")), b"1").expect("write");
        }
        let held = disk.prepare(&home, 1, quota(8 * MIB, 20)).expect("prepare");
        assert!(held.note().expect("a note").contains("stays at"), "{:?}", held.note());
        assert_eq!(fs::metadata(home.join("large")).expect("there").len(), 20 << 20);
        assert_eq!(fs::read_dir(&home).expect("list").count(), 101);
    });
}

#[test]
fn two_apps_fill_only_their_own() {
    with_images(|root, disk| {
        let homes = [home(root, "1"), home(root, "2")];
        std::thread::scope(|scope| {
            for home in &homes {
                let disk = disk.clone();
                // Threads of this one: they are in its mount namespace.
                scope.spawn(move || drop(disk.prepare(home, 1, quota(16 * MIB, 500)).expect("prepare")));
            }
        });
        let (written, _) = fill(&homes[0].join("big"));
        assert!(written >= 16 * MIB);
        assert!(disk.usage(&homes[1]).expect("usage").bytes < 64 << 10);
        fs::write(homes[1].join("file"), vec![1; 8 << 20]).expect("the neighbour writes");
        assert_ne!(fs::metadata(&homes[0]).expect("meta").dev(), fs::metadata(&homes[1]).expect("meta").dev());
        disk.remove(&homes[0]).expect("remove");
        assert!(fs::read_dir(&homes[0]).expect("list").next().is_none() && !image::is_image(&homes[0]));
        assert_eq!(fs::metadata(homes[1].join("file")).expect("there").len(), 8 << 20);
        let _again = disk.prepare(&homes[0], 1, quota(16 * MIB, 500)).expect("made anew");
        assert!(fs::read_dir(&homes[0]).expect("list").next().is_none(), "nothing of the old one");
    });
}
