//! A runner on a temporary folder, with helpers to write apps and ask them.
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::Request;
use steady::base::secret::random_token;
use steady::base::{Clock, Error, Secret, Tasks};
use steady::runner::{Admission, AppKey, Entry, LaunchSpec, Limits, Options, Runner, bun};

static OFFSET: AtomicU32 = AtomicU32::new(1);

pub struct World {
    pub dir: tempfile::TempDir,
    pub runner: Runner,
    pub tasks: Tasks,
    pub options: Options,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    pub fn with(change: impl FnOnce(&mut Options)) -> Self {
        Self::try_with(change).expect("a runner")
    }

    /// Errors: what the runner says that cannot be started.
    pub fn try_with(change: impl FnOnce(&mut Options)) -> Result<Self, Error> {
        let dir = tempfile::tempdir().expect("temp dir");
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o711)).expect("mode");
        let mut options = Options {
            steady: env!("CARGO_BIN_EXE_steady").into(),
            bun: bun::find(None, &dir.path().join("bun")).expect("run `npm ci` first"),
            scratch: dir.path().join("scratch"),
            uid_base: 700_000,
            instance: format!("test-{}", random_token(6)),
            start_timeout: patient(20),
            gate_timeout: patient(30),
            gate_waiters: 100,
            drain_timeout: Duration::from_secs(2),
            private_hosts: Vec::new(),
            spares: 1,
            warm: 0,
            tier: None,
        };
        change(&mut options);
        let tasks = Tasks::new();
        let runner = Runner::start(options.clone(), Clock::System, tasks.clone())?;
        Ok(Self { dir, runner, tasks, options })
    }

    /// An app whose code is these files; a path beginning with `index.` or the first is the entry.
    pub fn app(&self, name: &str, files: &[(&str, &str)]) -> LaunchSpec {
        let at = self.dir.path().join(name);
        let code = at.join("code");
        for (path, text) in files {
            write(&code.join(path), text);
        }
        std::fs::create_dir_all(at.join("home")).expect("home");
        LaunchSpec {
            key: AppKey(name.to_owned()),
            version: "v1".into(),
            code,
            home: at.join("home"),
            logs: at.join("logs"),
            entry: Entry::Module { path: files[0].0.to_owned() },
            bundle: None,
            pooled: false,
            env: Vec::new(),
            redact: Vec::new(),
            limits: Limits::default(),
            uid_offset: OFFSET.fetch_add(1, Ordering::Relaxed),
            disk_offset: OFFSET.fetch_add(1, Ordering::Relaxed),
            idle: Some(patient(60)),
            rest: Default::default(),
            net: Default::default(),
        }
    }

    /// Status and body of one GET, or why it was not let in.
    pub async fn get(&self, spec: &LaunchSpec, path: &str) -> (u16, String) {
        self.ask(spec, Request::get(path)).await
    }

    pub async fn ask(&self, spec: &LaunchSpec, request: hyper::http::request::Builder) -> (u16, String) {
        let request = request.header("host", "app.localhost").body(Body::empty()).expect("request");
        match self.runner.admit(&spec.key).await {
            Admission::Go(upstream) => match upstream.send(request).await {
                Ok((response, _lease)) => {
                    let status = response.status().as_u16();
                    let body = response.into_body().collect().await.expect("body").to_bytes();
                    (status, String::from_utf8_lossy(&body).into_owned())
                }
                Err(error) => (502, format!("{error:?}")),
            },
            other => (503, refused(&other)),
        }
    }

    /// Stops all, and nothing may be left: no process, no group, no scratch folder.
    pub async fn down(self) {
        self.runner.stop_all().await;
        assert_eq!(marked(&self.options.instance), Vec::<u32>::new(), "processes left");
        assert!(self.tasks.drain(patient(5)).await, "tasks left");
        let left = std::fs::read_dir(&self.options.scratch).expect("scratch").flatten();
        let left: Vec<_> =
            left.map(|e| e.file_name()).filter(|n| n.to_string_lossy().ends_with(char::is_numeric)).collect();
        assert!(left.is_empty(), "scratch folders left: {left:?}");
    }

    pub fn log(&self, spec: &LaunchSpec) -> Vec<String> {
        let logs = self.runner.logs(&spec.key).expect("registered");
        logs.tail(1000, None).expect("tail").into_iter().map(|l| l.text).collect()
    }

    /// Polls until the log has a line with this.
    pub async fn logged(&self, spec: &LaunchSpec, what: &str) {
        let so_far: Vec<String> = self.log(spec).iter().take(30).map(|l| l.chars().take(100).collect()).collect();
        eventually(&format!("{what:?} in {so_far:#?}"), || self.log(spec).iter().any(|l| l.contains(what))).await;
    }
}

pub fn refused(admission: &Admission) -> String {
    match admission {
        Admission::Go(_) => "go".into(),
        Admission::Gone => "gone".into(),
        Admission::Full => "full".into(),
        Admission::Crowded { limit } => format!("crowded at {limit}"),
        Admission::TimedOut { stage } => format!("timed out: {stage}"),
        Admission::Crashed(crash) => format!("crashed: {}\n{}", crash.ending, crash.tail.join("\n")),
        Admission::Paused => "paused".into(),
    }
}

#[allow(clippy::disallowed_methods)] // throw-away test files
pub fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
    std::fs::write(path, text).expect("write");
}

/// A deadline in seconds, longer where `STEADY_TEST_SLOW` says how much slower the machine is: tests/vm.
pub fn patient(seconds: u64) -> Duration {
    let slow = std::env::var("STEADY_TEST_SLOW").ok().and_then(|times| times.parse().ok());
    Duration::from_secs(seconds) * slow.unwrap_or(1)
}

/// Polls for at most 20 s.
pub async fn eventually(what: &str, is: impl Fn() -> bool) {
    for _ in 0..patient(20).as_millis() / 10 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}

pub fn secret(name: &str, value: &str) -> (String, Secret<String>) {
    (name.to_owned(), Secret::new(value.to_owned()))
}

/// Processes whose environment carries this instance's mark.
pub fn marked(instance: &str) -> Vec<u32> {
    let mark = format!("STEADY_INSTANCE={instance}");
    let pids = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let has = |pid: &u32| {
        let env = std::fs::read(PathBuf::from(format!("/proc/{pid}/environ"))).unwrap_or_default();
        env.split(|b| *b == 0).any(|v| v == mark.as_bytes())
    };
    pids.filter(has).collect()
}
