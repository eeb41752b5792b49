//! Users rows: people with a password, and guests.
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;

use super::SqlExt as _;
use crate::base::{Error, Millis, Result, UserName};

/// Who signs in. A guest has no password and a nickname, and its things expire.
#[derive(Clone, Debug, Serialize)]
pub struct User {
    pub id: i64,
    pub name: UserName,
    pub admin: bool,
    pub guest: bool,
    pub nickname: Option<String>,
    pub created: Millis,
    /// A guest's last moment.
    pub expires: Option<Millis>,
}

/// What a new row holds.
pub enum NewUser<'a> {
    /// `password` is a hash, never the password.
    Person {
        password: &'a str,
        admin: bool,
    },
    Guest {
        nickname: &'a str,
        expires: Millis,
    },
}

/// Errors: `Conflict` when the name is taken.
pub fn insert(db: &Connection, name: &UserName, new: NewUser<'_>, now: Millis) -> Result<User> {
    let (password, admin, guest, nickname, expires) = match new {
        NewUser::Person { password, admin } => (Some(password), admin, false, None, None),
        NewUser::Guest { nickname, expires } => (None, false, true, Some(nickname), Some(expires)),
    };
    db.prepare_cached(
        "INSERT INTO users (name, password, admin, guest, nickname, created, expires) VALUES (?,?,?,?,?,?,?)",
    )
    .sql()?
    .execute(params![name.as_str(), password, admin, guest, nickname, now, expires])
    .unique(|| Error::conflict(format!("the user name `{name}` is taken")).hint("Choose another name."))?;
    Ok(User {
        id: db.last_insert_rowid(),
        name: name.clone(),
        admin,
        guest,
        nickname: nickname.map(str::to_owned),
        created: now,
        expires,
    })
}

/// The columns [`from_row`] reads, for joins of other files: `users` must not be renamed in them.
pub(super) const COLUMNS: &str =
    "users.id, users.name, users.admin, users.guest, users.nickname, users.created, users.expires";

/// Reads [`COLUMNS`], which begin at column `at`.
pub(super) fn from_row(row: &Row<'_>, at: usize) -> rusqlite::Result<User> {
    let name: String = row.get(at + 1)?;
    Ok(User {
        id: row.get(at)?,
        name: UserName::parse(&name)
            .map_err(|e| rusqlite::Error::FromSqlConversionFailure(at + 1, rusqlite::types::Type::Text, Box::new(e)))?,
        admin: row.get(at + 2)?,
        guest: row.get(at + 3)?,
        nickname: row.get(at + 4)?,
        created: row.get(at + 5)?,
        expires: row.get(at + 6)?,
    })
}

/// Errors: `NotFound`.
pub fn by_name(db: &Connection, name: &UserName) -> Result<User> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE name = ?"))
        .sql()?
        .query_row([name.as_str()], |row| from_row(row, 0))
        .optional()
        .sql()?
        .ok_or_else(|| Error::not_found(format!("there is no user `{name}`")))
}

/// Errors: `NotFound`.
pub fn by_id(db: &Connection, id: i64) -> Result<User> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE id = ?"))
        .sql()?
        .query_row([id], |row| from_row(row, 0))
        .optional()
        .sql()?
        .ok_or_else(|| Error::not_found("there is no such user"))
}

/// People first, then guests, each by name.
pub fn all(db: &Connection) -> Result<Vec<User>> {
    let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM users ORDER BY guest, name")).sql()?;
    let rows = query.query_map([], |row| from_row(row, 0)).sql()?;
    rows.collect::<rusqlite::Result<_>>().sql()
}

/// A person and their password's hash; `None` for nobody and for guests.
pub fn with_password(db: &Connection, name: &str) -> Result<Option<(User, String)>> {
    db.prepare_cached(&format!("SELECT {COLUMNS}, users.password FROM users WHERE name = ? AND guest = 0"))
        .sql()?
        .query_row([name], |row| Ok((from_row(row, 0)?, row.get(7)?)))
        .optional()
        .sql()
}

/// Whether that is (still) the hash of their password.
pub fn has_password(db: &Connection, id: i64, hash: &str) -> Result<bool> {
    db.prepare_cached("SELECT 1 FROM users WHERE id = ? AND password = ? AND guest = 0")
        .sql()?
        .exists(params![id, hash])
        .sql()
}

/// Errors: `NotFound` when there is no such person.
pub fn set_password(db: &Connection, id: i64, hash: &str) -> Result<()> {
    let changed = db
        .prepare_cached("UPDATE users SET password = ? WHERE id = ? AND guest = 0")
        .sql()?
        .execute(params![hash, id])
        .sql()?;
    if changed == 0 { Err(Error::not_found("there is no such user")) } else { Ok(()) }
}

/// Whether anybody can sign in with a password.
pub fn any_person(db: &Connection) -> Result<bool> {
    db.prepare_cached("SELECT 1 FROM users WHERE guest = 0 LIMIT 1").sql()?.exists([]).sql()
}

pub fn count_guests(db: &Connection) -> Result<i64> {
    db.prepare_cached("SELECT count(*) FROM users WHERE guest = 1").sql()?.query_row([], |row| row.get(0)).sql()
}

/// Removes up to `limit` guests who were over before `now` and whom nothing refers to any more (their
/// projects are removed first, elsewhere). What they were a member of goes with them.
pub fn remove_guests(db: &Connection, now: Millis, limit: u32) -> Result<u64> {
    let over: Vec<i64> = {
        let mut query = db
            .prepare_cached(
                "SELECT id FROM users WHERE guest = 1 AND expires <= ?1
                 AND NOT EXISTS (SELECT 1 FROM projects WHERE owner_id = users.id)
                 ORDER BY expires LIMIT ?2",
            )
            .sql()?;
        query.query_map(params![now, limit], |row| row.get(0)).sql()?.collect::<rusqlite::Result<_>>().sql()?
    };
    let mut removed = 0;
    for id in over {
        db.execute_batch("SAVEPOINT guest").sql()?;
        let gone = db
            .prepare_cached("DELETE FROM members WHERE user_id = ?")
            .and_then(|mut memberships| memberships.execute([id]))
            .and_then(|_| db.prepare_cached("DELETE FROM users WHERE id = ?")?.execute([id]));
        match gone {
            Ok(_) => removed += 1,
            // Some row still names the guest (a draft not yet collected): next time.
            Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                db.execute_batch("ROLLBACK TO guest").sql()?;
            }
            Err(e) => return Err(e).sql(),
        }
        db.execute_batch("RELEASE guest").sql()?;
    }
    Ok(removed)
}
