//! The folders below which groups are made, handed to the crate as a hierarchy of its own: left to itself
//! it takes whole mounts, where a nested container or a service owns only a part.
use std::io;
use std::path::{Path, PathBuf};

use cgroups_rs::blkio::BlkIoController;
use cgroups_rs::cpu::CpuController;
use cgroups_rs::cpuacct::CpuAcctController;
use cgroups_rs::freezer::FreezerController;
use cgroups_rs::memory::MemController;
use cgroups_rs::pid::PidController;
use cgroups_rs::{Cgroup, Hierarchy, Subsystem};

use super::disk::Disk;

/// A controller that is used here; `freezer` of v2 is no controller, but a file in every group, and v2 has no
/// `cpuacct`: there `cpu` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Io,
    Memory,
    Pids,
    Cpu,
    Account,
    Freezer,
}

/// This instance's folder for each controller: one folder for all in v2.
#[derive(Clone, Debug)]
pub struct Tree {
    pub(super) v2: bool,
    pub(super) bases: Vec<(Kind, PathBuf)>,
    /// What reads and writes are limited on, or why they are not.
    pub(super) disk: Result<Disk, String>,
}

impl Kind {
    /// Everything, in the order processes join: disk before memory, because the kernel couples the two
    /// when dirty pages are written back.
    pub(super) const ALL: [Self; 6] = [Self::Io, Self::Memory, Self::Pids, Self::Cpu, Self::Account, Self::Freezer];

    /// The kernel's name.
    pub(super) fn name(self, v2: bool) -> &'static str {
        match self {
            Self::Io if v2 => "io",
            Self::Io => "blkio",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::Account => "cpuacct",
            Self::Freezer => "freezer",
        }
    }

    /// Groups without these are not worth having.
    pub(super) fn is_needed(self) -> bool {
        matches!(self, Self::Memory | Self::Pids)
    }
}

impl Tree {
    pub(super) fn new(v2: bool, bases: Vec<(Kind, PathBuf)>) -> Self {
        Self { v2, bases, disk: Err("no data folder is named".into()) }
    }

    pub(super) fn base(&self, kind: Kind) -> Option<&Path> {
        self.bases.iter().find(|(k, _)| *k == kind).map(|(_, base)| base.as_path())
    }

    pub(super) fn for_data(mut self, folder: &Path) -> Self {
        self.disk = match self.base(Kind::Io) {
            None => Err("no controller".into()),
            Some(base) => Disk::of(folder).and_then(|disk| disk.accepted(base, self.v2).map(|()| disk)),
        };
        self
    }

    /// Each once. The freezer's first: sweeping it thaws what an earlier run left frozen, and only what
    /// is thawed can die.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let first = self.base(Kind::Freezer).map(Path::to_owned);
        let mut folders: Vec<PathBuf> = first.into_iter().collect();
        for (_, base) in &self.bases {
            if !folders.contains(base) {
                folders.push(base.clone());
            }
        }
        folders
    }

    /// Another run of this instance may have removed them on leaving. Errors: a needed controller is gone.
    pub(super) fn make(&self) -> io::Result<()> {
        for base in self.folders().iter().filter(|base| !base.exists()) {
            make(base)?;
            if self.v2 {
                hand_down(base, &self.bases.iter().map(|(kind, _)| *kind).collect::<Vec<_>>())?;
            }
        }
        Ok(())
    }
}

impl Hierarchy for Tree {
    fn subsystems(&self) -> Vec<Subsystem> {
        let v2 = self.v2;
        let one = |(kind, base): &(Kind, PathBuf)| match kind {
            Kind::Io => Subsystem::BlkIo(BlkIoController::new(base.clone(), v2)),
            Kind::Memory => Subsystem::Mem(MemController::new(base.clone(), v2)),
            Kind::Pids => Subsystem::Pid(PidController::new(base.clone(), v2)),
            Kind::Cpu => Subsystem::Cpu(CpuController::new(base.clone(), v2)),
            Kind::Account => Subsystem::CpuAcct(CpuAcctController::new(base.clone())),
            Kind::Freezer => Subsystem::Freezer(FreezerController::new(base.clone(), v2)),
        };
        self.bases.iter().map(one).collect()
    }
    fn root(&self) -> PathBuf {
        self.folders().into_iter().next().unwrap_or_default()
    }
    fn root_control_group(&self) -> Cgroup {
        Cgroup::load(Box::new(self.clone()), "")
    }
    /// Groups are made one level deep.
    fn parent_control_group(&self, _: &str) -> Cgroup {
        self.root_control_group()
    }
    fn v2(&self) -> bool {
        self.v2
    }
}

/// Enables controllers of v2 for the groups below, one by one, so that one that is refused does not take
/// the others with it. Errors: a needed one is refused.
pub(super) fn hand_down(dir: &Path, kinds: &[Kind]) -> io::Result<()> {
    let file = dir.join("cgroup.subtree_control");
    for kind in kinds.iter().filter(|kind| **kind != Kind::Freezer) {
        let done = put(&file, &format!("+{}", kind.name(true)));
        if kind.is_needed() {
            done?;
        }
    }
    Ok(())
}

/// Makes a folder that may be there already.
pub(super) fn make(dir: &Path) -> io::Result<()> {
    match std::fs::create_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(io::Error::new(e.kind(), format!("{}: {e}", dir.display()))),
        Ok(()) => Ok(()),
    }
}

/// One `write` to a file of the kernel; the error names it.
pub(super) fn put(path: &Path, value: &str) -> io::Result<()> {
    use std::io::Write as _;
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    std::fs::OpenOptions::new().write(true).open(path).and_then(|mut f| f.write_all(value.as_bytes())).map_err(named)
}

/// The number after a name in a file of lines `name number`; 0 when it is not there.
pub(super) fn field(path: &Path, name: &str) -> u64 {
    number(&std::fs::read_to_string(path).unwrap_or_default(), name)
}

pub(super) fn number(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|v| v.trim().parse().ok()).unwrap_or(0)
}
