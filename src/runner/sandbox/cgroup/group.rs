//! One group: the limits of one child and of all it starts.
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cgroups_rs::freezer::{FreezerController, FreezerState};
use cgroups_rs::{Cgroup, CgroupPid};
use rustix::fs::{Mode, OFlags};

use super::disk::Disk;
use super::met::Counter;
use super::tree::{Kind, Tree, put};
use super::{end, limit};
use crate::runner::Limits;

/// Cheap to clone; all clones are the same group.
#[derive(Clone, Debug)]
pub struct Group {
    // Shared, because the crate's own `clone` forgets which hierarchy it belongs to.
    inner: Arc<Cgroup>,
    dirs: Vec<(Kind, PathBuf)>,
    /// What reads and writes are limited on.
    disk: Option<Disk>,
}

/// How much the group waits for memory: percent of the last ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// Some of its threads waited.
    pub some: f32,
    /// All of them waited.
    pub full: f32,
}

impl Group {
    pub(super) fn create(tree: &Tree, name: &str, limits: &Limits) -> io::Result<Self> {
        tree.make()?;
        let dirs: Vec<(Kind, PathBuf)> = tree.bases.iter().map(|(kind, base)| (*kind, base.join(name))).collect();
        let disk = tree.disk.as_ref().ok().copied();
        let group = Self { inner: Arc::new(Cgroup::load(Box::new(tree.clone()), name)), dirs, disk };
        let made = group.inner.create().map_err(limit::os);
        // For v1 the crate logs a folder that could not be made and goes on.
        let missing = group.dirs.iter().find(|(_, dir)| !dir.exists());
        let missing = missing.map(|(_, dir)| io::Error::other(format!("{} was not made", dir.display())));
        let done = made.and_then(|()| missing.map_or(Ok(()), Err));
        done.and_then(|()| group.limit(limits)).inspect_err(|_| group.destroy())?;
        Ok(group)
    }

    /// Sets its limits anew. Errors: one that was promised cannot be set.
    pub fn limit(&self, limits: &Limits) -> io::Result<()> {
        limit::apply(&self.inner, self.disk, limits)
    }

    fn is_v2(&self) -> bool {
        self.inner.v2()
    }

    /// The group's folder for memory, which every group has; in v2 the folder for all.
    pub(super) fn dir(&self) -> &Path {
        let memory = self.dirs.iter().find(|(kind, _)| *kind == Kind::Memory);
        memory.map_or(Path::new("/nonexistent"), |(_, dir)| dir)
    }

    fn folders(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = self.dirs.iter().map(|(_, dir)| dir.clone()).collect();
        all.dedup();
        all
    }

    /// The files a process writes itself into to join.
    pub fn join_files(&self) -> Vec<PathBuf> {
        self.folders().iter().map(|dir| dir.join("cgroup.procs")).collect()
    }

    /// Moves a process in, with its threads. What it holds in memory stays charged to where it was.
    pub fn add(&self, pid: u32) -> io::Result<()> {
        self.inner.add_task_by_tgid(CgroupPid::from(u64::from(pid))).map_err(limit::os)
    }

    /// The folder, for `clone3` with `CLONE_INTO_CGROUP`. `None` in v1, which has no such thing: there a
    /// child joins by [`Self::join_files`].
    pub fn open_dir(&self) -> Option<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.is_v2().then(|| rustix::fs::open(self.dir(), flags, Mode::empty()).ok()).flatten()
    }

    /// What a process in it may see of it: outside and inside paths. Bun sizes itself by these.
    pub fn view(&self) -> Vec<(PathBuf, &'static str)> {
        if self.is_v2() {
            return vec![(self.dir().to_owned(), "/sys/fs/cgroup")];
        }
        let place = |kind: Kind| match kind {
            Kind::Memory => Some("/sys/fs/cgroup/memory"),
            Kind::Cpu => Some("/sys/fs/cgroup/cpu"),
            _ => None,
        };
        self.dirs.iter().filter_map(|(kind, dir)| Some((dir.clone(), place(*kind)?))).collect()
    }

    /// Bytes the whole group holds now, without cached files it could give back.
    pub fn memory(&self) -> Option<u64> {
        let (usage, cache) = if self.is_v2() {
            ("memory.current", "inactive_file")
        } else {
            ("memory.usage_in_bytes", "total_inactive_file")
        };
        let used: u64 = fs::read_to_string(self.dir().join(usage)).ok()?.trim().parse().ok()?;
        Some(used.saturating_sub(super::tree::field(&self.dir().join("memory.stat"), cache)))
    }

    /// Bytes that only swap could take: not those of files.
    pub fn anonymous(&self) -> u64 {
        super::tree::field(&self.dir().join("memory.stat"), if self.is_v2() { "anon" } else { "total_rss" })
    }

    /// Bytes in swap. `None` where the kernel does not count them.
    pub fn swapped(&self) -> Option<u64> {
        if self.is_v2() {
            return fs::read_to_string(self.dir().join("memory.swap.current")).ok()?.trim().parse().ok();
        }
        let text = fs::read_to_string(self.dir().join("memory.stat")).ok()?;
        text.contains("total_swap ").then(|| super::tree::number(&text, "total_swap"))
    }

    /// Processor time the whole group has used. `None` where nobody counts it.
    pub fn processor_time(&self) -> Option<Duration> {
        if self.is_v2() {
            let used = super::tree::field(&self.dir().join("cpu.stat"), "usage_usec");
            return Some(Duration::from_micros(used));
        }
        let (_, dir) = self.dirs.iter().find(|(kind, _)| *kind == Kind::Account)?;
        Some(Duration::from_nanos(fs::read_to_string(dir.join("cpuacct.usage")).ok()?.trim().parse().ok()?))
    }

    /// Whether its processes run only when nobody else wants the processor. Errors: the kernel cannot (before 5.15).
    pub fn go_last(&self, last: bool) -> io::Result<()> {
        let none = || io::Error::new(io::ErrorKind::Unsupported, "no cpu controller");
        let (_, dir) = self.dirs.iter().find(|(kind, _)| *kind == Kind::Cpu).ok_or_else(none)?;
        put(&dir.join("cpu.idle"), if last { "1" } else { "0" })
    }

    /// How many of its processes the kernel killed for want of memory.
    pub fn oom_kills(&self) -> u64 {
        Counter::kills(self.dir(), self.is_v2()).read()
    }

    /// How often one of its processes could not start another, because there were as many as may be.
    pub fn refused_forks(&self) -> u64 {
        self.forks().read()
    }

    /// Returns when more than `before` could not be started; else never. As [`Self::until_oom`].
    pub async fn until_refused(&self, before: u64) {
        self.forks().above(before).await;
    }

    fn forks(&self) -> Counter {
        let dir = self.dirs.iter().find(|(kind, _)| *kind == Kind::Pids).map_or(self.dir(), |(_, dir)| dir);
        Counter::refused_forks(dir, self.is_v2())
    }

    /// Returns when more than `before` processes were killed for want of memory; else never: to be
    /// dropped when the child has ended otherwise. Must run inside the runtime.
    pub async fn until_oom(&self, before: u64) {
        Counter::kills(self.dir(), self.is_v2()).above(before).await;
    }

    /// How much it waits for memory. `None` where the kernel does not count it (v1, or built without).
    pub fn pressure(&self) -> Option<Pressure> {
        parse_pressure(&fs::read_to_string(self.dir().join("memory.pressure")).ok()?)
    }

    /// Stops all its processes where they are; the kernel may take a moment, see [`Self::is_frozen`].
    /// Errors: there is no freezer.
    pub fn freeze(&self) -> io::Result<()> {
        self.freezer()?.freeze().map_err(limit::os)
    }

    /// Lets them go on.
    pub fn thaw(&self) -> io::Result<()> {
        self.freezer()?.thaw().map_err(limit::os)
    }

    /// Whether all of them have stopped.
    pub fn is_frozen(&self) -> bool {
        if self.is_v2() {
            // The crate reads back what was asked for, not what has come about.
            return super::tree::field(&self.dir().join("cgroup.events"), "frozen") == 1;
        }
        self.freezer().is_ok_and(|f| matches!(f.state(), Ok(FreezerState::Frozen)))
    }

    fn freezer(&self) -> io::Result<&FreezerController> {
        let none = || io::Error::new(io::ErrorKind::Unsupported, "no freezer controller");
        self.inner.controller_of::<FreezerController>().ok_or_else(none)
    }

    /// Takes back about so many bytes of memory, to swap or by dropping cached files; v1 takes all it can
    /// get. Blocks. Less than was asked for is no error. Errors: the kernel cannot (v2 before 5.19).
    pub fn reclaim(&self, bytes: u64) -> io::Result<()> {
        let done = if self.is_v2() { self.page_out(bytes) } else { put(&self.dir().join("memory.force_empty"), "0") };
        match done {
            // There was less to take.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock || e.kind() == io::ErrorKind::ResourceBusy => Ok(()),
            other => other,
        }
    }

    /// An app does not swap by itself (see `limit`): the way is open for as long as this takes, and for as much
    /// again as the app may hold in memory.
    fn page_out(&self, bytes: u64) -> io::Result<()> {
        let (reclaim, swap) = (self.dir().join("memory.reclaim"), self.dir().join("memory.swap.max"));
        let most = fs::read_to_string(self.dir().join("memory.max")).unwrap_or_default();
        let _ = put(&swap, most.trim());
        // Files that others use too, such as Bun itself, may be charged here: where the kernel can be told so
        // (6.10 and newer) they stay.
        let done = match put(&reclaim, &format!("{bytes} swappiness=200")) {
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => put(&reclaim, &bytes.to_string()),
            done => done,
        };
        let _ = put(&swap, "0");
        done
    }

    /// Kills every process in it, frozen or not, and removes it. Blocks, at most about two seconds.
    pub fn destroy(&self) {
        end::end(&self.folders());
    }
}

/// `some avg10=0.12 avg60=… total=…`, and the same for `full`.
fn parse_pressure(text: &str) -> Option<Pressure> {
    let of = |name: &str| -> Option<f32> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?.parse().ok()
    };
    Some(Pressure { some: of("some")?, full: of("full")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_read() {
        let text = "some avg10=1.50 avg60=0.00 avg300=0.00 total=12\nfull avg10=0.25 avg60=0.00 avg300=0.00 total=3\n";
        assert_eq!(parse_pressure(text), Some(Pressure { some: 1.5, full: 0.25 }));
        assert_eq!(parse_pressure(""), None);
    }
}
