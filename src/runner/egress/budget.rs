//! How many bytes an app may move to and from the world in a day, over all its processes.
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::{Clock, Millis};

const DAY: Millis = 24 * 3600 * 1000;

/// Kept in memory: a restart of the server begins a new day.
pub struct Budget {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Bytes a day; 0 = no limit.
    most: u64,
    day: Millis,
    used: u64,
}

impl Budget {
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// Sets the bytes of a day; 0 = no limit.
    pub fn limit(&self, most: u64) {
        self.today().most = most;
    }

    /// Counts bytes that have moved; false when they were more than the day has.
    pub fn spend(&self, bytes: usize) -> bool {
        let mut state = self.today();
        state.used = state.used.saturating_add(bytes as u64);
        state.most == 0 || state.used <= state.most
    }

    /// Why nothing more may move today, as a sentence.
    pub fn exhausted(&self) -> Option<String> {
        let state = self.today();
        let gone = state.most > 0 && state.used >= state.most;
        gone.then(|| format!("{} MiB have moved today (UTC), and that is the limit of a day.", state.most >> 20))
    }

    fn today(&self) -> MutexGuard<'_, State> {
        let day = self.clock.now().div_euclid(DAY);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.day != day {
            (state.day, state.used) = (day, 0);
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_day_has_so_many_bytes_and_the_next_as_many_again() {
        let clock = Clock::manual(5 * DAY + 1000);
        let budget = Budget::new(clock.clone());
        assert!(budget.spend(1 << 30) && budget.exhausted().is_none(), "no limit");
        budget.limit((1 << 30) + (3 << 20));
        assert!(budget.spend(3 << 20));
        assert!(budget.exhausted().is_some_and(|why| why.starts_with("1027 MiB")));
        assert!(!budget.spend(1));
        clock.advance(Duration::from_secs(24 * 3600));
        assert!(budget.exhausted().is_none() && budget.spend(1));
    }
}
