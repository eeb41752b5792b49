//! Bringing data back: laid out and checked beside, put in while requests wait, undone by the snapshot taken just before.
use std::path::Path;

use super::launch::app_uid;
use super::packages::freeze::chown_tree;
use super::snapshot::{Why, view};
use super::view::SnapshotView;
use super::{Apps, Project};
use crate::base::fs::make_dir;
use crate::base::{Error, Progress, Result, ResultExt as _};
use crate::runner::AppKey;
use crate::store::{apps, snapshots};

/// What a restore brought, and the way back.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Restored {
    pub snapshot: SnapshotView,
    /// The data as it was before: restore this one to undo. `None` when there was none.
    pub undo: Option<i64>,
}

impl Apps {
    /// The app's data as it was at that snapshot; code stays. Requests wait meanwhile.
    /// Errors: `NotFound`; `App` when today's data cannot be kept first. Before the swap nothing is changed by a failure.
    pub async fn restore(&self, project: &Project, id: i64, progress: &Progress) -> Result<Restored> {
        let (apps, project, progress) = (self.clone(), project.clone(), progress.clone());
        self.tasks()
            .spawn("restore", async move { apps.restore_now(&project, id, &progress).await })
            .await
            .internal("while restoring")?
    }

    async fn restore_now(&self, project: &Project, id: i64, progress: &Progress) -> Result<Restored> {
        // A deploy that goes on meanwhile would check its candidate on data that is about to go.
        let _turn = self.turn(project.app).lock_owned().await;
        let project = &self.still(project)?;
        let row = self.snapshot_row(project, id)?;
        progress.stage("lay out");
        let laid = self.laid_out(project.app, id).await?;
        progress.stage("switch");
        let key = AppKey::app(project.app);
        let undo = self
            .runner()
            .while_stopped(&key, async {
                // Taken while nothing writes: not one write is missing from it.
                let safety = self.snapshot(project.app, Why::Restore).await?;
                let undo = safety.map(|safety| safety.id);
                self.store().write(|db| snapshots::restoring(db, project.app, id))?;
                if let Err(error) = self.put_back(project.app, laid.path()).await {
                    return Err(self.give_up(project.app, undo, error).await);
                }
                self.store().write(|db| snapshots::restored(db, project.app))?;
                Ok::<_, Error>(undo)
            })
            .await?;
        Ok(Restored { snapshot: view(row), undo })
    }

    /// A folder that holds a snapshot's data, every byte checked, for the app's own user to read.
    async fn laid_out(&self, app: i64, moment: i64) -> Result<crate::base::fs::TempDir> {
        let _turn = self.snapshot_turn(app).lock_owned().await;
        let (keep, dir) = (self.keep(app), self.dir().temp_dir()?);
        let owner = match self.options().uid_base {
            Some(base) => Some(base + app_uid(app)?),
            None => None,
        };
        let work = move || {
            let home = dir.path().join("home");
            make_dir(&home, 0o700).internal("while laying a snapshot out")?;
            keep.lay(&keep.manifest(moment.unsigned_abs())?, &home)?;
            chown_tree(&home, owner).internal("while laying a snapshot out")?;
            Ok::<_, Error>(dir)
        };
        tokio::task::spawn_blocking(work).await.internal("while laying a snapshot out")?
    }

    async fn put_back(&self, app: i64, laid: &Path) -> Result<()> {
        let home = self.dir().app_home(app);
        self.make_home(&home, app_uid(app)?)?;
        let _held = self.hold_home(app, &home, app_uid(app)?).await?;
        let (from, to) = (laid.join("home"), home.to_string_lossy().into_owned());
        let command = vec!["steady".into(), "snapshot-put".into(), from.to_string_lossy().into_owned(), to];
        self.snapshot_job(app, command, vec![from, home], vec![]).await
    }

    /// The home may hold half of what was to be restored: today's data comes back, or nobody gets to see it.
    async fn give_up(&self, app: i64, undo: Option<i64>, error: Error) -> Error {
        let back = async {
            let Some(undo) = undo else { return Err(Error::internal("there was no data before")) };
            let laid = self.laid_out(app, undo).await?;
            self.put_back(app, laid.path()).await?;
            self.store().write(|db| snapshots::restored(db, app))
        };
        match back.await {
            Ok(()) => Error { public: format!("nothing was restored: {}", error.public), ..error },
            Err(worse) => {
                tracing::error!(app, ?worse, "the data of an app is half restored: it is paused");
                if let Err(error) = self.store().write(|db| apps::set_paused(db, app, true)) {
                    tracing::error!(app, ?error, "and that could not be written down");
                }
                self.pause_soon(AppKey::app(app));
                let public = format!("the data is half restored, and the app paused: {}", error.public);
                Error { public, ..error }.hint("Free some room and restore again; then resume the app.")
            }
        }
    }

    /// Restores that a crash broke off are done again, before anything is served.
    pub(super) async fn finish_restores(&self) -> Result<()> {
        for (app, moment) in self.store().read(snapshots::broken_off)? {
            tracing::warn!(app, moment, "a restore broke off when the server last ended; it is done again");
            let done = async {
                let laid = self.laid_out(app, moment).await?;
                self.put_back(app, laid.path()).await?;
                self.store().write(|db| snapshots::restored(db, app))
            };
            // The others are to be served all the same; this one is tried again at the next start.
            if let Err(error) = done.await {
                tracing::error!(app, moment, ?error, "the data of an app is half restored: it is paused");
                self.store().write(|db| apps::set_paused(db, app, true))?;
            }
        }
        Ok(())
    }
}
