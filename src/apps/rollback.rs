//! Rollback, restart, pause: acts on versions that already exist.
use super::deploy::Intent;
use super::view::DeployView;
use super::{Apps, Project};
use crate::accounts::Actor;
use crate::base::{Error, Progress, Result, ResultExt as _};
use crate::git::Oid;
use crate::runner::AppKey;
use crate::store::{apps, deploys};

impl Apps {
    /// Back to an earlier deploy's code, with today's environment: the newest good one before the live one
    /// when `to` is `None`. A rollback is a deploy, so it can be rolled back.
    /// Errors: `NotFound` when there is no such deploy, `Conflict` when it never went live.
    pub async fn rollback(
        &self,
        who: &Actor,
        project: &Project,
        to: Option<i64>,
        progress: &Progress,
    ) -> Result<DeployView> {
        let target = self.store().read(|db| match to {
            Some(number) => deploys::by_number(db, project.app, number)?.ok_or_else(|| {
                Error::not_found(format!("{} has no deploy #{number}", project.path))
                    .hint("`steady status` lists them.")
            }),
            None => {
                let live = apps::by_id(db, project.app)?.live_deploy.ok_or_else(|| nothing(project))?;
                let live = deploys::deploy(db, live)?;
                deploys::last_good_before(db, project.app, &live)?.ok_or_else(|| nothing(project))
            }
        })?;
        if target.state != "live" {
            return Err(Error::conflict(format!(
                "deploy #{} never went live, so there is nothing to go back to",
                target.number
            ))
            .hint("Choose one that did."));
        }
        let intent = Intent {
            commit: Oid::from_str(&target.commit).internal("while reading a commit id")?,
            who: who.user.name.to_string(),
            why: format!("rollback to #{}", target.number),
            message: target.message,
            env_version: None,
            moves_main: false,
            approves: false,
        };
        let (apps, project, progress) = (self.clone(), project.clone(), progress.clone());
        self.tasks()
            .spawn("rollback", async move { apps.pipeline(&project, intent, &progress).await })
            .await
            .internal("while rolling back")?
    }

    /// Stops the process after its last requests; the next request starts it anew.
    pub async fn restart(&self, project: &Project) -> Result<()> {
        let (runner, key) = (self.runner().clone(), AppKey::app(project.app));
        self.tasks().spawn("restart", async move { runner.restart(&key).await }).await.internal("while restarting")
    }

    /// A paused app refuses visitors until it is resumed, over restarts of the server too.
    pub async fn set_paused(&self, project: &Project, paused: bool) -> Result<()> {
        self.store().write(|db| apps::set_paused(db, project.app, paused))?;
        let (runner, key) = (self.runner().clone(), AppKey::app(project.app));
        let act = async move { if paused { runner.pause(&key).await } else { runner.resume(&key).await } };
        self.tasks().spawn("pause", act).await.internal("while pausing")
    }
}

fn nothing(project: &Project) -> Error {
    Error::conflict(format!("{} has no earlier version to go back to", project.path))
        .hint("Deploy at least two versions first.")
}
