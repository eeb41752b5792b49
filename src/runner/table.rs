//! The apps that are known, and what their children have in common.
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use super::app::{App, Common};
use super::egress::Egress;
use super::launch::Base;
use super::logs::Logs;
use super::pool::Pool;
use super::sandbox::cgroup::Cgroups;
use super::sandbox::tier::{Confinement, Tier};
use super::sandbox::{disk, probe};
use super::spares::Spares;
use super::zygote::Zygote;
use super::{AppKey, LaunchSpec, Options, pressure, sweep};
use crate::base::{Clock, Error, Kind, Result, ResultExt as _, Tasks};

pub struct Table {
    common: Arc<Common>,
    /// Immutable and swapped whole, under the lock of `known`: requests look in here without any.
    apps: ArcSwap<HashMap<AppKey, Arc<App>>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Trials: not in the table, but to be stopped with the rest.
    outside: Vec<Weak<App>>,
    /// One writer per log folder, whoever writes there; of apps in the table.
    logs: HashMap<PathBuf, Logs>,
}

impl Table {
    pub fn start(options: Options, clock: Clock, tasks: Tasks) -> Result<Self> {
        crate::base::fs::make_dir(&options.scratch, 0o711).internal("while preparing the runner")?;
        let cgroups = Cgroups::probe(&options.instance).for_data(&options.scratch);
        sweep::at_start(&options.scratch, &options.instance, &cgroups)
            .internal("while sweeping what an earlier run left")?;
        let (base, zygote, weaker) = strongest(&options, &tasks)?;
        let spares = Spares::new(zygote, tasks.clone(), cgroups.clone(), options.spares);
        let pool = Pool::new(spares.clone(), tasks.clone(), base.clone(), options.clone());
        let egress = Egress::new(tasks.clone(), options.private_hosts.clone());
        let data_root = options.scratch.parent().unwrap_or(&options.scratch);
        let can_mount = base.tier == Tier::Full && disk::has_own_mounts();
        let disk = disk::Disk::probe(data_root, &options.scratch, can_mount);
        let counter = AtomicU64::new(0);
        let common = Common {
            options,
            clock,
            tasks,
            cgroups,
            disk,
            spares,
            pool,
            egress,
            base,
            weaker,
            counter,
            registry: Default::default(),
            swaps: pressure::swap().0 > 0,
            reclaims: Semaphore::new(1),
        };
        Ok(Self { common: Arc::new(common), apps: ArcSwap::default(), known: Mutex::default() })
    }

    /// For people: how strong the walls are here.
    pub fn confinement(&self) -> Confinement {
        let common = &self.common;
        probe::confinement(&probe::Found {
            tier: Some(common.base.tier),
            weaker: &common.weaker,
            maps_owners: common.base.mapped,
            uid_base: common.options.uid_base,
            cgroups: &common.cgroups,
            disk: Some(&common.disk),
        })
    }

    pub fn common(&self) -> &Arc<Common> {
        &self.common
    }

    pub fn get(&self, key: &AppKey) -> Option<Arc<App>> {
        self.apps.load().get(key).cloned()
    }

    pub fn take(&self, key: &AppKey) -> Option<Arc<App>> {
        let mut known = self.lock();
        let app = self.get(key)?;
        let mut apps = HashMap::clone(&self.apps.load());
        apps.remove(key);
        self.apps.store(Arc::new(apps));
        known.logs.remove(app.logs().dir());
        Some(app)
    }

    /// Makes it known, asleep.
    pub fn insert(&self, spec: LaunchSpec) -> Arc<App> {
        self.insert_all(vec![spec]).swap_remove(0)
    }

    /// Makes them known with one swap, in the same order.
    pub fn insert_all(&self, specs: Vec<LaunchSpec>) -> Vec<Arc<App>> {
        let mut known = self.lock();
        let mut apps = HashMap::clone(&self.apps.load());
        apps.reserve(specs.len());
        let made: Vec<Arc<App>> = specs
            .into_iter()
            .map(|spec| {
                let key = spec.key.clone();
                let logs = known.logs.entry(spec.logs.clone()).or_insert_with(|| self.logs(&spec)).clone();
                let app = App::new(self.common.clone(), spec, logs);
                apps.insert(key, app.clone());
                app
            })
            .collect();
        self.apps.store(Arc::new(apps));
        made
    }

    /// One that requests cannot reach.
    pub fn outside(&self, spec: LaunchSpec) -> Arc<App> {
        let n = self.common.counter.fetch_add(1, Ordering::Relaxed);
        let mut known = self.lock();
        let key = AppKey(format!("{}-trial{n}", spec.key.0));
        // A trial's own logs are forgotten with it: they hold open files.
        let logs = known.logs.get(&spec.logs).cloned().unwrap_or_else(|| self.logs(&spec));
        let app = App::new(self.common.clone(), LaunchSpec { key, ..spec }, logs);
        known.outside.retain(|w| w.strong_count() > 0);
        known.outside.push(Arc::downgrade(&app));
        app
    }

    fn logs(&self, spec: &LaunchSpec) -> Logs {
        Logs::new(&spec.logs, spec.limits.log_bytes, self.common.clock.clone())
    }

    pub fn all(&self) -> Vec<Arc<App>> {
        let known = self.lock();
        self.apps.load().values().cloned().chain(known.outside.iter().filter_map(Weak::upgrade)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stronger tiers that were tried, and the step that failed.
pub type Tried = Vec<(Tier, String)>;

/// The strongest walls this machine lets us build, and why stronger ones could not be.
fn strongest(options: &Options, tasks: &Tasks) -> Result<(Base, Zygote, Tried)> {
    let mut weaker = Vec::new();
    for tier in probe::candidates(options.tier, options.uid_base) {
        let (mut base, setup) = Base::prepare(options, tier).internal("while preparing the runner")?;
        match Zygote::start(options.steady.clone(), setup, tasks.clone()) {
            Ok(zygote) => {
                base.mapped = zygote.maps_owners();
                return Ok((base, zygote, weaker));
            }
            Err(why) => weaker.push((tier, why.to_string())),
        }
    }
    let why: Vec<String> = weaker.iter().map(|(tier, why)| format!("  {}: {why}", tier.name())).collect();
    let what = format!("this machine cannot confine programs, so no app may run here. Missing:\n{}", why.join("\n"));
    Err(Error::new(Kind::Conflict, what).hint("`steady doctor` says what to do about each."))
}

/// Takes an app out of the table again when dropped, unless kept.
pub struct Forget<'a> {
    table: &'a Table,
    key: Option<AppKey>,
}

impl<'a> Forget<'a> {
    pub fn new(table: &'a Table, key: &AppKey) -> Self {
        Self { table, key: Some(key.clone()) }
    }
    pub fn keep(mut self) {
        self.key = None;
    }
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some(app) = self.key.take().and_then(|key| self.table.take(&key)) {
            app.event(super::supervisor::Event::Remove);
        }
    }
}
