//! Rename a project or its host label. Old names lead to the new ones.
use super::{Apps, Project};
use crate::base::{AppName, ProjectName, Result, ResultExt as _};
use crate::runner::AppKey;
use crate::store::{apps, projects};

impl Apps {
    /// Errors: `Conflict` when a name is taken; then nothing has changed.
    /// It waits for a deploy that runs, which would bring the old names back, and goes on to its end even when
    /// the caller goes away.
    pub async fn rename(&self, project: &Project, name: Option<ProjectName>, host: Option<AppName>) -> Result<Project> {
        let (apps, project) = (self.clone(), project.clone());
        self.tasks()
            .spawn("rename", async move { apps.rename_now(&project, name, host).await })
            .await
            .internal("while renaming")?
    }

    async fn rename_now(&self, project: &Project, name: Option<ProjectName>, host: Option<AppName>) -> Result<Project> {
        let _turn = self.turn(project.app).lock_owned().await;
        let project = &self.still(project)?;
        let old_host = project.host.clone();
        let row = self.store().write(|db| {
            let row = projects::by_id(db, project.id)?;
            if let Some(name) = &name
                && *name != row.path.project
            {
                projects::rename(db, &row, name)?;
            }
            if let Some(host) = &host
                && *host != old_host
            {
                apps::set_host(db, project.app, host)?;
            }
            projects::by_id(db, project.id)
        })?;
        let renamed = self.project_of(row)?;
        self.route_live(&renamed)?;
        self.route_domains(renamed.id, &[])?;
        // STEADY_URL and STEADY_PROJECT changed: the next start of the app is told.
        if let Some((deploy, version, plan)) = self.live(renamed.app)? {
            self.runner().register(self.app_spec(&renamed, &version, &plan, deploy.env_version)?);
            self.runner().restart(&AppKey::app(renamed.app)).await;
        }
        Ok(renamed)
    }

    /// Anybody may look at (and fork) the code.
    pub fn set_public_code(&self, project: &Project, public: bool) -> Result<()> {
        self.store().write(|db| projects::set_public_code(db, project.id, public))
    }
}
