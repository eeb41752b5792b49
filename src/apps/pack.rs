//! Packing the files that a version serves as they are. In the background: no push waits for it, and until it is done
//! they are compressed as they are asked for.
use std::time::Duration;

use tokio::sync::Semaphore;

use super::plan::Plan;
use super::{Apps, Project};
use crate::base::fs::{make_dir, remove_tree, rename_durable};
use crate::base::{Result, ResultExt as _};
use crate::proxy::files::pack::{Budget, pack};
use crate::store::apps;
use crate::store::deploys::{self, VersionRow};

/// One version may take this of a processor and of the disk. What is not packed then is compressed when it is asked for.
const BUDGET: Budget = Budget { time: Duration::from_secs(60), bytes: 64 << 20 };

/// One at a time on the whole server: packing is never urgent.
static TURN: Semaphore = Semaphore::const_new(1);

impl Apps {
    /// Once a version is live. Does nothing for one that was packed before, or has nothing to pack.
    pub(super) fn pack_soon(&self, project: &Project, version: &VersionRow, plan: &Plan) {
        let root = plan.served(&self.dir().version(project.app, version.id));
        if root.is_none_or(|root| !root.is_dir()) || self.dir().packed(project.app, version.id).exists() {
            return;
        }
        let (apps, project, version, plan) = (self.clone(), project.clone(), version.clone(), plan.clone());
        self.tasks().spawn("pack", async move {
            let stopping = apps.tasks().stopping();
            let turn = tokio::select! {
                turn = TURN.acquire() => turn,
                () = stopping.cancelled() => return,
            };
            let packing = apps.clone();
            let work = move || packing.pack_now(&project, &version, &plan);
            let done = tokio::task::spawn_blocking(work).await.internal("while packing files").flatten();
            drop(turn);
            if let Err(error) = done {
                tracing::warn!(?error, "the files of a version stay as they are");
            }
        });
    }

    fn pack_now(&self, project: &Project, version: &VersionRow, plan: &Plan) -> Result<()> {
        let code = self.dir().version(project.app, version.id);
        let Some(root) = plan.served(&code) else { return Ok(()) };
        let temp = self.dir().temp_dir()?;
        let into = temp.path().join("packed");
        let stopping = self.tasks().stopping();
        let Some(bytes) = pack(&root, &into, BUDGET, &|| stopping.is_cancelled())? else { return Ok(()) };
        let place = self.dir().packed(project.app, version.id);
        // It may have gone meanwhile, and its packed files with it.
        if !code.is_dir() || place.exists() {
            return Ok(());
        }
        if let Some(parent) = place.parent() {
            make_dir(parent, 0o700).internal("while making a folder for packed files")?;
        }
        rename_durable(&into, &place).internal("while placing packed files")?;
        self.store().write(|db| deploys::add_version_bytes(db, version.id, bytes))?;
        let host = self.store().read(|db| apps::by_id(db, project.app))?.host;
        if let Some(route) = self.routes().get(host.as_str()) {
            route.target.reread();
        }
        Ok(())
    }

    /// With its folder, or before it is made anew.
    pub(super) fn unpack(&self, app: i64, version: i64) -> Result<()> {
        remove_tree(&self.dir().packed(app, version)).internal("while removing packed files")
    }
}
