//! At start: make good what a crash left, then register what is live. And the timed work of every minute.
use super::pipeline::live_of;
use super::{Apps, Project};
use crate::base::{Result, ResultExt as _};
use crate::git::Oid;
use crate::proxy::Route;
use crate::runner::{AppKey, LaunchSpec};
use crate::store::deploys::DeployRow;
use crate::store::projects::ProjectRow;
use crate::store::{Db, apps, deploys, drafts, projects};

/// A project that can be served.
struct Ready {
    routes: Vec<(String, Option<Route>)>,
    /// `None` before the first deploy.
    spec: Option<LaunchSpec>,
    paused: bool,
}

impl Apps {
    /// Before anything serves: what a crash left is swept, unfinished deploys marked, refs reconciled with what
    /// is live, live versions registered, routes built.
    pub async fn boot(&self, crashed: bool) -> Result<()> {
        if crashed {
            self.repos().sweep()?;
        }
        let now = self.clock().now();
        let interrupted = self.store().write(|db| deploys::fail_interrupted(db, now))?;
        if interrupted > 0 {
            tracing::warn!(interrupted, "deploys were interrupted when the server last ended");
        }
        for draft in self.store().read(drafts::all)? {
            if let Err(error) = self.discard_draft(&draft).await {
                tracing::error!(draft = draft.id, ?error, "a draft of an earlier run stays");
            }
        }
        self.finish_restores().await?;
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.register_all()).await.internal("while registering apps")?
    }

    /// Every live app of this server at once, well under a tenth of a millisecond each. One project after the other is
    /// turned from rows into what stays: ten thousand of them at a time would leave the memory full of holes.
    fn register_all(&self) -> Result<()> {
        let (mut specs, mut routes, mut paused) = (Vec::new(), Vec::new(), Vec::new());
        self.store().read(|db| {
            for row in projects::list(db, None)? {
                let path = row.path.clone();
                match self.ready(db, row) {
                    Ok(ready) => {
                        routes.extend(ready.routes);
                        paused.extend(ready.spec.as_ref().filter(|_| ready.paused).map(|spec| spec.key.clone()));
                        specs.extend(ready.spec);
                    }
                    // One broken project must not keep the others from serving.
                    Err(error) => tracing::error!(project = %path, ?error, "cannot be served"),
                }
            }
            Ok(())
        })?;
        self.runner().register_all(specs);
        self.routes().update(routes);
        paused.into_iter().for_each(|key| self.pause_soon(key));
        self.route_all_domains()
    }

    fn ready(&self, db: &Db, row: ProjectRow) -> Result<Ready> {
        let app = apps::of_project(db, row.id)?;
        let project = Project::of(row, &app);
        let live = live_of(db, &app)?;
        let door = self.door_of(db, &app, live.as_ref())?;
        let routes = self.routes_of(&project, &app, live.as_ref(), apps::old_hosts(db, app.id)?, door);
        let spec = match live {
            None => None,
            Some((deploy, version, plan)) => {
                self.reconcile_main(&project, &deploy)?;
                let granted = self.granted(db, &project, deploy.env_version)?;
                Some(self.app_spec_with(&project, &version, &plan, granted)?)
            }
        };
        Ok(Ready { routes, spec, paused: app.paused })
    }

    pub(super) fn pause_soon(&self, key: AppKey) {
        let runner = self.runner().clone();
        self.tasks().spawn("pause", async move { runner.pause(&key).await });
    }

    /// Makes an app known to the runner and the proxy, asleep.
    pub(super) fn register(&self, project: &Project) -> Result<()> {
        if let Some((deploy, version, plan)) = self.live(project.app)? {
            self.runner().register(self.app_spec(project, &version, &plan, deploy.env_version)?);
            if self.store().read(|db| apps::by_id(db, project.app))?.paused {
                self.pause_soon(AppKey::app(project.app));
            }
        }
        self.route_live(project)
    }

    /// A deploy is live before main moves; a crash between the two is made good here.
    fn reconcile_main(&self, project: &Project, deploy: &DeployRow) -> Result<()> {
        if !deploy.moves_main || self.repos().is_main(project.id, &deploy.commit) {
            return Ok(());
        }
        let repo = self.repos().open(project.id)?;
        let commit = Oid::from_str(&deploy.commit).internal("while reading a commit id")?;
        let main = repo.branch("main")?;
        let behind = match main {
            None => true,
            Some(main) => main != commit && repo.is_ancestor(main, commit)?,
        };
        if behind {
            tracing::info!(project = %project.path, deploy = deploy.number, "main follows what is live");
            repo.set_ref("refs/heads/main", main, Some(commit), "deploy finished before the server ended")?;
        }
        Ok(())
    }

    /// Timed work: expired guests' projects, idle drafts, domains to look at, the trash after a week.
    pub async fn sweep(&self) -> Result<()> {
        let now = self.clock().now();
        for row in self.store().read(|db| projects::expired(db, now))? {
            let project = self.project_of(row)?;
            tracing::info!(project = %project.path, "a guest's project expired");
            self.delete_now(&project).await?;
        }
        self.sweep_drafts().await?;
        self.check_due_domains().await?;
        self.sweep_packages(now).await?;
        self.purge_trash().await
    }
}
