//! Sessions rows. Only the hash of a cookie is here.
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;

use super::SqlExt as _;
use super::users::{COLUMNS, User, from_row};
use crate::base::{Millis, Result};

/// A living session and whose it is.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: i64,
    pub csrf: String,
    pub used: Millis,
    pub user: User,
}

/// As listed to its user.
#[derive(Clone, Debug, Serialize)]
pub struct SessionInfo {
    pub id: i64,
    /// The browser as it named itself, shortened; may be empty.
    pub agent: String,
    pub created: Millis,
    /// Last used, to the minute.
    pub used: Millis,
}

/// Keeps the user's newest `keep` sessions, this one included. Returns the new row's id.
pub fn insert(
    db: &Connection,
    user: i64,
    hash: &str,
    csrf: &str,
    (now, expires): (Millis, Millis),
    keep: u32,
) -> Result<i64> {
    db.prepare_cached("INSERT INTO sessions (user_id, hash, csrf, created, used, expires) VALUES (?1,?2,?3,?4,?4,?5)")
        .sql()?
        .execute(params![user, hash, csrf, now, expires])
        .sql()?;
    let id = db.last_insert_rowid();
    db.prepare_cached(
        "DELETE FROM sessions WHERE user_id = ?1 AND id <=
         (SELECT id FROM sessions WHERE user_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )
    .sql()?
    .execute(params![user, keep])
    .sql()?;
    Ok(id)
}

/// `None` when there is none, it is over, or its user (a guest) is.
pub fn find(db: &Connection, hash: &str, now: Millis) -> Result<Option<Session>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS}, sessions.id, sessions.csrf, sessions.used
         FROM sessions JOIN users ON users.id = sessions.user_id
         WHERE hash = ?1 AND sessions.expires > ?2 AND (users.expires IS NULL OR users.expires > ?2)"
    ))
    .sql()?
    .query_row(params![hash, now], |row| {
        Ok(Session { user: from_row(row, 0)?, id: row.get(7)?, csrf: row.get(8)?, used: row.get(9)? })
    })
    .optional()
    .sql()
}

/// The living session of that id. `None` as in [`find`].
pub fn by_id(db: &Connection, id: i64, now: Millis) -> Result<Option<Session>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS}, sessions.id, sessions.csrf, sessions.used
         FROM sessions JOIN users ON users.id = sessions.user_id
         WHERE sessions.id = ?1 AND sessions.expires > ?2 AND (users.expires IS NULL OR users.expires > ?2)"
    ))
    .sql()?
    .query_row(params![id, now], |row| {
        Ok(Session { user: from_row(row, 0)?, id: row.get(7)?, csrf: row.get(8)?, used: row.get(9)? })
    })
    .optional()
    .sql()
}

/// Slides a session on.
pub fn touch(db: &Connection, id: i64, now: Millis, expires: Millis) -> Result<()> {
    db.prepare_cached("UPDATE sessions SET used = ?2, expires = ?3 WHERE id = ?1")
        .sql()?
        .execute(params![id, now, expires])
        .sql()?;
    Ok(())
}

/// Notes which browser it is.
pub fn set_agent(db: &Connection, id: i64, agent: &str) -> Result<()> {
    db.prepare_cached("UPDATE sessions SET agent = ?2 WHERE id = ?1").sql()?.execute(params![id, agent]).sql()?;
    Ok(())
}

/// Newest use first.
pub fn of_user(db: &Connection, user: i64, now: Millis) -> Result<Vec<SessionInfo>> {
    let mut query = db
        .prepare_cached(
            "SELECT id, agent, created, used FROM sessions WHERE user_id = ? AND expires > ? ORDER BY used DESC, id DESC",
        )
        .sql()?;
    let rows = query
        .query_map(params![user, now], |row| {
            Ok(SessionInfo { id: row.get(0)?, agent: row.get(1)?, created: row.get(2)?, used: row.get(3)? })
        })
        .sql()?;
    rows.collect::<rusqlite::Result<_>>().sql()
}

pub fn remove(db: &Connection, id: i64) -> Result<()> {
    db.prepare_cached("DELETE FROM sessions WHERE id = ?").sql()?.execute([id]).sql()?;
    Ok(())
}

/// All of a user's but `except`; how many.
pub fn remove_of_user(db: &Connection, user: i64, except: Option<i64>) -> Result<u64> {
    let removed = db
        .prepare_cached("DELETE FROM sessions WHERE user_id = ?1 AND id IS NOT ?2")
        .sql()?
        .execute(params![user, except])
        .sql()?;
    Ok(removed as u64)
}

pub fn remove_over(db: &Connection, now: Millis) -> Result<()> {
    db.prepare_cached("DELETE FROM sessions WHERE expires <= ?").sql()?.execute([now]).sql()?;
    Ok(())
}
