//! What owners approved, and the deploys that wait for it.
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqlExt as _;
use crate::base::{Millis, Result};

#[derive(Clone, Debug)]
pub struct ApprovalRow {
    /// JSON of `apps::ask::Ask`: the whole of what is approved from here on.
    pub approved: String,
    /// JSON list of lines; empty for a revocation.
    pub added: String,
    /// The number and commit of the deploy it was given for; none for a revocation.
    pub deploy: Option<(i64, String)>,
    pub who: String,
    pub created: Millis,
}

#[derive(Clone, Debug)]
pub struct NewApproval {
    pub project: i64,
    pub approved: String,
    pub added: String,
    pub deploy: Option<i64>,
    pub who: String,
}

const COLUMNS: &str = "SELECT a.approved, a.added, d.number, d.commit_id, a.who, a.created
     FROM approvals a LEFT JOIN deploys d ON d.id = a.deploy_id";

fn row(row: &Row<'_>) -> rusqlite::Result<ApprovalRow> {
    let (number, commit): (Option<i64>, Option<String>) = (row.get(2)?, row.get(3)?);
    Ok(ApprovalRow {
        approved: row.get(0)?,
        added: row.get(1)?,
        deploy: number.zip(commit),
        who: row.get(4)?,
        created: row.get(5)?,
    })
}

/// From here on this is approved; the deploy it is for waits no more.
pub fn insert(db: &Connection, new: &NewApproval, now: Millis) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO approvals (project_id, approved, added, deploy_id, who, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .and_then(|mut s| s.execute(params![new.project, new.approved, new.added, new.deploy, new.who, now]))
    .sql()?;
    db.prepare_cached("UPDATE deploys SET waits = '' WHERE id = ?1 AND waits IS NOT NULL")
        .and_then(|mut s| s.execute([new.deploy]))
        .sql()?;
    Ok(())
}

/// What counts now.
pub fn newest(db: &Connection, project: i64) -> Result<Option<ApprovalRow>> {
    db.prepare_cached(&format!("{COLUMNS} WHERE a.project_id = ?1 ORDER BY a.id DESC LIMIT 1"))
        .and_then(|mut s| s.query_row([project], row).optional())
        .sql()
}

/// Newest first.
pub fn list(db: &Connection, project: i64, limit: usize) -> Result<Vec<ApprovalRow>> {
    db.prepare_cached(&format!("{COLUMNS} WHERE a.project_id = ?1 ORDER BY a.id DESC LIMIT ?2"))
        .and_then(|mut s| s.query_map(params![project, i64::try_from(limit).unwrap_or(i64::MAX)], row)?.collect())
        .sql()
}

/// This deploy waits for an approval of `asks`, and no other of its app does.
pub fn wait(db: &Connection, app: i64, deploy: i64, asks: &str) -> Result<()> {
    db.prepare_cached("UPDATE deploys SET waits = iif(id = ?2, ?3, '') WHERE app_id = ?1 AND (id = ?2 OR waits <> '')")
        .and_then(|mut s| s.execute(params![app, deploy, asks]))
        .sql()?;
    Ok(())
}

/// The one that waits: its id and what it asks for.
pub fn waiting(db: &Connection, app: i64) -> Result<Option<(i64, String)>> {
    db.prepare_cached("SELECT id, waits FROM deploys WHERE app_id = ?1 AND waits <> '' ORDER BY id DESC LIMIT 1")
        .and_then(|mut s| s.query_row([app], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .sql()
}

/// Something newer is live: nothing waits any more.
pub fn forget_waiting(db: &Connection, app: i64) -> Result<()> {
    db.prepare_cached("UPDATE deploys SET waits = '' WHERE app_id = ?1 AND waits <> ''")
        .and_then(|mut s| s.execute([app]))
        .sql()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{DataDir, ProjectName};
    use crate::store::deploys::NewDeploy;
    use crate::store::{Store, apps, deploys, projects};

    fn begin(db: &Connection, app: i64) -> Result<i64> {
        let text = || "x".to_owned();
        let new = NewDeploy {
            app,
            commit: text(),
            env_version: 0,
            who: text(),
            why: text(),
            message: text(),
            moves_main: true,
        };
        Ok(deploys::begin(db, &new, 1)?.id)
    }

    #[test]
    fn one_waits_at_a_time_and_the_newest_approval_counts() {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::open(&DataDir::open(temp.path()).unwrap()).unwrap();
        let work = |db: &Connection| {
            db.execute("INSERT INTO users (id, name, password, created) VALUES (1, 'u', 'x', 0)", []).sql()?;
            let project = projects::insert(db, 1, &ProjectName::parse("mine")?, None, 0)?;
            let app = apps::insert(db, project, &crate::base::AppName::parse("mine")?, 0)?;
            let (first, second, third) = (begin(db, app)?, begin(db, app)?, begin(db, app)?);
            let of = |id| deploys::deploy(db, id).map(|row| (row.stopped, row.waits));
            wait(db, app, first, "{1}")?;
            wait(db, app, second, "{2}")?;
            assert_eq!(waiting(db, app)?, Some((second, "{2}".to_owned())));
            assert_eq!((of(first)?, of(second)?, of(third)?), ((true, false), (true, true), (false, false)));

            assert!(newest(db, project)?.is_none());
            let approval = |approved: &str, deploy| NewApproval {
                project,
                approved: approved.to_owned(),
                added: "[]".to_owned(),
                deploy,
                who: "u".to_owned(),
            };
            insert(db, &approval("a", Some(second)), 5)?;
            assert_eq!((waiting(db, app)?, of(second)?), (None, (true, false)));
            insert(db, &approval("b", None), 6)?;
            assert_eq!(newest(db, project)?.map(|row| (row.approved, row.deploy)), Some(("b".to_owned(), None)));
            let all = list(db, project, 10)?;
            assert_eq!(all[1].deploy, Some((2, "x".to_owned())));
            assert_eq!((all.len(), list(db, project, 1)?.len()), (2, 1));

            wait(db, app, third, "{3}")?;
            forget_waiting(db, app)?;
            assert_eq!((waiting(db, app)?, of(third)?), (None, (true, false)));
            // What is deleted for good takes its approvals along.
            let row = projects::by_id(db, project)?;
            projects::set_deleted(db, &row, Some(9))?;
            projects::purge(db, project)?;
            assert!(list(db, project, 10)?.is_empty());
            Ok(())
        };
        store.write(work).unwrap();
    }
}
