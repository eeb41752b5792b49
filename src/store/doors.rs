//! What stands before an app: who may come in, and whether it is down for maintenance.
use rusqlite::{Connection, OptionalExtension as _, params};

use super::SqlExt as _;
use crate::base::Result;

/// No row is the same as the default: open to everybody, and up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorRow {
    /// `public`, `members`, `users`, `links` or `password`.
    pub access: String,
    /// Argon2; set with `password` only.
    pub password: Option<String>,
    /// What visitors are told while the app is down; `None` = it is up.
    pub maintenance: Option<String>,
}

impl Default for DoorRow {
    fn default() -> Self {
        Self { access: "public".to_owned(), password: None, maintenance: None }
    }
}

pub fn of(db: &Connection, app: i64) -> Result<DoorRow> {
    let row = db
        .prepare_cached("SELECT access, password, maintenance FROM doors WHERE app_id = ?1")
        .and_then(|mut s| {
            s.query_row([app], |r| Ok(DoorRow { access: r.get(0)?, password: r.get(1)?, maintenance: r.get(2)? }))
                .optional()
        })
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

pub fn set_access(db: &Connection, app: i64, access: &str, password: Option<&str>) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO doors (app_id, access, password) VALUES (?1, ?2, ?3)
         ON CONFLICT (app_id) DO UPDATE SET access = excluded.access, password = excluded.password",
    )
    .and_then(|mut s| s.execute(params![app, access, password]))
    .sql()?;
    Ok(())
}
