//! Homes as the server uses them: fit before a copy or an export, gone for good before their folder is.
use std::path::{Path, PathBuf};

use super::Apps;
use crate::base::fs::TempDir;
use crate::base::task::blocking;
use crate::base::{Error, Kind, Result, ResultExt as _};
use crate::runner::sandbox::disk::{Disk, Ready};

impl Apps {
    /// Makes a home of that app, its drafts or its candidates usable; hold the answer while it is used. It has
    /// the quota of what is live: the server's own would take away from a running app what was approved for it.
    /// `disk_offset` as in its launch spec.
    /// Errors: `Busy` when the server's disk is nearly full.
    pub(super) async fn hold_home(&self, app: i64, home: &Path, disk_offset: u32) -> Result<Ready> {
        let (disk, home, quota) = (self.runner().disk().clone(), home.to_owned(), self.limits_of(app)?.quota());
        let id = self.options().uid_base.unwrap_or_default().saturating_add(disk_offset);
        let work = move || {
            if let Some(why) = disk.floor() {
                return Err(Error::new(Kind::Busy, why).hint("The server's owner can free some room."));
            }
            disk.prepare(&home, id, quota).internal("while preparing an app's home")
        };
        tokio::task::spawn_blocking(work).await.internal("while preparing an app's home")?
    }

    /// Before a home's folder is removed. Nothing runs in it any more.
    pub(super) async fn give_up_home(&self, home: &Path) -> Result<()> {
        let (disk, home) = (self.runner().disk().clone(), home.to_owned());
        let work = move || disk.remove(&home).internal("while giving up an app's home");
        tokio::task::spawn_blocking(work).await.internal("while giving up an app's home")?
    }

    /// What an app's data takes, where the file system knows; `None` = it must be counted.
    pub(super) fn known_size(&self, home: &Path) -> Option<u64> {
        let disk = self.runner().disk();
        blocking(|| disk.is_known(home).then(|| disk.usage(home)).and_then(std::io::Result::ok))
            .map(|usage| usage.bytes)
    }
}

/// A home in a temporary folder, given up with it.
pub(super) struct Passing {
    disk: Disk,
    home: PathBuf,
    _folder: TempDir,
}

impl Passing {
    pub(super) fn new(disk: &Disk, folder: TempDir) -> Self {
        Self { disk: disk.clone(), home: folder.path().join("home"), _folder: folder }
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.home.with_file_name("logs")
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if let Err(error) = blocking(|| self.disk.remove(&self.home)) {
            tracing::warn!(home = %self.home.display(), %error, "a temporary home was left behind");
        }
    }
}
