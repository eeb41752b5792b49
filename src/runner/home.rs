//! A child's home: made fit before the child starts, and counted while it runs where only that holds its quota.
use std::path::PathBuf;
use std::time::Duration;

use super::app::Common;
use super::logs::Logs;
use super::sandbox::disk::{Disk, Kind, Quota, Ready};
use super::{LaunchSpec, Limits};

/// How often a home is counted while its app runs.
const COUNTED_EVERY: Duration = Duration::from_secs(30);

impl Limits {
    pub fn quota(&self) -> Quota {
        Quota { bytes: self.disk_bytes, files: self.files }
    }
}

/// Before a child starts. Errors: one sentence that says why it cannot.
pub async fn ready(common: &Common, spec: &LaunchSpec, logs: &Logs) -> Result<Ready, String> {
    let (disk, home, quota) = (common.disk.clone(), spec.home.clone(), spec.limits.quota());
    let id = common.options.uid_base.saturating_add(spec.disk_offset);
    let ready = work(move || fit(&disk, home, id, quota)).await??;
    if let Some(note) = ready.note() {
        logs.remark(&spec.version, note);
    }
    Ok(ready)
}

fn fit(disk: &Disk, home: PathBuf, id: u32, quota: Quota) -> Result<Ready, String> {
    if let Some(why) = disk.floor() {
        return Err(why);
    }
    let ready = disk.prepare(&home, id, quota).map_err(|e| e.to_string())?;
    // Something may have been deleted since it was found to be too much.
    if disk.over_limit(&home).is_some() {
        disk.count(&home).map_err(|e| format!("the app's data cannot be counted: {e}"))?;
    }
    disk.over_limit(&home).map_or(Ok(ready), Err)
}

/// Ends when the home is above its quota, with a sentence; never where the file system stops it.
pub async fn until_above(common: &Common, spec: &LaunchSpec) -> String {
    if common.disk.active() != Kind::Accounting {
        return std::future::pending().await;
    }
    loop {
        let (disk, home) = (common.disk.clone(), spec.home.clone());
        let looked = work(move || {
            if let Err(error) = disk.count(&home) {
                tracing::warn!(home = %home.display(), %error, "a home could not be counted");
            }
            disk.over_limit(&home)
        });
        if let Ok(Some(why)) = looked.await {
            return format!("stopped: {why}");
        }
        tokio::time::sleep(COUNTED_EVERY).await;
    }
}

/// Says in the log when a full quota or disk may be why a child ended badly.
pub async fn explain(common: &Common, spec: &LaunchSpec, logs: &Logs) {
    let (disk, home) = (common.disk.clone(), spec.home.clone());
    if let Ok(Some(why)) = work(move || disk.explain(&home)).await {
        logs.remark(&spec.version, &why);
    }
}

async fn work<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|e| e.to_string())
}
