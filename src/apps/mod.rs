//! The control plane: every verb, once. Editor, API, git push and timer all call these.
pub mod template;
pub mod view;

use std::path::PathBuf;
use std::time::Duration;

use crate::accounts::{Action, Actor};
use crate::base::{AppName, Clock, DataDir, Progress, ProjectName, ProjectPath, Result, Secret, Tasks};
use crate::git::{self, Repos};
use crate::proxy::Routes;
use crate::runner::logs::Logs;
use crate::runner::{Limits, Runner};
use crate::store::Store;
use view::*;

#[derive(Clone, Debug)]
pub struct Options {
    /// `http://localhost:8080`, without a slash at the end.
    pub editor_url: String,
    /// Makes an app's URL from its label: scheme and `domain[:port]`.
    pub scheme: String,
    pub apps_host: String,
    pub limits: Limits,
    pub idle: Duration,
    pub guest_ms: i64,
}

/// Where a new project's first files come from.
#[derive(Clone, Debug)]
pub enum Source {
    Template(String),
    /// A public http(s) git URL.
    GitUrl(String),
    Fork(ProjectPath),
    Empty,
}

#[derive(Clone, Debug)]
pub struct NewProject {
    /// Generated when not given.
    pub name: Option<ProjectName>,
    /// The app's host label; the project's name if free, else generated.
    pub host: Option<AppName>,
    pub source: Source,
}

/// A project somebody may use, found once per request. Only `Apps::find` makes one.
#[derive(Clone, Debug)]
pub struct Project {
    pub id: i64,
    pub path: ProjectPath,
    pub app: i64,
    /// The app's current host label.
    pub host: AppName,
    pub public_code: bool,
    /// Set when the path given was an old name.
    pub moved: bool,
}

/// What a deploy is made from.
#[derive(Clone, Debug)]
pub enum DeployFrom {
    /// The tip of main, or any commit by id.
    Commit(Option<String>),
    /// The caller's draft, committed onto main with this message. Errors `Conflict` when main has moved.
    Draft { message: String },
    /// A whole folder (path, bytes, executable), committed onto main.
    Files { files: Vec<(PathBuf, Vec<u8>, bool)>, message: String },
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Apps {}

impl Apps {
    pub fn new(
        _store: Store,
        _repos: Repos,
        _runner: Runner,
        _routes: Routes,
        _dir: DataDir,
        _clock: Clock,
        _tasks: Tasks,
        _key: crate::store::seal::Key,
        _options: Options,
    ) -> Self {
        todo!()
    }
    /// At start: unfinished deploys marked, live versions registered, routes built, leftovers removed.
    pub async fn boot(&self) -> Result<()> {
        todo!()
    }
    /// Timed work: expired guests' projects, idle drafts, the trash after a week.
    pub async fn sweep(&self) -> Result<()> {
        todo!()
    }
    pub fn options(&self) -> &Options {
        todo!()
    }
    /// The project, if the actor may do that to it. Old names are followed (`moved` is set).
    pub fn find(&self, _who: Option<&Actor>, _path: &ProjectPath, _action: Action) -> Result<Project> {
        todo!()
    }
    /// What this actor owns or is a member of (admins: `all` of the server's).
    pub fn list(&self, _who: &Actor, _all: bool) -> Result<Vec<ProjectSummary>> {
        todo!()
    }
    pub async fn create(&self, _who: &Actor, _new: NewProject, _progress: &Progress) -> Result<Project> {
        todo!()
    }
    /// New project name and/or new host label; the old ones redirect.
    pub async fn rename(
        &self,
        _project: &Project,
        _name: Option<ProjectName>,
        _host: Option<AppName>,
    ) -> Result<Project> {
        todo!()
    }
    pub fn set_public_code(&self, _project: &Project, _public: bool) -> Result<()> {
        todo!()
    }
    /// Stops it and moves all it has to the trash, recoverable for a week.
    pub async fn delete(&self, _who: &Actor, _project: &Project) -> Result<Deleted> {
        todo!()
    }
    pub fn deleted(&self, _who: &Actor) -> Result<Vec<Deleted>> {
        todo!()
    }
    /// Brings a deleted project back. Errors: `NotFound` after its week; `Conflict` when the name is taken.
    pub async fn recover(&self, _who: &Actor, _id: i64) -> Result<Project> {
        todo!()
    }
    /// All an app's page shows.
    pub fn status(&self, _project: &Project) -> Result<AppStatus> {
        todo!()
    }
    pub fn deploys(&self, _project: &Project, _limit: usize) -> Result<Vec<DeployView>> {
        todo!()
    }
    pub fn commits(&self, _project: &Project, _limit: usize) -> Result<Vec<git::CommitInfo>> {
        todo!()
    }
    pub fn logs(&self, _project: &Project) -> Result<Logs> {
        todo!()
    }
    /// The log of the caller's draft, when one was started.
    pub fn draft_logs(&self, _who: &Actor, _project: &Project) -> Result<Option<Logs>> {
        todo!()
    }

    // the editor's files
    /// The caller's draft if there is one, else main; `base` says which commit it stands on.
    pub fn workspace(&self, _who: &Actor, _project: &Project) -> Result<Workspace> {
        todo!()
    }
    /// One file of that commit, at most 2 MiB of text; `binary` files come without text.
    pub fn file(&self, _project: &Project, _commit: &str, _path: &str) -> Result<FileView> {
        todo!()
    }
    /// A file's raw bytes, at most 32 MiB.
    pub fn raw(&self, _project: &Project, _commit: &str, _path: &str) -> Result<Vec<u8>> {
        todo!()
    }
    /// Applies changes on top of the caller's draft. `on` is the commit the caller last saw.
    /// Errors: `Conflict` when the draft has moved (another tab).
    pub fn save(&self, _who: &Actor, _project: &Project, _on: &str, _changes: Vec<git::Change>) -> Result<Workspace> {
        todo!()
    }
    /// Brings main's newer commits into the draft: merged, or thrown away for main's.
    pub fn update_draft(&self, _who: &Actor, _project: &Project, _how: UpdateHow) -> Result<Workspace> {
        todo!()
    }
    /// Run: the draft (or main) on a copy of the data, for its author. Returns its URL; the first request boots it.
    pub async fn run(&self, _who: &Actor, _project: &Project, _progress: &Progress) -> Result<DraftView> {
        todo!()
    }
    pub async fn stop_draft(&self, _who: &Actor, _project: &Project) -> Result<()> {
        todo!()
    }

    // deploys
    /// One at a time per app. On failure the old version is still live; the record keeps why.
    pub async fn deploy(
        &self,
        _who: &Actor,
        _project: &Project,
        _from: DeployFrom,
        _why: &str,
        _progress: &Progress,
    ) -> Result<DeployView> {
        todo!()
    }
    /// For a push that holds the repository's lock: deploys `commit` without touching refs.
    pub async fn deploy_pushed(
        &self,
        _who: &Actor,
        _project: &Project,
        _commit: git::Oid,
        _progress: &Progress,
    ) -> Result<DeployView> {
        todo!()
    }
    /// Back to an earlier deploy's code (and, when asked, its environment): the newest good one before
    /// the live one when `to` is `None`. A rollback is a deploy, so it can be rolled back.
    pub async fn rollback(
        &self,
        _who: &Actor,
        _project: &Project,
        _to: Option<i64>,
        _progress: &Progress,
    ) -> Result<DeployView> {
        todo!()
    }
    pub async fn restart(&self, _project: &Project) -> Result<()> {
        todo!()
    }
    pub async fn set_paused(&self, _project: &Project, _paused: bool) -> Result<()> {
        todo!()
    }

    // environment
    /// Names only: values are write-only.
    pub fn env_names(&self, _project: &Project) -> Result<Vec<EnvName>> {
        todo!()
    }
    /// One new environment version; the app restarts with it. `None` unsets.
    pub async fn env_change(
        &self,
        _who: &Actor,
        _project: &Project,
        _changes: Vec<(String, Option<Secret<String>>)>,
    ) -> Result<i64> {
        todo!()
    }

    // members
    pub fn members(&self, _project: &Project) -> Result<Vec<Member>> {
        todo!()
    }
    /// `None` removes.
    pub fn set_member(
        &self,
        _project: &Project,
        _user: &crate::base::UserName,
        _role: Option<crate::accounts::Role>,
    ) -> Result<()> {
        todo!()
    }

    /// One `.tar.gz`: code, what the app wrote, the git history, a manifest. Runs under plain `bun`.
    pub async fn export(&self, _project: &Project, _out: Box<dyn std::io::Write + Send>) -> Result<()> {
        todo!()
    }
}
