//! The oracle: money that must add up, and a ledger in which every transaction up to the snapshot is there and none after.
//! `integrity_check` alone would call wrong copies right.
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::keep::Keep;
use super::manifest::Manifest;
use super::scan::Order;
use super::take::take;

const MONEY: i64 = 100_000;
const ACCOUNTS: i64 = 100;

struct World {
    dir: tempfile::TempDir,
    keep: Keep,
    moment: u64,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        fs::create_dir(dir.path().join("home")).expect("home");
        let keep = Keep::new(dir.path().join("kept"));
        Self { dir, keep, moment: 0 }
    }
    fn home(&self) -> std::path::PathBuf {
        self.dir.path().join("home")
    }
    /// As the job and the server do it, one after the other.
    fn take(&mut self) -> (Manifest, u64) {
        self.moment += 1;
        let out = tempfile::tempdir().expect("temp dir");
        let order = Order { moment: self.moment, epoch: 1, time: 0, patience: Duration::from_secs(20) };
        take(&self.home(), &self.keep.last().expect("last"), out.path(), order, 1 << 40).expect("takes");
        self.keep.adopt(out.path()).expect("adopts")
    }
    fn lay(&self, moment: u64) -> tempfile::TempDir {
        let laid = tempfile::tempdir().expect("temp dir");
        self.keep.lay(&self.keep.manifest(moment).expect("list"), laid.path()).expect("lays");
        laid
    }
}

fn open(path: &Path) -> Connection {
    let db = Connection::open(path).expect("opens");
    db.busy_timeout(Duration::from_secs(20)).expect("timeout");
    db
}

fn found_bank(db: &Connection, setup: &str) {
    db.execute_batch(&format!(
        "{setup}; CREATE TABLE account(id INTEGER PRIMARY KEY, money INTEGER);
         CREATE TABLE ledger(n INTEGER PRIMARY KEY, note TEXT);
         WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {ACCOUNTS})
         INSERT INTO account SELECT i, {} FROM c",
        MONEY / ACCOUNTS
    ))
    .expect("founds");
}

/// One transaction: money moves, and the ledger has its number.
fn transact(db: &Connection, n: i64) {
    let (from, to) = (n * 7 % ACCOUNTS + 1, n * 13 % ACCOUNTS + 1);
    db.execute_batch(&format!(
        "BEGIN IMMEDIATE; UPDATE account SET money = money - 1 WHERE id = {from};
         UPDATE account SET money = money + 1 WHERE id = {to};
         INSERT INTO ledger VALUES ({n}, hex(randomblob({}))); COMMIT",
        10 + n % 900
    ))
    .expect("transacts");
}

/// The number of the last transaction in it.
fn judge(path: &Path) -> i64 {
    let db = open(path);
    let one = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).expect(sql);
    let whole: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("check");
    assert_eq!((whole.as_str(), one("SELECT sum(money) FROM account")), ("ok", MONEY));
    let (count, last) = (one("SELECT count(*) FROM ledger"), one("SELECT coalesce(max(n), 0) FROM ledger"));
    assert_eq!(count, last, "a transaction is missing, or one is there before those before it");
    last
}

/// Each snapshot under a writer is of one moment, holds all that was committed before it began, and stays restorable.
fn under_a_writer(setup: &str, hostile: &[&str]) {
    let mut world = World::new();
    let path = world.home().join("bank.db");
    found_bank(&open(&path), setup);
    let stop = AtomicBool::new(false);
    let committed = std::sync::atomic::AtomicI64::new(0);
    let mut last_of = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut db = open(&path);
            for n in 1.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                transact(&db, n);
                committed.store(n, Ordering::SeqCst);
                if let Some(act) = hostile.get(n as usize % 16) {
                    // Another connection's lock may forbid it just now; what matters is what it leaves.
                    let _ = db.execute_batch(act);
                }
                if n % 50 == 0 {
                    db = open(&path);
                }
            }
        });
        for _ in 0..12 {
            std::thread::sleep(Duration::from_millis(15));
            let before = committed.load(Ordering::SeqCst);
            let (manifest, _) = world.take();
            let after = committed.load(Ordering::SeqCst) + 1;
            assert_eq!(manifest.notes, Vec::<String>::new());
            last_of.push((world.moment, before, after));
        }
        stop.store(true, Ordering::Relaxed);
    });
    for (moment, before, after) in &last_of {
        let last = judge(&world.lay(*moment).path().join("bank.db"));
        assert!((*before..=*after).contains(&last), "moment {moment}: {last} is not from {before} to {after}");
    }
    // Half of them go; the others are what they were.
    let wanted = last_of.iter().map(|(moment, ..)| *moment).filter(|moment| moment % 3 == 0).collect();
    world.keep.prune(&wanted).expect("prunes");
    for (moment, before, after) in last_of.iter().filter(|(moment, ..)| wanted.contains(moment)) {
        let last = judge(&world.lay(*moment).path().join("bank.db"));
        assert!((*before..=*after).contains(&last));
    }
}

#[test]
fn a_writer_with_a_write_ahead_log() {
    under_a_writer("PRAGMA journal_mode=WAL", &[]);
}

#[test]
fn a_writer_with_a_rollback_journal() {
    under_a_writer("PRAGMA journal_mode=DELETE", &[]);
}

#[test]
fn a_writer_who_does_everything_at_once() {
    let hostile = [
        "VACUUM",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA journal_mode=DELETE",
        "CREATE TABLE grow(x); INSERT INTO grow SELECT randomblob(3000) FROM account",
        "DROP TABLE grow; PRAGMA incremental_vacuum",
        "PRAGMA journal_mode=WAL",
        "BEGIN; ALTER TABLE ledger RENAME TO book; ALTER TABLE book RENAME TO ledger; COMMIT",
        "PRAGMA wal_checkpoint(RESTART)",
        "PRAGMA journal_mode=TRUNCATE; PRAGMA journal_mode=PERSIST",
        "CREATE INDEX IF NOT EXISTS by_note ON ledger(note)",
        "DROP INDEX IF EXISTS by_note; PRAGMA journal_mode=WAL",
    ];
    for page in [512, 4096, 65536] {
        under_a_writer(&format!("PRAGMA page_size={page}; PRAGMA auto_vacuum=INCREMENTAL"), &hostile);
    }
}

#[test]
fn other_files_come_back_as_they_were_and_cost_nothing_twice() {
    let mut world = World::new();
    let home = world.home();
    fs::create_dir_all(home.join("data/deep")).expect("folder");
    let write = |name: &str, bytes: &[u8]| {
        std::io::Write::write_all(&mut fs::File::create(home.join(name)).expect("file"), bytes).expect("write");
    };
    let large: Vec<u8> = (0..3_000_000u32).flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 8).to_le_bytes()).collect();
    write("data/large.bin", &large);
    write("data/deep/empty", b"");
    write("note.txt", b"first");
    std::os::unix::fs::symlink("/etc/passwd", home.join("link")).expect("link");
    let (_, first) = world.take();
    assert!(first > 5_000_000, "{first}");
    write("note.txt", b"second");
    let (_, second) = world.take();
    assert!(second < 3000, "what has not changed is kept once: {second}");
    let (one, two) = (world.lay(1), world.lay(2));
    assert_eq!(fs::read(one.path().join("note.txt")).expect("note"), b"first");
    assert_eq!(fs::read(two.path().join("note.txt")).expect("note"), b"second");
    assert_eq!(fs::read(two.path().join("data/large.bin")).expect("large"), large);
    assert!(two.path().join("data/deep/empty").exists() && fs::symlink_metadata(two.path().join("link")).is_err());
}

#[test]
fn a_hundred_snapshots_of_small_changes_cost_little_more_than_one() {
    let mut world = World::new();
    let db = open(&world.home().join("bank.db"));
    found_bank(&db, "PRAGMA journal_mode=WAL");
    db.execute_batch("CREATE TABLE bulk(x); INSERT INTO bulk SELECT randomblob(50000) FROM account").expect("bulk");
    let (_, first) = world.take();
    let later: u64 = (1..=100)
        .map(|n| {
            transact(&db, n);
            world.take().1
        })
        .sum();
    assert!(later < first, "{later} after {first}");
    assert_eq!(judge(&world.lay(51).path().join("bank.db")), 50);
}

#[test]
fn a_database_that_is_kept_locked_is_told_and_the_rest_is_taken() {
    let mut world = World::new();
    let locked = open(&world.home().join("locked.db"));
    locked.execute_batch("PRAGMA locking_mode=EXCLUSIVE; CREATE TABLE t(x); INSERT INTO t VALUES (1)").expect("lock");
    fs::copy(world.home().join("locked.db"), world.home().join("free.db")).expect("copy");
    world.moment += 1;
    let out = tempfile::tempdir().expect("temp dir");
    let order = Order { moment: 1, epoch: 1, time: 0, patience: Duration::from_millis(50) };
    take(&world.home(), &world.keep.last().expect("last"), out.path(), order, 1 << 30).expect("takes");
    let (manifest, _) = world.keep.adopt(out.path()).expect("adopts");
    assert_eq!(manifest.databases.len(), 1);
    assert!(manifest.notes[0].contains("locked.db") && manifest.notes[0].contains("locked"), "{:?}", manifest.notes);
}

#[test]
fn what_the_job_forged_is_refused() {
    let mut world = World::new();
    found_bank(&open(&world.home().join("bank.db")), "PRAGMA journal_mode=WAL");
    std::io::Write::write_all(&mut fs::File::create(world.home().join("a")).expect("file"), b"a").expect("write");
    let tries: [&dyn Fn(&Path); 4] = [
        // A chunk with another content than its name says.
        &|out| {
            let chunk = fs::read_dir(out.join("chunks")).expect("chunks").next().expect("one").expect("entry").path();
            let other = zstd::bulk::compress(b"other", 1).expect("packs");
            std::io::Write::write_all(&mut fs::File::create(chunk).expect("file"), &other).expect("write");
        },
        // A link where a file should be.
        &|out| {
            let chunk = fs::read_dir(out.join("chunks")).expect("chunks").next().expect("one").expect("entry").path();
            fs::remove_file(&chunk).expect("remove");
            std::os::unix::fs::symlink("/etc/hostname", chunk).expect("link");
        },
        // Pages of which a byte was changed.
        &|out| {
            let pages = fs::read_dir(out.join("db")).expect("db").next().expect("one").expect("entry").path();
            let mut bytes = fs::read(&pages).expect("read");
            let end = bytes.len() - 3;
            bytes[end] ^= 1;
            std::io::Write::write_all(&mut fs::File::create(pages).expect("file"), &bytes).expect("write");
        },
        &|out| fs::remove_file(out.join("manifest.json")).expect("remove"),
    ];
    for forge in tries {
        world.moment += 1;
        let out = tempfile::tempdir().expect("temp dir");
        let order = Order { moment: world.moment, epoch: 1, time: 0, patience: Duration::from_secs(1) };
        let empty = tempfile::tempdir().expect("temp dir");
        take(&world.home(), empty.path(), out.path(), order, 1 << 30).expect("takes");
        forge(out.path());
        assert!(world.keep.adopt(out.path()).is_err());
        assert!(world.keep.manifest(world.moment).is_err(), "the moment must not exist");
    }
}
