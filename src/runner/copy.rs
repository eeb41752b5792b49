//! The copy job: `steady copy-home FROM TO MAX_BYTES`, run in a jail as the app's own user, because an
//! app's databases are untrusted input. Databases are copied consistently while the app runs.
use std::fs;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::base::Clock;
use crate::base::sqlite::{is_beside_database, is_database};

/// How long one database may take.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(120);
const MAX_DEPTH: u32 = 64;

/// Prints why it failed on standard error: a job's lines are shown to a person.
#[allow(clippy::print_stderr)]
pub fn main(args: &[String]) -> ExitCode {
    let [from, to, max] = args else {
        eprintln!("usage: steady copy-home FROM TO MAX_BYTES");
        return ExitCode::from(2);
    };
    match copy_home(Path::new(from), Path::new(to), max.parse().unwrap_or(0)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Copies a home folder: regular files, folders, databases by SQLite's backup. Links and special files
/// are left out: the code's links are laid anew. Returns the bytes copied.
/// Errors: a sentence for a person, among them the size limit, checked before anything is written.
pub fn copy_home(from: &Path, to: &Path, max: u64) -> Result<u64, String> {
    let size = crate::base::fs::tree_size(from);
    if size > max {
        return Err(format!("the data is too large to copy: {} MiB of at most {} MiB", size >> 20, max >> 20));
    }
    let mut left = max;
    copy_dir(from, to, &mut left, 0)?;
    Ok(max - left)
}

fn copy_dir(from: &Path, to: &Path, left: &mut u64, depth: u32) -> Result<(), String> {
    let at = |path: &Path, e: io::Error| format!("cannot copy {}: {e}", path.display());
    if depth > MAX_DEPTH {
        return Err(format!("the data is nested deeper than {MAX_DEPTH} folders"));
    }
    match fs::create_dir(to) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(at(to, e)),
        _ => {}
    }
    for entry in fs::read_dir(from).map_err(|e| at(from, e))? {
        let entry = entry.map_err(|e| at(from, e))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        // A file that goes while the app runs is not missed.
        let Ok(meta) = fs::symlink_metadata(&source) else { continue };
        if meta.is_dir() {
            copy_dir(&source, &target, left, depth + 1)?;
        } else if meta.is_file() && !is_beside_database(&source) {
            // Holes take no room, neither here nor there.
            let room = meta.len().min(meta.blocks() * 512);
            *left = left.checked_sub(room).ok_or("the data grew above the limit while it was copied")?;
            if is_database(&source) {
                copy_database(&source, &target)
                    .map_err(|e| format!("cannot copy the database {}: {e}", source.display()))?;
            } else {
                copy_file(&source, &target, meta.len()).map_err(|e| at(&source, e))?;
            }
        }
    }
    Ok(())
}

/// At most the length that was counted: a file that grows meanwhile ends there. Holes stay holes. What has
/// become a pipe in the meantime is not waited for.
fn copy_file(from: &Path, to: &Path, length: u64) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(from, flags, Mode::empty()).map(fs::File::from).map_err(io::Error::from);
    let mut source = match opened {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !source.metadata()?.is_file() {
        return Ok(());
    }
    let length = length.min(source.metadata()?.len());
    let mut target = fs::File::create(to)?;
    let mut at = 0;
    while at < length {
        let start = match rustix::fs::seek(&source, rustix::fs::SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole is left.
            Err(rustix::io::Errno::NXIO) => break,
            Err(_) => at,
        };
        let end = rustix::fs::seek(&source, rustix::fs::SeekFrom::Hole(start)).unwrap_or(length).min(length);
        source.seek(io::SeekFrom::Start(start))?;
        target.seek(io::SeekFrom::Start(start))?;
        let copied = io::copy(&mut (&source).take(end.saturating_sub(start)), &mut target)?;
        if copied == 0 {
            break;
        }
        at = start + copied;
    }
    target.set_len(length)
}

/// All pages in one step under one read lock: it cannot be restarted for ever by a busy writer.
fn copy_database(from: &Path, to: &Path) -> Result<(), rusqlite::Error> {
    let source =
        Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    source.busy_timeout(Duration::from_secs(5))?;
    source.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    source.execute_batch("PRAGMA mmap_size=0; PRAGMA trusted_schema=OFF")?;
    let mut target = Connection::open(to)?;
    target.execute_batch("PRAGMA synchronous=OFF")?;
    let began = Clock::stopwatch();
    let backup = Backup::new(&source, &mut target)?;
    loop {
        match backup.step(-1)? {
            StepResult::Done => return Ok(()),
            _ if began.elapsed() > DATABASE_TIMEOUT => {
                let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                return Err(rusqlite::Error::SqliteFailure(busy, Some("it stayed locked".into())));
            }
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_stay_holes_and_pipes_are_not_waited_for() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(&from).expect("folder");
        let mut file = fs::File::create(from.join("sparse")).expect("file");
        io::Write::write_all(&mut file, b"begin").expect("write");
        file.seek(io::SeekFrom::Start(1 << 36)).expect("seek");
        io::Write::write_all(&mut file, b"end").expect("write");
        file.set_len(1 << 40).expect("length");
        nix::unistd::mkfifo(&from.join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("pipe");
        copy_home(&from, &to, 10 << 20).expect("copy");
        assert!(!to.join("pipe").exists());
        let mut copy = fs::File::open(to.join("sparse")).expect("there");
        let meta = copy.metadata().expect("meta");
        assert!(meta.len() == 1 << 40 && meta.blocks() * 512 < 1 << 20, "{} blocks", meta.blocks());
        let mut text = [0; 3];
        copy.seek(io::SeekFrom::Start(1 << 36)).and_then(|_| copy.read_exact(&mut text)).expect("read");
        assert_eq!(&text, b"end");
    }

    #[test]
    fn a_home_with_an_open_wal_database() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("data")).expect("folder");
        io::Write::write_all(&mut fs::File::create(from.join("data/note.txt")).expect("file"), b"hi").expect("write");
        std::os::unix::fs::symlink("/etc/passwd", from.join("link")).expect("link");
        let db = Connection::open(from.join("app.sqlite")).expect("open");
        db.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES (1),(2)").expect("fill");
        assert!(from.join("app.sqlite-wal").exists());
        copy_home(&from, &to, 10 << 20).expect("copy");
        assert_eq!(fs::read(to.join("data/note.txt")).expect("note"), b"hi");
        assert!(fs::symlink_metadata(to.join("link")).is_err() && !to.join("app.sqlite-wal").exists());
        let copy = Connection::open(to.join("app.sqlite")).expect("open the copy");
        let sum: i64 = copy.query_row("SELECT sum(x) FROM t", [], |r| r.get(0)).expect("sum");
        assert_eq!(sum, 3);
        let why = copy_home(&from, &dir.path().join("small"), 1000).expect_err("too large");
        assert!(why.contains("too large"), "{why}");
        assert!(!dir.path().join("small").exists(), "nothing was written");
    }
}
