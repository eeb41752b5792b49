//! From `USER/PROJECT` and somebody to a project they may use. Every verb starts here.
use super::{Apps, Project};
use crate::accounts::access::{self, Standing};
use crate::accounts::{Action, Actor, Role};
use crate::base::{Error, ProjectPath, Result};
use crate::store::apps::AppRow;
use crate::store::projects::ProjectRow;
use crate::store::{apps, projects};

impl Apps {
    /// The project, if the actor may do that to it. Old names are followed (`moved` is set).
    /// Errors: `NotFound` alike for what is not there and what the actor may not see; `Forbidden`.
    pub fn find(&self, who: Option<&Actor>, path: &ProjectPath, action: Action) -> Result<Project> {
        self.store().read(|db| {
            let missing = || {
                Error::not_found(format!("there is no project {path}, or you may not see it"))
                    .hint("Check the name, and that you are signed in as the right user.")
            };
            let (row, moved) = match projects::by_path(db, path)? {
                Some(row) => (row, false),
                None => (projects::by_old_path(db, path)?.ok_or_else(missing)?, true),
            };
            let role = match who {
                Some(actor) => role_of(projects::role(db, row.id, actor.user.id)?.as_deref()),
                None => Role::Nobody,
            };
            let standing = Standing { project: row.id, role, public_code: row.public_code };
            access::check(who, standing, action).map_err(|e| match e.kind {
                crate::base::Kind::NotFound => missing(),
                _ => e,
            })?;
            let app = apps::of_project(db, row.id)?;
            Ok(Project { moved, ..Project::of(row, &app) })
        })
    }

    /// The project as it is now, for work that waited: it may have been renamed or deleted meanwhile.
    /// Errors: `NotFound` when it is deleted.
    pub(super) fn still(&self, project: &Project) -> Result<Project> {
        let row = self.store().read(|db| projects::by_id(db, project.id))?;
        if row.deleted.is_some() {
            return Err(Error::not_found(format!("{} was deleted meanwhile", project.path))
                .hint("Recover it from the trash first."));
        }
        self.project_of(row)
    }

    /// The same without asking who: for Steady's own timed work and for what was just made.
    pub(super) fn project_of(&self, row: ProjectRow) -> Result<Project> {
        self.store().read(|db| {
            let app = apps::of_project(db, row.id)?;
            Ok(Project::of(row, &app))
        })
    }
}

impl Project {
    pub(super) fn of(row: ProjectRow, app: &AppRow) -> Self {
        let host = app.host.clone();
        Self { id: row.id, app: app.id, host, public_code: row.public_code, moved: false, path: row.path }
    }
}

fn role_of(text: Option<&str>) -> Role {
    match text {
        Some("owner") => Role::Owner,
        Some("deployer") => Role::Deployer,
        Some("viewer") => Role::Viewer,
        _ => Role::Nobody,
    }
}
