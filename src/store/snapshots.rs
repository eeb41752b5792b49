//! The catalogue of snapshots, and restores that have begun.
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqlExt as _;
use crate::base::{Millis, Result};

#[derive(Clone, Debug)]
pub struct SnapshotRow {
    pub id: i64,
    pub moment: i64,
    pub taken: Millis,
    /// `asked`, `deploy`, `stop`, `schedule`, `restore`.
    pub why: String,
    /// Pinned by a person, under this name.
    pub name: Option<String>,
    /// Number of the deploy it was taken just before.
    pub deploy: Option<i64>,
    /// Bytes it added on disk.
    pub added: u64,
    /// Bytes of the data laid out.
    pub bytes: u64,
    pub notes: String,
}

#[derive(Clone, Debug)]
pub struct NewSnapshot<'a> {
    pub app: i64,
    pub moment: i64,
    pub taken: Millis,
    pub why: &'a str,
    pub name: Option<&'a str>,
    /// A deploy's id.
    pub deploy: Option<i64>,
    pub added: u64,
    pub bytes: u64,
    pub notes: &'a str,
}

const SNAPSHOT: &str = "SELECT s.id, s.moment, s.taken, s.why, s.name, d.number, s.added, s.bytes, s.notes
     FROM snapshots s LEFT JOIN deploys d ON d.id = s.deploy";

fn row(row: &Row<'_>) -> rusqlite::Result<SnapshotRow> {
    Ok(SnapshotRow {
        id: row.get(0)?,
        moment: row.get(1)?,
        taken: row.get(2)?,
        why: row.get(3)?,
        name: row.get(4)?,
        deploy: row.get(5)?,
        added: row.get::<_, i64>(6)?.unsigned_abs(),
        bytes: row.get::<_, i64>(7)?.unsigned_abs(),
        notes: row.get(8)?,
    })
}

/// The number of an app's next moment. One that was dropped is not used again: the newest always stays.
pub fn next_moment(db: &Connection, app: i64) -> Result<i64> {
    db.prepare_cached("SELECT coalesce(max(moment), 0) + 1 FROM snapshots WHERE app_id = ?1")
        .and_then(|mut s| s.query_row([app], |row| row.get(0)))
        .sql()
}

pub fn insert(db: &Connection, new: &NewSnapshot<'_>) -> Result<()> {
    let bytes = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    db.prepare_cached(
        "INSERT INTO snapshots (app_id, moment, taken, why, name, deploy, added, bytes, notes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )
    .and_then(|mut s| {
        let NewSnapshot { app, moment, taken, why, name, deploy, notes, .. } = new;
        s.execute(params![app, moment, taken, why, name, deploy, bytes(new.added), bytes(new.bytes), notes])
    })
    .sql()?;
    Ok(())
}

/// Newest first.
pub fn list(db: &Connection, app: i64) -> Result<Vec<SnapshotRow>> {
    db.prepare_cached(&format!("{SNAPSHOT} WHERE s.app_id = ?1 ORDER BY s.moment DESC"))
        .and_then(|mut s| s.query_map([app], row)?.collect())
        .sql()
}

pub fn by_moment(db: &Connection, app: i64, moment: i64) -> Result<Option<SnapshotRow>> {
    db.prepare_cached(&format!("{SNAPSHOT} WHERE s.app_id = ?1 AND s.moment = ?2"))
        .and_then(|mut s| s.query_row(params![app, moment], row).optional())
        .sql()
}

/// `None` takes the name away: it goes with its age then.
pub fn pin(db: &Connection, app: i64, moment: i64, name: Option<&str>) -> Result<bool> {
    db.prepare_cached("UPDATE snapshots SET name = ?3 WHERE app_id = ?1 AND moment = ?2")
        .and_then(|mut s| s.execute(params![app, moment, name]))
        .sql()
        .map(|changed| changed == 1)
}

pub fn remove(db: &Connection, app: i64, moment: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM snapshots WHERE app_id = ?1 AND moment = ?2")
        .and_then(|mut s| s.execute(params![app, moment]))
        .sql()?;
    Ok(())
}

/// From here until [`restored`] the home may hold half of it.
pub fn restoring(db: &Connection, app: i64, moment: i64) -> Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO restores (app_id, moment) VALUES (?1, ?2)")
        .and_then(|mut s| s.execute(params![app, moment]))
        .sql()?;
    Ok(())
}

pub fn restored(db: &Connection, app: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM restores WHERE app_id = ?1").and_then(|mut s| s.execute([app])).sql()?;
    Ok(())
}

/// App and moment of restores that a crash broke off.
pub fn broken_off(db: &Connection) -> Result<Vec<(i64, i64)>> {
    db.prepare_cached("SELECT app_id, moment FROM restores")
        .and_then(|mut s| s.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
        .sql()
}
