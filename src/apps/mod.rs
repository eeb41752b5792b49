//! The control plane: every verb, once. Editor, API, git push and timer all call these.
mod approve;
pub mod ask;
mod boot;
mod bundle;
mod create;
mod delete;
mod deploy;
pub mod domain;
pub mod door;
mod draft;
mod env;
mod export;
mod files;
mod find;
mod home;
mod install;
mod judge;
mod launch;
pub mod limit;
pub mod manifest;
mod members;
mod names;
mod pack;
mod packages;
mod pipeline;
mod plan;
mod prepare;
mod record;
mod rename;
mod restore;
mod rollback;
mod snapshot;
mod status;
pub mod template;
pub mod view;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ask::Terms;
pub use deploy::Said;
pub use judge::Way;
pub use restore::Restored;

use crate::accounts::Accounts;
use crate::base::{AppName, Clock, DataDir, ProjectName, ProjectPath, Tasks};
use crate::git::Repos;
use crate::proxy::Routes;
use crate::runner::Runner;
use crate::runner::egress::HostRule;
use crate::runner::idle::Rest;
use crate::store::Store;
use crate::store::seal::Key;

#[derive(Clone, Debug)]
pub struct Options {
    /// `http://localhost:8080`, without a slash at the end.
    pub editor_url: String,
    /// Makes an app's URL from its label: scheme and `domain[:port]`.
    pub scheme: String,
    pub apps_host: String,
    /// What an app has without anybody's approval, and the most it can be given.
    pub terms: Terms,
    /// How long an app without requests stays awake, and what happens to it before.
    pub idle: Duration,
    pub rest: Rest,
    /// What installs and builds may reach beside the package registry.
    pub build_hosts: Vec<HostRule>,
    /// Custom domains of one project.
    pub max_domains: usize,
    /// Where they are looked up, and what they have for TLS.
    pub dns: domain::Dns,
    pub certificates: domain::Certificates,
    /// Whether children run under uids of their own (Steady is root), and the first of these.
    pub uid_base: Option<u32>,
}

/// The engines this plane drives.
pub struct Parts {
    pub store: Store,
    pub accounts: Accounts,
    pub repos: Repos,
    pub runner: Runner,
    pub routes: Routes,
    pub dir: DataDir,
    pub clock: Clock,
    pub tasks: Tasks,
    pub key: Key,
    pub options: Options,
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

/// A project somebody may use, found once per request. Only [`Apps::find`] makes one.
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
pub struct Apps(Arc<Inner>);

pub(crate) struct Inner {
    parts: Parts,
    /// One deploy at a time per app; entries that nobody holds are dropped.
    deploying: Mutex<HashMap<i64, Arc<tokio::sync::Mutex<()>>>>,
    sizes: status::Sizes,
    exports: export::Exports,
    /// Held from reading what is live of an app until its routes say so: whoever read earlier must not come later.
    routing: Mutex<()>,
    packages: packages::store::Store,
}

impl Apps {
    pub fn new(parts: Parts) -> Self {
        let packages = packages::store::Store::new(&parts.dir);
        Self(Arc::new(Inner {
            parts,
            packages,
            deploying: Mutex::default(),
            sizes: Default::default(),
            exports: Default::default(),
            routing: Mutex::default(),
        }))
    }

    pub fn options(&self) -> &Options {
        &self.0.parts.options
    }

    /// The address visitors use for a host label.
    pub fn url(&self, label: &str) -> String {
        format!("{}://{label}.{}", self.options().scheme, self.options().apps_host)
    }

    pub fn git_url(&self, path: &ProjectPath) -> String {
        format!("{}/{path}.git", self.options().editor_url)
    }

    fn store(&self) -> &Store {
        &self.0.parts.store
    }
    fn accounts(&self) -> &Accounts {
        &self.0.parts.accounts
    }
    fn repos(&self) -> &Repos {
        &self.0.parts.repos
    }
    fn runner(&self) -> &Runner {
        &self.0.parts.runner
    }
    fn routes(&self) -> &Routes {
        &self.0.parts.routes
    }
    fn dir(&self) -> &DataDir {
        &self.0.parts.dir
    }
    fn packages(&self) -> &packages::store::Store {
        &self.0.packages
    }
    fn clock(&self) -> &Clock {
        &self.0.parts.clock
    }
    fn tasks(&self) -> &Tasks {
        &self.0.parts.tasks
    }
    fn key(&self) -> &Key {
        &self.0.parts.key
    }

    /// The turnstile of an app's deploys (and of whatever else replaces what runs).
    fn turn(&self, app: i64) -> Arc<tokio::sync::Mutex<()>> {
        let mut map = self.0.deploying.lock().unwrap_or_else(PoisonError::into_inner);
        map.retain(|_, turn| Arc::strong_count(turn) > 1);
        map.entry(app).or_default().clone()
    }
}
