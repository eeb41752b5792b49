//! Numbered migrations, the database file copied before the first that changes an existing one.
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, TransactionBehavior};

use super::{SqlExt as _, connect};
use crate::base::clock::rfc3339;
use crate::base::fs::{make_dir, remove_tree, rename_durable};
use crate::base::secret::random_token;
use crate::base::{Clock, DataDir, Error, Kind, Result, ResultExt as _};

/// In order; the number of the last one applied is the file's `PRAGMA user_version`. One that was ever
/// released is never edited again.
const MIGRATIONS: &[&str] = &[
    include_str!("sql/0001_accounts.sql"),
    include_str!("sql/0002_projects.sql"),
    include_str!("sql/0003_approvals.sql"),
    include_str!("sql/0004_indexes.sql"),
    include_str!("sql/0005_doors.sql"),
    include_str!("sql/0006_certs.sql"),
    include_str!("sql/0007_domains.sql"),
    include_str!("sql/0008_snapshots.sql"),
];

/// How many copies stay in `backups/`.
const COPIES_KEPT: usize = 5;

pub(super) fn migrate(connection: &mut Connection, dir: &DataDir) -> Result<()> {
    apply(connection, dir, MIGRATIONS)
}

/// Whether this Steady can open it, once it has migrated it.
pub(super) fn check(connection: &Connection, dir: &DataDir) -> Result<()> {
    known(schema(connection)?, dir, MIGRATIONS)
}

fn known(from: usize, dir: &DataDir, migrations: &[&str]) -> Result<()> {
    if from <= migrations.len() {
        return Ok(());
    }
    Err(Error::conflict(format!(
        "{} has schema {from}, written by a newer Steady; this one knows {}",
        dir.database().display(),
        migrations.len()
    ))
    .hint(format!(
        "Run the newer Steady, or stop it and put a copy from {} in place of the database.",
        dir.database_backups().display()
    )))
}

/// All pending migrations are one transaction: a failing one leaves the file at the schema it had, which
/// the Steady that wrote it still opens.
fn apply(connection: &mut Connection, dir: &DataDir, migrations: &[&str]) -> Result<()> {
    // The usual start: nothing to do, and no write lock taken from a server that runs on the same file.
    if schema(connection)? == migrations.len() {
        return Ok(());
    }
    let tx =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).internal("while locking steady.db")?;
    // Read again under the lock: another process may have migrated meanwhile.
    let from = schema(&tx)?;
    known(from, dir, migrations)?;
    if from == migrations.len() {
        return Ok(());
    }
    if from > 0 {
        let copy = copy_database(dir, from)?;
        tracing::info!(copy = %copy.display(), from, to = migrations.len(), "database copied before its migration");
    }
    for (number, sql) in migrations.iter().enumerate().skip(from) {
        tx.execute_batch(sql).map_err(|cause| failed(number + 1, cause))?;
    }
    let broken = tx.prepare("PRAGMA foreign_key_check").and_then(|mut check| check.exists([])).sql()?;
    if broken {
        return Err(failed(migrations.len(), "a row refers to one that does not exist"));
    }
    tx.pragma_update(None, "user_version", i64::try_from(migrations.len()).unwrap_or(i64::MAX)).sql()?;
    tx.commit().map_err(|cause| failed(migrations.len(), cause))
}

fn failed(number: usize, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Kind::Internal, format!("the database could not be brought to schema {number}; it is unchanged"))
        .because(cause)
        .hint("Run the Steady that was used before, and report this with the log.")
}

fn schema(connection: &Connection) -> Result<usize> {
    let number: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .internal("while reading the database's schema number")?;
    usize::try_from(number).internal("the database's schema number is negative")
}

/// A whole, checked copy of the file as it is now. The caller holds the write lock, so nothing changes
/// meanwhile; the copy is read through a connection of its own, because SQLite does not copy from one
/// that is in a write transaction.
fn copy_database(dir: &DataDir, schema: usize) -> Result<PathBuf> {
    let folder = dir.database_backups();
    let cannot = || "while copying the database before its migration";
    make_dir(&folder, 0o700).internal(cannot())?;
    let time: String = rfc3339(Clock::System.now()).chars().filter(char::is_ascii_alphanumeric).collect();
    let path = folder.join(format!("steady-schema-{schema}-{time}.db"));
    let temp = folder.join(format!(".{}.tmp", random_token(8)));
    let done = write_copy(&dir.database(), &temp).and_then(|()| rename_durable(&temp, &path).internal(cannot()));
    if let Err(error) = done {
        let _ = fs::remove_file(&temp);
        return Err(error.hint("Nothing was changed. See that the disk has room, and start again."));
    }
    drop_old_copies(&folder);
    Ok(path)
}

fn write_copy(database: &Path, temp: &Path) -> Result<()> {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(temp)
        .internal("while making the copy's file")?;
    let source = connect(database, false)?;
    let mut copy = Connection::open(temp).internal("while opening the copy")?;
    {
        let backup = Backup::new(&source, &mut copy).internal("while beginning the copy")?;
        backup.run_to_completion(1024, Duration::ZERO, None).internal("while copying")?;
    }
    // The copied header says WAL; a copy must be one file, whole by itself.
    copy.execute_batch("PRAGMA journal_mode = DELETE").internal("while closing the copy")?;
    let verdict: String =
        copy.pragma_query_value(None, "integrity_check", |row| row.get(0)).internal("while checking the copy")?;
    if verdict != "ok" {
        return Err(Error::internal("the copy of the database is damaged").because(verdict));
    }
    copy.close().map_err(|(_, cause)| Error::internal("while closing the copy").because(cause))?;
    file.sync_all().internal("while syncing the copy")
}

/// Keeps the newest by the time in their names. A copy too many is no reason to fail.
fn drop_old_copies(folder: &Path) {
    let mut copies: Vec<(String, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (_, time) = name.strip_prefix("steady-schema-")?.strip_suffix(".db")?.split_once('-')?;
            Some((time.to_owned(), entry.path()))
        })
        .collect();
    copies.sort();
    let extra = copies.len().saturating_sub(COPIES_KEPT);
    for (_, path) in copies.into_iter().take(extra) {
        if let Err(error) = remove_tree(&path) {
            tracing::warn!(path = %path.display(), %error, "old database copy left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::store::Store;

    const ONE: &str = "CREATE TABLE a (x INTEGER NOT NULL) STRICT; INSERT INTO a VALUES (7);";
    const TWO: &str = "ALTER TABLE a ADD COLUMN y TEXT; UPDATE a SET y = 'seven';";

    fn fixture() -> (tempfile::TempDir, DataDir, Connection) {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        let connection = connect(&dir.database(), true).unwrap();
        (temp, dir, connection)
    }

    fn copies(dir: &DataDir) -> Vec<PathBuf> {
        let mut all: Vec<_> =
            fs::read_dir(dir.database_backups()).into_iter().flatten().flatten().map(|e| e.path()).collect();
        all.sort();
        all
    }

    fn dump(connection: &Connection) -> (i64, Vec<String>, Vec<i64>) {
        let version = connection.pragma_query_value(None, "user_version", |r| r.get(0)).unwrap();
        let column = |sql: &str| -> Vec<String> {
            let mut q = connection.prepare(sql).unwrap();
            q.query_map([], |r| r.get(0)).unwrap().map(|r| r.unwrap()).collect()
        };
        let tables = column("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name");
        let rows = column("SELECT CAST(x AS TEXT) FROM a").iter().map(|x| x.parse().unwrap()).collect();
        (version, tables, rows)
    }

    #[test]
    fn a_fresh_database_has_the_newest_schema_no_copy_and_is_private() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        let store = Store::open(&dir).unwrap();
        store
            .read(|db| {
                assert_eq!(schema(db)?, MIGRATIONS.len());
                assert!(db.prepare("SELECT id FROM users").is_ok());
                Ok(())
            })
            .unwrap();
        assert!(copies(&dir).is_empty());
        for entry in fs::read_dir(dir.root()).unwrap().flatten() {
            if entry.file_name().to_string_lossy().starts_with("steady.db") {
                let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
                assert_eq!(mode, 0o600, "{:?}", entry.file_name());
            }
        }
        drop(store);
        Store::open(&dir).expect("opens again");
        assert!(copies(&dir).is_empty());
    }

    #[test]
    fn an_old_database_is_copied_first() {
        let (_temp, dir, mut connection) = fixture();
        apply(&mut connection, &dir, &[ONE]).unwrap();
        let before = dump(&connection);
        apply(&mut connection, &dir, &[ONE, TWO]).unwrap();
        assert_eq!(schema(&connection).unwrap(), 2);
        let y: String = connection.query_row("SELECT y FROM a", [], |r| r.get(0)).unwrap();
        assert_eq!(y, "seven");

        let copies = copies(&dir);
        assert_eq!(copies.len(), 1);
        let name = copies[0].file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("steady-schema-1-2") && name.ends_with("Z.db"), "{name}");
        assert_eq!(fs::metadata(&copies[0]).unwrap().permissions().mode() & 0o777, 0o600);
        let copy = Connection::open(&copies[0]).unwrap();
        assert_eq!(dump(&copy), before);
        let mode: String = copy.pragma_query_value(None, "journal_mode", |r| r.get(0)).unwrap();
        assert_eq!(mode, "delete", "the copy is one file");
    }

    #[test]
    fn a_newer_schema_is_refused_and_untouched() {
        let (_temp, dir, mut connection) = fixture();
        apply(&mut connection, &dir, &[ONE, TWO]).unwrap();
        let before = dump(&connection);
        let error = apply(&mut connection, &dir, &[ONE]).unwrap_err();
        assert_eq!(error.kind, Kind::Conflict);
        assert!(error.hint.unwrap().contains("backups"));
        assert_eq!(dump(&connection), before);
        assert!(copies(&dir).is_empty());
    }

    #[test]
    fn a_failing_migration_leaves_the_database_as_it_was() {
        let broken_sql = "ALTER TABLE a ADD COLUMN z TEXT; DELETE FROM a; INSERT INTO missing VALUES (1);";
        let orphan = "CREATE TABLE b (id INTEGER PRIMARY KEY) STRICT;
            CREATE TABLE c (b INTEGER REFERENCES b(id)) STRICT;
            PRAGMA defer_foreign_keys = ON; INSERT INTO c VALUES (9);";
        for bad in [broken_sql, orphan] {
            let (_temp, dir, mut connection) = fixture();
            apply(&mut connection, &dir, &[ONE]).unwrap();
            let before = dump(&connection);
            let error = apply(&mut connection, &dir, &[ONE, TWO, bad]).unwrap_err();
            assert_eq!(error.kind, Kind::Internal);
            assert!(error.public.contains("schema 3"), "{}", error.public);
            assert_eq!(dump(&connection), before, "also the good migration before it is undone");
            drop(connection);
            assert_eq!(dump(&Connection::open(dir.database()).unwrap()), before);
            assert_eq!(dump(&Connection::open(&copies(&dir)[0]).unwrap()), before);
        }
    }

    #[test]
    fn only_the_newest_copies_stay() {
        let (_temp, dir, mut connection) = fixture();
        make_dir(&dir.database_backups(), 0o700).unwrap();
        for day in 10..17 {
            let name = format!("steady-schema-{}-202501{day}T000000000Z.db", if day == 10 { 30 } else { 1 });
            crate::base::fs::write_atomic(&dir.database_backups().join(name), b"x", 0o600).unwrap();
        }
        apply(&mut connection, &dir, &[ONE]).unwrap();
        apply(&mut connection, &dir, &[ONE, TWO]).unwrap();
        let names: Vec<String> =
            copies(&dir).iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect();
        assert_eq!(names.len(), COPIES_KEPT);
        assert!(names[0].contains("20250113"), "{names:?}");
    }

    #[test]
    fn two_processes_may_start_at_once() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        std::thread::scope(|scope| {
            let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| Store::open(&dir).map(|_| ()))).collect();
            for start in starts {
                start.join().unwrap().unwrap();
            }
        });
        assert_eq!(schema(&connect(&dir.database(), false).unwrap()).unwrap(), MIGRATIONS.len());
    }
}
