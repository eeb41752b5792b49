//! Versions (one commit, checked out and prepared) and the deploys that made them live.
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqlExt as _;
use crate::base::{Millis, Result};

#[derive(Clone, Debug)]
pub struct VersionRow {
    pub id: i64,
    pub app_id: i64,
    /// Counts per app: `v<number>`.
    pub number: i64,
    pub commit: String,
    /// How it runs, as JSON; see `apps::plan`.
    pub plan: String,
    pub bytes: u64,
    /// Its folder was removed to save room; it can be prepared again from its commit.
    pub removed: bool,
}

#[derive(Clone, Debug)]
pub struct DeployRow {
    pub id: i64,
    pub app_id: i64,
    pub number: i64,
    pub version: Option<i64>,
    /// `v<number>` of that version.
    pub version_number: Option<i64>,
    pub commit: String,
    pub env_version: i64,
    pub who: String,
    pub why: String,
    pub message: String,
    /// `running`, `live` (it went live once) or `failed`.
    pub state: String,
    pub moves_main: bool,
    pub error: Option<String>,
    /// JSON of `apps::view::Stage`s.
    pub stages: String,
    pub started: Millis,
    pub finished: Option<Millis>,
    /// It stopped because it asks for more than was approved.
    pub stopped: bool,
    /// Of such: an owner's yes still lets it go on.
    pub waits: bool,
}

#[derive(Clone, Debug)]
pub struct NewDeploy {
    pub app: i64,
    pub commit: String,
    pub env_version: i64,
    pub who: String,
    pub why: String,
    pub message: String,
    pub moves_main: bool,
}

fn version_row(row: &Row<'_>) -> rusqlite::Result<VersionRow> {
    Ok(VersionRow {
        id: row.get(0)?,
        app_id: row.get(1)?,
        number: row.get(2)?,
        commit: row.get(3)?,
        plan: row.get(4)?,
        bytes: row.get::<_, i64>(5)?.unsigned_abs(),
        removed: row.get::<_, Option<i64>>(6)?.is_some(),
    })
}

const VERSION: &str = "SELECT id, app_id, number, commit_id, plan, bytes, removed FROM versions";

/// The row comes first, so that the folder can carry its id; `removed` until the folder stands.
pub fn insert_version(db: &Connection, app: i64, commit: &str, now: Millis) -> Result<VersionRow> {
    db.prepare_cached(
        "INSERT INTO versions (app_id, number, commit_id, plan, bytes, created, removed)
         VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM versions WHERE app_id = ?1), ?2, '', 0, ?3, ?3)",
    )
    .and_then(|mut s| s.insert(params![app, commit, now]))
    .sql()
    .and_then(|id| version(db, id))
}

/// The folder stands: remembers how it runs and how large it is.
pub fn version_ready(db: &Connection, id: i64, plan: &str, bytes: u64) -> Result<()> {
    db.prepare_cached("UPDATE versions SET plan = ?2, bytes = ?3, removed = NULL WHERE id = ?1")
        .and_then(|mut s| s.execute(params![id, plan, i64::try_from(bytes).unwrap_or(i64::MAX)]))
        .sql()?;
    Ok(())
}

/// Something of Steady's own was put beside its folder.
pub fn add_version_bytes(db: &Connection, id: i64, more: u64) -> Result<()> {
    db.prepare_cached("UPDATE versions SET bytes = bytes + ?2 WHERE id = ?1")
        .and_then(|mut s| s.execute(params![id, i64::try_from(more).unwrap_or(i64::MAX)]))
        .sql()?;
    Ok(())
}

pub fn version_removed(db: &Connection, id: i64, now: Millis) -> Result<()> {
    db.prepare_cached("UPDATE versions SET removed = ?2 WHERE id = ?1")
        .and_then(|mut s| s.execute(params![id, now]))
        .sql()?;
    Ok(())
}

pub fn version(db: &Connection, id: i64) -> Result<VersionRow> {
    db.prepare_cached(&format!("{VERSION} WHERE id = ?1")).and_then(|mut s| s.query_row([id], version_row)).sql()
}

/// The newest version of that commit whose preparation succeeded at least once.
pub fn version_of_commit(db: &Connection, app: i64, commit: &str) -> Result<Option<VersionRow>> {
    db.prepare_cached(&format!(
        "{VERSION} WHERE app_id = ?1 AND commit_id = ?2 AND plan <> '' ORDER BY id DESC LIMIT 1"
    ))
    .and_then(|mut s| s.query_row(params![app, commit], version_row).optional())
    .sql()
}

/// Versions with a folder on disk, newest use first.
pub fn versions_on_disk(db: &Connection, app: i64) -> Result<Vec<VersionRow>> {
    db.prepare_cached(
        "SELECT v.id, v.app_id, v.number, v.commit_id, v.plan, v.bytes, v.removed FROM versions v
         WHERE v.app_id = ?1 AND v.removed IS NULL
         ORDER BY (SELECT max(d.id) FROM deploys d WHERE d.version_id = v.id) DESC NULLS LAST, v.id DESC",
    )
    .and_then(|mut s| s.query_map([app], version_row)?.collect())
    .sql()
}

const DEPLOY: &str =
    "SELECT d.id, d.app_id, d.number, d.version_id, v.number, d.commit_id, d.env_version, d.who, d.why,
     d.message, d.state, d.moves_main, d.error, d.stages, d.started, d.finished, d.waits IS NOT NULL,
     coalesce(d.waits, '') <> ''
     FROM deploys d LEFT JOIN versions v ON v.id = d.version_id";

fn deploy_row(row: &Row<'_>) -> rusqlite::Result<DeployRow> {
    Ok(DeployRow {
        id: row.get(0)?,
        app_id: row.get(1)?,
        number: row.get(2)?,
        version: row.get(3)?,
        version_number: row.get(4)?,
        commit: row.get(5)?,
        env_version: row.get(6)?,
        who: row.get(7)?,
        why: row.get(8)?,
        message: row.get(9)?,
        state: row.get(10)?,
        moves_main: row.get(11)?,
        error: row.get(12)?,
        stages: row.get(13)?,
        started: row.get(14)?,
        finished: row.get(15)?,
        stopped: row.get(16)?,
        waits: row.get(17)?,
    })
}

/// Begins a record in state `running`.
pub fn begin(db: &Connection, new: &NewDeploy, now: Millis) -> Result<DeployRow> {
    db.prepare_cached(
        "INSERT INTO deploys (app_id, number, commit_id, env_version, who, why, message, state, moves_main, started)
         VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM deploys WHERE app_id = ?1), ?2, ?3, ?4, ?5, ?6,
                 'running', ?7, ?8)",
    )
    .and_then(|mut s| {
        s.insert(params![new.app, new.commit, new.env_version, new.who, new.why, new.message, new.moves_main, now])
    })
    .sql()
    .and_then(|id| deploy(db, id))
}

pub fn deploy(db: &Connection, id: i64) -> Result<DeployRow> {
    db.prepare_cached(&format!("{DEPLOY} WHERE d.id = ?1")).and_then(|mut s| s.query_row([id], deploy_row)).sql()
}

/// By the number people see. Errors: `NotFound`.
pub fn by_number(db: &Connection, app: i64, number: i64) -> Result<Option<DeployRow>> {
    db.prepare_cached(&format!("{DEPLOY} WHERE d.app_id = ?1 AND d.number = ?2"))
        .and_then(|mut s| s.query_row([app, number], deploy_row).optional())
        .sql()
}

/// Newest first.
pub fn list(db: &Connection, app: i64, limit: usize) -> Result<Vec<DeployRow>> {
    db.prepare_cached(&format!("{DEPLOY} WHERE d.app_id = ?1 ORDER BY d.id DESC LIMIT ?2"))
        .and_then(|mut s| s.query_map(params![app, i64::try_from(limit).unwrap_or(i64::MAX)], deploy_row)?.collect())
        .sql()
}

/// The newest deploy before `than` that went live with another version.
pub fn last_good_before(db: &Connection, app: i64, than: &DeployRow) -> Result<Option<DeployRow>> {
    db.prepare_cached(&format!(
        "{DEPLOY} WHERE d.app_id = ?1 AND d.id < ?2 AND d.state = 'live' AND d.version_id IS NOT ?3
         ORDER BY d.id DESC LIMIT 1"
    ))
    .and_then(|mut s| s.query_row(params![app, than.id, than.version], deploy_row).optional())
    .sql()
}

/// The commit point of a deploy: from here on it is live, whatever crashes.
pub fn set_live(db: &Connection, deploy: i64, version: i64, stages: &str, now: Millis) -> Result<()> {
    db.prepare_cached("UPDATE deploys SET state = 'live', version_id = ?2, stages = ?3, finished = ?4 WHERE id = ?1")
        .and_then(|mut s| s.execute(params![deploy, version, stages, now]))
        .sql()?;
    db.prepare_cached("UPDATE apps SET live_deploy = ?1 WHERE id = (SELECT app_id FROM deploys WHERE id = ?1)")
        .and_then(|mut s| s.execute([deploy]))
        .sql()?;
    Ok(())
}

pub fn set_stages(db: &Connection, deploy: i64, stages: &str) -> Result<()> {
    db.prepare_cached("UPDATE deploys SET stages = ?2 WHERE id = ?1")
        .and_then(|mut s| s.execute(params![deploy, stages]))
        .sql()?;
    Ok(())
}

pub fn set_failed(
    db: &Connection,
    deploy: i64,
    version: Option<i64>,
    error: &str,
    stages: &str,
    now: Millis,
) -> Result<()> {
    db.prepare_cached(
        "UPDATE deploys SET state = 'failed', version_id = ?2, error = ?3, stages = ?4, finished = ?5
         WHERE id = ?1 AND state = 'running'",
    )
    .and_then(|mut s| s.execute(params![deploy, version, error, stages, now]))
    .sql()?;
    Ok(())
}

/// At start: what was running when the server ended did not finish.
pub fn fail_interrupted(db: &Connection, now: Millis) -> Result<usize> {
    db.prepare_cached(
        "UPDATE deploys SET state = 'failed', error = 'the server stopped while this ran', finished = ?1
         WHERE state = 'running'",
    )
    .and_then(|mut s| s.execute([now]))
    .sql()
}
