//! When to renew, when to try again. Pure: the time and the dice are passed in.
use std::time::Duration;

use super::limits::{DAY, HOUR};
use crate::base::Millis;

/// The longest wait after failures.
const LONGEST: Millis = DAY;

/// Two thirds into its life, and up to a twentieth of it later, so that what was issued together is not renewed
/// together. `dice` is from 0 to 1.
pub fn renew_at(issued: Millis, expires: Millis, dice: f64) -> Millis {
    let life = expires.saturating_sub(issued).max(0);
    let late = (life as f64 / 20.0 * dice.clamp(0.0, 1.0)) as Millis;
    issued.saturating_add(life / 3 * 2).saturating_add(late)
}

/// A moment of the window that the authority suggests, always before the certificate is over. Not in its first hours:
/// an authority that wants each new one renewed at once would otherwise never come to an end.
pub fn suggested((start, end): (Millis, Millis), issued: Millis, expires: Millis, dice: f64) -> Millis {
    let width = end.saturating_sub(start).max(0);
    let at = start.saturating_add((width as f64 * dice.clamp(0.0, 1.0)) as Millis);
    // A window that begins late must not let it run out: the last tenth of its life is for trying again.
    let tenth = expires.saturating_sub(issued).max(0) / 10;
    at.max(issued.saturating_add(tenth.min(6 * HOUR))).min(expires.saturating_sub(tenth))
}

/// After that many failures in a row: doubling from `first`, at most a day, and up to a quarter more.
pub fn next_try(now: Millis, failures: u32, first: Duration, dice: f64) -> Millis {
    let first = Millis::try_from(first.as_millis()).unwrap_or(LONGEST).clamp(1, LONGEST);
    let wait = first.saturating_mul(1 << failures.saturating_sub(1).min(30)).min(LONGEST);
    now.saturating_add(wait).saturating_add((wait as f64 / 4.0 * dice.clamp(0.0, 1.0)) as Millis)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn at_two_thirds() {
        assert_eq!(renew_at(0, 90 * DAY, 0.0), 60 * DAY);
        assert_eq!(renew_at(0, 90 * DAY, 1.0), 60 * DAY + 90 * DAY / 20);
        assert_eq!(renew_at(1000, 1000 + 6 * DAY, 0.0), 1000 + 4 * DAY);
        // A broken certificate is due at once.
        assert_eq!(renew_at(5000, 1000, 0.5), 5000);
    }

    #[test]
    fn within_the_window_but_in_time() {
        assert_eq!(suggested((300, 400), 0, 1000, 0.5), 350);
        assert_eq!(suggested((400, 300), 0, 1000, 0.5), 400);
        assert_eq!(suggested((-10, 10), 0, 1000, 0.5), 100);
        assert_eq!(suggested((-10, 10), 0, 90 * DAY, 0.5), 6 * HOUR);
        assert_eq!(suggested((2000, 3000), 0, 1000, 0.5), 900);
    }

    #[test]
    fn doubling_up_to_a_day() {
        let minute = Duration::from_mins(1);
        for (failures, minutes) in
            [(0, 1), (1, 1), (2, 2), (3, 4), (5, 16), (11, 1024), (12, 1440), (4_000_000_000, 1440)]
        {
            assert_eq!(next_try(0, failures, minute, 0.0), minutes * 60_000, "{failures}");
        }
        assert_eq!(next_try(0, 1, minute, 1.0), 75_000);
    }

    proptest! {
        #[test]
        fn always_before_the_end(issued in 0..10 * DAY, life in 100..400 * DAY, dice in 0.0..=1.0f64, start in 0..500 * DAY, width in 0..9 * DAY) {
            let expires = issued + life;
            let at = renew_at(issued, expires, dice);
            prop_assert!(at >= issued + life / 3 * 2 && at < expires);
            let at = suggested((start, start + width), issued, expires, dice);
            let early = issued + (life / 10).min(6 * HOUR);
            prop_assert!(at < expires && at >= early && at <= early.max(start + width));
            prop_assert!(at >= start || at == expires - life / 10);
        }

        #[test]
        fn waits_never_shrink_and_never_overflow(now in any::<i64>(), failures in any::<u32>(), first in any::<u64>(), dice in any::<f64>()) {
            let first = Duration::from_millis(first);
            prop_assert!(next_try(now, failures, first, dice) >= now);
            prop_assert!(next_try(0, failures.saturating_add(1), first, 0.0) >= next_try(0, failures, first, 0.0));
        }
    }
}
