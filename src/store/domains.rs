//! Custom domains, and who proved that they are theirs.
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqlExt as _;
use crate::base::{DomainName, Error, Millis, Result};

#[derive(Clone, Debug)]
pub struct DomainRow {
    pub project: i64,
    pub host: DomainName,
    /// Another host of the project, which visitors are sent to.
    pub redirect: Option<DomainName>,
    /// What the TXT record must hold.
    pub token: String,
    pub verified: Option<Millis>,
    /// JSON of `apps::domain::Found`.
    pub found: String,
    pub checked: Option<Millis>,
    pub created: Millis,
}

const COLUMNS: &str = "SELECT project_id, host, redirect, token, verified, found, checked, created FROM domains";

fn row(row: &Row<'_>) -> rusqlite::Result<DomainRow> {
    let name = |column: usize, text: String| {
        DomainName::parse(&text)
            .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(e)))
    };
    Ok(DomainRow {
        project: row.get(0)?,
        host: name(1, row.get(1)?)?,
        redirect: row.get::<_, Option<String>>(2)?.map(|text| name(2, text)).transpose()?,
        token: row.get(3)?,
        verified: row.get(4)?,
        found: row.get(5)?,
        checked: row.get(6)?,
        created: row.get(7)?,
    })
}

/// Looked at as soon as somebody has time. Errors: `Conflict` when the project has it already.
pub fn insert(
    db: &Connection,
    project: i64,
    host: &DomainName,
    redirect: Option<&DomainName>,
    token: &str,
    now: Millis,
) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO domains (project_id, host, redirect, token, next_check, created) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
    )
    .and_then(|mut s| s.execute(params![project, host.as_str(), redirect.map(DomainName::as_str), token, now]))
    .unique(|| Error::conflict(format!("the project has the domain {host} already")))?;
    Ok(())
}

pub fn of_project(db: &Connection, project: i64) -> Result<Vec<DomainRow>> {
    db.prepare_cached(&format!("{COLUMNS} WHERE project_id = ?1 ORDER BY created, host"))
        .and_then(|mut s| s.query_map([project], row)?.collect())
        .sql()
}

pub fn find(db: &Connection, project: i64, host: &DomainName) -> Result<Option<DomainRow>> {
    db.prepare_cached(&format!("{COLUMNS} WHERE project_id = ?1 AND host = ?2"))
        .and_then(|mut s| s.query_row(params![project, host.as_str()], row).optional())
        .sql()
}

/// Of the one project that proved it.
pub fn proved(db: &Connection, host: &DomainName) -> Result<Option<DomainRow>> {
    db.prepare_cached(&format!("{COLUMNS} WHERE host = ?1 AND verified IS NOT NULL"))
        .and_then(|mut s| s.query_row([host.as_str()], row).optional())
        .sql()
}

/// All that are proved.
pub fn all_proved(db: &Connection) -> Result<Vec<DomainRow>> {
    db.prepare_cached(&format!("{COLUMNS} WHERE verified IS NOT NULL ORDER BY project_id"))
        .and_then(|mut s| s.query_map([], row)?.collect())
        .sql()
}

/// Those to look at now, the longest waiting first. Domains of deleted projects wait for their recovery.
pub fn due(db: &Connection, now: Millis, limit: u32) -> Result<Vec<DomainRow>> {
    db.prepare_cached(&format!(
        "{COLUMNS} WHERE next_check <= ?1 AND project_id IN (SELECT id FROM projects WHERE deleted IS NULL)
         ORDER BY next_check LIMIT ?2"
    ))
    .and_then(|mut s| s.query_map(params![now, limit], row)?.collect())
    .sql()
}

/// What a look found. `verified` is since when it is proved.
/// Errors: `Conflict` when another project has proved it meanwhile; `NotFound` when it was taken away.
pub fn looked(
    db: &Connection,
    domain: &DomainRow,
    found: &str,
    verified: Option<Millis>,
    now: Millis,
    next: Option<Millis>,
) -> Result<()> {
    let changed = db
        .prepare_cached(
            "UPDATE domains SET found = ?3, verified = ?4, checked = ?5, next_check = ?6
             WHERE project_id = ?1 AND host = ?2",
        )
        .and_then(|mut s| s.execute(params![domain.project, domain.host.as_str(), found, verified, now, next]))
        .unique(|| Error::conflict(format!("{} is served by another project here", domain.host)))?;
    if changed == 0 {
        return Err(Error::not_found(format!("the domain {} was taken away meanwhile", domain.host)));
    }
    Ok(())
}

/// It is nobody's any more, until somebody proves it anew.
pub fn unprove(db: &Connection, host: &DomainName) -> Result<()> {
    db.prepare_cached("UPDATE domains SET verified = NULL, next_check = NULL WHERE host = ?1")
        .and_then(|mut s| s.execute([host.as_str()]))
        .sql()?;
    Ok(())
}

/// A project that is deleted holds no domain; one that is recovered has them looked at at once.
pub fn let_go(db: &Connection, project: i64, now: Millis) -> Result<()> {
    db.prepare_cached("UPDATE domains SET verified = NULL, next_check = ?2 WHERE project_id = ?1")
        .and_then(|mut s| s.execute(params![project, now]))
        .sql()?;
    Ok(())
}

/// Those that send visitors there go with it. False when the project has no such domain.
pub fn remove(db: &Connection, project: i64, host: &DomainName) -> Result<bool> {
    let removed = db
        .prepare_cached("DELETE FROM domains WHERE project_id = ?1 AND host = ?2")
        .and_then(|mut s| s.execute(params![project, host.as_str()]))
        .sql()?;
    Ok(removed > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{DataDir, ProjectName};
    use crate::store::{Store, projects};

    #[test]
    fn several_may_claim_and_one_may_prove() {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::open(&DataDir::open(temp.path()).unwrap()).unwrap();
        let work = |db: &Connection| {
            db.execute("INSERT INTO users (id, name, password, created) VALUES (1, 'u', 'x', 0)", []).sql()?;
            let one = projects::insert(db, 1, &ProjectName::parse("one")?, None, 0)?;
            let two = projects::insert(db, 1, &ProjectName::parse("two")?, None, 0)?;
            let host = DomainName::parse("shop.example.com")?;
            insert(db, one, &host, None, "a", 5)?;
            insert(db, two, &host, None, "b", 6)?;
            assert!(insert(db, one, &host, None, "c", 7).is_err());
            assert_eq!(due(db, 5, 9)?.len(), 1);
            let [first, second] = [one, two].map(|project| find(db, project, &host).unwrap().unwrap());
            assert!(proved(db, &host)?.is_none());
            looked(db, &first, "{}", Some(8), 8, Some(20))?;
            assert_eq!(looked(db, &second, "{}", Some(9), 9, None).unwrap_err().kind, crate::base::Kind::Conflict);
            assert_eq!(proved(db, &host)?.map(|row| row.project), Some(one));
            unprove(db, &host)?;
            looked(db, &second, "{}", Some(9), 9, None)?;
            assert_eq!(all_proved(db)?.len(), 1);
            // A deleted project holds nothing, and is looked at again when it is back.
            let row = projects::by_id(db, two)?;
            projects::set_deleted(db, &row, Some(10))?;
            let_go(db, two, 10)?;
            assert!(proved(db, &host)?.is_none() && due(db, 99, 9)?.is_empty());
            projects::set_deleted(db, &row, None)?;
            assert_eq!(due(db, 99, 9)?.len(), 1);
            assert!(remove(db, one, &host)? && !remove(db, one, &host)?);
            projects::set_deleted(db, &row, Some(10))?;
            projects::purge(db, two)?;
            assert!(of_project(db, two)?.is_empty());
            Ok(())
        };
        store.write(work).unwrap();
    }
}
