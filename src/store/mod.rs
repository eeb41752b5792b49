//! Steady's own SQLite database: one writer, many readers. All of Steady's SQL is in this folder.
pub mod approvals;
pub mod apps;
pub mod certs;
pub mod deploys;
pub mod domains;
pub mod doors;
pub mod drafts;
pub mod env;
pub mod invites;
pub mod links;
mod migrate;
pub mod projects;
pub mod seal;
pub mod sessions;
pub mod snapshots;
#[cfg(test)]
mod tests;
pub mod tokens;
pub mod users;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use rusqlite::Connection;
use rusqlite::OpenFlags;

pub(crate) use crate::base::task::blocking;
use crate::base::{DataDir, Error, Result, ResultExt as _};

/// What a transaction's work is given; only this folder's functions look inside.
pub type Db = Connection;

/// Handle to the database. Cheap to clone. Calls are short (microseconds, a commit about one fsync) and
/// may be made from async code: a call that runs on a runtime thread tells the runtime it blocks.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

impl Store {
    /// Opens `steady.db`, migrating it (after a copy) where it is older.
    /// Errors: `Conflict` when the file was written by a newer Steady.
    pub fn open(dir: &DataDir) -> Result<Self> {
        let path = dir.database();
        private(&path).internal("while making the database's file")?;
        let mut writer = connect(&path, true)?;
        migrate::migrate(&mut writer, dir)?;
        Ok(Self(Arc::new(Shared { path, writer: Mutex::new(writer), readers: Mutex::default() })))
    }

    /// Changes nothing, and is right also while a server runs.
    /// Errors: `Conflict` when the file was written by a newer Steady.
    pub fn check(dir: &DataDir) -> Result<()> {
        if dir.database().exists() { migrate::check(&connect(&dir.database(), false)?, dir) } else { Ok(()) }
    }

    /// Runs `work` in one read transaction: all it sees is of one moment.
    pub fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        blocking(|| {
            let idle = self.0.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = match idle {
                Some(connection) => connection,
                None => connect(&self.0.path, false)?,
            };
            let result = {
                let tx = connection.transaction().internal("while beginning a read")?;
                work(&tx)
            };
            let mut idle = self.0.readers.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_READERS {
                idle.push(connection);
            }
            result
        })
    }

    /// Runs `work` in one immediate transaction, committed durably when it returns `Ok`, undone otherwise.
    /// `work` must not call [`Store::write`] itself: there is one writer.
    pub fn write<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        blocking(|| {
            let mut writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let tx = writer
                .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
                .internal("while beginning a write")?;
            let out = work(&tx)?;
            tx.commit().internal("while committing")?;
            Ok(out)
        })
    }
}

/// Reader connections kept open while nobody reads.
const IDLE_READERS: usize = 16;

/// Sees that the file is there and only its owner's; SQLite gives its `-wal` and `-shm` the same mode.
/// By `mknod`, which opens nothing: closing a descriptor of the file would drop the locks this process
/// has on it.
fn private(path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    match mknodat(CWD, path, FileType::RegularFile, Mode::from_raw_mode(0o600), 0) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) => fs::set_permissions(path, fs::Permissions::from_mode(0o600)),
        Err(e) => Err(e.into()),
    }
}

fn connect(path: &Path, writable: bool) -> Result<Connection> {
    let flags = if writable {
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
    } else {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).internal(format!("while opening {}", path.display()))?;
    connection
        .execute_batch("PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;")
        .internal("while setting up the database")?;
    if writable {
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
            .internal("while setting up the database")?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Folds SQLite's errors into ours.
pub(crate) trait SqlExt<T> {
    /// Anything that goes wrong is Steady's own fault.
    fn sql(self) -> Result<T>;
    /// A broken UNIQUE rule is the caller's: `Conflict` with this sentence.
    fn unique(self, taken: impl FnOnce() -> Error) -> Result<T>;
}

impl<T> SqlExt<T> for rusqlite::Result<T> {
    fn sql(self) -> Result<T> {
        self.map_err(|e| match e {
            rusqlite::Error::QueryReturnedNoRows => Error::not_found("there is no such thing").because(e),
            e => Error::internal("the database did not answer").because(e),
        })
    }
    fn unique(self, taken: impl FnOnce() -> Error) -> Result<T> {
        match self {
            Err(rusqlite::Error::SqliteFailure(e, _))
                if matches!(
                    e.extended_code,
                    rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                ) =>
            {
                Err(taken())
            }
            other => other.sql(),
        }
    }
}
