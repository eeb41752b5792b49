use std::os::unix::fs::symlink;

use super::*;
use crate::runner::sandbox::disk::{beside, image, loops};

#[test]
fn what_a_killed_server_left_is_found_again() {
    with_images(|root, disk| {
        let home = home(root, "1");
        let held = disk.prepare(&home, 1, quota(16 * MIB, 500)).expect("prepare");
        fs::write(home.join("file"), b"kept").expect("write");
        // No release: the next server finds the mount, and a child of the last one has a file open.
        let open = fs::File::open(home.join("file")).expect("open");
        std::mem::forget(held);
        let next = Disk::probe(root, &root.join("tmp"), true);
        assert!(!loops::is_mounted(&home).expect("look"), "left-over mounts are detached");
        let next = if next.active() == Kind::Image { next } else { disk_of(Kind::Image, root) };
        let _held = next.prepare(&home, 1, quota(16 * MIB, 500)).expect("prepare again");
        assert_eq!(loops_of(root).len(), 1, "one image, one device, although the old one is still in use");
        fs::write(home.join("file"), b"more").expect("write");
        let mut seen = String::new();
        io::Read::read_to_string(&mut &open, &mut seen).expect("read");
        assert_eq!(seen, "more", "both see one file system");
    });
}

#[test]
fn mounts_end_with_their_namespace() {
    if !can_have_images() {
        return with_images(|_, _| ());
    }
    let dir = tempfile::tempdir().expect("temp dir");
    fs::create_dir(dir.path().join("tmp")).expect("scratch");
    let home = home(dir.path(), "1");
    apart(|| {
        let held = disk_of(Kind::Image, dir.path()).prepare(&home, 1, quota(16 * MIB, 500)).expect("prepare");
        fs::write(home.join("file"), b"kept").expect("write");
        std::mem::forget(held);
    });
    assert!(!loops::is_mounted(&home).expect("look"));
    until_no_loops(dir.path());
    apart(|| {
        let _held = disk_of(Kind::Image, dir.path()).prepare(&home, 1, quota(16 * MIB, 500)).expect("prepare");
        assert_eq!(fs::read(home.join("file")).expect("there"), b"kept");
    });
}

#[test]
fn an_interrupted_move_is_undone_or_finished() {
    with_images(|root, disk| {
        let home = home(root, "1");
        fs::write(home.join("file"), b"first").expect("write");
        // Killed before the image was whole: what is half made goes, and all is tried again.
        fs::write(beside(&home, ".img.new"), b"half").expect("write");
        fs::create_dir(beside(&home, ".new")).expect("folder");
        drop(disk.prepare(&home, 1, quota(16 * MIB, 500)).expect("prepare"));
        assert_eq!(fs::read(home.join("file")).expect("there"), b"first");
        fs::write(home.join("file"), b"second").expect("write");
        disk.release(&home).expect("release");
        // Killed after the image was whole: the folder still has what was copied.
        fs::write(home.join("file"), b"first").expect("write");
        fs::create_dir(beside(&home, ".old")).expect("folder");
        drop(disk.prepare(&home, 1, quota(16 * MIB, 500)).expect("prepare"));
        assert_eq!(fs::read(home.join("file")).expect("there"), b"second", "the image is the truth");
        disk.release(&home).expect("release");
        assert!(fs::read_dir(&home).expect("list").next().is_none() && !beside(&home, ".old").exists());
        // Killed between the two renames of the folder.
        fs::rename(&home, beside(&home, ".old")).expect("rename");
        drop(disk.prepare(&home, 1, quota(16 * MIB, 500)).expect("prepare"));
        assert_eq!(fs::read(home.join("file")).expect("there"), b"second");
    });
}

#[test]
fn an_image_that_cannot_be_mounted_is_never_taken_for_an_empty_home() {
    with_images(|root, disk| {
        let home = home(root, "1");
        let held = disk.prepare(&home, 1, quota(16 * MIB, 500)).expect("prepare");
        fs::write(home.join("file"), b"kept").expect("write");
        drop(held);
        disk.release(&home).expect("release");
        until_no_loops(root);
        // A server that would only count still mounts it: the data is in there.
        let counting = disk_of(Kind::Accounting, root);
        let held = counting.prepare(&home, 1, quota(16 * MIB, 500)).expect("mounted");
        assert_eq!(fs::read(home.join("file")).expect("there"), b"kept");
        drop(held);
        counting.release(&home).expect("release");
        until_no_loops(root);
        fs::write(image::image(&home), b"no file system").expect("spoil");
        let error = counting.prepare(&home, 1, quota(16 * MIB, 500)).err().expect("refused");
        assert!(error.to_string().contains("cannot prepare the home"), "{error}");
    });
}

#[test]
fn a_damaged_image_is_mended() {
    with_images(|root, disk| {
        let home = home(root, "1");
        let held = disk.prepare(&home, 1, quota(16 * MIB, 500)).expect("prepare");
        fs::write(home.join("file"), b"kept").expect("write");
        drop(held);
        disk.release(&home).expect("release");
        until_no_loops(root);
        // The first group's checksum does not fit any more: the kernel refuses it, and e2fsck knows what to do.
        let image = fs::OpenOptions::new().write(true).open(image::image(&home)).expect("open");
        std::os::unix::fs::FileExt::write_at(&image, &[0xff; 2], 4096 + 0x1e).expect("spoil");
        drop(image);
        let _held = disk.prepare(&home, 1, quota(16 * MIB, 500)).expect("mended");
        assert_eq!(fs::read(home.join("file")).expect("there"), b"kept");
    });
}

#[test]
fn hostile_trees_are_moved_and_lead_nowhere() {
    with_images(|root, disk| {
        let outside = root.join("outside");
        fs::create_dir(&outside).expect("folder");
        fs::write(outside.join("secret"), b"secret").expect("write");
        let home = home(root, "1");
        symlink(&outside, home.join("link")).expect("link");
        symlink("..", home.join("up")).expect("link");
        symlink("loop", home.join("loop")).expect("link");
        fs::create_dir_all(home.join("d/".repeat(900))).expect("deep");
        fs::write(home.join("-rf"), b"1").expect("write");
        fs::write(home.join("new\nline \x1b[2J"), b"1").expect("write");
        fs::create_dir(home.join("lost+found")).expect("folder of its own");
        fs::write(home.join("lost+found/mine"), b"mine").expect("write");
        let made = disk.prepare(&home, 1, quota(16 * MIB, 5000));
        let _held = made.expect("prepare");
        assert!(fs::symlink_metadata(home.join("link")).expect("meta").is_symlink());
        assert_eq!(fs::read(home.join("new\nline \x1b[2J")).expect("there"), b"1");
        assert!(home.join("d/".repeat(900)).is_dir());
        assert_eq!(fs::read(outside.join("secret")).expect("untouched"), b"secret");
        assert_eq!(fs::read(home.join("lost+found/mine")).expect("there"), b"mine");
        // A home that is a link is nobody's home.
        let other = super::home(root, "2");
        fs::remove_dir(&other).expect("remove");
        symlink(&outside, &other).expect("link");
        assert!(disk.prepare(&other, 2, quota(16 * MIB, 500)).is_err());
        assert_eq!(fs::read(outside.join("secret")).expect("untouched"), b"secret");
    });
}
