//! When the machine runs short of memory, the least recently used apps go first.
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::app::App;
use super::sandbox::cgroup::{Cgroups, Stall};
use super::supervisor::{Event, Phase};
use super::table::Table;
use crate::base::Millis;

/// What should be left free: one part in so many of all there is. When programs wait for memory already,
/// when nothing says so, and when even apps in use may have to go.
const STALLED: u64 = 12;
const QUIET: u64 = 25;
const DIRE: u64 = 40;
/// How often it is looked at when the kernel tells of waiting, and when it does not.
const LOOK: Duration = Duration::from_secs(5);
const LOOK_OFTEN: Duration = Duration::from_secs(1);
/// How long an app may take to go before the next one must.
const GOING: Duration = Duration::from_secs(5);
/// Apps stopped at one go; then it is waited for another sign.
const AT_ONCE: usize = 256;

/// Bytes of memory: all that may be used here, and what can be had of it without swapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub total: u64,
    pub free: u64,
}

/// Where the memory is watched.
pub trait Gauge: Send + Sync {
    /// Returns when it is worth a look; true when the kernel says that programs wait for memory.
    fn sign(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;
    /// Now; `None` when it cannot be told.
    fn room(&self) -> Option<Room>;
}

/// This machine, or the container or service that Steady is in.
pub struct Kernel {
    stall: Option<Stall>,
    cgroups: Cgroups,
}

impl Kernel {
    /// Inside the runtime.
    pub fn new(cgroups: &Cgroups) -> Self {
        let machine = Path::new("/proc/pressure/memory");
        let open = |path: &Path| Stall::open(path).inspect_err(|error| tracing::debug!(%error, "no memory trigger"));
        let own = cgroups.pressure_file().and_then(|file| open(&file).ok());
        Self { stall: own.or_else(|| open(machine).ok()), cgroups: cgroups.clone() }
    }
}

impl Gauge for Kernel {
    fn sign(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async {
            let Some(stall) = &self.stall else {
                tokio::time::sleep(LOOK_OFTEN).await;
                return false;
            };
            match tokio::time::timeout(LOOK, stall.next()).await {
                Ok(Ok(())) => true,
                Ok(Err(_)) => {
                    tokio::time::sleep(LOOK_OFTEN).await;
                    false
                }
                Err(_) => false,
            }
        })
    }

    fn room(&self) -> Option<Room> {
        let info = std::fs::read_to_string("/proc/meminfo").ok()?;
        let machine = Room { total: kib(&info, "MemTotal:")? << 10, free: kib(&info, "MemAvailable:")? << 10 };
        let outer = self.cgroups.tightest().map(|(total, free)| Room { total, free });
        Some(outer.filter(|outer| outer.free < machine.free).unwrap_or(machine))
    }
}

/// Bytes of swap: all there is, and what is free.
pub fn swap() -> (u64, u64) {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let bytes = |name| kib(&info, name).unwrap_or(0) << 10;
    (bytes("SwapTotal:"), bytes("SwapFree:"))
}

fn kib(info: &str, name: &str) -> Option<u64> {
    info.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// An app that could be stopped, as far as the choice needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Since when it has no request in flight; `None`: it has.
    pub quiet_since: Option<Millis>,
    /// It has connections to the world, or said that it works in the background.
    pub engaged: bool,
    /// Bytes it holds.
    pub memory: u64,
}

impl Standing {
    /// Who goes first: idle ones, then those that may be at work, those in use last.
    fn rank(&self) -> (u8, Millis) {
        match self.quiet_since {
            Some(since) => (u8::from(self.engaged), since),
            None => (2, 0),
        }
    }
}

/// The place of the next to go.
fn next(all: &[Standing], dire: bool) -> Option<usize> {
    let may = all.iter().enumerate().filter(|(_, app)| dire || app.quiet_since.is_some());
    may.min_by_key(|(_, app)| app.rank()).map(|(n, _)| n)
}

/// Watches until the server stops.
pub async fn watch(table: Arc<Table>, gauge: Arc<dyn Gauge>) {
    let stop = table.common().tasks.stopping();
    loop {
        let stalled = tokio::select! {
            stalled = gauge.sign() => stalled,
            () = stop.cancelled() => return,
        };
        for _ in 0..AT_ONCE {
            let Some(room) = gauge.room() else { break };
            let least = room.total / if stalled { STALLED } else { QUIET };
            if room.free >= least || stop.is_cancelled() || !relieve(&table, room).await {
                break;
            }
        }
    }
}

/// Ends the processes that wait for an app, else stops one app; false when none may go.
async fn relieve(table: &Table, room: Room) -> bool {
    // What waits for nobody in particular is missed least.
    if table.common().pool.shed().await {
        tracing::warn!("memory is short: no processes wait for apps any more, for a while");
        return true;
    }
    let mut apps: Vec<(Arc<App>, Standing)> =
        table.all().into_iter().filter_map(|app| app.standing().map(|standing| (app, standing))).collect();
    let standings: Vec<Standing> = apps.iter().map(|(_, standing)| *standing).collect();
    let Some(at) = next(&standings, room.free < room.total / DIRE) else { return false };
    let (app, standing) = apps.swap_remove(at);
    drop(apps);
    let spec = app.spec();
    tracing::warn!(
        app = spec.key.0,
        held_mib = standing.memory >> 20,
        free_mib = room.free >> 20,
        of_mib = room.total >> 20,
        in_use = standing.quiet_since.is_none(),
        "memory is short: the least recently used app is stopped"
    );
    app.logs()
        .remark(&spec.version, "stopping: the server is short of memory, and nobody used this for the longest time");
    app.event(Event::Shed);
    app.until(GOING, |phase| matches!(phase, Phase::Asleep | Phase::Starting { .. } | Phase::Crashed { .. })).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn app(quiet_since: Option<Millis>, engaged: bool) -> Standing {
        Standing { quiet_since, engaged, memory: 1 }
    }

    #[test]
    fn the_least_recently_used_goes_first_and_those_in_use_last() {
        let all = [app(Some(30), false), app(None, false), app(Some(10), true), app(Some(20), false)];
        assert_eq!(next(&all, false), Some(3));
        assert_eq!(next(&all[..3], true), Some(0), "idle before what may be at work");
        assert_eq!(next(&all[1..3], true), Some(1), "at work before in use");
        assert_eq!(next(&all[1..2], false), None, "in use stays while it is not dire");
        assert_eq!(next(&all[1..2], true), Some(0));
        assert_eq!(next(&[], true), None);
    }

    proptest! {
        #[test]
        fn nobody_in_use_goes_while_another_could(
            all in prop::collection::vec((prop::option::of(0i64..50), any::<bool>()), 0..20), dire: bool,
        ) {
            let all: Vec<Standing> = all.into_iter().map(|(since, engaged)| app(since, engaged)).collect();
            match next(&all, dire) {
                Some(n) if all[n].quiet_since.is_none() => {
                    let alone = all.iter().all(|app| app.quiet_since.is_none());
                    prop_assert!(dire && alone);
                }
                Some(n) => {
                    let later = |app: &Standing| app.quiet_since.is_none() || app.quiet_since >= all[n].quiet_since;
                    let fair = all.iter().all(|app| app.engaged != all[n].engaged || later(app));
                    prop_assert!(fair);
                }
                None => {
                    let in_use = all.iter().all(|app| app.quiet_since.is_none());
                    prop_assert!(in_use && (!dire || all.is_empty()));
                }
            }
        }
    }

    #[tokio::test]
    async fn this_machine_can_be_read() {
        let room = Kernel::new(&Cgroups::None { why: "a test".into() }).room().unwrap();
        assert!(room.total > 1 << 20 && room.free > 0 && room.free <= room.total, "{room:?}");
        assert!(swap().1 <= swap().0);
    }
}
