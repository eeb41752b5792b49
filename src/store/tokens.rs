//! Tokens rows. Only the hash of a token is here.
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqlExt as _;
use super::users::{COLUMNS, User, from_row};
use crate::base::{Error, Millis, Result};

/// A row but for its hash.
#[derive(Clone, Debug)]
pub struct Token {
    pub id: i64,
    pub name: String,
    /// A JSON list, as it was given.
    pub scopes: String,
    pub project: Option<i64>,
    pub created: Millis,
    pub expires: Option<Millis>,
    /// Last used, to the minute.
    pub used: Option<Millis>,
}

const TOKEN: &str =
    "tokens.id, tokens.name, tokens.scopes, tokens.project_id, tokens.created, tokens.expires, tokens.used";

fn token(row: &Row<'_>, at: usize) -> rusqlite::Result<Token> {
    Ok(Token {
        id: row.get(at)?,
        name: row.get(at + 1)?,
        scopes: row.get(at + 2)?,
        project: row.get(at + 3)?,
        created: row.get(at + 4)?,
        expires: row.get(at + 5)?,
        used: row.get(at + 6)?,
    })
}

/// `id` of `new` is not read. Errors: `Conflict` when the user has `limit` already.
pub fn insert(db: &Connection, user: i64, hash: &str, new: &Token, limit: u32) -> Result<Token> {
    let has: u32 = db
        .prepare_cached("SELECT count(*) FROM tokens WHERE user_id = ?")
        .sql()?
        .query_row([user], |row| row.get(0))
        .sql()?;
    if has >= limit {
        return Err(Error::conflict(format!("there are {has} tokens already")).hint("Revoke one that is not used."));
    }
    db.prepare_cached(
        "INSERT INTO tokens (user_id, hash, name, scopes, project_id, created, expires) VALUES (?,?,?,?,?,?,?)",
    )
    .sql()?
    .execute(params![user, hash, new.name, new.scopes, new.project, new.created, new.expires])
    .sql()?;
    Ok(Token { id: db.last_insert_rowid(), ..new.clone() })
}

/// `None` when there is none, it is over, or its user (a guest) is.
pub fn find(db: &Connection, hash: &str, now: Millis) -> Result<Option<(Token, User)>> {
    db.prepare_cached(&format!(
        "SELECT {TOKEN}, {COLUMNS} FROM tokens JOIN users ON users.id = tokens.user_id
         WHERE hash = ?1 AND (tokens.expires IS NULL OR tokens.expires > ?2)
         AND (users.expires IS NULL OR users.expires > ?2)"
    ))
    .sql()?
    .query_row(params![hash, now], |row| Ok((token(row, 0)?, from_row(row, 7)?)))
    .optional()
    .sql()
}

pub fn touch(db: &Connection, id: i64, now: Millis) -> Result<()> {
    db.prepare_cached("UPDATE tokens SET used = ?2 WHERE id = ?1").sql()?.execute(params![id, now]).sql()?;
    Ok(())
}

/// Newest first, those that are over included until they are removed.
pub fn of_user(db: &Connection, user: i64) -> Result<Vec<Token>> {
    let mut query =
        db.prepare_cached(&format!("SELECT {TOKEN} FROM tokens WHERE user_id = ? ORDER BY id DESC")).sql()?;
    let rows = query.query_map([user], |row| token(row, 0)).sql()?;
    rows.collect::<rusqlite::Result<_>>().sql()
}

/// Errors: `NotFound` when the user has no such token.
pub fn remove(db: &Connection, user: i64, id: i64) -> Result<()> {
    let removed =
        db.prepare_cached("DELETE FROM tokens WHERE id = ? AND user_id = ?").sql()?.execute(params![id, user]).sql()?;
    if removed == 0 { Err(Error::not_found("there is no such token")) } else { Ok(()) }
}

/// Those that were over before that moment.
pub fn remove_over(db: &Connection, before: Millis) -> Result<()> {
    db.prepare_cached("DELETE FROM tokens WHERE expires <= ?").sql()?.execute([before]).sql()?;
    Ok(())
}
