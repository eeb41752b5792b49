//! Links that open an app. Only the hash of a link's secret is here.
use rusqlite::{Connection, params};

use super::SqlExt as _;
use crate::base::{Error, Millis, Result};

#[derive(Clone, Debug)]
pub struct LinkRow {
    pub id: i64,
    pub name: String,
    /// Hex SHA-256.
    pub hash: String,
    pub who: String,
    pub created: Millis,
    /// `None`: until it is revoked.
    pub expires: Option<Millis>,
}

/// Errors: `Conflict` when the app has `most` already.
pub fn insert(db: &Connection, app: i64, link: &LinkRow, most: usize) -> Result<i64> {
    if of(db, app)?.len() >= most {
        return Err(Error::conflict(format!("this app has {most} links already"))
            .hint("Revoke one that nobody needs any more."));
    }
    db.prepare_cached("INSERT INTO links (app_id, name, hash, who, created, expires) VALUES (?1,?2,?3,?4,?5,?6)")
        .and_then(|mut s| s.insert(params![app, link.name, link.hash, link.who, link.created, link.expires]))
        .sql()
}

/// Newest first.
pub fn of(db: &Connection, app: i64) -> Result<Vec<LinkRow>> {
    db.prepare_cached("SELECT id, name, hash, who, created, expires FROM links WHERE app_id = ?1 ORDER BY id DESC")
        .and_then(|mut s| {
            s.query_map([app], |r| {
                Ok(LinkRow {
                    id: r.get(0)?,
                    name: r.get(1)?,
                    hash: r.get(2)?,
                    who: r.get(3)?,
                    created: r.get(4)?,
                    expires: r.get(5)?,
                })
            })?
            .collect()
        })
        .sql()
}

/// Errors: `NotFound` when the app has no such link.
pub fn remove(db: &Connection, app: i64, id: i64) -> Result<()> {
    let removed = db
        .prepare_cached("DELETE FROM links WHERE app_id = ?1 AND id = ?2")
        .and_then(|mut s| s.execute([app, id]))
        .sql()?;
    match removed {
        0 => Err(Error::not_found(format!("this app has no link {id}"))),
        _ => Ok(()),
    }
}
