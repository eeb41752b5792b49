//! At start: make good what a crash left, then register what is live. And the timed work of every minute.
use super::{Apps, Project};
use crate::base::{Result, ResultExt as _};
use crate::git::Oid;
use crate::runner::AppKey;
use crate::store::{apps, deploys, drafts, projects};

impl Apps {
    /// Before anything serves: unfinished deploys marked, refs reconciled with what is live,
    /// live versions registered, routes built.
    pub async fn boot(&self) -> Result<()> {
        self.repos().sweep()?;
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
        for row in self.store().read(|db| projects::list(db, None))? {
            let path = row.path.clone();
            let registered = self.project_of(row).and_then(|project| {
                self.reconcile_main(&project)?;
                self.register(&project)
            });
            // One broken project must not keep the others from serving.
            if let Err(error) = registered {
                tracing::error!(project = %path, ?error, "cannot be served");
            }
        }
        Ok(())
    }

    /// Makes an app known to the runner and the proxy, asleep.
    pub(super) fn register(&self, project: &Project) -> Result<()> {
        if let Some((deploy, version, plan)) = self.live(project.app)? {
            self.runner().register(self.app_spec(project, &version, &plan, deploy.env_version)?);
            let (paused, key) =
                (self.store().read(|db| apps::by_id(db, project.app))?.paused, AppKey::app(project.app));
            if paused {
                let runner = self.runner().clone();
                self.tasks().spawn("pause", async move { runner.pause(&key).await });
            }
        }
        self.route_live(project)
    }

    /// A deploy is live before main moves; a crash between the two is made good here.
    fn reconcile_main(&self, project: &Project) -> Result<()> {
        let Some((deploy, ..)) = self.live(project.app)? else { return Ok(()) };
        if !deploy.moves_main {
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

    /// Timed work: expired guests' projects, idle drafts, the trash after a week.
    pub async fn sweep(&self) -> Result<()> {
        let now = self.clock().now();
        for row in self.store().read(|db| projects::expired(db, now))? {
            let project = self.project_of(row)?;
            tracing::info!(project = %project.path, "a guest's project expired");
            self.delete_now(&project).await?;
        }
        self.sweep_drafts().await?;
        self.sweep_packages(now).await?;
        self.purge_trash().await
    }
}
