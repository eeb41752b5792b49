//! From rows and folders to what the runner starts and where the proxy leads.
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::approve::approved_in;
use super::ask::Ask;
use super::bundle::Bundle;
use super::pipeline::Live;
use super::plan::{Plan, Run};
use super::{Apps, Project};
use crate::base::{Error, Result, ResultExt as _, Secret};
use crate::proxy::door::Door;
use crate::proxy::files::Folder;
use crate::proxy::{Route, Target};
use crate::runner::idle::Rest;
use crate::runner::{AppKey, Entry, LaunchSpec, POOL_UIDS};
use crate::store::apps::AppRow;
use crate::store::deploys::VersionRow;
use crate::store::drafts::DraftRow;
use crate::store::{Db, apps, env};

/// A project's variables, and what is approved for it beyond the server's settings.
pub(super) struct Granted {
    variables: Vec<env::Variable>,
    approved: Ask,
}

/// Uids come in fours: the app's own, a draft's, that of installs and builds; the fourth only counts the disk
/// quota of a candidate's copy of the data. None is ever used for another,
/// so that what runs cannot reach into what is being built. Ids are never reused.
pub(super) fn app_uid(app: i64) -> Result<u32> {
    uid(app, 0)
}

pub(super) fn draft_uid(draft: i64) -> Result<u32> {
    uid(draft, 1)
}

pub(super) fn build_uid(app: i64) -> Result<u32> {
    uid(app, 2)
}

pub(super) fn candidate_disk(app: i64) -> Result<u32> {
    uid(app, 3)
}

fn uid(id: i64, kind: i64) -> Result<u32> {
    u32::try_from(id * 4 + kind)
        .ok()
        .filter(|uid| *uid < POOL_UIDS.start)
        .ok_or_else(|| Error::internal("this server has given out all its uids"))
}

impl Plan {
    pub(super) fn parse(json: &str) -> Result<Self> {
        serde_json::from_str(json).internal("while reading how a version runs")
    }
    pub(super) fn json(&self) -> Result<String> {
        serde_json::to_string(self).internal("while writing how a version runs")
    }
    /// What the runner is told to start. A static version starts nothing; its spec only gives its request
    /// log a home.
    fn entry(&self) -> Entry {
        match &self.run {
            Run::Process(entry) => entry.clone(),
            Run::Static { .. } => Entry::Module { path: String::new() },
        }
    }
    /// Where the proxy leads for a version whose code is in `code` and whose packed files are, if any, in `packed`.
    fn target(&self, key: AppKey, code: &Path, packed: Option<PathBuf>, version: &str) -> Target {
        let folder = self.served(code).map(|root| Folder::new(root, packed, version));
        match (&self.run, folder) {
            (Run::Static { .. }, Some(root)) => Target::Static { key, root },
            (_, public) => Target::App { key, public },
        }
    }
    /// The folder of the code whose files are answered as they are.
    pub(super) fn served(&self, code: &Path) -> Option<PathBuf> {
        match &self.run {
            Run::Static { root } => Some(code.join(root)),
            Run::Process(_) => self.public.then(|| code.join("public")),
        }
    }
    /// What happens to it before it sleeps, by its own word or the server's.
    pub(super) fn rests(&self, usual: Rest) -> Rest {
        if self.always_on || self.rest.background {
            return Rest::default();
        }
        Rest {
            freeze: self.rest.freeze_seconds.map(Duration::from_secs).or(usual.freeze),
            reclaim: self.rest.reclaim_seconds.map(Duration::from_secs).or(usual.reclaim),
        }
    }
    /// Whether its bundle, if it has one, is as good as its source where these variables are.
    fn is_bundled_for(&self, env: &[(String, Secret<String>)]) -> bool {
        let otherwise = env.iter().any(|(name, value)| name == "NODE_ENV" && value.expose() != "production");
        !otherwise && self.bundle.as_ref().is_some_and(Bundle::is_usable)
    }
    /// Nobody tried yet, or another Bun did.
    pub(super) fn wants_bundle(&self) -> bool {
        match &self.bundle {
            None => !self.is_static(),
            Some(bundle) => !bundle.is_usable() && !matches!(bundle, Bundle::Without { .. }),
        }
    }
    pub(super) fn is_static(&self) -> bool {
        matches!(self.run, Run::Static { .. })
    }
}

impl Apps {
    /// The spec of one version of an app with one set of its environment.
    pub(super) fn app_spec(
        &self,
        project: &Project,
        version: &VersionRow,
        plan: &Plan,
        env_version: i64,
    ) -> Result<LaunchSpec> {
        let granted = self.store().read(|db| self.granted(db, project, env_version))?;
        self.app_spec_with(project, version, plan, granted)
    }

    /// The same without a look into the database.
    pub(super) fn app_spec_with(
        &self,
        project: &Project,
        version: &VersionRow,
        plan: &Plan,
        granted: Granted,
    ) -> Result<LaunchSpec> {
        let app = project.app;
        let name = format!("v{}", version.number);
        let mut spec = self.spec(AppKey::app(app), project, &name, plan, &self.url(project.host.as_str()), granted);
        spec.code = self.dir().version(app, version.id);
        spec.bundle = plan.is_bundled_for(&spec.env).then(|| self.dir().bundle(app, version.id));
        spec.pooled = plan.bundle.as_ref().is_some_and(Bundle::is_pooled);
        spec.home = self.dir().app_home(app);
        spec.logs = self.dir().app_logs(app);
        spec.uid_offset = app_uid(app)?;
        spec.disk_offset = spec.uid_offset;
        self.make_home(&spec.home, spec.uid_offset)?;
        Ok(spec)
    }

    pub(super) fn draft_spec(&self, project: &Project, draft: &DraftRow, plan: &Plan) -> Result<LaunchSpec> {
        let granted = self.store().read(|db| self.granted(db, project, apps::by_id(db, project.app)?.env_version))?;
        let dir = self.dir().draft(draft.id);
        let url = self.url(&draft.label);
        let mut spec = self.spec(AppKey::draft(draft.id), project, "draft", plan, &url, granted);
        spec.code = dir.join("code").join(&draft.tree);
        spec.home = dir.join("home");
        spec.logs = dir.join("logs");
        spec.uid_offset = draft_uid(draft.id)?;
        spec.disk_offset = spec.uid_offset;
        // A draft is for its author, who is there or not: it sleeps soon and never stays on.
        spec.idle = Some(Duration::from_secs(60));
        spec.rest = Rest::default();
        spec.limits.log_bytes = spec.limits.log_bytes.min(4 << 20);
        self.make_home(&spec.home, spec.uid_offset)?;
        Ok(spec)
    }

    /// What a start of this project's app gets from its owners.
    pub(super) fn granted(&self, db: &Db, project: &Project, env_version: i64) -> Result<Granted> {
        let variables = env::load(db, self.key(), project.app, env_version)?;
        Ok(Granted { variables, approved: approved_in(db, project.id)? })
    }

    fn spec(
        &self,
        key: AppKey,
        project: &Project,
        version: &str,
        plan: &Plan,
        url: &str,
        granted: Granted,
    ) -> LaunchSpec {
        let Granted { variables, approved } = granted;
        let mut env: Vec<(String, Secret<String>)> = [
            ("STEADY_URL", url.to_owned()),
            ("STEADY_PROJECT", project.path.to_string()),
            ("STEADY_VERSION", version.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), Secret::new(value)))
        .into();
        env.extend(variables.iter().map(|v| (v.name.clone(), v.value.clone())));
        // Never more than is approved, whatever the version asks for: a draft runs before anybody said yes.
        let (net, limits) = plan.ask.within(&approved, &self.options().terms);
        let idle = match (plan.always_on, plan.idle_seconds) {
            (true, _) => None,
            (false, Some(seconds)) => Some(Duration::from_secs(seconds)),
            (false, None) => Some(self.options().idle),
        };
        LaunchSpec {
            key,
            version: version.to_owned(),
            code: Default::default(),
            home: Default::default(),
            logs: Default::default(),
            entry: plan.entry(),
            bundle: None,
            pooled: false,
            env,
            redact: variables.into_iter().map(|v| (v.name, v.value)).collect(),
            limits,
            uid_offset: 0,
            disk_offset: 0,
            idle,
            rest: plan.rests(self.options().rest),
            net,
        }
    }

    /// The folder an app may write, owned by its uid and closed to others.
    pub(super) fn make_home(&self, home: &Path, uid_offset: u32) -> Result<()> {
        if home.is_dir() {
            return Ok(());
        }
        if let Some(parent) = home.parent() {
            crate::base::fs::make_dir(parent, 0o711).internal("while making an app's folder")?;
        }
        std::fs::DirBuilder::new().mode(0o700).create(home).internal("while making an app's home")?;
        if let Some(base) = self.options().uid_base {
            chown(home, Some(base + uid_offset), Some(base + uid_offset)).internal("while giving an app its home")?;
        }
        Ok(())
    }

    /// The routes of one app: its label, and the old ones, which redirect.
    pub(super) fn routes_of(
        &self,
        project: &Project,
        app: &AppRow,
        live: Option<&Live>,
        old: Vec<String>,
        door: Option<Box<Door>>,
    ) -> Vec<(String, Option<Route>)> {
        let key = AppKey::app(app.id);
        let manners = live.map(|(_, _, plan)| plan.manners).unwrap_or_default();
        let health = live.map_or_else(|| "/".to_owned(), |(_, _, plan)| plan.health.clone());
        let (target, version) = match live {
            None => (Target::Empty, String::new()),
            Some((_, version, plan)) => {
                let code = self.dir().version(app.id, version.id);
                let packed = self.dir().packed(app.id, version.id);
                let name = format!("v{}", version.number);
                (plan.target(key, &code, Some(packed), &name), name)
            }
        };
        let label = app.host.to_string();
        let route = |target, door| Route {
            target,
            project: project.path.to_string(),
            draft: false,
            version: version.clone(),
            door,
            manners,
            health: health.clone(),
            sleeper: Default::default(),
        };
        let mut changes = vec![(label.clone(), Some(route(target, door)))];
        changes.extend(old.into_iter().map(|old| (old, Some(route(Target::Moved { to: label.clone() }, None)))));
        changes
    }

    pub(super) fn route_draft(&self, project: &Project, draft: &DraftRow, plan: &Plan) {
        let code = self.dir().draft(draft.id).join("code").join(&draft.tree);
        let key = AppKey::draft(draft.id);
        let route = Route {
            target: plan.target(key, &code, None, &draft.tree),
            project: project.path.to_string(),
            draft: true,
            version: "draft".into(),
            door: None,
            manners: plan.manners,
            health: plan.health.clone(),
            sleeper: Default::default(),
        };
        self.routes().update([(draft.label.clone(), Some(route))]);
    }
}
