//! Snapshots of an app's data: take, list, pin, thin out.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::launch::app_uid;
use super::view::SnapshotView;
use super::{Apps, Project};
use crate::base::fs::tree_size;
use crate::base::name::clip;
use crate::base::{Error, Kind, Progress, Result, ResultExt as _};
use crate::runner::{JobSpec, Limits};
use crate::snapshots::keep::Keep;
use crate::snapshots::manifest::Manifest;
use crate::snapshots::policy::{Kept, stay};
use crate::store::apps;
use crate::store::snapshots::{self, NewSnapshot, SnapshotRow};

/// Bytes of data one snapshot may have.
const MOST: u64 = 256 << 30;
const TIMEOUT: Duration = Duration::from_secs(3600);
/// Steady's own reading and writing, bytes a second.
const RATE: u64 = 200 << 20;
/// Bytes of a name.
const NAME: usize = 100;
/// Deploys whose snapshots stay.
const DEPLOYS: usize = 20;

/// Why one is taken; the words are stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Why<'a> {
    /// Somebody asked for it, perhaps under a name.
    Asked(Option<&'a str>),
    /// Just before the deploy with this id.
    Deploy(i64),
    /// Just before a restore, so that it can be undone.
    Restore,
}

impl Why<'_> {
    fn word(self) -> &'static str {
        match self {
            Self::Asked(_) => "asked",
            Self::Deploy(_) => "deploy",
            Self::Restore => "restore",
        }
    }
}

impl Apps {
    /// Takes one now, while the app runs or not; pinned when it has a name.
    /// Errors: `BadInput` for the name, `Conflict` when the app has no data, `App` when it could not be taken.
    pub async fn take_snapshot(&self, project: &Project, name: Option<String>) -> Result<SnapshotView> {
        if let Some(name) = &name {
            check_name(name)?;
        }
        let (this, app, path) = (self.clone(), project.app, project.path.clone());
        let work = async move {
            this.snapshot(app, Why::Asked(name.as_deref())).await?.ok_or_else(|| {
                Error::conflict(format!("{path} has no data yet, so there is nothing to take a snapshot of"))
            })
        };
        self.tasks().spawn("snapshot", work).await.internal("while taking a snapshot")?
    }

    /// Newest first.
    pub fn snapshots(&self, project: &Project) -> Result<Vec<SnapshotView>> {
        let rows = self.store().read(|db| snapshots::list(db, project.app))?;
        Ok(rows.into_iter().map(view).collect())
    }

    /// A pinned one stays until its name is taken away.
    pub fn pin_snapshot(&self, project: &Project, id: i64, name: Option<&str>) -> Result<SnapshotView> {
        if let Some(name) = name {
            check_name(name)?;
        }
        self.store().write(|db| snapshots::pin(db, project.app, id, name))?;
        self.snapshot_row(project, id).map(view)
    }

    /// Errors: `NotFound`.
    pub(super) fn snapshot_row(&self, project: &Project, id: i64) -> Result<SnapshotRow> {
        self.store().read(|db| snapshots::by_moment(db, project.app, id))?.ok_or_else(|| {
            Error::not_found(format!("{} has no snapshot {id}", project.path))
                .hint("`steady snapshot ls` lists them; old ones are dropped by age.")
        })
    }

    /// `None` when the app never kept anything.
    pub(super) async fn snapshot(&self, app: i64, why: Why<'_>) -> Result<Option<SnapshotView>> {
        let home = self.dir().app_home(app);
        if !home.is_dir() || (self.known_size(&home).is_none() && tree_size(&home) == 0) {
            return Ok(None);
        }
        let _turn = self.snapshot_turn(app).lock_owned().await;
        let _held = self.hold_home(app, &home, app_uid(app)?).await?;
        let now = self.clock().now();
        let (moment, epoch) =
            self.store().read(|db| Ok((snapshots::next_moment(db, app)?, apps::by_id(db, app)?.epoch)))?;
        let (keep, out) = (self.keep(app), self.dir().temp_dir()?);
        let last = keep.last()?;
        let path = |p: &Path| p.to_string_lossy().into_owned();
        let numbers = [moment, epoch, now].map(|number| number.to_string());
        let mut command = vec!["steady".into(), "snapshot-home".into()];
        command.extend([path(&home), path(&last), path(out.path())]);
        command.extend(numbers);
        command.push(MOST.to_string());
        // Reading a WAL database takes writing its shared-memory file.
        let writable = vec![home, out.path().to_owned()];
        self.snapshot_job(app, command, writable, vec![last]).await?;
        let kept = keep.clone();
        let (manifest, added) = tokio::task::spawn_blocking(move || kept.adopt(out.path()))
            .await
            .internal("while keeping a snapshot")??;
        self.record_snapshot(app, &manifest, why, added, now)?;
        // What a restore is about to bring back may be old; it is only written down after this.
        if !matches!(why, Why::Restore) {
            self.thin_out(app, &keep).await;
        }
        let row = self.store().read(|db| snapshots::by_moment(db, app, moment))?;
        Ok(row.map(view))
    }

    /// Errors: `App` with what the job said.
    pub(super) async fn snapshot_job(
        &self,
        app: i64,
        command: Vec<String>,
        writable: Vec<PathBuf>,
        readable: Vec<PathBuf>,
    ) -> Result<()> {
        let limits = self.options().terms.limits;
        let spec = JobSpec {
            command,
            cwd: writable.last().cloned().unwrap_or_default(),
            writable,
            readable,
            env: vec![],
            limits: Limits { disk_bytes: MOST, io_bytes_per_second: RATE, ..limits },
            uid_offset: app_uid(app)?,
            timeout: TIMEOUT,
            hosts: vec![],
        };
        let report = self.runner().job(spec, &Progress::silent()).await?;
        if report.success {
            return Ok(());
        }
        Err(Error::new(Kind::App, format!("the app's data could not be read or written: {}", report.ending))
            .hint(report.tail.join("\n")))
    }

    fn record_snapshot(&self, app: i64, manifest: &Manifest, why: Why<'_>, added: u64, now: i64) -> Result<()> {
        let (name, deploy) = match why {
            Why::Asked(name) => (name, None),
            Why::Deploy(id) => (None, Some(id)),
            Why::Restore => (None, None),
        };
        let new = NewSnapshot {
            app,
            moment: i64::try_from(manifest.moment).internal("while recording a snapshot")?,
            taken: now,
            why: why.word(),
            name,
            deploy,
            added,
            bytes: manifest.bytes(),
            notes: &manifest.notes.join("\n"),
        };
        self.store().write(|db| snapshots::insert(db, &new))
    }

    /// Drops what is old. A failure leaves more than was wanted, and is tried again with the next snapshot.
    async fn thin_out(&self, app: i64, keep: &Keep) {
        let done = async {
            let (rows, restoring) = self.store().read(|db| {
                let restoring = snapshots::broken_off(db)?.into_iter().find(|(of, _)| *of == app);
                Ok((snapshots::list(db, app)?, restoring.map(|(_, moment)| moment)))
            })?;
            let deploys = rows.iter().filter_map(|row| row.deploy).take(DEPLOYS).min();
            let kept: Vec<Kept> = rows
                .iter()
                .map(|row| Kept {
                    moment: row.moment.unsigned_abs(),
                    taken: row.taken,
                    pinned: row.name.is_some()
                        || row.deploy.is_some_and(|n| deploys.is_some_and(|min| n >= min))
                        // A crash now, and the next start needs it.
                        || restoring == Some(row.moment),
                })
                .collect();
            let stays = stay(&kept, self.clock().now());
            if stays.len() == rows.len() {
                return Ok(());
            }
            // The rows first: one that is there can be restored.
            let goes: Vec<i64> =
                rows.iter().map(|row| row.moment).filter(|m| !stays.contains(&m.unsigned_abs())).collect();
            self.store().write(|db| goes.iter().try_for_each(|moment| snapshots::remove(db, app, *moment)))?;
            let (keep, stays): (Keep, BTreeSet<u64>) = (keep.clone(), stays);
            tokio::task::spawn_blocking(move || keep.prune(&stays)).await.internal("while dropping old snapshots")?
        };
        if let Err(error) = done.await {
            tracing::warn!(app, ?error, "old snapshots stay on disk");
        }
    }

    pub(super) fn keep(&self, app: i64) -> Keep {
        Keep::new(self.dir().snapshots(app))
    }

    /// One at a time per app; apart from the turn of deploys, which take one in the middle.
    pub(super) fn snapshot_turn(&self, app: i64) -> std::sync::Arc<tokio::sync::Mutex<()>> {
        self.turn(-(1 << 60) - app)
    }
}

pub(super) fn view(row: SnapshotRow) -> SnapshotView {
    let SnapshotRow { moment, taken, why, name, deploy, added, bytes, notes, .. } = row;
    SnapshotView {
        id: moment,
        taken,
        why,
        name,
        deploy,
        added,
        bytes,
        notes: notes.lines().map(str::to_owned).collect(),
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.trim().is_empty() || name.len() > NAME || name.chars().any(char::is_control) {
        return Err(Error::bad_input(format!("`{}` cannot name a snapshot", clip(name)))
            .hint("Use 1 to 100 bytes without control characters."));
    }
    Ok(())
}
