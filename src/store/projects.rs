//! Projects, their old names, their members.
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqlExt as _;
use crate::base::{Error, Millis, ProjectName, ProjectPath, Result, UserName};

#[derive(Clone, Debug)]
pub struct ProjectRow {
    pub id: i64,
    pub owner_id: i64,
    pub path: ProjectPath,
    pub public_code: bool,
    pub created: Millis,
    pub deleted: Option<Millis>,
    pub expires: Option<Millis>,
}

const COLUMNS: &str = "SELECT p.id, p.owner_id, u.name, p.name, p.public_code, p.created, p.deleted, p.expires
     FROM projects p JOIN users u ON u.id = p.owner_id";

fn row(row: &Row<'_>) -> rusqlite::Result<ProjectRow> {
    let names = (row.get::<_, String>(2)?, row.get::<_, String>(3)?);
    let path = UserName::parse(&names.0)
        .and_then(|user| Ok(ProjectPath::new(user, ProjectName::parse(&names.1)?)))
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(e)))?;
    Ok(ProjectRow {
        id: row.get(0)?,
        owner_id: row.get(1)?,
        path,
        public_code: row.get(4)?,
        created: row.get(5)?,
        deleted: row.get(6)?,
        expires: row.get(7)?,
    })
}

/// Errors: `Conflict` when the owner already has a project of that name.
pub fn insert(db: &Connection, owner: i64, name: &ProjectName, expires: Option<Millis>, now: Millis) -> Result<i64> {
    db.prepare_cached("INSERT INTO projects (owner_id, name, created, expires) VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut s| s.insert(params![owner, name.as_str(), now, expires]))
        .unique(|| taken(name))
}

fn taken(name: &ProjectName) -> Error {
    Error::conflict(format!("there already is a project called {name}")).hint("Choose another name.")
}

/// Live projects only.
pub fn by_path(db: &Connection, path: &ProjectPath) -> Result<Option<ProjectRow>> {
    db.prepare_cached(&format!("{COLUMNS} WHERE u.name = ?1 AND p.name = ?2 AND p.deleted IS NULL"))
        .and_then(|mut s| s.query_row([path.user.as_str(), path.project.as_str()], row).optional())
        .sql()
}

/// Where an old name leads.
pub fn by_old_path(db: &Connection, path: &ProjectPath) -> Result<Option<ProjectRow>> {
    let id: Option<i64> = db
        .prepare_cached(
            "SELECT r.project_id FROM project_redirects r JOIN users u ON u.id = r.owner_id
             WHERE u.name = ?1 AND r.name = ?2",
        )
        .and_then(|mut s| s.query_row([path.user.as_str(), path.project.as_str()], |r| r.get(0)).optional())
        .sql()?;
    Ok(match id {
        Some(id) => Some(by_id(db, id)?).filter(|p| p.deleted.is_none()),
        None => None,
    })
}

/// Deleted ones too.
pub fn by_id(db: &Connection, id: i64) -> Result<ProjectRow> {
    db.prepare_cached(&format!("{COLUMNS} WHERE p.id = ?1")).and_then(|mut s| s.query_row([id], row)).sql()
}

/// Live projects a user owns or is a member of; all of the server's when `user` is `None`.
pub fn list(db: &Connection, user: Option<i64>) -> Result<Vec<ProjectRow>> {
    db.prepare_cached(&format!(
        "{COLUMNS} WHERE p.deleted IS NULL AND (?1 IS NULL OR p.owner_id = ?1
           OR p.id IN (SELECT project_id FROM members WHERE user_id = ?1)) ORDER BY p.created DESC"
    ))
    .and_then(|mut s| s.query_map([user], row)?.collect())
    .sql()
}

/// Deleted projects; of one owner, or of all when `None`.
pub fn deleted(db: &Connection, owner: Option<i64>) -> Result<Vec<ProjectRow>> {
    db.prepare_cached(&format!(
        "{COLUMNS} WHERE p.deleted IS NOT NULL AND (?1 IS NULL OR p.owner_id = ?1) ORDER BY p.deleted DESC"
    ))
    .and_then(|mut s| s.query_map([owner], row)?.collect())
    .sql()
}

/// Live projects whose time is over.
pub fn expired(db: &Connection, now: Millis) -> Result<Vec<ProjectRow>> {
    db.prepare_cached(&format!("{COLUMNS} WHERE p.deleted IS NULL AND p.expires < ?1"))
        .and_then(|mut s| s.query_map([now], row)?.collect())
        .sql()
}

/// The old name keeps leading here, until somebody takes it for a new project.
pub fn rename(db: &Connection, project: &ProjectRow, name: &ProjectName) -> Result<()> {
    db.prepare_cached("UPDATE projects SET name = ?2 WHERE id = ?1")
        .and_then(|mut s| s.execute(params![project.id, name.as_str()]))
        .unique(|| taken(name))?;
    forget_redirect(db, project.owner_id, name)?;
    db.prepare_cached("INSERT OR REPLACE INTO project_redirects (owner_id, name, project_id) VALUES (?1, ?2, ?3)")
        .and_then(|mut s| s.execute(params![project.owner_id, project.path.project.as_str(), project.id]))
        .sql()?;
    Ok(())
}

/// A name taken for a new project stops leading to the old one.
pub fn forget_redirect(db: &Connection, owner: i64, name: &ProjectName) -> Result<()> {
    db.prepare_cached("DELETE FROM project_redirects WHERE owner_id = ?1 AND name = ?2")
        .and_then(|mut s| s.execute(params![owner, name.as_str()]))
        .sql()?;
    Ok(())
}

pub fn set_public_code(db: &Connection, id: i64, public: bool) -> Result<()> {
    db.prepare_cached("UPDATE projects SET public_code = ?2 WHERE id = ?1")
        .and_then(|mut s| s.execute(params![id, public]))
        .sql()?;
    Ok(())
}

/// `Some(when)` puts it into the trash, `None` takes it out.
/// Errors: `Conflict` when the name was taken in the meantime.
pub fn set_deleted(db: &Connection, project: &ProjectRow, when: Option<Millis>) -> Result<()> {
    db.prepare_cached("UPDATE projects SET deleted = ?2 WHERE id = ?1")
        .and_then(|mut s| s.execute(params![project.id, when]))
        .unique(|| taken(&project.path.project).hint("Rename the newer project first."))?;
    Ok(())
}

/// Forgets a deleted project and all rows that hang on it.
pub fn purge(db: &Connection, id: i64) -> Result<()> {
    for sql in [
        "DELETE FROM env_sets WHERE app_id IN (SELECT id FROM apps WHERE project_id = ?1)",
        "DELETE FROM doors WHERE app_id IN (SELECT id FROM apps WHERE project_id = ?1)",
        "DELETE FROM links WHERE app_id IN (SELECT id FROM apps WHERE project_id = ?1)",
        "DELETE FROM hosts WHERE app_id IN (SELECT id FROM apps WHERE project_id = ?1)",
        "DELETE FROM domains WHERE project_id = ?1",
        "DELETE FROM approvals WHERE project_id = ?1",
        "DELETE FROM restores WHERE app_id IN (SELECT id FROM apps WHERE project_id = ?1)",
        "DELETE FROM snapshots WHERE app_id IN (SELECT id FROM apps WHERE project_id = ?1)",
        "DELETE FROM deploys WHERE app_id IN (SELECT id FROM apps WHERE project_id = ?1)",
        "DELETE FROM versions WHERE app_id IN (SELECT id FROM apps WHERE project_id = ?1)",
        "DELETE FROM drafts WHERE project_id = ?1",
        "DELETE FROM apps WHERE project_id = ?1",
        "DELETE FROM members WHERE project_id = ?1",
        "DELETE FROM project_redirects WHERE project_id = ?1",
        "DELETE FROM projects WHERE id = ?1 AND deleted IS NOT NULL",
    ] {
        db.execute(sql, [id]).sql()?;
    }
    Ok(())
}

/// `viewer`, `deployer` or `owner`; `None` for strangers. The project's owner is `owner` without a row.
pub fn role(db: &Connection, project: i64, user: i64) -> Result<Option<String>> {
    db.prepare_cached(
        "SELECT 'owner' FROM projects WHERE id = ?1 AND owner_id = ?2
         UNION ALL SELECT role FROM members WHERE project_id = ?1 AND user_id = ?2 LIMIT 1",
    )
    .and_then(|mut s| s.query_row([project, user], |r| r.get(0)).optional())
    .sql()
}

/// Name and role, the owner first.
pub fn members(db: &Connection, project: i64) -> Result<Vec<(String, String)>> {
    db.prepare_cached(
        "SELECT u.name, 'owner' FROM projects p JOIN users u ON u.id = p.owner_id WHERE p.id = ?1
         UNION ALL SELECT u.name, m.role FROM members m JOIN users u ON u.id = m.user_id WHERE m.project_id = ?1",
    )
    .and_then(|mut s| s.query_map([project], |r| Ok((r.get(0)?, r.get(1)?)))?.collect())
    .sql()
}

/// `None` removes.
pub fn set_member(db: &Connection, project: i64, user: i64, role: Option<&str>) -> Result<()> {
    match role {
        Some(role) => db
            .prepare_cached("INSERT OR REPLACE INTO members (project_id, user_id, role) VALUES (?1, ?2, ?3)")
            .and_then(|mut s| s.execute(params![project, user, role])),
        None => db
            .prepare_cached("DELETE FROM members WHERE project_id = ?1 AND user_id = ?2")
            .and_then(|mut s| s.execute([project, user])),
    }
    .sql()?;
    Ok(())
}
