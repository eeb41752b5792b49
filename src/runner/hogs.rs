//! Who never rests goes after all others. An app that has kept a processor busy for a while gives way at once to any
//! that has just woken, and to the proxy; what nobody else wants is still its own.
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
/// Of one processor, between two looks: from here on it is one, and down from there it may be none any more.
const HOG: f64 = 0.6;
const RESTED: f64 = 0.3;
/// So many looks at rest are rest.
const LOOKS: u32 = 8;

/// What is known of one child.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Habit {
    is_hog: bool,
    rested: u32,
}

impl Habit {
    /// `busy`: of one processor, since the last look.
    fn next(self, busy: f64) -> Self {
        let rested = if busy < RESTED { self.rested + 1 } else { 0 };
        let is_hog = busy >= HOG || (self.is_hog && rested < LOOKS);
        Self { is_hog, rested }
    }
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
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let Some(table) = table.upgrade() else { return };
        look(&table.all(), &mut seen);
    }
}

fn look(apps: &[Arc<App>], seen: &mut HashMap<usize, Seen>) {
    seen.retain(|_, seen| seen.child.strong_count() > 0);
    for child in apps.iter().filter_map(|app| app.child()) {
        let Some((group, used)) = child.group().and_then(|group| Some((group, group.processor_time()?))) else {
            continue;
        };
        let now = Clock::stopwatch();
        let new = || Seen { child: Arc::downgrade(&child), used, at: now, habit: Habit::default() };
        let seen = seen.entry(Arc::as_ptr(&child) as usize).or_insert_with(new);
        let time = now.duration_since(seen.at).as_secs_f64();
        if time > 0.0 {
            let busy = used.saturating_sub(seen.used).as_secs_f64() / time;
            let habit = seen.habit.next(busy);
            set(group, seen.habit, habit);
            (seen.used, seen.at, seen.habit) = (used, now, habit);
        }
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
        looks.iter().fold(Habit::default(), |habit, busy| habit.next(*busy)).is_hog
    }

    #[test]
    fn who_is_busy_goes_last_until_it_has_rested_for_a_while() {
        assert!(!after(&[0.5, 0.59, 0.1]));
        assert!(after(&[2.0]));
        assert!(after(&[0.7, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]), "seven looks are too few");
        assert!(!after(&[0.7, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]));
        assert!(after(&[0.7, 0.0, 0.0, 0.0, 0.4, 0.0, 0.0, 0.0, 0.0]), "half at work is no rest");
    }
}
