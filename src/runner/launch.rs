//! From what should run to what the jail is told: paths inside, environment, command line.
mod parked;

use std::io;
use std::path::{Path, PathBuf};

use super::registry::Settings;
use super::sandbox::cgroup::Group;
use super::sandbox::landlock::Walls;
use super::sandbox::seccomp::RESOLVE_OVER_TCP;
use super::sandbox::tier::Tier;
use super::sandbox::zygote::{ROOTLESS_UID, Setup};
use super::sandbox::{self, Bind, JailSpec, Root, elf};
use super::{Entry, JobSpec, LaunchSpec, Limits, MAIN, Options};
use crate::base::Secret;

/// Where Bun is told to listen when an app asks.
const PORT: u16 = 3000;
const WRAPPER: &str = include_str!("wrapper.js");
const POOL: &str = include_str!("pool.js");
/// Of every app that does not say otherwise.
const RUNNING: [(&str, &str); 3] = [
    ("NODE_ENV", "production"),
    // Bun's cache of transpiled modules gains nothing measurable and would count as the app's data.
    ("BUN_RUNTIME_TRANSPILER_CACHE_PATH", "0"),
    // It reads modules on threads of their own, made at the first import, which is the wrapper's. On one or two
    // processors that costs more than it brings: half a millisecond of a start, and more the more there is to import.
    ("BUN_FEATURE_FLAG_DISABLE_ASYNC_TRANSPILER", "1"),
];

/// What every jail of this server has in common, found once.
#[derive(Clone, Debug)]
pub struct Base {
    pub tier: Tier,
    /// Whether owners can be mapped: then all writable folders belong to one uid on disk.
    pub mapped: bool,
    wrapper: PathBuf,
    mount_on: PathBuf,
}

impl Base {
    /// Lays the wrapper and finds Bun's libraries. Errors: what cannot be read or written.
    pub fn prepare(options: &Options, tier: Tier) -> io::Result<(Self, Setup)> {
        // In a folder of its own: Bun lists it to find the file, and need not see what else is there.
        let folder = options.scratch.join("wrapper");
        crate::base::fs::make_dir(&folder, 0o755)?;
        let wrapper = folder.join("wrapper.js");
        crate::base::fs::write_atomic(&wrapper, WRAPPER.as_bytes(), 0o644)?;
        let mount_on = options.scratch.join("root");
        crate::base::fs::make_dir(&mount_on, 0o755)?;
        let mut binds = Vec::new();
        if tier != Tier::ProcessOnly {
            let loader = elf::interpreter(&options.bun)?;
            binds.push(Bind::read(&options.bun, sandbox::BUN));
            binds.push(Bind::read(&options.steady, sandbox::STEADY));
            binds.push(Bind::read(&loader, &loader));
            binds.extend(elf::libraries()?.iter().map(|path| Bind::read(path, path)));
            binds.push(Bind::read(&wrapper, sandbox::WRAPPER));
            let pool = folder.join("pool.js");
            crate::base::fs::write_atomic(&pool, POOL.as_bytes(), 0o644)?;
            binds.push(Bind::read(&pool, sandbox::POOL));
            // `env` for the first line of scripts that packages bring.
            for path in ["/usr/bin/env", "/etc/ssl", "/usr/share/ca-certificates", "/etc/localtime"] {
                binds.push(Bind::maybe(path, path));
            }
            for path in certificates().iter().filter(|path| !path.starts_with("/etc/ssl")) {
                binds.push(Bind::maybe(path, path));
            }
        }
        let setup = Setup { tier, at: mount_on.clone(), binds, data: options.scratch.clone() };
        Ok((Self { tier, mapped: false, wrapper, mount_on }, setup))
    }

    /// Whether children have a root of their own.
    pub fn has_root(&self) -> bool {
        self.tier != Tier::ProcessOnly
    }

    /// For a child without a root: the one folder where it may connect to unix sockets.
    pub fn own_folder<'a>(&self, folder: &'a Path) -> Option<&'a Path> {
        (!self.has_root()).then_some(folder)
    }

    /// Who a child's writable folders belong to on disk; `None` where that is the server's own user.
    pub fn owner(&self, options: &Options, uid_offset: u32) -> Option<u32> {
        let uid = if self.mapped { options.uid_base } else { options.uid_base.saturating_add(uid_offset) };
        (self.tier == Tier::Full).then_some(uid)
    }

    /// The spec of an app's child, listening in `socket_dir`.
    pub fn child(&self, options: &Options, spec: &LaunchSpec, socket_dir: &Path, group: Option<&Group>) -> JailSpec {
        let (code, home, run) = if self.has_root() {
            (sandbox::CODE.into(), sandbox::HOME.into(), sandbox::RUN.into())
        } else {
            (spec.code.clone(), spec.home.clone(), socket_dir.to_owned())
        };
        let bundle = spec.bundle.as_deref().filter(|folder| self.has_root() && folder.join(MAIN).is_file());
        let (argv, env) = self.program(options, spec, (&code, &home, &run), bundle.is_some());
        let mut places = vec![Place::read(&spec.code, &code), Place::write(&spec.home, &home)];
        places.extend(bundle.map(|folder| Place::read(folder, Path::new(sandbox::BUNDLE))));
        if !self.has_root() {
            places.push(Place::write(socket_dir, &run));
        }
        let cwd = home.clone();
        let who = (spec.uid_offset, spec.limits);
        let mut jail = self.assemble(options, group, who, places, (argv, env, cwd));
        if let Some(root) = &mut jail.root {
            root.socket = true;
            jail.walls.write.push(run);
        }
        JailSpec { links: Some((code, home)), ..jail }
    }

    /// Command line and environment of an app's program.
    fn program(
        &self,
        options: &Options,
        spec: &LaunchSpec,
        (code, home, run): (&Path, &Path, &Path),
        bundled: bool,
    ) -> (Vec<String>, Vec<(String, String)>) {
        let (bun, wrapper) = self.programs(options);
        let mut argv = vec![text(&bun)];
        let mut env = exposed(&spec.env);
        match &spec.entry {
            Entry::Module { path } => {
                let entry = code.join(path);
                let main = if bundled {
                    set(&mut env, "STEADY_ENTRY", text(&entry));
                    Path::new(sandbox::BUNDLE).join(MAIN)
                } else {
                    entry
                };
                argv.extend(["--no-install".into(), "--preload".into(), text(&wrapper), text(&main)]);
            }
            // The script's own `bun` inherits the wrapper by way of the environment.
            Entry::Script { name } => {
                argv.extend(["run".into(), "--bun".into(), "--shell=bun".into(), "--silent".into(), name.clone()]);
                set(&mut env, "BUN_OPTIONS", format!("--no-install --preload={}", text(&wrapper)));
            }
        }
        default(&mut env, "PORT", &PORT.to_string());
        for (name, value) in RUNNING {
            default(&mut env, name, value);
        }
        default(&mut env, "HOME", &text(home));
        self.surroundings(options, &mut env, &bun, &text(run));
        set(&mut env, "DATA_DIR", text(&home.join("data")));
        set(&mut env, "STEADY_SOCKET", text(&run.join(super::upstream::SOCKET)));
        (argv, env)
    }

    /// The spec of a job: its folders are `/app` (where it works, if it may write there) and `/job/0`, `/job/1`, …
    /// Its command names them by their own paths, which are replaced.
    pub fn job(&self, options: &Options, job: &JobSpec, home: &Path, group: Option<&Group>) -> JailSpec {
        let (bun, _) = self.programs(options);
        let steady = if self.has_root() { PathBuf::from(sandbox::STEADY) } else { options.steady.clone() };
        let inside_home = if self.has_root() { PathBuf::from(sandbox::JOB_HOME) } else { home.to_owned() };
        let mut places = vec![Place::write(home, &inside_home)];
        let folders = job.writable.iter().map(|p| (p, true)).chain(job.readable.iter().map(|p| (p, false)));
        for (n, (path, writable)) in folders.enumerate() {
            let to = match self.has_root() {
                false => path.clone(),
                true if *path == job.cwd => sandbox::CODE.into(),
                true => PathBuf::from(format!("{}/{n}", sandbox::JOB)),
            };
            // What is installed and built there is run there.
            places.push(Place { from: path.clone(), to, write: writable, run: true });
        }
        let mut argv: Vec<String> = job.command.iter().map(|word| text(&seen(&places, Path::new(word)))).collect();
        if let Some(program) = argv.first_mut() {
            match program.as_str() {
                "bun" => *program = text(&bun),
                "steady" => *program = text(&steady),
                _ => {}
            }
        }
        let mut env = exposed(&job.env);
        let settings = Settings::load();
        for (name, value) in &settings.passed {
            default(&mut env, name, value);
        }
        if let Some(registry) = &settings.url {
            default(&mut env, "BUN_CONFIG_REGISTRY", registry);
        }
        if let Some(cafile) = &settings.cafile {
            default(&mut env, "NODE_EXTRA_CA_CERTS", cafile);
        }
        set(&mut env, "HOME", text(&inside_home));
        default(&mut env, "BUN_INSTALL_CACHE_DIR", &text(&inside_home.join("cache")));
        self.surroundings(options, &mut env, &bun, &text(&inside_home));
        let cwd = seen(&places, &job.cwd);
        self.assemble(options, group, (job.uid_offset, job.limits), places, (argv, env, cwd))
    }

    fn programs(&self, options: &Options) -> (PathBuf, PathBuf) {
        if self.has_root() {
            (sandbox::BUN.into(), sandbox::WRAPPER.into())
        } else {
            (options.bun.clone(), self.wrapper.clone())
        }
    }

    /// What every process finds in its environment.
    fn surroundings(&self, options: &Options, env: &mut Vec<(String, String)>, bun: &Path, tmp: &str) {
        let path = if self.has_root() {
            "/bin".to_owned()
        } else {
            format!("{}:/usr/bin:/bin", text(bun.parent().unwrap_or(bun)))
        };
        default(env, "PATH", &path);
        // The host's `/tmp` is everybody's.
        default(env, "TMPDIR", if self.has_root() { "/tmp" } else { tmp });
        default(env, "USER", "app");
        default(env, "LANG", "C.UTF-8");
        set(env, "STEADY_INSTANCE", options.instance.clone());
        if !self.has_root() {
            let (name, value) = RESOLVE_OVER_TCP;
            set(env, name, value.to_owned());
        }
    }

    fn assemble(
        &self,
        options: &Options,
        group: Option<&Group>,
        (uid_offset, limits): (u32, Limits),
        places: Vec<Place>,
        (argv, env, cwd): (Vec<String>, Vec<(String, String)>, PathBuf),
    ) -> JailSpec {
        let walls = self.walls(options, &places);
        let root = self.has_root().then(|| {
            let own = places.iter().filter(|p| p.write).map(|p| p.from.clone()).collect();
            let binds = places.iter().map(|p| Bind {
                from: p.from.clone(),
                to: p.to.clone(),
                writable: p.write,
                execute: p.run,
                optional: false,
            });
            let view = group.map(Group::view).unwrap_or_default();
            let view = view.into_iter().map(|(from, to)| Bind { execute: false, ..Bind::read(from, to) });
            let full = self.tier == Tier::Full;
            Root {
                at: self.mount_on.clone(),
                uid: if full { options.uid_base.saturating_add(uid_offset) } else { ROOTLESS_UID },
                disk: self.owner(options, uid_offset),
                tmp_bytes: limits.tmp_bytes,
                socket: false,
                binds: binds.chain(view).collect(),
                own: if full { own } else { Vec::new() },
            }
        });
        JailSpec {
            open_files: limits.open_files,
            file_bytes: Some(limits.disk_bytes),
            root,
            walls,
            argv,
            env,
            cwd,
            links: None,
        }
    }
}

/// What a child with a root of its own reads and runs, beside its places.
const COMMON: &[&str] = &["/bin", "/lib", "/lib64", "/usr"];
const COMMON_READ: &[&str] = &["/etc", "/proc", "/sys", "/run", "/dev"];
/// The same of the host, for one without.
const HOST: &[&str] = &["/bin", "/lib", "/lib64", "/usr/bin", "/usr/lib", "/usr/lib64"];
const HOST_READ: &[&str] = &[
    "/etc/hosts",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/resolv.conf",
    "/etc/ssl",
    "/usr/share/ca-certificates",
    "/usr/share/zoneinfo",
    // All of it: Bun ends at once where it cannot read /proc/self/maps, and what a program starts has another
    // `self`. It shows names and figures of others; their memory and environment stay behind Landlock.
    "/proc",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
];

impl Base {
    fn walls(&self, options: &Options, places: &[Place]) -> Walls {
        let (execute, read) = if self.has_root() { (COMMON, COMMON_READ) } else { (HOST, HOST_READ) };
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        let (mut execute, mut read) = (paths(execute), paths(read));
        if !self.has_root() {
            execute.extend([options.bun.clone(), options.steady.clone()]);
            read.extend(self.wrapper.parent().map(Path::to_owned));
            read.extend(certificates());
        }
        let mut write = paths(&["/dev/null", "/dev/full"]);
        if self.has_root() {
            write.push("/tmp".into());
        }
        for place in places {
            if place.run {
                execute.push(place.to.clone());
            }
            if place.write {
                write.push(place.to.clone());
            }
        }
        Walls { read, execute, write, deny_tcp: !self.has_root() }
    }
}

/// A folder of the host, and where the child sees it.
struct Place {
    from: PathBuf,
    to: PathBuf,
    write: bool,
    run: bool,
}

impl Place {
    fn read(from: &Path, to: &Path) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), write: false, run: true }
    }
    fn write(from: &Path, to: &Path) -> Self {
        Self { write: true, run: false, ..Self::read(from, to) }
    }
}

/// A path as the child sees it: the innermost folder that it lies in is replaced.
fn seen(places: &[Place], path: &Path) -> PathBuf {
    let of =
        |place: &Place| Some((place.from.components().count(), place.to.join(path.strip_prefix(&place.from).ok()?)));
    let found = places.iter().filter_map(of).max_by_key(|(depth, _)| *depth).map(|(_, to)| to);
    // Joining an empty rest adds a slash.
    found.map_or_else(|| path.to_owned(), |to| to.components().collect())
}

/// Certificates the server's own environment names.
fn certificates() -> Vec<PathBuf> {
    let named = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().filter_map(std::env::var_os);
    named.map(PathBuf::from).chain(Settings::load().cafile.map(PathBuf::from)).collect()
}

/// The port a child is told: its owner's variable may name another.
pub fn port(spec: &LaunchSpec) -> u16 {
    let own = spec.env.iter().find(|(name, _)| name == "PORT").and_then(|(_, value)| value.expose().parse().ok());
    own.filter(|port| *port != 0).unwrap_or(PORT)
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
