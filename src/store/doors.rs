//! What stands before an app: who may come in, and whether it is down for maintenance.
use rusqlite::{Connection, OptionalExtension as _, params};

use super::SqlExt as _;
use crate::base::Result;

/// No row is the same as the default: open to everybody, and up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoorRow {
    /// What visitors are told while the app is down; `None` = it is up.
    pub maintenance: Option<String>,
}

pub fn of(db: &Connection, app: i64) -> Result<DoorRow> {
    let row = db
        .prepare_cached("SELECT maintenance FROM doors WHERE app_id = ?1")
        .and_then(|mut s| s.query_row([app], |r| Ok(DoorRow { maintenance: r.get(0)? })).optional())
        .sql()?;
    Ok(row.unwrap_or_default())
}

/// `None`: it is up again.
pub fn set_maintenance(db: &Connection, app: i64, text: Option<&str>) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO doors (app_id, maintenance) VALUES (?1, ?2)
         ON CONFLICT (app_id) DO UPDATE SET maintenance = excluded.maintenance",
    )
    .and_then(|mut s| s.execute(params![app, text]))
    .sql()?;
    Ok(())
}
