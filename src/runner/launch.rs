//! From what should run to what the jail is told: paths inside, environment, command line.
use std::io;
use std::path::{Path, PathBuf};

use super::sandbox::{self, Bind, JailSpec, Root, cgroup::Group, elf};
use super::{Entry, JobSpec, LaunchSpec, Options};
use crate::base::Secret;

/// Where Bun is told to listen when an app asks.
const PORT: &str = "3000";
const WRAPPER: &str = include_str!("wrapper.ts");
/// Settings of the server's own environment that an install needs. Never a token.
const PASSED_TO_JOBS: &[&str] = &[
    "BUN_CONFIG_REGISTRY",
    "npm_config_registry",
    "NPM_CONFIG_REGISTRY",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// What every jail of this server has in common, found once.
#[derive(Clone, Debug)]
pub struct Base {
    /// Whether roots are built (as root) or plain paths used.
    pub root: bool,
    wrapper: PathBuf,
    mount_on: PathBuf,
    common: Vec<Bind>,
}

impl Base {
    /// Lays the wrapper and finds Bun's libraries. Errors: what cannot be read or written.
    pub fn prepare(options: &Options, root: bool) -> io::Result<Self> {
        crate::base::fs::make_dir(&options.scratch, 0o711)?;
        let wrapper = options.scratch.join("wrapper.ts");
        crate::base::fs::write_atomic(&wrapper, WRAPPER.as_bytes(), 0o644)?;
        let mount_on = options.scratch.join("root");
        crate::base::fs::make_dir(&mount_on, 0o755)?;
        let mut common = Vec::new();
        if root {
            let loader = elf::interpreter(&options.bun)?;
            common.push(Bind::read(&options.bun, sandbox::BUN));
            common.push(Bind::read(&loader, &loader));
            common.extend(elf::libraries()?.iter().map(|path| Bind::read(path, path)));
            common.push(Bind::read(&wrapper, sandbox::WRAPPER));
            // `env` for the first line of scripts that packages bring.
            for path in [
                "/usr/bin/env",
                "/etc/ssl",
                "/usr/share/ca-certificates",
                "/etc/resolv.conf",
                "/etc/hosts",
                "/etc/localtime",
            ] {
                common.push(Bind::maybe(path, path));
            }
        }
        Ok(Self { root, wrapper, mount_on, common })
    }

    /// The spec of an app's child, listening in `socket_dir`.
    pub fn child(&self, options: &Options, spec: &LaunchSpec, socket_dir: &Path, group: Option<&Group>) -> JailSpec {
        let (code, home, run) = if self.root {
            (sandbox::CODE.into(), sandbox::HOME.into(), sandbox::RUN.into())
        } else {
            (spec.code.clone(), spec.home.clone(), socket_dir.to_owned())
        };
        let (bun, wrapper) = self.programs(options);
        let mut argv = vec![text(&bun)];
        let mut env = exposed(&spec.env);
        match &spec.entry {
            Entry::Module { path } => {
                argv.extend(["--no-install".into(), "--preload".into(), text(&wrapper), text(&code.join(path))]);
            }
            // The script's own `bun` inherits the wrapper by way of the environment.
            Entry::Script { name } => {
                argv.extend(["run".into(), "--bun".into(), "--shell=bun".into(), "--silent".into(), name.clone()]);
                set(&mut env, "BUN_OPTIONS", format!("--no-install --preload={}", text(&wrapper)));
            }
        }
        default(&mut env, "PORT", PORT);
        default(&mut env, "NODE_ENV", "production");
        // Bun's cache of transpiled modules gains nothing measurable and would count as the app's data.
        default(&mut env, "BUN_RUNTIME_TRANSPILER_CACHE_PATH", "0");
        default(&mut env, "HOME", &text(&home));
        self.surroundings(options, &mut env, &bun);
        set(&mut env, "DATA_DIR", text(&home.join("data")));
        set(&mut env, "STEADY_SOCKET", text(&run.join(super::upstream::SOCKET)));
        let root = self.root.then(|| {
            let mut binds = self.common.clone();
            binds.push(Bind::read(&spec.code, sandbox::CODE));
            binds.push(Bind::write(&spec.home, sandbox::HOME));
            binds.push(Bind::write(socket_dir, sandbox::RUN));
            let own = vec![spec.home.clone(), socket_dir.to_owned()];
            self.built(options, spec.uid_offset, spec.limits.tmp_bytes, binds, own)
        });
        let links = Some((code, home.clone()));
        self.assemble(group, spec.limits.open_files, root, argv, env, home, links)
    }

    /// The spec of a job: its folders at their own paths, its home in `home`.
    pub fn job(&self, options: &Options, job: &JobSpec, home: &Path, group: Option<&Group>) -> JailSpec {
        let (bun, _) = self.programs(options);
        let steady = if self.root { PathBuf::from(sandbox::STEADY) } else { options.steady.clone() };
        let mut argv = job.command.clone();
        if let Some(program) = argv.first_mut() {
            match program.as_str() {
                "bun" => *program = text(&bun),
                "steady" => *program = text(&steady),
                _ => {}
            }
        }
        let mut env = exposed(&job.env);
        for name in PASSED_TO_JOBS {
            if let Ok(value) = std::env::var(name) {
                default(&mut env, name, &value);
            }
        }
        let (registry, cafile) = npmrc();
        if let Some(registry) = registry {
            default(&mut env, "BUN_CONFIG_REGISTRY", &registry);
        }
        if let Some(cafile) = &cafile {
            default(&mut env, "NODE_EXTRA_CA_CERTS", cafile);
        }
        let inside_home = if self.root { PathBuf::from("/home/job") } else { home.to_owned() };
        set(&mut env, "HOME", text(&inside_home));
        default(&mut env, "BUN_INSTALL_CACHE_DIR", &text(&inside_home.join("cache")));
        self.surroundings(options, &mut env, &bun);
        let root = self.root.then(|| {
            let mut binds = self.common.clone();
            binds.push(Bind::read(&options.steady, sandbox::STEADY));
            binds.push(Bind::write(home, &inside_home));
            for name in ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
                if let Some((_, path)) = env.iter().find(|(k, _)| k == name)
                    && !path.starts_with("/etc/ssl")
                {
                    binds.push(Bind::maybe(path, path));
                }
            }
            binds.extend(job.readable.iter().map(|path| Bind::read(path, path)));
            binds.extend(job.writable.iter().map(|path| Bind::write(path, path)));
            let own = job.writable.iter().cloned().chain([home.to_owned()]).collect();
            self.built(options, job.uid_offset, job.limits.tmp_bytes, binds, own)
        });
        self.assemble(group, job.limits.open_files, root, argv, env, job.cwd.clone(), None)
    }

    fn programs(&self, options: &Options) -> (PathBuf, PathBuf) {
        if self.root {
            (sandbox::BUN.into(), sandbox::WRAPPER.into())
        } else {
            (options.bun.clone(), self.wrapper.clone())
        }
    }

    fn built(&self, options: &Options, offset: u32, tmp_bytes: u64, binds: Vec<Bind>, own: Vec<PathBuf>) -> Root {
        Root { at: self.mount_on.clone(), uid: options.uid_base.saturating_add(offset), tmp_bytes, binds, own }
    }

    /// What every process finds in its environment.
    fn surroundings(&self, options: &Options, env: &mut Vec<(String, String)>, bun: &Path) {
        let path =
            if self.root { "/bin".to_owned() } else { format!("{}:/usr/bin:/bin", text(bun.parent().unwrap_or(bun))) };
        default(env, "PATH", &path);
        default(env, "TMPDIR", "/tmp");
        default(env, "LANG", "C.UTF-8");
        set(env, "STEADY_INSTANCE", options.instance.clone());
    }

    #[allow(clippy::too_many_arguments)] // each is one field
    fn assemble(
        &self,
        group: Option<&Group>,
        open_files: u64,
        root: Option<Root>,
        argv: Vec<String>,
        env: Vec<(String, String)>,
        cwd: PathBuf,
        links: Option<(PathBuf, PathBuf)>,
    ) -> JailSpec {
        let join = group.map(Group::join_files).unwrap_or_default();
        JailSpec { parent: std::process::id(), join, open_files, root, argv, env, cwd, links }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The values leave for the child's environment here.
fn exposed(env: &[(String, Secret<String>)]) -> Vec<(String, String)> {
    env.iter().map(|(name, value)| (name.clone(), value.expose().clone())).collect()
}

fn set(env: &mut Vec<(String, String)>, name: &str, value: String) {
    env.retain(|(k, _)| k != name);
    env.push((name.to_owned(), value));
}

fn default(env: &mut Vec<(String, String)>, name: &str, value: &str) {
    if !env.iter().any(|(k, _)| k == name) {
        env.push((name.to_owned(), value.to_owned()));
    }
}

/// `registry` and `cafile` of the server user's `~/.npmrc`; nothing else of it, and no URL with a password.
fn npmrc() -> (Option<String>, Option<String>) {
    let Some(home) = std::env::home_dir() else { return (None, None) };
    let text = std::fs::read_to_string(home.join(".npmrc")).unwrap_or_default();
    let value = |key: &str| {
        let found = text.lines().find_map(|line| line.trim().strip_prefix(key)?.trim_start().strip_prefix('='));
        found.map(|v| v.trim().to_owned()).filter(|v| !v.is_empty() && !v.contains('@') && !v.contains("${"))
    };
    (value("registry"), value("cafile"))
}
