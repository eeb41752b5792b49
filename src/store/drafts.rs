//! Drafts: what Run started, one per project and author.
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqlExt as _;
use crate::base::{Millis, Result};

#[derive(Clone, Debug)]
pub struct DraftRow {
    pub id: i64,
    pub project_id: i64,
    pub user_id: i64,
    /// Host label: `APP--ID`.
    pub label: String,
    /// The commit that runs.
    pub tree: String,
    pub plan: String,
    pub created: Millis,
    pub used: Millis,
}

const COLUMNS: &str = "SELECT id, project_id, user_id, label, tree, plan, created, used FROM drafts";

fn row(row: &Row<'_>) -> rusqlite::Result<DraftRow> {
    Ok(DraftRow {
        id: row.get(0)?,
        project_id: row.get(1)?,
        user_id: row.get(2)?,
        label: row.get(3)?,
        tree: row.get(4)?,
        plan: row.get(5)?,
        created: row.get(6)?,
        used: row.get(7)?,
    })
}

pub fn find(db: &Connection, project: i64, user: i64) -> Result<Option<DraftRow>> {
    db.prepare_cached(&format!("{COLUMNS} WHERE project_id = ?1 AND user_id = ?2"))
        .and_then(|mut s| s.query_row([project, user], row).optional())
        .sql()
}

pub fn of_project(db: &Connection, project: i64) -> Result<Vec<DraftRow>> {
    db.prepare_cached(&format!("{COLUMNS} WHERE project_id = ?1"))
        .and_then(|mut s| s.query_map([project], row)?.collect())
        .sql()
}

pub fn all(db: &Connection) -> Result<Vec<DraftRow>> {
    db.prepare_cached(COLUMNS).and_then(|mut s| s.query_map([], row)?.collect()).sql()
}

/// A row with nothing prepared yet.
pub fn insert(db: &Connection, project: i64, user: i64, label: &str, now: Millis) -> Result<DraftRow> {
    let id = db
        .prepare_cached(
            "INSERT INTO drafts (project_id, user_id, label, tree, plan, created, used)
             VALUES (?1, ?2, ?3, '', '', ?4, ?4)",
        )
        .and_then(|mut s| s.insert(params![project, user, label, now]))
        .sql()?;
    db.prepare_cached(&format!("{COLUMNS} WHERE id = ?1")).and_then(|mut s| s.query_row([id], row)).sql()
}

pub fn ready(db: &Connection, id: i64, tree: &str, plan: &str, now: Millis) -> Result<()> {
    db.prepare_cached("UPDATE drafts SET tree = ?2, plan = ?3, used = ?4 WHERE id = ?1")
        .and_then(|mut s| s.execute(params![id, tree, plan, now]))
        .sql()?;
    Ok(())
}

pub fn touch(db: &Connection, id: i64, now: Millis) -> Result<()> {
    db.prepare_cached("UPDATE drafts SET used = ?2 WHERE id = ?1").and_then(|mut s| s.execute([id, now])).sql()?;
    Ok(())
}

pub fn remove(db: &Connection, id: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM drafts WHERE id = ?1").and_then(|mut s| s.execute([id])).sql()?;
    Ok(())
}
