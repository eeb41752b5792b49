//! Run: the author's draft as a child of its own, on a copy of the data. Short-lived; nothing durable is touched.
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use super::ask::Ask;
use super::launch::{app_uid, draft_uid};
use super::packages::freeze::chown_tree;

use super::record::Recorder;
use super::view::DraftView;
use super::{Apps, Project};
use crate::accounts::Actor;
use crate::base::fs::{remove_tree, tree_size};
use crate::base::{DraftId, Error, Kind, Millis, Progress, Result, ResultExt as _};
use crate::runner::logs::Logs;
use crate::runner::{AppKey, JobSpec, Limits, State};
use crate::store::drafts::{self, DraftRow};

/// A draft nobody ran again for this long is collected, once its process sleeps.
/// Steady's own copying, bytes a second read and written.
const COPY_RATE: u64 = 200 << 20;
const UNUSED_MS: Millis = 2 * 3600 * 1000;
/// Above this a draft or candidate runs on an empty home instead of a copy.
pub(super) const COPY: CopyHow = CopyHow { limit: 512 << 20, timeout: Duration::from_secs(60), whole: false };

/// What copying an app's data may take.
#[derive(Clone, Copy)]
pub(super) struct CopyHow {
    /// Bytes.
    pub limit: u64,
    pub timeout: Duration,
    /// More than the limit is an error, not an empty copy.
    pub whole: bool,
}

impl Apps {
    /// The draft (or main) on a copy of the data, for its author. The child is being started when this returns;
    /// the first request waits for it.
    pub async fn run(&self, who: &Actor, project: &Project, progress: &Progress) -> Result<DraftView> {
        let (apps, who, project, progress) = (self.clone(), who.clone(), project.clone(), progress.clone());
        self.tasks()
            .spawn("run", async move { apps.run_now(&who, &project, &progress).await })
            .await
            .internal("while running a draft")?
    }

    async fn run_now(&self, who: &Actor, project: &Project, progress: &Progress) -> Result<DraftView> {
        let _turn = self.draft_turn(project.id, who.user.id).lock_owned().await;
        let project = &self.still(project)?;
        let commit = self.commit_to_run(who, project)?;
        let now = self.clock().now();
        let known = self.store().read(|db| drafts::find(db, project.id, who.user.id))?;
        let draft = match known {
            Some(draft) => draft,
            None => {
                let label = format!("{}--{}", project.host, DraftId::random());
                self.store().write(|db| drafts::insert(db, project.id, who.user.id, &label, now))?
            }
        };
        let key = AppKey::draft(draft.id);
        let view = |reused| DraftView { url: self.url(&draft.label), commit: commit.to_string(), reused };
        let healthy = self.runner().status(&key).is_some_and(|s| !matches!(s.state, State::Crashed | State::Paused));
        if draft.tree == commit.to_string() && healthy {
            self.store().write(|db| drafts::touch(db, draft.id, now))?;
            self.warm(&key);
            return Ok(view(true));
        }
        let record = Recorder::new(progress.clone());
        // It runs with what is approved: what it asks for beyond that is said, and not given.
        let not_yet = std::sync::Mutex::new(Vec::new());
        let permit = |ask: &Ask| {
            let more = self.not_yet(project, ask)?;
            for line in &more {
                record.progress().line(format!("not approved, so this draft runs without it: {line}"));
            }
            *not_yet.lock().unwrap_or_else(PoisonError::into_inner) = more;
            self.trusted(project, ask)
        };
        let prepared = self.prepare(project.id, project.app, commit, &record, &permit).await?;
        let _stage = record.stage("start");
        let plan = prepared.plan.clone();
        let dir = self.dir().draft(draft.id);
        let old = (!draft.tree.is_empty()).then(|| dir.join("code").join(&draft.tree));
        self.runner().remove(&key).await;
        prepared.place(&dir.join("code").join(commit.to_string()))?;
        self.store().write(|db| drafts::ready(db, draft.id, &commit.to_string(), &plan.json()?, now))?;
        let draft = DraftRow { tree: commit.to_string(), ..draft };
        self.give_draft_its_data(project, &draft, progress).await?;
        self.runner().register(self.draft_spec(project, &draft, &plan)?);
        self.route_draft(project, &draft, &plan);
        if let Some(logs) = self.runner().logs(&key) {
            for line in not_yet.into_inner().unwrap_or_else(PoisonError::into_inner) {
                logs.remark("draft", &format!("not approved, so this draft runs without it: {line}"));
            }
        }
        // A deletion that came meanwhile did not see this draft, or took only its beginning away.
        if let Err(gone) = self.still(project) {
            self.discard_draft(&draft).await?;
            return Err(gone);
        }
        if let Some(old) = old.filter(|old| !old.ends_with(&draft.tree)) {
            remove_tree(&old).internal("while removing a draft's earlier code")?;
        }
        if !plan.is_static() {
            self.warm(&key);
        }
        Ok(DraftView { url: self.url(&draft.label), commit: commit.to_string(), reused: false })
    }

    /// Drafts of one author take turns; ids of drafts and apps never meet because these are negative.
    fn draft_turn(&self, project: i64, user: i64) -> std::sync::Arc<tokio::sync::Mutex<()>> {
        self.turn(-(project * 1_000_000 + user))
    }

    /// Starts the child before its first visitor asks.
    fn warm(&self, key: &AppKey) {
        let (runner, key) = (self.runner().clone(), key.clone());
        self.tasks().spawn("warm", async move { drop(runner.admit(&key).await) });
    }

    /// The first run of a draft gets a copy of what the app wrote; later runs keep it.
    async fn give_draft_its_data(&self, project: &Project, draft: &DraftRow, progress: &Progress) -> Result<()> {
        let home = self.dir().draft(draft.id).join("home");
        if home.is_dir() {
            return Ok(());
        }
        // Copied as the app's uid, which alone may read it; then handed to the draft's own.
        self.make_home(&home, app_uid(project.app)?)?;
        let held = self.hold_home(project.app, &home, draft_uid(draft.id)?).await?;
        let copied = self.copy_home(project.app, &home, COPY, progress).await.and_then(|()| {
            let owner = match self.options().uid_base {
                Some(base) => Some(base + draft_uid(draft.id)?),
                None => None,
            };
            chown_tree(&home, owner).internal("while giving a draft its data")
        });
        drop(held);
        if copied.is_err() {
            // A home that is there counts as filled.
            self.give_up_home(&home).await?;
            remove_tree(&home).internal("while clearing a draft's data")?;
        }
        copied
    }

    /// Copies what an app wrote into `to` (which exists and is empty), consistently, while it may be running.
    /// Above the limit `to` stays empty and the progress says so.
    /// Where nothing may be left out, that is an error instead.
    pub(super) async fn copy_home(&self, app: i64, to: &Path, how: CopyHow, progress: &Progress) -> Result<()> {
        let from = self.dir().app_home(app);
        if !from.is_dir() {
            return Ok(());
        }
        // Nothing was ever kept: an image made here would have the size that is usual, not the one steady.json
        // asks for, and an image cannot shrink.
        if self.known_size(&from).is_none() && tree_size(&from) == 0 {
            return Ok(());
        }
        let _held = self.hold_home(app, &from, app_uid(app)?).await?;
        let size = tree_size(&from);
        if size == 0 {
            return Ok(());
        }
        if size > how.limit && how.whole {
            return Err(Error::new(Kind::TooLarge, format!("the app's data is larger than {} GiB", how.limit >> 30))
                .hint("Take a copy of the app's home folder on the server instead."));
        }
        if size > how.limit {
            progress.line(format!(
                "the app's data is larger than {} MiB, so this runs on an empty home instead of a copy",
                how.limit >> 20
            ));
            return Ok(());
        }
        let path = |p: &Path| p.to_string_lossy().into_owned();
        let limits = self.options().terms.limits;
        let spec = JobSpec {
            command: vec!["steady".into(), "copy-home".into(), path(&from), path(to), how.limit.to_string()],
            cwd: to.to_owned(),
            // Reading a WAL database takes writing its shared-memory file.
            writable: vec![from, to.to_owned()],
            readable: vec![],
            env: vec![],
            // An app may keep more than the server's own limit when that was approved; the copy counts itself.
            limits: Limits { disk_bytes: limits.disk_bytes.max(how.limit), io_bytes_per_second: COPY_RATE, ..limits },
            uid_offset: app_uid(app)?,
            timeout: how.timeout,
            hosts: vec![],
        };
        let report = self.runner().job(spec, &Progress::silent()).await?;
        if report.success {
            return Ok(());
        }
        Err(Error::new(Kind::App, format!("the app's data could not be copied: {}", report.ending))
            .hint(report.tail.join("\n")))
    }

    pub async fn stop_draft(&self, who: &Actor, project: &Project) -> Result<()> {
        // A run that goes on would put back what is taken away here.
        let _turn = self.draft_turn(project.id, who.user.id).lock_owned().await;
        match self.store().read(|db| drafts::find(db, project.id, who.user.id))? {
            Some(draft) => self.discard_draft(&draft).await,
            None => Ok(()),
        }
    }

    /// The log of the caller's draft, when one was started.
    pub fn draft_logs(&self, who: &Actor, project: &Project) -> Result<Option<Logs>> {
        let draft = self.store().read(|db| drafts::find(db, project.id, who.user.id))?;
        Ok(draft.and_then(|draft| self.runner().logs(&AppKey::draft(draft.id))))
    }

    /// Stops it and removes all it had. The saved files (the draft ref) stay.
    pub(super) async fn discard_draft(&self, draft: &DraftRow) -> Result<()> {
        self.routes().update([(draft.label.clone(), None)]);
        self.runner().remove(&AppKey::draft(draft.id)).await;
        self.give_up_home(&self.dir().draft(draft.id).join("home")).await?;
        remove_tree(&self.dir().draft(draft.id)).internal("while removing a draft")?;
        self.store().write(|db| drafts::remove(db, draft.id))
    }

    pub(super) async fn sweep_drafts(&self) -> Result<()> {
        let now = self.clock().now();
        for draft in self.store().read(drafts::all)? {
            let asleep = self
                .runner()
                .status(&AppKey::draft(draft.id))
                .is_none_or(|s| matches!(s.state, State::Asleep | State::Crashed | State::Paused));
            let Ok(_turn) = self.draft_turn(draft.project_id, draft.user_id).try_lock_owned() else { continue };
            if asleep && draft.used + UNUSED_MS < now {
                self.discard_draft(&draft).await?;
            }
        }
        Ok(())
    }
}
