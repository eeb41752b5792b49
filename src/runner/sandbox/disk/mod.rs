//! How much an app may keep: bytes and files of each home, by the best means this machine has.
//!
//! Project quota where the file system enforces it; else an image per home, mounted by loop device; else
//! counting now and then. [`Disk::prepare`] comes before any use of a home, by whomever.
mod image;
mod loops;
mod mkfs;
mod namespace;
mod project;
mod sys;
mod table;
#[cfg(test)]
mod tests;
mod trial;
mod walk;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::tier::Check;
pub use namespace::{has_own_mounts, own_mounts};
use table::Table;
use walk::Bounds;
pub use walk::{Counted, Cut};

/// Images that stay mounted although nothing uses them.
const MOUNTED: usize = 64;
/// How long one count of a home may take where the kernel does not count.
const COUNTING: Duration = Duration::from_secs(10);
/// Below this, or below 2 % of a small disk, nothing is started or written.
const FLOOR: u64 = 512 << 20;

/// What a home may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub bytes: u64,
    /// Files, folders and all else.
    pub files: u64,
}

/// What a home holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    pub files: u64,
    /// What is in force, which may differ from what was asked.
    pub limit: Quota,
}

/// By what means quotas hold here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Project,
    Image,
    /// Counted now and then; an app above its quota is stopped, not hindered.
    Accounting,
}

/// Handle to the disk of one data folder. Cheap to clone. Every method blocks on the disk.
#[derive(Clone)]
pub struct Disk(Arc<Shared>);

struct Shared {
    kind: Kind,
    data_root: PathBuf,
    scratch: PathBuf,
    /// Why not project quotas, and why not images.
    why: [Option<String>; 2],
    table: Table,
}

/// A home that may be used; hold it as long as it is.
pub struct Ready {
    shared: Arc<Shared>,
    home: PathBuf,
    note: Option<String>,
}

impl Ready {
    /// Where the quota differs from what was asked: a sentence for the app's log.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        self.shared.table.leave(&self.home);
    }
}

impl Disk {
    /// Finds the best means, by trying. Detaches what an earlier run left mounted below `data_root`, so
    /// nothing there may be in use yet. `scratch` is a folder below it that is cleared at every start;
    /// `can_mount`: whether this process may mount at all.
    pub fn probe(data_root: &Path, scratch: &Path, can_mount: bool) -> Self {
        if can_mount {
            detach_left_over(data_root);
        }
        let project = project::probe(data_root, scratch).err();
        let images = match (&project, can_mount) {
            (None, _) => Some("not needed".to_owned()),
            (_, false) => Some("this process may not mount".to_owned()),
            _ => trial::probe(scratch).err(),
        };
        let kind = match (&project, &images) {
            (None, _) => Kind::Project,
            (_, None) => Kind::Image,
            _ => Kind::Accounting,
        };
        let (data_root, scratch) = (data_root.to_owned(), scratch.to_owned());
        Self(Arc::new(Shared { kind, data_root, scratch, why: [project, images], table: Table::default() }))
    }

    /// One that only counts, whatever the machine can do.
    pub fn accounting(data_root: &Path) -> Self {
        let why = || Some("not asked for".to_owned());
        let (data_root, scratch) = (data_root.to_owned(), data_root.to_owned());
        let why = [why(), why()];
        Self(Arc::new(Shared { kind: Kind::Accounting, data_root, scratch, why, table: Table::default() }))
    }

    pub fn active(&self) -> Kind {
        self.0.kind
    }

    /// One word and one sentence for the people who run this server.
    pub fn kind(&self) -> (&'static str, String) {
        match self.0.kind {
            Kind::Project => ("project", "disk quotas by the file system's project quotas".into()),
            Kind::Image => ("image", "disk quotas by an image of its own for each app's data".into()),
            Kind::Accounting => {
                ("accounting", "disk quotas by counting now and then: an app can go above its quota for a while".into())
            }
        }
    }

    pub fn checks(&self) -> Vec<Check> {
        let [project, images] = &self.0.why;
        let ok = self.0.kind != Kind::Accounting;
        let found = match (self.0.kind, project, images) {
            (Kind::Project, ..) => "project quota".to_owned(),
            (Kind::Image, Some(why), _) => format!("loop images (no project quota: {why})"),
            (_, Some(project), Some(images)) => format!("counting (no project quota: {project}; no images: {images})"),
            _ => self.kind().0.to_owned(),
        };
        let fix = "Mount the data folder's file system with project quotas (ext4: `tune2fs -O project,quota -Q prjquota` \
                   and the option prjquota; xfs: pquota), or run as root with loop devices and e2fsprogs.";
        vec![Check { name: "disk quota", ok, found, fix: if ok { String::new() } else { fix.to_owned() } }]
    }

    /// Makes `home` usable and limited; the folder is there. Idempotent; before any use, by the child or by
    /// the server. `id` is the project's, unique per home: the uid it belongs to. An existing folder's content
    /// is kept, whatever was interrupted.
    /// Errors: what failed; the home must not be used then.
    pub fn prepare(&self, home: &Path, id: u32, quota: Quota) -> io::Result<Ready> {
        let shared = &self.0;
        let turn = shared.table.enter(home);
        let ready = |note| Ready { shared: shared.clone(), home: home.to_owned(), note };
        // From here on the place is given back when this fails.
        let mut held = ready(None);
        let one_at_a_time = turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let alone = || shared.table.users(home) == 1;
        let prepared = match shared.kind {
            _ if shared.table.is_as_left(home, quota) => Ok(None),
            // An image that is there holds the data, whatever is preferred now.
            kind if kind == Kind::Image || image::is_image(home) => {
                image::prepare(home, &shared.scratch, quota, alone())
            }
            Kind::Project => project::prepare(home, id, quota).map(|()| None),
            _ => Ok(None),
        };
        held.note = prepared.map_err(|e| naming("prepare", home, &e))?;
        shared.table.remember(home, quota, held.note.clone());
        drop(one_at_a_time);
        self.rest();
        Ok(held)
    }

    /// Unmounts a home that nothing uses. Errors: `ResourceBusy` when somebody holds it [`Ready`].
    pub fn release(&self, home: &Path) -> io::Result<()> {
        self.0.table.alone(home, || match image::is_image(home) && loops::is_mounted(home)? {
            true => {
                self.0.table.was(home, image::usage(home)?);
                self.0.table.unmounted(home);
                loops::unmount(home)
            }
            false => Ok(()),
        })
    }

    /// Unmounts all homes; nothing may use one any more.
    pub fn leave(&self) {
        if self.0.kind == Kind::Image {
            detach_left_over(&self.0.data_root);
        }
    }

    /// Before a home is deleted for good: takes its mount, image and limits away. The folder itself is left to
    /// the caller. Errors: `ResourceBusy` when somebody holds it [`Ready`].
    pub fn remove(&self, home: &Path) -> io::Result<()> {
        self.0.table.alone(home, || {
            image::remove(home)?;
            if self.0.kind == Kind::Project && home.is_dir() {
                project::forget(home)?;
            }
            Ok(())
        })?;
        self.0.table.forget(home);
        Ok(())
    }

    /// Unmounts what was not used for longest, above a number.
    fn rest(&self) {
        for home in self.0.table.above(MOUNTED) {
            if let Err(error) = self.release(&home) {
                tracing::debug!(home = %home.display(), %error, "a home stays mounted");
            }
        }
    }

    /// Whether the file system knows what `home` holds, so that asking costs nothing.
    pub fn is_known(&self, home: &Path) -> bool {
        self.0.kind == Kind::Project || image::is_image(home)
    }

    /// What it holds now. Where the kernel does not count, what was counted last, or now the first time. An
    /// image that is not mounted says what it held last, or what it takes of the disk.
    pub fn usage(&self, home: &Path) -> io::Result<Usage> {
        let asked = self.0.table.quota(home);
        if image::is_image(home) {
            if loops::is_mounted(home)? {
                return image::usage(home);
            }
            if let Some(was) = self.0.table.last(home) {
                return Ok(was);
            }
            let limit = asked.unwrap_or(Quota { bytes: std::fs::metadata(image::image(home))?.len(), files: 0 });
            return Ok(Usage { bytes: image::taken(home)?, files: 0, limit });
        }
        if self.0.kind == Kind::Project {
            return project::usage(home);
        }
        let limit = asked.unwrap_or(Quota { bytes: u64::MAX, files: u64::MAX });
        let counted = match self.0.table.counted(home) {
            Some(counted) => counted,
            None => self.count(home)?,
        };
        Ok(Usage { bytes: counted.bytes, files: counted.files, limit })
    }

    /// Counts a home, where nobody else does; bounded in time. For a task in the background, at intervals.
    /// Afterwards [`Disk::over_limit`] knows.
    pub fn count(&self, home: &Path) -> io::Result<Counted> {
        let quota = self.0.table.quota(home);
        let entries = quota.map_or(u64::MAX, |quota| quota.files.saturating_add(1));
        let counted = walk::count(home, Bounds { entries, time: COUNTING })?;
        self.0.table.note(home, counted);
        Ok(counted)
    }

    /// Whether an app must be stopped or refused because its home is above its quota: a sentence. Only where
    /// the kernel does not see to it, and as last counted.
    pub fn over_limit(&self, home: &Path) -> Option<String> {
        if self.0.kind != Kind::Accounting || image::is_image(home) {
            return None;
        }
        let (quota, counted) = (self.0.table.quota(home)?, self.0.table.counted(home)?);
        above(counted, quota)
    }

    /// Why nothing may be started or written: the server's own disk is nearly full.
    pub fn floor(&self) -> Option<String> {
        let found = rustix::fs::statvfs(&self.0.data_root).ok()?;
        let free = found.f_bavail * found.f_frsize;
        let floor = FLOOR.min(found.f_blocks * found.f_frsize / 50);
        if free < floor {
            return Some(format!(
                "the server's disk is nearly full: {} are left of {}",
                size(free),
                size(found.f_blocks * found.f_frsize)
            ));
        }
        let few = 10_000.min(found.f_files / 50);
        (found.f_files > 0 && found.f_favail < few)
            .then(|| format!("the server's disk has room for only {} more files", found.f_favail))
    }

    /// Whether the quota, or the disk, explains a failed write: a sentence for logs and crash reports.
    pub fn explain(&self, home: &Path) -> Option<String> {
        if let Some(over) = self.over_limit(home) {
            return Some(over);
        }
        match self.usage(home) {
            Ok(usage) => full(usage).or_else(|| self.floor()),
            Err(_) => self.floor(),
        }
    }
}

/// Room that a failed write may have left: a database's page, and what an allocation was rounded to.
const NEARLY: u64 = 128 << 10;

fn full(usage: Usage) -> Option<String> {
    let Usage { bytes, files, limit } = usage;
    if bytes.saturating_add(NEARLY) >= limit.bytes {
        return Some(format!(
            "the disk quota of {} is full: {} are used; delete what is not needed, or ask the server's owner for more",
            size(limit.bytes),
            size(bytes)
        ));
    }
    (limit.files > 0 && files >= limit.files).then(|| {
        format!(
            "the quota of {} files is full; delete what is not needed, or ask the server's owner for more",
            limit.files
        )
    })
}

fn above(counted: Counted, quota: Quota) -> Option<String> {
    let keeps = match (counted.cut, quota) {
        (Some(Cut::Entries), _) => format!("more than {} files, its quota", quota.files),
        (Some(Cut::Denied), _) => "folders that cannot be counted: it took the right to read them away".to_owned(),
        (_, quota) if counted.files > quota.files => format!("{} files of at most {}", counted.files, quota.files),
        (_, quota) if counted.bytes > quota.bytes => {
            format!("{} on disk, more than its quota of {}", size(counted.bytes), size(quota.bytes))
        }
        _ => return None,
    };
    Some(format!("the app keeps {keeps}; delete what is not needed, or ask the server's owner for more"))
}

/// Mounts of an earlier run that had no namespace of its own. A child of it that still lives keeps its own.
fn detach_left_over(data_root: &Path) {
    let found = loops::mounts_below(data_root).unwrap_or_default();
    // The last mounted first: one may lie on another.
    for path in found.iter().rev() {
        if let Err(error) = loops::unmount(path) {
            tracing::warn!(path = %path.display(), %error, "a mount of an earlier run stays");
        }
    }
}

/// `home` → `home.img` and the like.
fn beside(home: &Path, end: &str) -> PathBuf {
    let mut name = home.file_name().map_or_else(OsString::new, ToOwned::to_owned);
    name.push(end);
    home.with_file_name(name)
}

fn naming(what: &str, home: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what} the home {}: {error}", home.display()))
}

/// `1 GiB`, `1.5 GiB`, `700 KiB`
fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        n if n >= 1 << 30 => (1u64 << 30, "GiB"),
        n if n >= 1 << 20 => (1 << 20, "MiB"),
        _ => (1 << 10, "KiB"),
    };
    match bytes % unit * 10 / unit {
        0 => format!("{} {name}", bytes / unit),
        tenths => format!("{}.{tenths} {name}", bytes / unit),
    }
}
