//! Approvals: what a version may have beyond the server's own settings, and who said so.
use std::collections::BTreeSet;

use super::ask::Ask;
use super::deploy::Intent;
use super::record::Recorder;
use super::view::{ApprovalView, DeployView, PermissionsView, Waiting};
use super::{Apps, Project};
use crate::accounts::Actor;
use crate::base::{Error, Kind, Progress, Result, ResultExt as _};
use crate::git::Oid;
use crate::runner::{AppKey, Limits};
use crate::store::Db;
use crate::store::approvals::{self, NewApproval};
use crate::store::apps;
use crate::store::deploys::{self, DeployRow};

/// All that is approved for a project beyond the server's settings.
pub(super) fn approved_in(db: &Db, project: i64) -> Result<Ask> {
    match approvals::newest(db, project)? {
        Some(row) => parse(&row.approved),
        None => Ok(Ask::default()),
    }
}

impl Apps {
    /// All that is approved for a project beyond the server's settings.
    pub(super) fn approved(&self, project: &Project) -> Result<Ask> {
        self.approved_for(project.id)
    }

    fn approved_for(&self, project: i64) -> Result<Ask> {
        self.store().read(|db| approved_in(db, project))
    }

    /// The limits of the live version, as it was started with them; the server's before the first deploy.
    pub(super) fn limits_of(&self, app: i64) -> Result<Limits> {
        let project = self.store().read(|db| apps::by_id(db, app))?.project_id;
        let ask = self.live(app)?.map(|(.., plan)| plan.ask).unwrap_or_default();
        Ok(ask.within(&self.approved_for(project)?, &self.options().terms).1)
    }

    /// The gate of every deploy: passes what is approved, or is being approved with it; anything more makes the
    /// deploy wait. Nothing of the version has run yet, and nothing was replaced. Packages whose scripts may run.
    pub(super) fn permit(
        &self,
        project: &Project,
        intent: &Intent,
        row: &DeployRow,
        ask: &Ask,
        record: &Recorder,
    ) -> Result<BTreeSet<String>> {
        // New variables for what is live: it runs on with what it has.
        if intent.env_version.is_some() {
            return self.trusted(project, ask);
        }
        let (approved, terms) = (self.approved(project)?, &self.options().terms);
        let more = ask.beyond(&approved, terms);
        if more.is_empty() {
            return Ok(ask.scripts.clone());
        }
        // A version of when the server allowed more: no yes would help.
        let never = ask.beyond(&approved.and(ask), terms);
        if !never.is_empty() {
            let why = format!("steady.json asks for more than this server allows any app:\n{}", never.join("\n"));
            return Err(Error::new(Kind::App, why).hint("Ask for less in steady.json."));
        }
        if intent.approves {
            self.record_approval(project, row.id, ask, &intent.who)?;
            more.iter().for_each(|line| record.progress().line(format!("approved by {}: {line}", intent.who)));
            return Ok(ask.scripts.clone());
        }
        self.store().write(|db| approvals::wait(db, project.app, row.id, &json(ask)?))?;
        // Kept with the deploy, and true after the yes as well.
        let why = format!("this version asks for more than was approved before:\n{}", more.join("\n"));
        Err(Error::new(Kind::Unapproved, why).hint(format!(
            "An owner of the project approves and deploys it with `steady approve {}`, or at {}/{}/deploys",
            project.path,
            self.options().editor_url,
            project.path
        )))
    }

    /// Of the packages whose scripts it wants to run, those that are approved.
    pub(super) fn trusted(&self, project: &Project, ask: &Ask) -> Result<BTreeSet<String>> {
        let approved = self.approved(project)?;
        Ok(ask.scripts.intersection(&approved.scripts).cloned().collect())
    }

    /// What a draft asks for and does not get.
    pub(super) fn not_yet(&self, project: &Project, ask: &Ask) -> Result<Vec<String>> {
        Ok(ask.beyond(&self.approved(project)?, &self.options().terms))
    }

    /// Says yes to what deploy `number` asks for, and deploys its commit. For owners: the caller has asked for
    /// `Action::Approve`. The approval stays when the deploy then fails for another reason.
    /// Errors: `Conflict` when that deploy does not wait (any more): then nothing is approved.
    pub async fn approve(
        &self,
        who: &Actor,
        project: &Project,
        number: i64,
        progress: &Progress,
    ) -> Result<DeployView> {
        let (apps, who, project, progress) = (self.clone(), who.clone(), project.clone(), progress.clone());
        self.tasks()
            .spawn("approve", async move { apps.approve_now(&who, &project, number, &progress).await })
            .await
            .internal("while approving")?
    }

    async fn approve_now(
        &self,
        who: &Actor,
        project: &Project,
        number: i64,
        progress: &Progress,
    ) -> Result<DeployView> {
        // No push may move main between the yes and the deploy it is for.
        let lock = self.repos().lock_async(project.id).await;
        let project = &self.still(project)?;
        let (row, ask) = self.waiting(project)?.filter(|(row, _)| row.number == number).ok_or_else(|| {
            Error::conflict(format!("deploy #{number} of {} does not wait for an approval", project.path))
                .hint("It was approved, or a later deploy took its place. `steady permissions` shows what waits now.")
        })?;
        self.record_approval(project, row.id, &ask, who.user.name.as_str())?;
        let commit = Oid::from_str(&row.commit).internal("while reading a commit id")?;
        let intent = Intent {
            commit,
            who: who.user.name.to_string(),
            why: format!("approval of #{number}"),
            message: row.message,
            env_version: None,
            moves_main: row.moves_main,
            approves: false,
        };
        if !row.moves_main {
            return self.pipeline(project, intent, progress).await;
        }
        let main = self.repos().open(project.id)?.branch("main")?;
        let view = self.deploy_onto_main(project, intent, main, progress, &lock).await?;
        self.drop_deployed_drafts(project, commit)?;
        Ok(view)
    }

    /// Takes back all that was approved. What is live is restarted with the server's own settings.
    pub async fn revoke(&self, who: &Actor, project: &Project) -> Result<PermissionsView> {
        let by = who.user.name.to_string();
        let had = self.approved(project)?;
        if had == Ask::default() {
            return Err(Error::conflict(format!("nothing is approved for {}", project.path)));
        }
        let new = NewApproval {
            project: project.id,
            approved: json(&Ask::default())?,
            added: "[]".to_owned(),
            deploy: None,
            who: by.clone(),
        };
        let now = self.clock().now();
        self.store().write(|db| approvals::insert(db, &new, now))?;
        if let Some((deploy, version, plan)) = self.live(project.app)?.filter(|(.., plan)| !plan.is_static()) {
            self.runner().register(self.app_spec(project, &version, &plan, deploy.env_version)?);
            let lost = self.not_yet(project, &plan.ask)?;
            if let Some(logs) = self.runner().logs(&AppKey::app(project.app)).filter(|_| !lost.is_empty()) {
                let name = format!("v{}", version.number);
                logs.remark(
                    &name,
                    &format!("{by} revoked the approvals; the app restarts without: {}", lost.join("; ")),
                );
            }
            self.restart(project).await?;
        }
        self.route_live(project)?;
        // Drafts ran with the same permissions.
        for draft in self.store().read(|db| crate::store::drafts::of_project(db, project.id))? {
            self.discard_draft(&draft).await?;
        }
        self.permissions(project)
    }

    /// What is approved, what waits, and who approved what.
    pub fn permissions(&self, project: &Project) -> Result<PermissionsView> {
        let terms = &self.options().terms;
        let approved = self.approved(project)?;
        let waiting = self.waiting(project)?.map(|(row, ask)| Waiting {
            deploy: row.number,
            commit: row.commit,
            message: row.message,
            who: row.who,
            why: row.why,
            more: ask.beyond(&approved, terms),
        });
        let history = self.store().read(|db| approvals::list(db, project.id, 100))?.into_iter().map(|row| {
            Ok(ApprovalView {
                at: row.created,
                who: row.who,
                revoked: row.deploy.is_none(),
                commit: row.deploy.as_ref().map(|(_, commit)| commit.clone()),
                deploy: row.deploy.map(|(number, _)| number),
                added: serde_json::from_str(&row.added).internal("while reading an approval")?,
            })
        });
        let server = Ask { net: Some(terms.net.clone()), ..Ask::default() };
        Ok(PermissionsView {
            project: project.path.clone(),
            server: server.words(),
            live: self.live(project.app)?.map_or_else(Vec::new, |(.., plan)| plan.ask.words()),
            approved: approved.words(),
            waiting,
            history: history.collect::<Result<_>>()?,
        })
    }

    pub(super) fn waiting(&self, project: &Project) -> Result<Option<(DeployRow, Ask)>> {
        let found = self.store().read(|db| {
            let Some((id, asks)) = approvals::waiting(db, project.app)? else { return Ok(None) };
            Ok(Some((deploys::deploy(db, id)?, asks)))
        })?;
        // Between its begin and its end a deploy has stopped, and not yet said so.
        found.filter(|(row, _)| row.state == "failed").map(|(row, asks)| Ok((row, parse(&asks)?))).transpose()
    }

    fn record_approval(&self, project: &Project, deploy: i64, ask: &Ask, who: &str) -> Result<()> {
        let terms = &self.options().terms;
        let now = self.clock().now();
        self.store().write(|db| {
            let before = match approvals::newest(db, project.id)? {
                Some(row) => parse(&row.approved)?,
                None => Ask::default(),
            };
            let added = serde_json::to_string(&ask.beyond(&before, terms)).internal("while writing an approval")?;
            let new = NewApproval {
                project: project.id,
                approved: json(&before.and(ask))?,
                added,
                deploy: Some(deploy),
                who: who.to_owned(),
            };
            approvals::insert(db, &new, now)
        })
    }
}

fn parse(text: &str) -> Result<Ask> {
    serde_json::from_str(text).internal("while reading what is approved")
}

fn json(ask: &Ask) -> Result<String> {
    serde_json::to_string(ask).internal("while writing what is approved")
}
