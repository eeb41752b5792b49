//! What there is to see: lists, one app's status, its deploys, commits and logs.
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ask::Ask;
use super::plan::Plan;
use super::view::{AppStatus, DeployView, ProjectSummary};
use super::{Apps, Project};
use crate::accounts::{Actor, Via};
use crate::base::fs::tree_size;
use crate::base::task::blocking;
use crate::base::{Clock, Error, ProjectPath, Result};
use crate::git;
use crate::runner::logs::Logs;
use crate::runner::{AppKey, State, Status};
use crate::store::deploys::DeployRow;
use crate::store::{apps, deploys, projects};

/// How large homes are, as last measured: an app may keep a million files, and a page must not walk them at
/// every look.
#[derive(Default)]
pub(super) struct Sizes(Mutex<HashMap<i64, (Instant, Duration, u64)>>);

impl Sizes {
    /// Bytes. Measured anew when the last measure is older than a hundred times what it took.
    fn of(&self, app: i64, home: &Path) -> u64 {
        let known = self.lock().get(&app).copied();
        if let Some((at, took, bytes)) = known
            && at.elapsed() < took * 100
        {
            return bytes;
        }
        let begun = Clock::stopwatch();
        let bytes = blocking(|| tree_size(home));
        let mut sizes = self.lock();
        // What is cheap to measure is not worth remembering.
        sizes.retain(|_, (at, took, _)| at.elapsed() < *took * 100);
        if begun.elapsed() > Duration::from_millis(5) {
            sizes.insert(app, (Clock::stopwatch(), begun.elapsed(), bytes));
        }
        bytes
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, (Instant, Duration, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Apps {
    /// What this actor owns or is a member of (admins: `all` of the server's).
    pub fn list(&self, who: &Actor, all: bool) -> Result<Vec<ProjectSummary>> {
        let user = (!(all && who.user.admin)).then_some(who.user.id);
        let mut rows = self.store().read(|db| projects::list(db, user))?;
        if let Via::Token { project: Some(only), .. } = &who.via {
            rows.retain(|row| row.id == *only);
        }
        rows.into_iter().map(|row| self.summary(&self.project_of(row)?)).collect()
    }

    /// Id and name of every project of somebody, for what remembers a project by its id.
    pub fn names(&self, who: &Actor) -> Result<Vec<(i64, ProjectPath)>> {
        let rows = self.store().read(|db| projects::list(db, Some(who.user.id)))?;
        Ok(rows.into_iter().map(|row| (row.id, row.path)).collect())
    }

    fn summary(&self, project: &Project) -> Result<ProjectSummary> {
        let live = self.live(project.app)?;
        let newest = self.store().read(|db| deploys::list(db, project.app, 1))?.pop();
        let process = self.runner().status(&AppKey::app(project.app));
        Ok(ProjectSummary {
            path: project.path.clone(),
            url: self.url(project.host.as_str()),
            state: state_of(live.as_ref().map(|(_, _, plan)| plan), process.as_ref()).to_owned(),
            version: live.as_ref().map(|(_, version, _)| format!("v{}", version.number)),
            deployed: live.as_ref().and_then(|(deploy, ..)| deploy.finished),
            failing: newest.as_ref().is_some_and(|deploy| deploy.state == "failed" && !deploy.stopped),
            waiting: newest.is_some_and(|deploy| deploy.waits),
            data_bytes: self.data_bytes(project.app),
        })
    }

    /// All an app's page shows.
    pub fn status(&self, project: &Project) -> Result<AppStatus> {
        let app = self.store().read(|db| apps::by_id(db, project.app))?;
        let live = self.live(project.app)?;
        let process = self.runner().status(&AppKey::app(project.app));
        let state = state_of(live.as_ref().map(|(_, _, plan)| plan), process.as_ref()).to_owned();
        let options = self.options();
        let confinement = self.runner().confinement();
        let plan_ask = live.as_ref().map(|(_, _, plan)| plan.ask.clone()).unwrap_or_default();
        let (net, limits) = plan_ask.within(&self.approved(project)?, &options.terms);
        let idle = live.as_ref().map_or(Some(options.idle.as_secs()), |(_, _, plan)| match plan.always_on {
            true => None,
            false => Some(plan.idle_seconds.unwrap_or(options.idle.as_secs())),
        });
        let rest = live.as_ref().map_or(options.rest, |(_, _, plan)| plan.rests(options.rest));
        // One that sleeps first never stands still.
        let freeze = rest.freeze.map(|after| after.as_secs()).filter(|after| idle.is_some_and(|idle| *after < idle));
        Ok(AppStatus {
            project: project.path.clone(),
            url: self.url(project.host.as_str()),
            state,
            version: live.as_ref().map(|(_, version, _)| format!("v{}", version.number)),
            commit: live.as_ref().map(|(deploy, ..)| deploy.commit.clone()),
            message: live.as_ref().map(|(deploy, ..)| deploy.message.clone()),
            deployed: live.as_ref().and_then(|(deploy, ..)| deploy.finished),
            git_url: self.git_url(&project.path),
            data_bytes: self.data_bytes(project.app),
            code_bytes: live.as_ref().map_or(0, |(_, version, _)| version.bytes),
            repo_bytes: self.repos().size(project.id),
            memory_limit: confinement.has("cgroup memory").then_some(limits.memory_bytes),
            pids_limit: confinement.has("cgroup pids").then_some(limits.pids),
            cpu_percent: confinement.has("cgroup cpu").then_some(limits.cpu_percent),
            log_limit: limits.log_bytes,
            disk_limit: limits.disk_bytes,
            idle_seconds: idle,
            freeze_seconds: freeze,
            env_version: app.env_version,
            env_names: self.env_names(project)?.into_iter().map(|v| v.name).collect(),
            process,
            confinement: confinement.name().to_owned(),
            confinement_missing: confinement.missing_names(),
            confinement_note: confinement.summary,
            permissions: Ask { net: Some(net.tcp), udp: net.udp, private: net.private, ..Ask::default() }.words(),
            waiting: self.waiting(project)?.map(|(row, _)| row.number),
            public_code: project.public_code,
        })
    }

    fn data_bytes(&self, app: i64) -> u64 {
        let home = self.dir().app_home(app);
        self.known_size(&home).unwrap_or_else(|| self.0.sizes.of(app, &home))
    }

    /// Newest first.
    pub fn deploys(&self, project: &Project, limit: usize) -> Result<Vec<DeployView>> {
        let (rows, live) = self.store().read(|db| {
            Ok((deploys::list(db, project.app, limit.min(500))?, apps::by_id(db, project.app)?.live_deploy))
        })?;
        Ok(rows.into_iter().map(|row| self.view(project, row, live)).collect())
    }

    pub(super) fn deploy_view(&self, project: &Project, id: i64) -> Result<DeployView> {
        let (row, live) =
            self.store().read(|db| Ok((deploys::deploy(db, id)?, apps::by_id(db, project.app)?.live_deploy)))?;
        Ok(self.view(project, row, live))
    }

    fn view(&self, project: &Project, row: DeployRow, live: Option<i64>) -> DeployView {
        DeployView {
            number: row.number,
            version: row.version_number.map(|n| format!("v{n}")),
            commit: row.commit,
            message: row.message,
            who: row.who,
            why: row.why,
            current: live == Some(row.id),
            state: match (row.state.as_str(), row.waits, row.stopped) {
                ("failed", true, _) => "waiting".to_owned(),
                ("failed", _, true) => "stopped".to_owned(),
                _ => row.state,
            },
            error: row.error,
            stages: serde_json::from_str(&row.stages).unwrap_or_default(),
            started: row.started,
            finished: row.finished,
            url: self.url(project.host.as_str()),
        }
    }

    /// Commits of main, newest first.
    pub fn commits(&self, project: &Project, limit: usize) -> Result<Vec<git::CommitInfo>> {
        let repo = self.repos().open(project.id)?;
        match repo.branch("main")? {
            Some(main) => repo.log(main, limit.min(500)),
            None => Ok(Vec::new()),
        }
    }

    /// Errors: `Conflict` before the first deploy.
    pub fn logs(&self, project: &Project) -> Result<Logs> {
        self.runner().logs(&AppKey::app(project.app)).ok_or_else(|| {
            Error::conflict(format!("{} has no log yet: it was never deployed", project.path))
                .hint("Deploy it; the log begins with its first start.")
        })
    }
}

/// The one word for what an app is doing, the same in lists and on its page.
fn state_of(live: Option<&Plan>, process: Option<&Status>) -> &'static str {
    match (live, process) {
        (None, _) => "not deployed",
        (Some(plan), _) if plan.is_static() => "static",
        (_, None) => "asleep",
        (_, Some(status)) => state_word(status.state),
    }
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Asleep => "asleep",
        State::Starting => "starting",
        State::Ready => "ready",
        State::Frozen => "frozen",
        State::Reclaimed => "reclaimed",
        State::Draining => "draining",
        State::Crashed => "crashed",
        State::Paused => "paused",
    }
}
