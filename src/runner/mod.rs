//! Child processes: starting, watching, waking, stopping. Knows no users and no database.
mod app;
mod arrival;
mod boots;
pub mod bun;
#[cfg(any(embed_bun, test))]
mod bun_unpack;
mod child;
pub mod copy;
mod crowd;
mod doors;
pub mod egress;
mod gate;
mod handover;
mod hogs;
mod home;
pub mod idle;
mod job;
mod launch;
pub mod link;
pub mod logs;
mod pool;
pub mod pressure;
mod process;
mod pump;
mod redact;
mod registry;
mod rotate;
pub mod sandbox;
mod spares;
mod supervisor;
mod sweep;
mod table;
pub mod upstream;
mod wire;
mod zygote;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::{Clock, Millis, Progress, Result, Secret, Tasks};
use app::App;
pub use boots::Boot;
use handover::Hold;
use logs::{Logs, RequestLine};
pub use registry::Registry;
use upstream::Upstream;

#[derive(Clone, Debug)]
pub struct Options {
    /// This very program, re-executed as `steady jail`.
    pub steady: PathBuf,
    pub bun: PathBuf,
    /// Where sockets and jail specs live; `<data>/tmp` or below.
    pub scratch: PathBuf,
    /// First of a million uids for apps; used when Steady runs as root.
    pub uid_base: u32,
    /// Marks every child of this data folder, so that the next start can find what was left.
    pub instance: String,
    /// How long a child may take to listen.
    pub start_timeout: Duration,
    /// How long requests wait at the gate.
    pub gate_timeout: Duration,
    /// How many requests may wait at one app's gate.
    pub gate_waiters: usize,
    /// How long a child may take to finish after SIGTERM.
    pub drain_timeout: Duration,
    /// Hosts of the owner's own network that a version may ask for.
    pub private_hosts: Vec<egress::HostRule>,
    /// Worlds kept ready for the next starts.
    pub spares: usize,
    /// Processes kept ready for the next apps that start from a bundle.
    pub warm: usize,
    /// The strongest tier to try; `None` = the strongest there is.
    pub tier: Option<sandbox::tier::Tier>,
}

/// Of a million uids from `uid_base` on, those of processes that started before their app was known.
pub const POOL_UIDS: std::ops::Range<u32> = 995_904..1_000_000;

/// The file of a bundle that is started.
pub const MAIN: &str = "index.js";

/// What the runner calls an app or a draft.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AppKey(pub String);

impl AppKey {
    pub fn app(id: i64) -> Self {
        Self(format!("app-{id}"))
    }
    pub fn draft(id: i64) -> Self {
        Self(format!("draft-{id}"))
    }
}

/// How a version is started. Stored with the version as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A module that exports `fetch`, serves, or listens: path relative to the code folder.
    Module { path: String },
    /// `bun run NAME` of package.json.
    Script { name: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Hundredths of one processor.
    pub cpu_percent: u32,
    /// Share of processor and disk when they are short, 1 to 10000; 100 is an app's.
    pub cpu_weight: u32,
    /// Bytes read, and as many written, on the disk of the data folder per second; 0 = no limit.
    pub io_bytes_per_second: u64,
    pub open_files: u64,
    /// Bytes of `/tmp`.
    pub tmp_bytes: u64,
    /// Bytes of logs kept.
    pub log_bytes: u64,
    /// Bytes and files of the home folder.
    pub disk_bytes: u64,
    pub files: u64,
    /// Connections held open: requests in progress, and, counted apart, outbound ones.
    pub connections: u64,
    /// Bytes a day to and from the world; 0 = no limit.
    pub outbound_bytes: u64,
    /// Requests a second from one network and from everybody, and requests at once, before any reaches the app: the
    /// proxy keeps these. [`NO_LIMIT`] = none.
    pub rate: u64,
    pub app_rate: u64,
    pub concurrency: u64,
}

/// More requests than any app gets: as a limit of them, none.
pub const NO_LIMIT: u64 = 1_000_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 512 << 20,
            pids: 256,
            cpu_percent: 200,
            cpu_weight: 100,
            io_bytes_per_second: 50 << 20,
            open_files: 4096,
            tmp_bytes: 64 << 20,
            log_bytes: 16 << 20,
            disk_bytes: 1 << 30,
            files: 100_000,
            connections: 1024,
            outbound_bytes: 10 << 30,
            rate: NO_LIMIT,
            app_rate: NO_LIMIT,
            concurrency: NO_LIMIT,
        }
    }
}

/// All that is needed to start one version of one app.
#[derive(Clone, Debug)]
pub struct LaunchSpec {
    pub key: AppKey,
    /// Shown in logs and status: `v12`, or `draft`.
    pub version: String,
    /// The code folder: read-only for the child.
    pub code: PathBuf,
    /// The child's working folder: writable, persistent. `home/data` is `DATA_DIR`.
    pub home: PathBuf,
    pub logs: PathBuf,
    pub entry: Entry,
    /// A folder with [`MAIN`] and its bytecode: all of the entry's code in one file, started in its place.
    pub bundle: Option<PathBuf>,
    /// A process that has started before may become it: the bundle asks nothing that would show that.
    pub pooled: bool,
    /// All of the child's environment but `PORT` and `DATA_DIR`, which the runner adds.
    pub env: Vec<(String, Secret<String>)>,
    /// Values that must never reach a log, with the names shown in their place.
    pub redact: Vec<(String, Secret<String>)>,
    pub limits: Limits,
    /// Added to `uid_base`. Never reused for another app.
    pub uid_offset: u32,
    /// What its quota is counted under, with `uid_base`: unique per home.
    pub disk_offset: u32,
    /// How long without requests before it is stopped; `None` = never.
    pub idle: Option<Duration>,
    /// What happens to it before.
    pub rest: idle::Rest,
    /// What it may connect to.
    pub net: egress::Net,
}

/// A short-lived command in the same jail: an install, a build, a copy of data.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// As a child sees them: `bun` is replaced by the pinned Bun, `steady` by this program.
    pub command: Vec<String>,
    pub cwd: PathBuf,
    /// Folders it may write, at their own paths. As root each is given to `uid_offset` with all inside, so
    /// the home of a live app may only be named together with that app's own offset. To copy a home, name
    /// it here: reading a live database writes beside it.
    pub writable: Vec<PathBuf>,
    pub readable: Vec<PathBuf>,
    pub env: Vec<(String, Secret<String>)>,
    pub limits: Limits,
    pub uid_offset: u32,
    pub timeout: Duration,
    /// Hosts it may connect to, whatever address they have: the owner's own choice, never a manifest's.
    pub hosts: Vec<egress::HostRule>,
}

#[derive(Clone, Debug)]
pub struct JobReport {
    pub success: bool,
    /// `exit 1`, `signal 9`, `timed out after 300 s`
    pub ending: String,
    /// The last 200 lines of both streams.
    pub tail: Vec<String>,
    /// Hosts it was not let to, at most 64: `api.example.com:443`, or a name only that it looked up.
    pub refused: Vec<String>,
    /// The limits it met, as parts of a sentence: `memory (512 MiB)`.
    pub limits: Vec<String>,
}

/// The state a person sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// No process; a request starts one.
    Asleep,
    Starting,
    Ready,
    /// It stands still; a request lets it go on.
    Frozen,
    /// The same, and its memory was put into swap.
    Reclaimed,
    /// Finishing its last requests before it stops.
    Draining,
    /// It died; the next start waits for the back-off.
    Crashed,
    /// Stopped by its owner: requests are refused.
    Paused,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub state: State,
    pub version: String,
    pub pid: Option<u32>,
    /// Bytes, whole group, now.
    pub memory: Option<u64>,
    /// Bytes of it that are in swap.
    #[serde(default)]
    pub swapped: Option<u64>,
    /// Connections to the world since it started.
    pub outbound: Option<egress::Usage>,
    pub in_flight: u64,
    pub started: Option<Millis>,
    /// Milliseconds from spawn to ready, newest last, at most 20.
    pub boots_ms: Vec<u64>,
    /// The same, part by part.
    #[serde(default)]
    pub boots: Vec<Boot>,
    pub crashes: u64,
    pub last_crash: Option<Crash>,
    pub cold_starts: u64,
    /// How often it was frozen and wanted again.
    #[serde(default)]
    pub thaws: u64,
    pub requests: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Crash {
    pub at: Millis,
    /// `exit 1`, `signal 9 (out of memory)`, `did not listen within 30 s`
    pub ending: String,
    /// Up to the last 100 lines.
    pub tail: Vec<String>,
}

/// Why a version did not come up.
#[derive(Clone, Debug)]
pub struct BootFailure {
    /// One sentence for a person: `exited with 1 before it listened`, `GET / → 500`.
    pub why: String,
    pub tail: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct BootReport {
    pub ms: u64,
}

/// How a request is let in, or why not.
pub enum Admission {
    Go(Upstream),
    /// Nothing of that key is registered.
    Gone,
    /// Too many already wait.
    Full,
    /// It holds as many requests in progress as its limit of connections allows.
    Crowded {
        limit: u64,
    },
    TimedOut {
        stage: &'static str,
    },
    Crashed(Crash),
    Paused,
}

/// Cheap to clone. One task per registered app that is awake; a sleeping one is a map entry.
#[derive(Clone)]
pub struct Runner(Arc<table::Table>);

impl Runner {
    /// Sweeps what an earlier run of this instance left, then serves. Must be called inside the runtime.
    pub fn start(options: Options, clock: Clock, tasks: Tasks) -> Result<Self> {
        let table = Arc::new(table::Table::start(options, clock, tasks.clone())?);
        tasks.spawn("hogs", hogs::watch(Arc::downgrade(&table), tasks.stopping()));
        Ok(Self(table))
    }
    /// Makes an app known, asleep (one that is never idle starts by itself). Replaces an earlier spec of
    /// the same key at its next start.
    pub fn register(&self, spec: LaunchSpec) {
        match self.0.get(&spec.key) {
            Some(app) => app.replace(spec),
            None => self.0.insert(spec).settled(),
        }
    }
    /// The same for many at once, none of which is known yet.
    pub fn register_all(&self, specs: Vec<LaunchSpec>) {
        self.0.insert_all(specs).iter().for_each(App::settled);
    }
    /// From here on idle apps are stopped, the least recently used first, when memory runs short. Once.
    pub fn watch_memory(&self, gauge: Arc<dyn pressure::Gauge>) {
        self.0.common().tasks.spawn("memory", pressure::watch(self.0.clone(), gauge));
    }
    /// The memory of this machine, or of the container or service around Steady. Inside the runtime.
    pub fn memory(&self) -> Arc<dyn pressure::Gauge> {
        Arc::new(pressure::Kernel::new(&self.0.common().cgroups))
    }
    /// Stops it and forgets it.
    pub async fn remove(&self, key: &AppKey) {
        if let Some(app) = self.0.take(key) {
            app.event(supervisor::Event::Remove);
            app.until_down().await;
        }
    }
    /// Waits at the gate until the app is ready, starting it if it sleeps.
    pub async fn admit(&self, key: &AppKey) -> Admission {
        match self.0.get(key) {
            Some(app) => app.admit().await,
            None => Admission::Gone,
        }
    }
    /// Whether a request would have to start it: nothing of it runs, and nothing failed.
    pub fn sleeps(&self, key: &AppKey) -> bool {
        self.0.get(key).is_some_and(|app| app.phase() == supervisor::Phase::Asleep)
    }
    /// The same without waiting, for an app that can be let in to at once. `None` for every other case, of which
    /// nothing is counted: [`Runner::admit`] then says what is to be done.
    pub fn admit_now(&self, key: &AppKey) -> Option<Upstream> {
        self.0.get(key)?.admit_now()
    }
    /// Boots a version outside the table, asks it `GET <health>` once ready, and stops it again.
    /// Healthy is any status below 500. The error carries its last log lines.
    pub async fn trial(&self, spec: LaunchSpec, health: &str) -> std::result::Result<BootReport, BootFailure> {
        // An always-on version is asked once, like any other.
        let spec = LaunchSpec { idle: spec.idle.or(Some(Duration::from_secs(60))), ..spec };
        handover::trial(&self.0.outside(spec), health).await
    }
    /// Replaces the running version: new requests wait, running ones finish (bounded), the old child
    /// stops, the new one starts; when it is ready `commit` runs, and on its success the gate opens.
    /// On any failure the old spec is back (and started if it ran before) when this returns.
    /// An app that is not registered yet is, if and only if the hand-over succeeds.
    pub async fn hand_over(
        &self,
        spec: LaunchSpec,
        commit: Box<dyn FnOnce() -> Result<()> + Send>,
    ) -> std::result::Result<BootReport, BootFailure> {
        if let Some(app) = self.0.get(&spec.key) {
            return handover::hand_over(&app, spec, commit).await;
        }
        let key = spec.key.clone();
        let app = self.0.insert(spec.clone());
        let forget = table::Forget::new(&self.0, &key);
        let report = handover::hand_over(&app, spec, commit).await?;
        forget.keep();
        Ok(report)
    }
    /// Stops the child now (after draining); the next request starts it anew, with the newest spec.
    pub async fn restart(&self, key: &AppKey) {
        if let Some(app) = self.0.get(key) {
            drop(Hold::on(&app).await);
        }
    }
    /// Paused apps refuse requests until resumed. Returns when no child is left.
    pub async fn pause(&self, key: &AppKey) {
        if let Some(app) = self.0.get(key) {
            app.event(supervisor::Event::Pause);
            app.until_down().await;
        }
    }
    pub async fn resume(&self, key: &AppKey) {
        if let Some(app) = self.0.get(key) {
            app.event(supervisor::Event::Resume);
        }
    }
    /// Stops the child, holds requests at the gate while `work` runs, then lets them in again.
    pub async fn while_stopped<T>(&self, key: &AppKey, work: impl Future<Output = T> + Send) -> T {
        let _hold = match self.0.get(key) {
            Some(app) => Some(Hold::on(&app).await),
            None => None,
        };
        work.await
    }
    pub fn status(&self, key: &AppKey) -> Option<Status> {
        self.0.get(key).map(|app| app.status())
    }
    /// The app's logs, awake or asleep.
    pub fn logs(&self, key: &AppKey) -> Option<Logs> {
        self.0.get(key).map(|app| app.logs().clone())
    }
    /// Closes the logs of apps that cannot write any: of a sleeping one only the map entry stays. Now and then.
    pub fn rest(&self) {
        for app in self.0.all() {
            if matches!(app.phase(), supervisor::Phase::Asleep | supervisor::Phase::Frozen { .. }) {
                app.logs().rest();
            }
        }
    }
    /// Called by the proxy when a response has ended. Written a moment later, off the requests' threads.
    pub fn record(&self, key: &AppKey, line: RequestLine) {
        let Some(app) = self.0.get(key) else { return };
        if app.logs().request(&line) {
            let (logs, tasks) = (app.logs().clone(), &self.0.common().tasks);
            let stop = tasks.stopping();
            tasks.spawn("request-log", async move {
                let _ = tokio::time::timeout(logs::REQUESTS_WAIT, stop.cancelled()).await;
                let _ = tokio::task::spawn_blocking(move || logs.write_requests()).await;
            });
        }
    }
    /// Runs a command in the jail and waits; its lines go to `progress` as they come.
    pub async fn job(&self, spec: JobSpec, progress: &Progress) -> Result<JobReport> {
        job::run(self.0.common(), spec, progress).await
    }
    /// Where this server's installs get packages, and over which proxies. Found once; a failure is tried again.
    /// Errors: `Conflict` saying how to name the registry.
    pub async fn registry(&self) -> Result<Registry> {
        let common = self.0.common();
        common.registry.get_or_try_init(|| registry::find(common)).await.cloned()
    }
    /// The quotas of homes. Whoever uses a home prepares it first, and removes it before its folder.
    pub fn disk(&self) -> &sandbox::disk::Disk {
        &self.0.common().disk
    }
    /// Whether children have a root of their own, where code has the same path whenever it runs or is built.
    pub fn has_root(&self) -> bool {
        self.0.common().base.has_root()
    }
    /// The uid (counted from `uid_base`) of the process that waits for the next app, if one does.
    pub fn waiting(&self) -> Option<u32> {
        self.0.common().pool.next_uid()
    }
    /// What confinement is active here.
    pub fn confinement(&self) -> sandbox::tier::Confinement {
        self.0.confinement()
    }
    /// Stops every child; for shutdown. Nothing starts afterwards.
    pub async fn stop_all(&self) {
        let all: Vec<Arc<App>> = self.0.all();
        for app in &all {
            app.event(supervisor::Event::Remove);
        }
        for app in &all {
            app.until_down().await;
        }
        self.0.common().pool.close().await;
        self.0.common().spares.close().await;
        // Whoever starts next on this data, perhaps while this process still lives, must find no home mounted.
        self.0.common().disk.leave();
        self.0.common().cgroups.leave();
    }
}
