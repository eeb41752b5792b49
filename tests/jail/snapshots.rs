use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::json;
use steady::base::Progress;
use steady::runner::{JobReport, JobSpec, LaunchSpec, Limits};

use super::kit::{Battery, hostile, world};
use super::support::*;

/// Bytes; more than the copy may write, and less than one file may be long.
const HOLES: u64 = 900 << 20;

async fn copy(world: &World, app: &LaunchSpec, to: &Path, max: u64) -> JobReport {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    std::fs::create_dir(to).expect("a folder");
    let job = JobSpec {
        command: vec!["steady".into(), "copy-home".into(), text(&app.home), text(to), max.to_string()],
        cwd: to.to_owned(),
        writable: vec![app.home.clone(), to.to_owned()],
        readable: Vec::new(),
        env: Vec::new(),
        limits: Limits::default(),
        uid_offset: app.uid_offset,
        timeout: patient(60),
        hosts: Vec::new(),
    };
    world.runner.job(job, &Progress::silent()).await.expect("a job")
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A home with everything that a copy must leave out, and what it must keep.
fn fill(home: &Path, outside: &Path) -> rusqlite::Connection {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let mode = Mode::from_raw_mode(0o666);
    mknodat(CWD, home.join("disk"), FileType::BlockDevice, mode, rustix::fs::makedev(254, 0)).expect("a device");
    mknodat(CWD, home.join("memory"), FileType::CharacterDevice, mode, rustix::fs::makedev(1, 1)).expect("a device");
    mknodat(CWD, home.join("pipe"), FileType::Fifo, mode, 0).expect("a pipe");
    drop(std::os::unix::net::UnixListener::bind(home.join("socket")).expect("a socket"));
    symlink("/etc/shadow", home.join("link")).expect("a link");
    symlink(outside, home.join("folder")).expect("a link");
    write(&home.join("suid"), "x");
    std::fs::set_permissions(home.join("suid"), std::fs::Permissions::from_mode(0o6755)).expect("a mode");
    write(&home.join("line\nbreak\u{1b}[31m"), "kept");
    write(&home.join("sparse"), "x");
    std::fs::OpenOptions::new().write(true).open(home.join("sparse")).and_then(|f| f.set_len(HOLES)).expect("holes");
    let db = rusqlite::Connection::open(home.join("open.sqlite")).expect("a database");
    db.execute_batch(
        "PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES (1); BEGIN; INSERT INTO t VALUES (2)",
    )
    .expect("rows");
    db
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_homes() {
    let world = world();
    let mut battery = Battery::new("snapshots");
    let outside = world.dir.path().join("outside");
    write(&outside.join("secret.txt"), "of the host");
    let app = world.app("source", &[("index.ts", "export default { fetch: () => new Response('here') }")]);
    let db = fill(&app.home, &outside);
    let to = world.dir.path().join("copy");
    let report = copy(&world, &app, &to, 64 << 20).await;
    assert!(report.success, "{report:?}");
    battery.check("a home full of traps is copied", (report.success, report.tail), (true, Vec::<String>::new()));
    drop(db);
    let meta = |name: &str| std::fs::symlink_metadata(to.join(name));
    battery.check("a block device is left out", meta("disk").is_err(), true);
    battery.check("a character device is left out", meta("memory").is_err(), true);
    battery.check("a pipe is left out and not waited for", meta("pipe").is_err(), true);
    battery.check("a socket is left out", meta("socket").is_err(), true);
    battery.check("a link is left out", meta("link").is_err(), true);
    battery.check("a linked folder is left out", meta("folder").is_err(), true);
    battery.check("the bits of a set-uid file are left out", meta("suid").expect("copied").mode() & 0o7000, 0);
    let kept = std::fs::read_to_string(to.join("line\nbreak\u{1b}[31m")).expect("copied");
    battery.check("a strange name is kept", kept, "kept");
    let sparse = meta("sparse").expect("copied");
    battery.check("holes stay holes", (sparse.len(), sparse.blocks() < 100), (HOLES, true));
    battery.check("the log of a database is left out", meta("open.sqlite-wal").is_err(), true);
    let rows = rusqlite::Connection::open(to.join("open.sqlite")).expect("a database");
    let rows: i64 = rows.query_row("SELECT sum(x) FROM t", [], |row| row.get(0)).expect("rows");
    battery.check("a database in the middle of a transaction", rows, 1);
    let special = names(&to).iter().any(|name| {
        let kind = std::fs::symlink_metadata(to.join(name)).expect("there").file_type();
        kind.is_block_device() || kind.is_char_device() || kind.is_fifo() || kind.is_socket() || kind.is_symlink()
    });
    battery.check("nothing in a copy is special", special, false);

    let mut twin = hostile(&world, "twin", include_str!("snapshots.ts"), json!({}));
    twin.home = to.clone();
    world.runner.register(twin.clone());
    battery.ask(&world, &twin, "/").await;

    let broken = world.app("broken", &[("index.ts", "")]);
    let mut bytes = b"SQLite format 3\0".to_vec();
    bytes.extend([0xff; 5000]);
    std::fs::File::create(broken.home.join("bad.sqlite"))
        .and_then(|mut f| std::io::Write::write_all(&mut f, &bytes))
        .expect("written");
    let report = copy(&world, &broken, &world.dir.path().join("copy-broken"), 1 << 30).await;
    let told = report.tail.first().is_some_and(|line| line.starts_with("cannot copy the database "));
    battery.check("a database that is none", (report.success, report.ending, told), (false, "exit 1", true));

    let deep = world.app("deep", &[("index.ts", "")]);
    std::fs::create_dir_all(deep.home.join("d/".repeat(200))).expect("folders");
    let report = copy(&world, &deep, &world.dir.path().join("copy-deep"), 1 << 30).await;
    battery.check(
        "folders in folders in folders",
        (report.success, report.tail),
        (false, ["the data is nested deeper than 64 folders"]),
    );

    let many = world.app("many", &[("index.ts", "")]);
    write(&many.home.join("big"), &"x".repeat(3 << 20));
    let report = copy(&world, &many, &world.dir.path().join("copy-many"), 1 << 20).await;
    let sentence = "the data is too large to copy: 3 MiB of at most 1 MiB";
    battery.check("more than may be copied", (report.success, report.tail), (false, [sentence]));
    battery.check("nothing is written of what is too much", names(&world.dir.path().join("copy-many")).len(), 0);
    let secret = std::fs::read_to_string(outside.join("secret.txt")).expect("there");
    battery.check(
        "what a home's links lead to is untouched",
        (secret, names(&outside)),
        ("of the host", ["secret.txt"]),
    );
    battery.finish();
    world.down().await;
}
