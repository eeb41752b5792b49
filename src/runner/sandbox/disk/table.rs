//! The homes that were used: by how many now, when last, and what was found.
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::walk::Counted;
use super::{Quota, Usage, loops};

#[derive(Default)]
pub struct Table(Mutex<Known>);

#[derive(Default)]
struct Known {
    homes: HashMap<PathBuf, Entry>,
    /// Rises with every use.
    now: u64,
}

#[derive(Default)]
struct Entry {
    /// Held while the home is changed: one at a time.
    turn: Arc<Mutex<()>>,
    users: usize,
    used: u64,
    quota: Option<Quota>,
    /// Device of the image mounted on it, and what was said about its quota.
    device: Option<u64>,
    said: Option<String>,
    counted: Option<Counted>,
    /// When it was unmounted.
    last: Option<Usage>,
}

impl Table {
    /// One user more. The lock is for the work that follows.
    pub fn enter(&self, home: &Path) -> Arc<Mutex<()>> {
        let mut known = self.lock();
        known.now += 1;
        let now = known.now;
        let entry = known.homes.entry(home.to_owned()).or_default();
        entry.users += 1;
        entry.used = now;
        entry.turn.clone()
    }

    pub fn leave(&self, home: &Path) {
        if let Some(entry) = self.lock().homes.get_mut(home) {
            entry.users = entry.users.saturating_sub(1);
        }
    }

    pub fn users(&self, home: &Path) -> usize {
        self.lock().homes.get(home).map_or(0, |entry| entry.users)
    }

    /// What a preparation led to.
    pub fn remember(&self, home: &Path, quota: Quota, said: Option<String>) {
        let device = loops::mounted_device(home).ok().flatten();
        self.change(home, |entry| {
            entry.quota = Some(quota);
            entry.device = device;
            entry.said = said;
        });
    }

    /// Whether the image that was prepared is mounted still, with this quota in force: nothing is to be done.
    pub fn is_as_left(&self, home: &Path, quota: Quota) -> bool {
        let left = self.lock().homes.get(home).and_then(|entry| {
            // What could not be given then may be given now.
            (entry.quota == Some(quota) && entry.said.is_none()).then_some(entry.device?)
        });
        left.is_some() && loops::mounted_device(home).ok().flatten() == left
    }

    pub fn unmounted(&self, home: &Path) {
        self.change(home, |entry| entry.device = None);
    }

    pub fn note(&self, home: &Path, counted: Counted) {
        self.change(home, |entry| entry.counted = Some(counted));
    }

    pub fn was(&self, home: &Path, usage: Usage) {
        self.change(home, |entry| entry.last = Some(usage));
    }

    pub fn last(&self, home: &Path) -> Option<Usage> {
        self.lock().homes.get(home)?.last
    }

    fn change(&self, home: &Path, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.lock().homes.get_mut(home) {
            change(entry);
        }
    }

    pub fn quota(&self, home: &Path) -> Option<Quota> {
        self.lock().homes.get(home)?.quota
    }

    pub fn counted(&self, home: &Path) -> Option<Counted> {
        self.lock().homes.get(home)?.counted
    }

    pub fn forget(&self, home: &Path) {
        let mut known = self.lock();
        // Somebody may have come back in between.
        if known.homes.get(home).is_some_and(|entry| entry.users == 0) {
            known.homes.remove(home);
        }
    }

    /// Does `work` while nobody uses the home and nobody begins to.
    pub fn alone<T>(&self, home: &Path, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let turn = self.lock().homes.entry(home.to_owned()).or_default().turn.clone();
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Who enters from now on waits for the turn, and prepares anew.
        if self.lock().homes.get(home).is_some_and(|entry| entry.users > 0) {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, format!("{} is in use", home.display())));
        }
        work()
    }

    /// Mounted homes without users, the longest unused first, as many as there are mounted above `most`.
    pub fn above(&self, most: usize) -> Vec<PathBuf> {
        let known = self.lock();
        if known.homes.len() <= most {
            return Vec::new();
        }
        let mounted = known.homes.iter().filter(|(_, entry)| entry.device.is_some());
        let mounted: Vec<_> = mounted.collect();
        let extra = mounted.len().saturating_sub(most);
        let mut idle: Vec<_> = mounted.into_iter().filter(|(_, entry)| entry.users == 0).collect();
        idle.sort_by_key(|(_, entry)| entry.used);
        idle.into_iter().take(extra).map(|(home, _)| home.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
