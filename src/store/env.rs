//! Environment sets: each change is a new whole one, sealed. A deploy names the one it ran with.
use rusqlite::{Connection, OptionalExtension as _, params};

use super::SqlExt as _;
use super::seal::Key;
use crate::base::{Millis, Result, ResultExt as _, Secret};

/// Name, value, and when it was set.
#[derive(Clone, Debug)]
pub struct Variable {
    pub name: String,
    pub value: Secret<String>,
    pub set: Millis,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Sealed {
    name: String,
    value: String,
    set: Millis,
}

fn context(app: i64, version: i64) -> String {
    format!("env_sets/{app}/{version}")
}

/// Empty for version 0, which every app begins with.
pub fn load(db: &Connection, key: &Key, app: i64, version: i64) -> Result<Vec<Variable>> {
    let sealed: Option<Vec<u8>> = db
        .prepare_cached("SELECT sealed FROM env_sets WHERE app_id = ?1 AND version = ?2")
        .and_then(|mut s| s.query_row([app, version], |r| r.get(0)).optional())
        .sql()?;
    let Some(sealed) = sealed else { return Ok(Vec::new()) };
    let plain = key.open(&context(app, version), &sealed)?;
    let set: Vec<Sealed> = serde_json::from_slice(&plain).internal("while reading an environment set")?;
    Ok(set.into_iter().map(|v| Variable { name: v.name, value: Secret::new(v.value), set: v.set }).collect())
}

/// Stores the next version of the whole set and makes it the app's newest. Returns its number.
pub fn store(db: &Connection, key: &Key, app: i64, set: &[Variable], who: &str, now: Millis) -> Result<i64> {
    let version: i64 = db
        .prepare_cached("SELECT coalesce(max(version), 0) + 1 FROM env_sets WHERE app_id = ?1")
        .and_then(|mut s| s.query_row([app], |r| r.get(0)))
        .sql()?;
    // The value is exposed to be sealed, and only sealed bytes reach the database.
    let plain: Vec<Sealed> =
        set.iter().map(|v| Sealed { name: v.name.clone(), value: v.value.expose().clone(), set: v.set }).collect();
    let plain = serde_json::to_vec(&plain).internal("while writing an environment set")?;
    let names: Vec<&str> = set.iter().map(|v| v.name.as_str()).collect();
    db.prepare_cached(
        "INSERT INTO env_sets (app_id, version, names, sealed, who, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .and_then(|mut s| {
        s.execute(params![app, version, names.join(" "), key.seal(&context(app, version), &plain), who, now])
    })
    .sql()?;
    db.prepare_cached("UPDATE apps SET env_version = ?2 WHERE id = ?1")
        .and_then(|mut s| s.execute([app, version]))
        .sql()?;
    Ok(version)
}
