//! Who never rests goes after all others. An app that has used most of its share of the processors gives way at once
//! to any that has just woken; what nobody else wants is still its own.
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::app::App;
use super::child::Child;
use super::sandbox::cgroup::Group;
use super::table::Table;
use crate::base::Clock;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(250);
/// Of one processor: who uses less does not count.
const SOME: f64 = 0.01;
/// So much of its share makes an app a hog, and so much is rest. Apps that are none then use at most this part of the
/// machine together: what is left is the hogs', however many agree to starve one.
const HOG: f64 = 0.6;
const RESTED: f64 = 0.3;
/// So many looks at rest are rest.
const LOOKS: u32 = 8;

/// What is known of one child.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Habit {
    is_hog: bool,
    rested: u32,
    /// Seconds of a processor that it took before it went last, above its part. It stays last until they are made up
    /// for: else many that take turns would be all that ever runs.
    owes: f64,
}

impl Habit {
    /// `used`: seconds of processors since the last look; `due`: its share of them.
    fn next(self, used: f64, due: f64) -> Self {
        // What a hog gets, nobody else wanted.
        let taken = if self.is_hog { 0.0 } else { used };
        let owes = (self.owes + taken - HOG * due).max(0.0);
        let rested = if used < RESTED * due { self.rested + 1 } else { 0 };
        let is_hog = used >= HOG * due || owes > 0.0 || (self.is_hog && rested < LOOKS);
        Self { is_hog, rested, owes }
    }

    /// `busy`: processors, since the last look.
    fn is_at_work(self, busy: f64) -> bool {
        busy > SOME || self.owes > 0.0
    }
}

/// The processors that each app may keep busy, one at most: as many as there are for those at work.
fn share(processors: f64, working: usize) -> f64 {
    (processors / working.max(1) as f64).min(1.0)
}

/// What was seen of a child the last time.
struct Seen {
    child: Weak<Child>,
    used: Duration,
    at: Instant,
    habit: Habit,
}

/// Until the server stops or the table is gone.
pub async fn watch(table: Weak<Table>, stop: CancellationToken) {
    let mut seen = HashMap::new();
    let processors = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let Some(table) = table.upgrade() else { return };
        // It reads a file of the kernel's for every app that is awake.
        crate::base::task::blocking(|| look(&table.all(), &mut seen, processors));
    }
}

fn look(apps: &[Arc<App>], seen: &mut HashMap<usize, Seen>, processors: f64) {
    seen.retain(|_, seen| seen.child.strong_count() > 0);
    let mut looked = Vec::new();
    for child in apps.iter().filter_map(|app| app.child()) {
        let Some(used) = child.group().and_then(Group::processor_time) else { continue };
        let now = Clock::stopwatch();
        let new = || Seen { child: Arc::downgrade(&child), used, at: now, habit: Habit::default() };
        let seen = seen.entry(Arc::as_ptr(&child) as usize).or_insert_with(new);
        let time = now.duration_since(seen.at).as_secs_f64();
        if time > 0.0 {
            let taken = used.saturating_sub(seen.used).as_secs_f64();
            (seen.used, seen.at) = (used, now);
            looked.push((child, seen.habit, taken, time));
        }
    }
    let working = looked.iter().filter(|(_, habit, taken, time)| habit.is_at_work(taken / time)).count();
    let share = share(processors, working);
    for (child, before, taken, time) in looked {
        let (Some(group), Some(seen)) = (child.group(), seen.get_mut(&(Arc::as_ptr(&child) as usize))) else {
            continue;
        };
        seen.habit = before.next(taken, share * time);
        set(group, before, seen.habit);
    }
}

fn set(group: &Group, before: Habit, now: Habit) {
    if before.is_hog == now.is_hog {
        return;
    }
    // A kernel that cannot leaves all with the same share.
    if let Err(error) = group.go_last(now.is_hog) {
        tracing::debug!(%error, "a busy app cannot be sent behind the others");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(looks: &[f64]) -> bool {
        looks.iter().fold(Habit::default(), |habit, busy| habit.next(*busy, 1.0)).is_hog
    }

    #[test]
    fn who_is_busy_goes_last_until_it_has_rested_for_a_while() {
        assert!(!after(&[0.5, 0.59, 0.1]));
        assert!(after(&[2.0]));
        assert!(after(&[0.7, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]), "seven looks are too few");
        assert!(!after(&[0.7, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]));
        assert!(after(&[0.7, 0.0, 0.0, 0.0, 0.4, 0.0, 0.0, 0.0, 0.0]), "half at work is no rest");
    }

    #[test]
    fn those_that_are_no_hogs_leave_a_part_of_the_machine_however_they_agree() {
        assert_eq!(share(2.0, 0), 1.0);
        assert_eq!([2.0, 0.005].iter().filter(|busy| Habit::default().is_at_work(**busy)).count(), 1);
        for apps in 1..200 {
            for load in [0.02, 0.1, 0.24, 0.3, 0.59, 0.9] {
                let share = share(2.0, apps);
                let polite = (0..apps).filter(|_| !Habit::default().next(load, share).is_hog).count();
                assert!(load * polite as f64 <= 2.0 * HOG + 0.001, "{apps} apps of {load}");
            }
        }
    }

    /// Two of many take a processor each for one look, and rest while others do.
    #[test]
    fn those_that_take_turns_leave_it_too() {
        const LOOKED: u32 = 40_000;
        let look = LOOK.as_secs_f64();
        for apps in [2, 18, 60, 400] {
            let mut habits = vec![Habit::default(); apps];
            let mut first = 0.0;
            for n in 0..LOOKED {
                let bursts: Vec<usize> = (0..apps).filter(|at| !habits[*at].is_hog).take(2).collect();
                if n >= LOOKED / 2 {
                    first += bursts.len() as f64 * look;
                }
                let busy = |at: &usize| f64::from(u8::from(bursts.contains(at)));
                // And the one that they are to starve.
                let working = 1 + (0..apps).filter(|at| habits[*at].is_at_work(busy(at))).count();
                let due = share(2.0, working) * look;
                habits = (0..apps).map(|at| habits[at].next(busy(&at) * look, due)).collect();
            }
            let part = first / (2.0 * look * f64::from(LOOKED / 2));
            assert!(part < HOG + 0.01, "{apps} apps: {part}");
        }
    }
}
