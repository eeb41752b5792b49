//! One runner for all trials, and the projects of `tests/packages/`: each is installed once, when the first
//! trial asks for it.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use libtest_mimic::Failed;
use serde_json::Value;
use steady::base::{Progress, Secret};
use steady::runner::egress::HostRule;
use steady::runner::sandbox::tier::Tier;
use steady::runner::{Entry, JobSpec, LaunchSpec, Limits};

use super::runner_world::{World, write};

/// Where `name` lies in the repository.
fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packages").join(name)
}

/// A cheap handle.
#[derive(Clone)]
pub struct Place(Arc<Inner>);

/// Started once, by whoever comes first.
type Started = OnceLock<Result<LaunchSpec, String>>;

struct Inner {
    runtime: tokio::runtime::Runtime,
    world: World,
    apps: Mutex<Vec<(&'static str, Arc<Started>)>>,
}

impl Place {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let world = {
            let _inside = runtime.enter();
            // The machine may be busy: what is measured here is whether, not how fast.
            World::with(|options| {
                options.start_timeout = Duration::from_secs(120);
                options.gate_timeout = Duration::from_secs(150);
                // For trying the weaker tiers by hand, where the machine could do better.
                let tier = std::env::var("STEADY_TEST_TIER").ok();
                options.tier = tier.map(|name| serde_json::from_value(name.into()).expect("a tier"));
            })
        };
        Self(Arc::new(Inner { runtime, world, apps: Mutex::default() }))
    }

    /// Whether an app has a network of its own here, as all these programs expect that talk to themselves.
    pub fn has_network(&self) -> bool {
        self.0.world.runner.confinement().tier != Some(Tier::ProcessOnly)
    }

    /// Whether memory is limited here.
    pub fn has_limits(&self) -> bool {
        !self.0.world.runner.confinement().summary.contains("not enforced")
    }

    /// Ends all; nothing may be left.
    pub fn down(self) {
        let Ok(inner) = Arc::try_unwrap(self.0) else { panic!("a trial still runs") };
        inner.runtime.block_on(inner.world.down());
    }

    /// The project `name` with its packages, registered as an app whose entry is `index.ts`.
    pub fn app(&self, name: &'static str) -> Result<LaunchSpec, Failed> {
        let slot = {
            let mut apps = self.0.apps.lock().unwrap_or_else(PoisonError::into_inner);
            match apps.iter().find(|(known, _)| *known == name) {
                Some((_, slot)) => Arc::clone(slot),
                None => {
                    let slot = Arc::default();
                    apps.push((name, Arc::clone(&slot)));
                    slot
                }
            }
        };
        slot.get_or_init(|| self.prepare(name)).clone().map_err(Failed::from)
    }

    fn prepare(&self, name: &str) -> Result<LaunchSpec, String> {
        let world = &self.0.world;
        let mut spec = world.app(name, &[("index.ts", "")]);
        copy(&source(name), &spec.code);
        write(&spec.code.join("index.ts"), include_str!("index.ts"));
        write(&spec.code.join("job.ts"), include_str!("job.ts"));
        if spec.code.join("bun.lock").exists() {
            install(&world.options.bun, &spec.code)?;
        }
        spec.entry = Entry::Module { path: "index.ts".into() };
        spec.limits.memory_bytes = 1 << 30;
        spec.idle = None;
        Ok(spec)
    }

    /// Asks the app for `/WHAT`, which must answer this JSON.
    pub fn expect(&self, name: &'static str, what: &str, expected: &str) -> Result<(), Failed> {
        let spec = self.app(name)?;
        let world = &self.0.world;
        let (status, body) = self.0.runtime.block_on(async {
            // Known already: nothing changes.
            if world.runner.status(&spec.key).is_none() {
                world.runner.register(spec.clone());
            }
            let path = format!("/{what}");
            let answer = world.get(&spec, &path);
            tokio::time::timeout(Duration::from_secs(60), answer).await.unwrap_or((0, "no answer".into()))
        });
        let log = || world.log(&spec).join("\n");
        if status != 200 {
            return Err(format!("{status}: {body}\n--- the app's log\n{}", log()).into());
        }
        same(&serde_json::from_str(&body)?, expected)
    }

    /// Runs `bun run --bun SCRIPT` of the project in the build jail; the folder it worked in.
    pub fn build(&self, name: &'static str, script: &str) -> Result<PathBuf, Failed> {
        let code = self.app(name)?.code;
        self.job(name, &["bun", "run", "--bun", script], vec![], &[])?;
        Ok(code)
    }

    /// Runs a command in the project's folder, with these hosts of the owner's; the last lines it wrote.
    pub fn job(
        &self,
        name: &'static str,
        command: &[&str],
        env: Vec<(String, Secret<String>)>,
        hosts: &[String],
    ) -> Result<Vec<String>, Failed> {
        let spec = self.app(name)?;
        let hosts = hosts.iter().map(|host| HostRule::parse(host));
        let job = JobSpec {
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            cwd: spec.code.clone(),
            writable: vec![spec.code.clone()],
            readable: vec![],
            env,
            limits: Limits { memory_bytes: 2 << 30, ..Limits::default() },
            uid_offset: spec.uid_offset,
            timeout: Duration::from_secs(180),
            hosts: hosts.collect::<Result<_, String>>()?,
        };
        let report = self.0.runtime.block_on(self.0.world.runner.job(job, &Progress::silent()))?;
        if report.success {
            Ok(report.tail)
        } else {
            Err(format!("{}\n{}", report.ending, report.tail.join("\n")).into())
        }
    }
}

pub fn same(got: &Value, expected: &str) -> Result<(), Failed> {
    let expected: Value = serde_json::from_str(expected)?;
    if *got == expected { Ok(()) } else { Err(format!("     got {got}\nexpected {expected}").into()) }
}

/// Outside the jail, with the settings of whoever runs the tests; scripts of packages do not run.
fn install(bun: &Path, at: &Path) -> Result<(), String> {
    let mut command = Command::new(bun);
    command.args(["install", "--frozen-lockfile", "--ignore-scripts", "--no-progress"]).current_dir(at);
    let output = command.output().map_err(|e| format!("run bun: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| format!("bun install needs the package registry: {said}"))
}

#[allow(clippy::disallowed_methods)] // throw-away test files
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a project").flatten() {
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("a copy");
        }
    }
}
