//! Which snapshots stay: all of the last hour, then one an hour, a day, a week, a month. Pure.
use std::collections::BTreeSet;

use crate::base::Millis;

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;

/// One that there is.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    pub moment: u64,
    pub taken: Millis,
    /// By name, by a deploy that is listed, or because it undoes a restore: it stays as long as that.
    pub pinned: bool,
}

/// For how long one of each span stays.
const SPANS: [(Millis, Millis); 4] = [(HOUR, 2 * DAY), (DAY, 14 * DAY), (7 * DAY, 60 * DAY), (30 * DAY, 400 * DAY)];

/// The moments that stay; always the newest.
pub fn stay(all: &[Kept], now: Millis) -> BTreeSet<u64> {
    let mut stays: BTreeSet<u64> =
        all.iter().filter(|kept| kept.pinned || now - kept.taken < HOUR).map(|kept| kept.moment).collect();
    stays.extend(all.iter().max_by_key(|kept| kept.moment).map(|kept| kept.moment));
    for (span, reach) in SPANS {
        let mut seen = BTreeSet::new();
        // The oldest of a span: which one it is does not change while the span fills.
        let mut old_first: Vec<_> = all.iter().filter(|kept| now - kept.taken < reach).collect();
        old_first.sort_by_key(|kept| kept.moment);
        for kept in old_first {
            if seen.insert(kept.taken.div_euclid(span)) {
                stays.insert(kept.moment);
            }
        }
    }
    stays
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Thinning out day after day leaves, of any age, one within a span of that age's size.
        #[test]
        fn every_age_has_one(minutes in 10i64..200, days in 1i64..90) {
            let mut all: Vec<Kept> = Vec::new();
            let (mut now, end) = (0, days * DAY);
            let mut moment = 0;
            while now < end {
                now += minutes * MINUTE;
                moment += 1;
                all.push(Kept { moment, taken: now, pinned: false });
                let stays = stay(&all, now);
                all.retain(|kept| stays.contains(&kept.moment));
            }
            prop_assert!(all.len() < 60 + 24 * 2 + 14 + 9 + 14 + 8, "{} stay", all.len());
            for (age, within) in [(HOUR, 2 * HOUR), (DAY, 2 * HOUR), (10 * DAY, 2 * DAY), (30 * DAY, 8 * DAY)] {
                let within = within + 2 * minutes * MINUTE;
                let near = all.iter().any(|kept| (now - kept.taken - age).abs() <= within);
                prop_assert!(near || now < age + within, "none is {age} ms old");
            }
        }
    }

    #[test]
    fn what_is_pinned_stays() {
        let all = [Kept { moment: 1, taken: 0, pinned: true }, Kept { moment: 2, taken: 1, pinned: false }];
        assert_eq!(stay(&all, 1000 * DAY), BTreeSet::from([1, 2]), "the newest stays too");
    }
}
