//! What is counted of one app at its door. Kept while its rules change.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::gcra::Rate;
use crate::base::Millis;

/// Lines of refused requests a second; the others are added up and told with the next line.
const LINES: u32 = 5;
/// Between two remarks in the app's log about the same limit. Milliseconds.
const REMARK_EVERY: Millis = 60_000;

#[derive(Debug, Default)]
pub struct Meter {
    /// How far the app is ahead of its rate, as [`Rate::take`] counts.
    ahead: AtomicU64,
    /// Requests in progress.
    open: AtomicU64,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// The second of the newest lines, and how many it has.
    second: Millis,
    lines: u32,
    /// Refused without a line since then.
    silent: u64,
    remarked: Vec<(&'static str, Millis)>,
}

/// One request in progress; given back when dropped.
#[derive(Debug)]
pub struct Place(Arc<Meter>);

impl Meter {
    /// As [`Rate::take`], for everybody together.
    pub fn take(&self, rate: Rate, now: u64) -> Result<(), u64> {
        let mut wait = 0;
        let taken = self.ahead.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ahead| {
            rate.take(ahead, now).map_err(|refused| wait = refused).ok()
        });
        taken.map(drop).map_err(|_| wait)
    }

    /// `None` when `most` are in progress already.
    pub fn enter(self: &Arc<Self>, most: u64) -> Option<Place> {
        let more = |open: u64| (open < most).then_some(open + 1);
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place(Arc::clone(self)))
    }

    /// One was refused at `now`. `Some`: it gets a line in the request log, which speaks for so many more.
    pub fn refused(&self, now: Millis) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.second != now / 1000 {
            (told.second, told.lines) = (now / 1000, 0);
        }
        if told.lines >= LINES {
            told.silent += 1;
            return None;
        }
        told.lines += 1;
        Some(std::mem::take(&mut told.silent))
    }

    /// Whether it is time to say in the app's log again that this limit was met.
    pub fn worth_a_remark(&self, limit: &'static str, now: Millis) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.remarked.retain(|(_, at)| now - at < REMARK_EVERY);
        let known = told.remarked.iter().any(|(name, _)| *name == limit);
        if !known {
            told.remarked.push((limit, now));
        }
        !known
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let meter = Arc::new(Meter::default());
        let (one, two) = (meter.enter(2), meter.enter(2));
        assert!(one.is_some() && two.is_some() && meter.enter(2).is_none());
        drop(one);
        assert!(meter.enter(2).is_some_and(|_| meter.enter(2).is_none()));
        drop(two);
        assert_eq!(meter.open.load(Ordering::Relaxed), 0);
        assert!(meter.enter(0).is_none());
    }

    #[test]
    fn a_flood_of_refusals_is_a_few_lines_that_speak_for_all() {
        let meter = Meter::default();
        let lines: Vec<u64> = (0..10_000).filter_map(|n| meter.refused(1_000 + n / 100)).collect();
        assert_eq!(lines, [0, 0, 0, 0, 0], "all in one second");
        assert_eq!(meter.refused(2_000), Some(9_995));
        assert_eq!(meter.refused(2_001), Some(0));
        assert!(meter.worth_a_remark("rate", 0) && !meter.worth_a_remark("rate", 59_999));
        assert!(meter.worth_a_remark("concurrency", 59_999) && meter.worth_a_remark("rate", 60_000));
    }

    #[test]
    fn an_app_has_one_rate_for_all_threads() {
        let (meter, rate) = (Meter::default(), Rate::new(u64::MAX / 1000, 50));
        let passed: usize = std::thread::scope(|scope| {
            let many: Vec<_> =
                (0..8).map(|_| scope.spawn(|| (0..100).filter(|_| meter.take(rate, 1).is_ok()).count())).collect();
            many.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(passed, 50);
        assert_eq!(meter.take(rate, 1), Err(u64::MAX / 1000));
    }
}
