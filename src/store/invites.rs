//! Invites rows. Only the hash of the value in the link is here.
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqlExt as _;
use crate::base::{Error, Millis, Result};

#[derive(Clone, Debug)]
pub struct Invite {
    pub id: i64,
    pub note: String,
    /// Whoever comes by it becomes an admin.
    pub admin: bool,
    pub created: Millis,
    pub expires: Millis,
    /// The name of who came by it.
    pub used_by: Option<String>,
}

const INVITE: &str = "SELECT invites.id, invites.note, invites.admin, invites.created, invites.expires, users.name
     FROM invites LEFT JOIN users ON users.id = invites.used_by";

fn invite(row: &Row<'_>) -> rusqlite::Result<Invite> {
    Ok(Invite {
        id: row.get(0)?,
        note: row.get(1)?,
        admin: row.get(2)?,
        created: row.get(3)?,
        expires: row.get(4)?,
        used_by: row.get(5)?,
    })
}

/// `id` and `used_by` of `new` are not read. Errors: `Conflict` when `limit` are open already.
pub fn insert(db: &Connection, made_by: i64, hash: &str, new: &Invite, limit: u32) -> Result<Invite> {
    let open: u32 = db
        .prepare_cached("SELECT count(*) FROM invites WHERE used IS NULL")
        .sql()?
        .query_row([], |row| row.get(0))
        .sql()?;
    if open >= limit {
        return Err(Error::conflict(format!("{open} invitations are open already")).hint("Revoke some of them."));
    }
    db.prepare_cached("INSERT INTO invites (hash, note, admin, made_by, created, expires) VALUES (?,?,?,?,?,?)")
        .sql()?
        .execute(params![hash, new.note, new.admin, made_by, new.created, new.expires])
        .sql()?;
    Ok(Invite { id: db.last_insert_rowid(), used_by: None, ..new.clone() })
}

/// `None` when there is none, it was used, or it is over.
pub fn find_open(db: &Connection, hash: &str, now: Millis) -> Result<Option<Invite>> {
    db.prepare_cached(&format!("{INVITE} WHERE hash = ? AND used IS NULL AND invites.expires > ?"))
        .sql()?
        .query_row(params![hash, now], invite)
        .optional()
        .sql()
}

/// False when somebody else was faster, or it is over.
pub fn mark_used(db: &Connection, id: i64, by: i64, now: Millis) -> Result<bool> {
    let changed = db
        .prepare_cached("UPDATE invites SET used = ?3, used_by = ?2 WHERE id = ?1 AND used IS NULL AND expires > ?3")
        .sql()?
        .execute(params![id, by, now])
        .sql()?;
    Ok(changed == 1)
}

/// Newest first.
pub fn all(db: &Connection) -> Result<Vec<Invite>> {
    let mut query = db.prepare_cached(&format!("{INVITE} ORDER BY invites.id DESC")).sql()?;
    let rows = query.query_map([], invite).sql()?;
    rows.collect::<rusqlite::Result<_>>().sql()
}

/// Errors: `NotFound`; `Conflict` when it was used already.
pub fn remove(db: &Connection, id: i64) -> Result<()> {
    let used: Option<bool> = db
        .prepare_cached("SELECT used IS NOT NULL FROM invites WHERE id = ?")
        .sql()?
        .query_row([id], |row| row.get(0))
        .optional()
        .sql()?;
    match used {
        None => Err(Error::not_found("there is no such invitation")),
        Some(true) => Err(Error::conflict("the invitation was used already")),
        Some(false) => {
            db.prepare_cached("DELETE FROM invites WHERE id = ?").sql()?.execute([id]).sql()?;
            Ok(())
        }
    }
}

/// Those that were over before that moment, used or not.
pub fn remove_over(db: &Connection, before: Millis) -> Result<()> {
    db.prepare_cached("DELETE FROM invites WHERE expires <= ?").sql()?.execute([before]).sql()?;
    Ok(())
}
