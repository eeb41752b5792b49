//! The generic cell rate algorithm: one number tells how far somebody is ahead of a rate. Pure.
//! Times are nanoseconds since any fixed moment.

/// So many a second, and so many at once after a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Between two of them, when they come evenly.
    interval: u64,
    /// How far ahead of that one may be.
    tolerance: u64,
    burst: u64,
}

const SECOND: u64 = 1_000_000_000;
/// Fewest at once: a page asks for its pictures all together.
const LEAST_BURST: u64 = 10;

impl Rate {
    /// With bursts of two seconds' worth, and at least ten. `per_second` is at least 1.
    pub fn per_second(per_second: u64) -> Self {
        let per_second = per_second.clamp(1, SECOND);
        Self::new(SECOND / per_second, per_second.saturating_mul(2).max(LEAST_BURST))
    }

    pub fn new(interval: u64, burst: u64) -> Self {
        let burst = burst.max(1);
        Self { interval, tolerance: interval.saturating_mul(burst - 1), burst }
    }

    pub fn burst(self) -> u64 {
        self.burst
    }

    /// One more at `now`, of somebody whose number is `ahead`: their next number, or (`Err`) how long to wait, in
    /// nanoseconds, until one is let through; then nothing has changed.
    pub fn take(self, ahead: u64, now: u64) -> Result<u64, u64> {
        let ahead = ahead.max(now);
        let earliest = ahead.saturating_sub(self.tolerance);
        if now < earliest { Err(earliest - now) } else { Ok(ahead.saturating_add(self.interval)) }
    }
}

impl Rate {
    /// The number as it was before one that is not to count.
    pub fn back(self, ahead: u64) -> u64 {
        ahead.saturating_sub(self.interval)
    }
}

/// Whole seconds for `Retry-After`: never too early.
pub fn seconds(wait: u64) -> u32 {
    u32::try_from(wait.div_ceil(SECOND)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_and_then_evenly() {
        let rate = Rate::new(100, 3);
        let mut ahead = 0;
        let mut take = |now| {
            let taken = rate.take(ahead, now);
            ahead = taken.unwrap_or(ahead);
            taken.err()
        };
        assert_eq!([take(1000), take(1000), take(1000)], [None; 3]);
        assert_eq!(take(1000), Some(100));
        assert_eq!(take(1099), Some(1));
        assert_eq!(take(1100), None);
        assert_eq!(take(1100), Some(100));
        assert_eq!([take(9000), take(9000), take(9000), take(9000)], [None, None, None, Some(100)]);
    }

    #[test]
    fn waits_are_said_in_whole_seconds() {
        assert_eq!(
            [seconds(0), seconds(1), seconds(SECOND), seconds(SECOND + 1), seconds(u64::MAX)][..4],
            [1, 1, 1, 2]
        );
        assert_eq!((Rate::per_second(1).burst(), Rate::per_second(50).burst()), (10, 100));
    }

    proptest! {
        /// In any span of time no more pass than the burst and what the rate gives in it, whatever the rhythm.
        #[test]
        fn never_more_than_burst_and_rate(
            interval in 1..1000u64, burst in 1..20u64, gaps in proptest::collection::vec(0..3000u64, 1..200),
        ) {
            let rate = Rate::new(interval, burst);
            let (mut ahead, mut now) = (0, 5_000);
            let mut passed = Vec::new();
            for gap in gaps {
                now += gap;
                if let Ok(next) = rate.take(ahead, now) {
                    ahead = next;
                    passed.push(now);
                }
            }
            for (first, start) in passed.iter().enumerate() {
                for (last, end) in passed.iter().enumerate().skip(first) {
                    let most = burst + (end - start) / interval;
                    prop_assert!((last - first + 1) as u64 <= most, "{} from {start} to {end}", last - first + 1);
                }
            }
        }

        /// Who waits as long as was said is let through, and a nanosecond earlier is not.
        #[test]
        fn the_wait_is_exact(interval in 1..1000u64, burst in 1..20u64, ahead in 0..50_000u64, now in 0..20_000u64) {
            let rate = Rate::new(interval, burst);
            if let Err(wait) = rate.take(ahead, now) {
                prop_assert!(rate.take(ahead, now + wait).is_ok());
                prop_assert!(rate.take(ahead, now + wait - 1).is_err());
            }
        }

        /// Who keeps to the rate is never refused.
        #[test]
        fn an_even_pace_always_passes(interval in 1..1000u64, burst in 1..20u64, more in proptest::collection::vec(0..50u64, 1..100)) {
            let rate = Rate::new(interval, burst);
            let (mut ahead, mut now) = (0, 0);
            for extra in more {
                now += interval + extra;
                ahead = rate.take(ahead, now).expect("in time");
            }
        }
    }
}
