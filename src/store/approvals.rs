//! What owners approved, and the deploys that wait for it.
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqlExt as _;
use crate::base::{Millis, Result};

#[derive(Clone, Debug)]
pub struct ApprovalRow {
    /// JSON of `apps::ask::Ask`: the whole of what is approved from here on.
    pub approved: String,
    /// JSON list of lines; empty for a revocation.
    pub added: String,
    /// The number and commit of the deploy it was given for; none for a revocation.
    pub deploy: Option<(i64, String)>,
    pub who: String,
    pub created: Millis,
}

#[derive(Clone, Debug)]
pub struct NewApproval {
    pub project: i64,
    pub approved: String,
    pub added: String,
    pub deploy: Option<i64>,
    pub who: String,
}

const COLUMNS: &str = "SELECT a.approved, a.added, d.number, d.commit_id, a.who, a.created
     FROM approvals a LEFT JOIN deploys d ON d.id = a.deploy_id";

fn row(row: &Row<'_>) -> rusqlite::Result<ApprovalRow> {
    let (number, commit): (Option<i64>, Option<String>) = (row.get(2)?, row.get(3)?);
    Ok(ApprovalRow {
        approved: row.get(0)?,
        added: row.get(1)?,
        deploy: number.zip(commit),
        who: row.get(4)?,
        created: row.get(5)?,
    })
}

/// From here on this is approved; the deploy it is for waits no more.
pub fn insert(db: &Connection, new: &NewApproval, now: Millis) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO approvals (project_id, approved, added, deploy_id, who, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .and_then(|mut s| s.execute(params![new.project, new.approved, new.added, new.deploy, new.who, now]))
    .sql()?;
    db.prepare_cached("UPDATE deploys SET waits = NULL WHERE id = ?1")
        .and_then(|mut s| s.execute([new.deploy]))
        .sql()?;
    Ok(())
}

/// What counts now.
pub fn newest(db: &Connection, project: i64) -> Result<Option<ApprovalRow>> {
    db.prepare_cached(&format!("{COLUMNS} WHERE a.project_id = ?1 ORDER BY a.id DESC LIMIT 1"))
        .and_then(|mut s| s.query_row([project], row).optional())
        .sql()
}

/// Newest first.
pub fn list(db: &Connection, project: i64, limit: usize) -> Result<Vec<ApprovalRow>> {
    db.prepare_cached(&format!("{COLUMNS} WHERE a.project_id = ?1 ORDER BY a.id DESC LIMIT ?2"))
        .and_then(|mut s| s.query_map(params![project, i64::try_from(limit).unwrap_or(i64::MAX)], row)?.collect())
        .sql()
}

/// This deploy waits for an approval of `asks`, and no other of its app does.
pub fn wait(db: &Connection, app: i64, deploy: i64, asks: &str) -> Result<()> {
    db.prepare_cached("UPDATE deploys SET waits = iif(id = ?2, ?3, NULL) WHERE app_id = ?1")
        .and_then(|mut s| s.execute(params![app, deploy, asks]))
        .sql()?;
    Ok(())
}

/// The one that waits: its id and what it asks for.
pub fn waiting(db: &Connection, app: i64) -> Result<Option<(i64, String)>> {
    db.prepare_cached("SELECT id, waits FROM deploys WHERE app_id = ?1 AND waits IS NOT NULL ORDER BY id DESC LIMIT 1")
        .and_then(|mut s| s.query_row([app], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .sql()
}

/// Something newer is live: nothing waits any more.
pub fn forget_waiting(db: &Connection, app: i64) -> Result<()> {
    db.prepare_cached("UPDATE deploys SET waits = NULL WHERE app_id = ?1 AND waits IS NOT NULL")
        .and_then(|mut s| s.execute([app]))
        .sql()?;
    Ok(())
}
