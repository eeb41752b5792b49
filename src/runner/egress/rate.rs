//! How often something may happen: so many at once, so many a second after that.
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::base::Clock;

pub struct Rate {
    /// Between two.
    every: Duration,
    burst: u32,
    /// When all of the burst is there again.
    full: Mutex<Instant>,
}

impl Rate {
    pub fn new(per_second: u32, burst: u32) -> Self {
        Self { every: Duration::from_secs(1) / per_second.max(1), burst, full: Mutex::new(Clock::stopwatch()) }
    }

    /// Waits for its turn.
    pub async fn turn(&self) {
        let wait = self.take(Clock::stopwatch());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes a place and says how long to wait for it.
    fn take(&self, now: Instant) -> Duration {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        *full = (*full).max(now) + self.every;
        full.duration_since(now).saturating_sub(self.every * self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_each_waits_its_turn() {
        let rate = Rate::new(10, 3);
        let now = Clock::stopwatch();
        let waits: Vec<_> = (0..5).map(|_| rate.take(now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 100, 200]);
        assert_eq!(rate.take(now + Duration::from_secs(9)).as_millis(), 0);
    }
}
