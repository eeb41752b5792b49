//! Apps and the host labels they answer to.
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqlExt as _;
use crate::base::{AppName, Error, Millis, Result};

#[derive(Clone, Debug)]
pub struct AppRow {
    pub id: i64,
    pub project_id: i64,
    pub host: AppName,
    /// The host that owns it, and how often ownership was taken over: stamped on every side effect.
    pub owner_host: String,
    pub epoch: i64,
    pub live_deploy: Option<i64>,
    /// Newest environment set; 0 = none yet.
    pub env_version: i64,
    pub paused: bool,
}

const COLUMNS: &str =
    "SELECT a.id, a.project_id, a.host, a.owner_host, a.epoch, a.live_deploy, a.env_version, a.paused FROM apps a";

fn row(row: &Row<'_>) -> rusqlite::Result<AppRow> {
    let host = AppName::parse(&row.get::<_, String>(2)?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(e)))?;
    Ok(AppRow {
        id: row.get(0)?,
        project_id: row.get(1)?,
        host,
        owner_host: row.get(3)?,
        epoch: row.get(4)?,
        live_deploy: row.get(5)?,
        env_version: row.get(6)?,
        paused: row.get(7)?,
    })
}

/// Errors: `Conflict` when the host label is taken.
pub fn insert(db: &Connection, project: i64, host: &AppName, now: Millis) -> Result<i64> {
    let id = db
        .prepare_cached("INSERT INTO apps (project_id, host, created) VALUES (?1, ?2, ?3)")
        .and_then(|mut s| s.insert(params![project, host.as_str(), now]))
        .sql()?;
    take_host(db, id, host)?;
    Ok(id)
}

fn take_host(db: &Connection, app: i64, host: &AppName) -> Result<()> {
    // One's own old label may be taken back.
    db.prepare_cached("DELETE FROM hosts WHERE label = ?1 AND app_id = ?2")
        .and_then(|mut s| s.execute(params![host.as_str(), app]))
        .sql()?;
    db.prepare_cached("INSERT INTO hosts (label, app_id, current) VALUES (?1, ?2, 1)")
        .and_then(|mut s| s.execute(params![host.as_str(), app]))
        .map_err(|e| match e {
            rusqlite::Error::SqliteFailure(f, _) if f.code == rusqlite::ErrorCode::ConstraintViolation => {
                Error::conflict(format!("the host name {host} is taken")).hint("Choose another host name.")
            }
            e => Error::internal("the database did not answer").because(e),
        })?;
    Ok(())
}

/// The old label keeps redirecting here.
pub fn set_host(db: &Connection, app: i64, host: &AppName) -> Result<()> {
    db.prepare_cached("UPDATE hosts SET current = 0 WHERE app_id = ?1").and_then(|mut s| s.execute([app])).sql()?;
    take_host(db, app, host)?;
    db.prepare_cached("UPDATE apps SET host = ?2 WHERE id = ?1")
        .and_then(|mut s| s.execute(params![app, host.as_str()]))
        .sql()?;
    Ok(())
}

pub fn host_is_free(db: &Connection, host: &AppName) -> Result<bool> {
    let taken: Option<i64> = db
        .prepare_cached("SELECT 1 FROM hosts WHERE label = ?1")
        .and_then(|mut s| s.query_row([host.as_str()], |r| r.get(0)).optional())
        .sql()?;
    Ok(taken.is_none())
}

/// Old labels of an app, which redirect.
pub fn old_hosts(db: &Connection, app: i64) -> Result<Vec<String>> {
    db.prepare_cached("SELECT label FROM hosts WHERE app_id = ?1 AND current = 0")
        .and_then(|mut s| s.query_map([app], |r| r.get(0))?.collect())
        .sql()
}

pub fn by_id(db: &Connection, id: i64) -> Result<AppRow> {
    db.prepare_cached(&format!("{COLUMNS} WHERE a.id = ?1")).and_then(|mut s| s.query_row([id], row)).sql()
}

/// The production app of a project.
pub fn of_project(db: &Connection, project: i64) -> Result<AppRow> {
    db.prepare_cached(&format!("{COLUMNS} WHERE a.project_id = ?1 AND a.kind = 'production'"))
        .and_then(|mut s| s.query_row([project], row))
        .sql()
}

/// All apps of projects that are not deleted.
pub fn all(db: &Connection) -> Result<Vec<AppRow>> {
    db.prepare_cached(&format!("{COLUMNS} JOIN projects p ON p.id = a.project_id WHERE p.deleted IS NULL"))
        .and_then(|mut s| s.query_map([], row)?.collect())
        .sql()
}

pub fn set_paused(db: &Connection, app: i64, paused: bool) -> Result<()> {
    db.prepare_cached("UPDATE apps SET paused = ?2 WHERE id = ?1")
        .and_then(|mut s| s.execute(params![app, paused]))
        .sql()?;
    Ok(())
}
