//! The pipeline of one deploy: prepare the version, check it on a copy of the data, switch. Every stage timed
//! and told; a failure at any of them leaves the old version serving.
use std::sync::PoisonError;

use super::ask::Ask;
use super::bundle::Bundle;
use super::deploy::Intent;
use super::draft::COPY;
use super::home::Passing;
use super::launch::candidate_disk;
use super::plan::Plan;
use super::prepare::Permit;
use super::record::Recorder;
use super::snapshot::Why;
use super::view::DeployView;
use super::{Apps, Project};
use crate::base::{Error, Kind, Progress, Result, ResultExt as _};
use crate::git::Oid;
use crate::runner::{AppKey, BootFailure, LaunchSpec};
use crate::store::apps::AppRow;
use crate::store::deploys::{DeployRow, NewDeploy, VersionRow};
use crate::store::{Db, approvals, apps, deploys, projects};

/// What is live of an app: its deploy, version and plan.
pub(super) type Live = (DeployRow, VersionRow, Plan);

/// Folders of versions kept on disk per app; older ones are prepared again when wanted.
const VERSIONS_KEPT: usize = 8;

impl Apps {
    /// Record, prepare, check, switch. Everything that replaces what runs comes through here.
    pub(super) async fn pipeline(&self, project: &Project, intent: Intent, progress: &Progress) -> Result<DeployView> {
        let turn = self.turn(project.app);
        let _turn = match turn.clone().try_lock_owned() {
            Ok(mine) => mine,
            Err(_) => {
                progress.line("waiting for the deploy that runs now");
                turn.lock_owned().await
            }
        };
        // It may have been renamed or deleted while this waited.
        let project = &self.still(project)?;
        let record = Recorder::new(progress.clone());
        let now = self.clock().now();
        let row = self.store().write(|db| {
            let env_version = match intent.env_version {
                Some(version) => version,
                None => apps::by_id(db, project.app)?.env_version,
            };
            let new = NewDeploy {
                app: project.app,
                commit: intent.commit.to_string(),
                env_version,
                who: intent.who.clone(),
                why: intent.why.clone(),
                message: intent.message.clone(),
                moves_main: intent.moves_main,
            };
            deploys::begin(db, &new, now)
        })?;
        let mut version = None;
        let outcome = self.attempt(project, &intent, &row, &record, &mut version).await;
        if let Err(error) = outcome {
            return Err(self.note_failure(project, &row, version, error, &record));
        }
        // The last stage ended after the commit point, so its time is added now.
        self.store().write(|db| deploys::set_stages(db, row.id, &record.stages_json()))?;
        self.drop_old_versions(project.app);
        self.deploy_view(project, row.id)
    }

    async fn attempt(
        &self,
        project: &Project,
        intent: &Intent,
        row: &DeployRow,
        record: &Recorder,
        made: &mut Option<i64>,
    ) -> Result<()> {
        let permit = |ask: &Ask| self.permit(project, intent, row, ask, record);
        let (version, mut plan) = self.version_for(project, intent.commit, record, &permit, made).await?;
        let spec = self.app_spec(project, &version, &plan, row.env_version)?;
        let (store, clock) = (self.store().clone(), self.clock().clone());
        let (recorder, deploy, id) = (record.clone(), row.id, version.id);
        // A yes that came late must not replace what is newer.
        let (app, newer) = (project.app, intent.env_version.is_none());
        let commit = move || {
            store.write(|db| {
                if newer {
                    approvals::forget_waiting(db, app)?;
                }
                deploys::set_live(db, deploy, id, &recorder.stages_json(), clock.now())
            })
        };
        if plan.is_static() {
            let _stage = record.stage("switch");
            commit()?;
            self.route_live(project)?;
            self.runner().remove(&spec.key).await;
            self.runner().register(spec);
        } else {
            let spec = self.sound(project, (&version, &mut plan), spec, record).await?;
            self.snapshot_before_switch(project.app, row, record).await?;
            let _stage = record.stage("switch");
            self.runner().hand_over(spec, Box::new(commit)).await.map_err(boot_error)?;
        }
        self.route_live(project)?;
        self.pack_soon(project, &version, &plan);
        Ok(())
    }

    /// An earlier version of the same commit whose folder still stands, or a new one.
    async fn version_for(
        &self,
        project: &Project,
        commit: Oid,
        record: &Recorder,
        permit: Permit<'_>,
        made: &mut Option<i64>,
    ) -> Result<(VersionRow, Plan)> {
        let known = self.store().read(|db| deploys::version_of_commit(db, project.app, &commit.to_string()))?;
        if let Some(version) = &known {
            *made = Some(version.id);
            if !version.removed && self.dir().version(project.app, version.id).is_dir() {
                let mut plan = Plan::parse(&version.plan)?;
                permit(&plan.ask)?;
                record.progress().line(format!("v{} of this commit is ready already", version.number));
                if plan.wants_bundle() {
                    let code = self.dir().version(project.app, version.id);
                    let folder = self.bundle(project.app, &code, &mut plan, record).await;
                    self.place_bundle(project.app, version.id, folder)?;
                    self.store().write(|db| deploys::version_ready(db, version.id, &plan.json()?, version.bytes))?;
                }
                return Ok((version.clone(), plan));
            }
        }
        let mut prepared = self.prepare(project.id, project.app, commit, record, permit).await?;
        let bundle = self.bundle(project.app, prepared.dir.path(), &mut prepared.plan, record).await;
        let now = self.clock().now();
        let version = match known {
            Some(version) => version,
            None => self.store().write(|db| deploys::insert_version(db, project.app, &commit.to_string(), now))?,
        };
        *made = Some(version.id);
        let (plan, bytes) = (prepared.plan.clone(), prepared.bytes);
        self.unpack(project.app, version.id)?;
        prepared.place(&self.dir().version(project.app, version.id))?;
        self.place_bundle(project.app, version.id, bundle)?;
        self.store().write(|db| deploys::version_ready(db, version.id, &plan.json()?, bytes))?;
        Ok((version, plan))
    }

    /// The spec that came up: of the bundle, else once more of the source, and then the version stays with that.
    async fn sound(
        &self,
        project: &Project,
        (version, plan): (&VersionRow, &mut Plan),
        mut spec: LaunchSpec,
        record: &Recorder,
    ) -> Result<LaunchSpec> {
        let Err(bundled) = self.check(project, version, plan, &spec, record).await else { return Ok(spec) };
        if spec.bundle.take().is_none() {
            return Err(bundled);
        }
        record.progress().line(format!("its bundle did not come up ({}): trying the source", bundled.public));
        self.check(project, version, plan, &spec, record).await?;
        let why = format!("only its source came up: {}", bundled.public);
        record.progress().line(format!("not bundled, so it starts from its source: {why}"));
        plan.bundle = Some(Bundle::Without { why });
        self.store().write(|db| deploys::version_ready(db, version.id, &plan.json()?, version.bytes))?;
        self.place_bundle(project.app, version.id, None)?;
        Ok(spec)
    }

    /// Boots the candidate on a copy of the data and asks it for its health path. Nothing live is touched.
    async fn check(
        &self,
        project: &Project,
        version: &VersionRow,
        plan: &Plan,
        spec: &LaunchSpec,
        record: &Recorder,
    ) -> Result<()> {
        let _stage = record.stage("check");
        let passing = Passing::new(self.runner().disk(), self.dir().temp_dir()?);
        let home = passing.home().to_owned();
        self.make_home(&home, spec.uid_offset)?;
        let disk_offset = candidate_disk(project.app)?;
        let held = self.hold_home(project.app, &home, disk_offset).await?;
        self.copy_home(project.app, &home, COPY, record.progress()).await?;
        let mut candidate = spec.clone();
        candidate.key = AppKey(format!("trial-{}-{}", project.app, version.id));
        candidate.home = home;
        candidate.disk_offset = disk_offset;
        candidate.logs = passing.logs();
        let booted = self.runner().trial(candidate, &plan.health).await;
        drop((held, passing));
        booted.map_err(boot_error).map(drop)
    }

    /// The data as this deploy found it: what a rollback may take along.
    async fn snapshot_before_switch(&self, app: i64, row: &DeployRow, record: &Recorder) -> Result<()> {
        let _stage = record.stage("snapshot");
        if let Some(taken) = self.snapshot(app, Why::Deploy(row.id)).await? {
            taken.notes.into_iter().for_each(|note| record.progress().line(format!("not in the snapshot: {note}")));
        }
        Ok(())
    }

    fn note_failure(
        &self,
        project: &Project,
        row: &DeployRow,
        version: Option<i64>,
        error: Error,
        record: &Recorder,
    ) -> Error {
        let stage = record.last_stage().unwrap_or_else(|| "begin".into());
        if error.kind == Kind::Internal {
            tracing::error!(project = %project.path, deploy = row.number, ?error, "deploy failed");
        }
        let public = match error.kind {
            Kind::Internal => "Steady could not do it; the server's log says why".to_owned(),
            _ => error.public.clone(),
        };
        let text = match &error.hint {
            _ if error.kind == Kind::Unapproved => public.clone(),
            Some(hint) => format!("{stage}: {public}\n{hint}"),
            None => format!("{stage}: {public}"),
        };
        let now = self.clock().now();
        let noted =
            self.store().write(|db| deploys::set_failed(db, row.id, version, &text, &record.stages_json(), now));
        if let Err(error) = noted {
            tracing::error!(?error, "a failed deploy could not be recorded");
        }
        let live =
            self.live(project.app).ok().flatten().map(|(_, version, _)| format!("; v{} is still live", version.number));
        let kind = match error.kind {
            kind @ (Kind::Internal | Kind::Unapproved) => kind,
            _ => Kind::App,
        };
        let live = live.unwrap_or_default();
        // One that waits for an owner's yes did not fail at anything.
        let said = match kind {
            Kind::Unapproved => format!("deploy #{} is stopped{live}: {public}", row.number),
            _ => format!("{stage} failed: {public}{live}"),
        };
        let said = Error::new(kind, said);
        let said = match error.hint {
            Some(hint) => said.hint(hint),
            None => said,
        };
        match error.source {
            Some(source) => said.because(source),
            None => said,
        }
    }

    /// What is live: its deploy, version and plan.
    pub(super) fn live(&self, app: i64) -> Result<Option<Live>> {
        self.store().read(|db| live_of(db, &apps::by_id(db, app)?))
    }

    /// Leads the app's labels to what is live now.
    pub(super) fn route_live(&self, project: &Project) -> Result<()> {
        let _one_at_a_time = self.0.routing.lock().unwrap_or_else(PoisonError::into_inner);
        self.store().read(|db| {
            // Deleted meanwhile: nothing may bring its routes back.
            if projects::by_id(db, project.id)?.deleted.is_some() {
                return Ok(());
            }
            let app = apps::by_id(db, project.app)?;
            let live = live_of(db, &app)?;
            let (old, door) = (apps::old_hosts(db, app.id)?, self.door_of(db, &app, live.as_ref())?);
            self.routes().update(self.routes_of(project, &app, live.as_ref(), old, door));
            Ok(())
        })
    }

    fn drop_old_versions(&self, app: i64) {
        let dropped = self.store().read(|db| deploys::versions_on_disk(db, app)).and_then(|versions| {
            for version in versions.into_iter().skip(VERSIONS_KEPT) {
                let now = self.clock().now();
                self.store().write(|db| deploys::version_removed(db, version.id, now))?;
                crate::base::fs::remove_tree(&self.dir().version(app, version.id))
                    .internal("while removing a version")?;
                self.unpack(app, version.id)?;
                self.place_bundle(app, version.id, None)?;
            }
            Ok(())
        });
        if let Err(error) = dropped {
            tracing::warn!(app, ?error, "old versions stay on disk");
        }
    }
}

/// An app's live deploy, with its version and plan.
pub(super) fn live_of(db: &Db, app: &AppRow) -> Result<Option<Live>> {
    let Some(deploy) = app.live_deploy else { return Ok(None) };
    let deploy = deploys::deploy(db, deploy)?;
    let Some(version) = deploy.version else { return Ok(None) };
    let version = deploys::version(db, version)?;
    let plan = Plan::parse(&version.plan)?;
    Ok(Some((deploy, version, plan)))
}

/// The last lines of the child become the hint, for every face alike.
fn boot_error(failure: BootFailure) -> Error {
    let error = Error::app(failure.why);
    let tail: Vec<String> = failure.tail.into_iter().rev().take(30).rev().collect();
    if tail.is_empty() { error } else { error.hint(tail.join("\n")) }
}
