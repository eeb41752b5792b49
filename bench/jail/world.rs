//! A runner on a temporary folder, as the server has it, and apps for it.
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::Request;
use steady::base::secret::random_token;
use steady::base::{Clock, Tasks};
use steady::runner::{Admission, AppKey, Entry, LaunchSpec, Limits, Options, Runner, bun};

static OFFSET: AtomicU32 = AtomicU32::new(1);

/// Serves on `SOCK` for the peers, and on whatever Steady gives it in the jail.
pub const HELLO: &str =
    "Bun.serve({ ...(process.env.SOCK ? { unix: process.env.SOCK } : {}), fetch: () => new Response('hello') });\n";

pub struct World {
    pub dir: PathBuf,
    pub runner: Runner,
    pub bun: PathBuf,
    tasks: Tasks,
}

impl World {
    /// `spares`: worlds kept ready.
    pub fn new(spares: usize) -> Self {
        let dir = std::env::temp_dir().join(format!("steady-bench-{}", random_token(6)));
        std::fs::create_dir_all(&dir).expect("a temporary folder");
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o711)).expect("mode");
        let steady = PathBuf::from(std::env::var_os("STEADY_BIN").expect("STEADY_BIN: bench/jail.sh sets it"));
        let bun = bun::find(None, &dir.join("bun")).expect("Bun");
        let options = Options {
            steady,
            bun: bun.clone(),
            scratch: dir.join("scratch"),
            uid_base: 700_000,
            instance: format!("bench-{}", random_token(6)),
            start_timeout: Duration::from_secs(30),
            gate_timeout: Duration::from_secs(30),
            gate_waiters: 1000,
            drain_timeout: Duration::from_secs(1),
            private_hosts: Vec::new(),
            spares,
            warm: 0,
            tier: None,
        };
        let tasks = Tasks::new();
        let runner = Runner::start(options, Clock::System, tasks.clone()).expect("a runner");
        Self { dir, runner, bun, tasks }
    }

    /// Registers an app of one file.
    pub fn app(&self, name: &str, code: &str) -> LaunchSpec {
        let at = self.dir.join(name);
        write(&at.join("code/index.ts"), code);
        std::fs::create_dir_all(at.join("home")).expect("home");
        let spec = LaunchSpec {
            key: AppKey(name.to_owned()),
            version: "v1".into(),
            code: at.join("code"),
            home: at.join("home"),
            logs: at.join("logs"),
            entry: Entry::Module { path: "index.ts".into() },
            bundle: None,
            pooled: false,
            env: Vec::new(),
            redact: Vec::new(),
            limits: Limits::default(),
            uid_offset: OFFSET.fetch_add(1, Ordering::Relaxed),
            disk_offset: OFFSET.fetch_add(1, Ordering::Relaxed),
            idle: Some(Duration::from_secs(3600)),
            rest: Default::default(),
            net: Default::default(),
        };
        self.runner.register(spec.clone());
        spec
    }

    /// One GET as the proxy makes it, waking the app if it sleeps. `Err`: why there was no answer.
    pub async fn get(&self, spec: &LaunchSpec) -> Result<String, String> {
        let request = Request::get("/").header("host", "app.localhost").body(Body::empty()).expect("a request");
        match self.runner.admit(&spec.key).await {
            Admission::Go(upstream) => {
                let (response, _lease) = upstream.send(request).await.map_err(|e| format!("{e:?}"))?;
                let body = response.into_body().collect().await.map_err(|e| e.to_string())?.to_bytes();
                Ok(String::from_utf8_lossy(&body).into_owned())
            }
            Admission::Crashed(crash) => Err(format!("crashed: {}\n{}", crash.ending, crash.tail.join("\n"))),
            Admission::TimedOut { stage } => Err(format!("timed out: {stage}")),
            _ => Err("not let in".into()),
        }
    }

    pub async fn down(self) {
        self.runner.stop_all().await;
        self.tasks.drain(Duration::from_secs(5)).await;
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

#[allow(clippy::disallowed_methods)] // throw-away files
pub fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}
