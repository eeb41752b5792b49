//! Delete, recover within a week, purge after it. Nothing moves on disk until the purge: the host label
//! stays taken, so that nobody can step into a deleted app's address.
use super::view::Deleted;
use super::{Apps, Project};
use crate::accounts::{Actor, Via};
use crate::base::fs::remove_tree;
use crate::base::{Error, Kind, Millis, Result, ResultExt as _};
use crate::runner::AppKey;
use crate::store::projects::{self, ProjectRow};
use crate::store::{apps, domains, drafts};

const WEEK_MS: Millis = 7 * 24 * 3600 * 1000;

fn deleted_view(row: ProjectRow, when: Millis) -> Deleted {
    Deleted { id: row.id, project: row.path, deleted: when, until: when + WEEK_MS }
}

impl Apps {
    /// Stops it and hides it; recoverable for a week.
    pub async fn delete(&self, _who: &Actor, project: &Project) -> Result<Deleted> {
        let (apps, project) = (self.clone(), project.clone());
        self.tasks().spawn("delete", async move { apps.delete_now(&project).await }).await.internal("while deleting")?
    }

    pub(super) async fn delete_now(&self, project: &Project) -> Result<Deleted> {
        let turn = self.turn(project.app).lock_owned().await;
        let now = self.clock().now();
        let (row, held) = self.store().write(|db| {
            let row = projects::by_id(db, project.id)?;
            if row.deleted.is_some() {
                return Err(Error::not_found("the project is deleted already"));
            }
            let held = domains::of_project(db, row.id)?.into_iter().map(|domain| domain.host).collect::<Vec<_>>();
            projects::set_deleted(db, &row, Some(now))?;
            domains::let_go(db, row.id, now)?;
            Ok((row, held))
        })?;
        self.route_domains(row.id, &held)?;
        let mut labels = vec![project.host.to_string()];
        labels.extend(self.store().read(|db| apps::old_hosts(db, project.app))?);
        self.routes().update(labels.into_iter().map(|label| (label, None)));
        self.runner().remove(&AppKey::app(project.app)).await;
        for draft in self.store().read(|db| drafts::of_project(db, project.id))? {
            self.discard_draft(&draft).await?;
        }
        drop(turn);
        Ok(deleted_view(row, now))
    }

    pub fn deleted(&self, who: &Actor) -> Result<Vec<Deleted>> {
        let owner = (!who.user.admin).then_some(who.user.id);
        let rows = self.store().read(|db| projects::deleted(db, owner))?;
        Ok(rows.into_iter().filter_map(|row| row.deleted.map(|when| deleted_view(row, when))).collect())
    }

    /// Brings a deleted project back. Errors: `NotFound` after its week; `Conflict` when the name is taken.
    pub async fn recover(&self, who: &Actor, id: i64) -> Result<Project> {
        if let Via::Token { scopes, project, .. } = &who.via
            && (project.is_some_and(|p| p != id) || !scopes.contains(&crate::accounts::Scope::Admin))
        {
            return Err(Error::forbidden("this token may not recover projects").hint("Use one with the scope `admin`."));
        }
        let row = self.store().write(|db| {
            let gone =
                || Error::not_found("there is no such deleted project").hint("Deleted projects are kept for a week.");
            let row = projects::by_id(db, id).map_err(|e| if e.kind == Kind::NotFound { gone() } else { e })?;
            let mine = row.owner_id == who.user.id || who.user.admin;
            if row.deleted.is_none() || !mine {
                return Err(gone());
            }
            projects::set_deleted(db, &row, None)?;
            projects::by_id(db, id)
        })?;
        // A deletion that has not come to its end would take away again what is registered here.
        let _turn = self.turn(self.store().read(|db| apps::of_project(db, id))?.id).lock_owned().await;
        let project = self.project_of(row)?;
        self.register(&project)?;
        Ok(project)
    }

    /// Removes for good what was deleted more than a week ago.
    pub(super) async fn purge_trash(&self) -> Result<()> {
        let now = self.clock().now();
        for row in self.store().read(|db| projects::deleted(db, None))? {
            if row.deleted.is_none_or(|when| when + WEEK_MS > now) {
                continue;
            }
            let app = self.store().read(|db| apps::of_project(db, row.id))?;
            self.give_up_home(&self.dir().app_home(app.id)).await?;
            // Rows last: a crash in between leaves a row that the next sweep purges again.
            for path in [self.dir().app(app.id), self.dir().repo(row.id)] {
                tokio::task::spawn_blocking(move || remove_tree(&path))
                    .await
                    .internal("while purging")?
                    .internal("while purging a deleted project")?;
            }
            self.store().write(|db| projects::purge(db, row.id))?;
            tracing::info!(project = %row.path, "purged a week after it was deleted");
        }
        Ok(())
    }
}
