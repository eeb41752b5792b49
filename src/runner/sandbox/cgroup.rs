//! Limits and certain death for a whole group of processes: cgroup v2 where it is ours, else v1.
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::base::Clock;
use crate::runner::Limits;

const MOUNT: &str = "/sys/fs/cgroup";

/// Where this instance's groups live.
#[derive(Clone, Debug)]
pub enum Cgroups {
    /// A folder with the memory and pids controllers for what is below.
    V2 {
        base: PathBuf,
    },
    /// One folder per controller; memory first.
    V1 {
        bases: Vec<(&'static str, PathBuf)>,
    },
    None {
        why: String,
    },
}

/// The limits of one child and of all it starts.
#[derive(Clone, Debug)]
pub struct Group {
    v2: bool,
    dirs: Vec<PathBuf>,
}

impl Cgroups {
    /// Finds what may be used and makes this instance's folder. Nothing found is said, not an error.
    pub fn probe(instance: &str) -> Self {
        let name = format!("steady-{instance}");
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let v2 = match v2_base(&own, &name) {
            Ok(base) => return Self::V2 { base },
            Err(why) => why,
        };
        match v1_bases(&own, &name) {
            Ok(bases) => Self::V1 { bases },
            Err(v1) => Self::None { why: format!("cgroup v2: {v2}; v1: {v1}") },
        }
    }

    fn bases(&self) -> Vec<PathBuf> {
        match self {
            Self::V2 { base } => vec![base.clone()],
            Self::V1 { bases } => bases.iter().map(|(_, base)| base.clone()).collect(),
            Self::None { .. } => Vec::new(),
        }
    }

    /// The folders to sweep when the next server starts, wherever that one finds itself.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.bases()
    }

    /// Removes this instance's folders, if nothing lives there.
    pub fn leave(&self) {
        for base in self.bases() {
            let _ = fs::remove_dir(base);
        }
    }

    /// A fresh group with its limits set. `None` where there are no groups.
    pub fn create(&self, name: &str, limits: &Limits) -> io::Result<Option<Group>> {
        let dirs: Vec<PathBuf> = self.bases().iter().map(|base| base.join(name)).collect();
        if dirs.is_empty() {
            return Ok(None);
        }
        self.bases().iter().try_for_each(|base| make(base))?;
        let group = Group { v2: matches!(self, Self::V2 { .. }), dirs };
        let made = group.dirs.iter().try_for_each(|dir| match fs::create_dir(dir) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
        made.and_then(|()| group.limit(limits)).inspect_err(|_| group.remove())?;
        Ok(Some(group))
    }
}

impl Group {
    fn limit(&self, limits: &Limits) -> io::Result<()> {
        let period = 100_000u64;
        let quota = (period * u64::from(limits.cpu_percent.max(1)) / 100).max(1000);
        let put = |dir: &Path, file: &str, value: String| put(&dir.join(file), &value);
        if self.v2 {
            let dir = &self.dirs[0];
            put(dir, "memory.max", limits.memory_bytes.to_string())?;
            put(dir, "pids.max", limits.pids.to_string())?;
            // Fewer kernels and containers give these; the hard limits above stand without them.
            let _ = put(dir, "memory.swap.max", "0".into());
            let _ = put(dir, "memory.oom.group", "1".into());
            let _ = put(dir, "cpu.max", format!("{quota} {period}"));
            return Ok(());
        }
        put(&self.dirs[0], "memory.limit_in_bytes", limits.memory_bytes.to_string())?;
        let _ = put(&self.dirs[0], "memory.memsw.limit_in_bytes", limits.memory_bytes.to_string());
        put(&self.dirs[1], "pids.max", limits.pids.to_string())?;
        if let Some(cpu) = self.dirs.get(2) {
            put(cpu, "cpu.cfs_period_us", period.to_string())?;
            put(cpu, "cpu.cfs_quota_us", quota.to_string())?;
        }
        Ok(())
    }

    /// The files a process writes itself into to join.
    pub fn join_files(&self) -> Vec<PathBuf> {
        self.dirs.iter().map(|dir| dir.join("cgroup.procs")).collect()
    }

    /// The folder of a v2 group, to start a process in.
    pub fn open_dir(&self) -> Option<std::os::fd::OwnedFd> {
        let dir = self.dirs.first().filter(|_| self.v2)?;
        fs::File::open(dir).ok().map(Into::into)
    }

    /// What a process in it may see of it: outside and inside paths.
    pub fn view(&self) -> Vec<(PathBuf, &'static str)> {
        let places: &[&'static str] =
            if self.v2 { &["/sys/fs/cgroup"] } else { &["/sys/fs/cgroup/memory", "", "/sys/fs/cgroup/cpu"] };
        let dirs = self.dirs.iter().cloned().zip(places.iter().copied());
        dirs.filter(|(_, place)| !place.is_empty()).collect()
    }

    /// Bytes the whole group holds now, without cached files it could give back.
    pub fn memory(&self) -> Option<u64> {
        let (usage, cache) = if self.v2 {
            ("memory.current", "inactive_file")
        } else {
            ("memory.usage_in_bytes", "total_inactive_file")
        };
        let used: u64 = fs::read_to_string(self.dirs[0].join(usage)).ok()?.trim().parse().ok()?;
        Some(used.saturating_sub(self.field("memory.stat", cache)))
    }

    /// How many of its processes the kernel killed for want of memory.
    pub fn oom_kills(&self) -> u64 {
        self.field(if self.v2 { "memory.events" } else { "memory.oom_control" }, "oom_kill")
    }

    fn field(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(self.dirs[0].join(file)).unwrap_or_default();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|v| v.trim().parse().ok()).unwrap_or(0)
    }

    fn is_empty(&self) -> bool {
        self.dirs.iter().all(|dir| fs::read_to_string(dir.join("cgroup.procs")).is_ok_and(|p| p.trim().is_empty()))
    }

    /// Kills every process in it and removes it. Blocks, at most about two seconds.
    pub fn destroy(&self) {
        let began = Clock::stopwatch();
        loop {
            self.kill();
            if self.is_empty() || began.elapsed() > Duration::from_secs(2) {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.remove();
    }

    fn kill(&self) {
        if self.v2 && put(&self.dirs[0].join("cgroup.kill"), "1").is_ok() {
            return;
        }
        for dir in &self.dirs {
            for pid in fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default().lines() {
                if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
        }
    }

    /// Removes the empty folders; the kernel needs a moment after the last process has gone.
    fn remove(&self) {
        for dir in &self.dirs {
            for _ in 0..50 {
                match fs::remove_dir(dir) {
                    Err(e) if e.kind() == io::ErrorKind::ResourceBusy => {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    _ => break,
                }
            }
        }
    }
}

/// Kills and removes every group below an instance's folder.
pub fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            let dir = entry.path();
            Group { v2: dir.join("cgroup.kill").exists(), dirs: vec![dir] }.destroy();
        }
    }
}

fn put(path: &Path, value: &str) -> io::Result<()> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    fs::OpenOptions::new().write(true).open(path).and_then(|mut f| f.write_all(value.as_bytes())).map_err(named)
}

/// A delegated v2 group: ours to write, with memory and pids. This process moves to a leaf, because a
/// group with processes may not hand controllers down.
fn v2_base(own: &str, name: &str) -> io::Result<PathBuf> {
    let missing = |what: &str| io::Error::new(io::ErrorKind::Unsupported, what.to_owned());
    let path = own.lines().find_map(|l| l.strip_prefix("0::")).ok_or_else(|| missing("not mounted"))?;
    let root = [MOUNT.to_owned(), format!("{MOUNT}/unified")]
        .into_iter()
        .map(PathBuf::from)
        .find(|p| p.join("cgroup.controllers").exists())
        .ok_or_else(|| missing("not mounted"))?;
    let mut here = root.join(path.trim_start_matches('/'));
    if here.file_name().is_some_and(|n| n == "steady-supervisor") {
        here.pop();
    }
    let controllers = fs::read_to_string(here.join("cgroup.controllers"))?;
    let has = |c: &str| controllers.split_whitespace().any(|x| x == c);
    if !has("memory") || !has("pids") {
        return Err(missing("no memory and pids controllers"));
    }
    let enable = || -> io::Result<()> {
        put(&here.join("cgroup.subtree_control"), "+memory +pids")?;
        let _ = put(&here.join("cgroup.subtree_control"), "+cpu");
        Ok(())
    };
    if enable().is_err() {
        let leaf = here.join("steady-supervisor");
        make(&leaf)?;
        put(&leaf.join("cgroup.procs"), "0")?;
        enable()?;
    }
    let base = here.join(name);
    make(&base)?;
    put(&base.join("cgroup.subtree_control"), "+memory +pids")?;
    let _ = put(&base.join("cgroup.subtree_control"), "+cpu");
    Ok(base)
}

/// v1: below this process's own group of each hierarchy, so that outer limits go on holding.
fn v1_bases(own: &str, name: &str) -> io::Result<Vec<(&'static str, PathBuf)>> {
    let mut bases = Vec::new();
    for controller in ["memory", "pids", "cpu"] {
        let path = own.lines().find_map(|line| {
            let (list, path) = line.split_once(':')?.1.split_once(':')?;
            list.split(',').any(|c| c == controller).then_some(path)
        });
        let mount = Path::new(MOUNT).join(controller);
        let base = path.map(|path| mount.join(path.trim_start_matches('/')).join(name));
        match base.map(|base| make(&base).map(|()| base)) {
            Some(Ok(base)) => bases.push((controller, base)),
            _ if controller == "cpu" => {}
            Some(Err(e)) => return Err(e),
            None => return Err(io::Error::new(io::ErrorKind::Unsupported, format!("no {controller} controller"))),
        }
    }
    Ok(bases)
}

fn make(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
