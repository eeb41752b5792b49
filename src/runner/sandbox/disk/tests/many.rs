use super::*;
use crate::runner::sandbox::disk::{MOUNTED, loops};

#[test]
fn two_hundred_rounds_leak_no_device() {
    with_images(|root, disk| {
        let homes = [home(root, "1"), home(root, "2")];
        for round in 0..200 {
            let home = &homes[round % 2];
            let held = disk.prepare(home, 1, quota(8 * MIB, 100)).expect("prepare");
            fs::write(home.join("round"), format!("{round}")).expect("write");
            assert_eq!(disk.release(home).expect_err("in use").kind(), io::ErrorKind::ResourceBusy);
            drop(held);
            disk.release(home).expect("release");
            assert!(!home.join("round").exists());
        }
        until_no_loops(root);
        let _held = disk.prepare(&homes[1], 1, quota(8 * MIB, 100)).expect("prepare");
        assert_eq!(fs::read(homes[1].join("round")).expect("there"), b"199");
    });
}

#[test]
fn the_longest_unused_are_unmounted_above_a_number() {
    with_images(|root, disk| {
        let homes: Vec<_> = (0..MOUNTED + 6).map(|n| home(root, &n.to_string())).collect();
        let first = disk.prepare(&homes[0], 1, quota(8 * MIB, 50)).expect("prepare");
        for home in &homes[1..] {
            drop(disk.prepare(home, 1, quota(8 * MIB, 50)).expect("prepare"));
        }
        let mounted: Vec<bool> = homes.iter().map(|home| loops::is_mounted(home).expect("look")).collect();
        assert!(mounted[0], "it is in use");
        assert_eq!(mounted.iter().filter(|m| **m).count(), MOUNTED);
        assert!(!mounted[1] && mounted[MOUNTED + 5]);
        drop(first);
        for home in &homes {
            disk.release(home).expect("release");
        }
        until_no_loops(root);
    });
}
