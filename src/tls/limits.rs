//! What authorities allow, counted before they are asked. The numbers are those of the largest public one.
use std::fmt;

use serde::Serialize;

use super::names::registered_domain;
use crate::base::Millis;
use crate::store::certs::{OrderRow, Outcome};

pub(super) const HOUR: Millis = 3_600_000;
pub(super) const DAY: Millis = 24 * HOUR;
pub(super) const WEEK: Millis = 7 * DAY;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// New orders of the account in three hours.
    pub orders: usize,
    /// New certificates below a registered domain in a week.
    pub domain: usize,
    /// Certificates for the same host in a week.
    pub duplicates: usize,
    /// Failed proofs of a host in an hour.
    pub unproved: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { orders: 300, domain: 50, duplicates: 5, unproved: 5 }
    }
}

/// Which one holds an order back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    Orders,
    Domain,
    Duplicates,
    Unproved,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Orders => "orders of this server in three hours",
            Self::Domain => "new certificates for the domain in a week",
            Self::Duplicates => "certificates for the same host in a week",
            Self::Unproved => "failed proofs of the host in an hour",
        })
    }
}

/// One count, as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    pub authority: String,
    /// A registered domain; empty where the limit is the account's.
    pub domain: String,
    pub limit: Limit,
    pub used: usize,
    pub most: usize,
}

/// What an order would be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub authority: &'a str,
    /// A host or a wildcard.
    pub host: &'a str,
    /// The authority knows that it replaces a certificate at the time it suggested: it limits no such order.
    pub replaces: bool,
}

/// Whether it may be asked for now; else when, and what is in the way.
pub(super) fn allowed(limits: &Limits, past: &[OrderRow], wish: Wish<'_>, now: Millis) -> Result<(), (Millis, Limit)> {
    let domain = registered_domain(wish.host);
    let here = |order: &&OrderRow| order.authority == wish.authority;
    let issued = |order: &&OrderRow| matches!(order.outcome, Outcome::Issued | Outcome::Begun);
    let mine = |order: &&OrderRow| order.host == wish.host;
    let fresh = [
        free_at(past.iter().filter(here), 3 * HOUR, limits.orders, now).map(|at| (at, Limit::Orders)),
        free_at(past.iter().filter(here).filter(issued).filter(|o| o.domain == domain), WEEK, limits.domain, now)
            .map(|at| (at, Limit::Domain)),
        free_at(past.iter().filter(here).filter(issued).filter(mine), WEEK, limits.duplicates, now)
            .map(|at| (at, Limit::Duplicates)),
    ];
    let unproved = |order: &&OrderRow| order.outcome == Outcome::Unproved;
    let failed = free_at(past.iter().filter(here).filter(mine).filter(unproved), HOUR, limits.unproved, now)
        .map(|at| (at, Limit::Unproved));
    let fresh = if wish.replaces { None } else { fresh.into_iter().flatten().max() };
    fresh.into_iter().chain(failed).max().map_or(Ok(()), Err)
}

/// When there is room for one more of those (oldest first); `None` when there is now.
fn free_at<'a>(counted: impl Iterator<Item = &'a OrderRow>, span: Millis, most: usize, now: Millis) -> Option<Millis> {
    let times: Vec<Millis> = counted.map(|order| order.at).filter(|at| *at > now - span).collect();
    let over = times.len().checked_sub(most)?;
    // With a limit of nothing there is never room; a span from now is when to look again.
    Some(times.get(over).map_or(now + span, |at| at + span))
}

/// The counts worth showing: of each account, and of each domain that anything was ordered for.
pub(super) fn counts(limits: &Limits, authorities: &[String], past: &[OrderRow], now: Millis) -> Vec<Count> {
    let mut shown = Vec::new();
    for authority in authorities {
        let here: Vec<&OrderRow> = past.iter().filter(|order| order.authority == *authority).collect();
        let count = |limit, domain: &str, used, most| Count {
            authority: authority.clone(),
            domain: domain.to_owned(),
            limit,
            used,
            most,
        };
        let orders = here.iter().filter(|order| order.at > now - 3 * HOUR).count();
        shown.push(count(Limit::Orders, "", orders, limits.orders));
        let mut domains: Vec<&str> = here.iter().map(|order| order.domain.as_str()).collect();
        domains.sort_unstable();
        domains.dedup();
        for domain in domains {
            let new = |order: &&&OrderRow| {
                order.domain == domain && order.outcome == Outcome::Issued && order.at > now - WEEK
            };
            let failed = |order: &&&OrderRow| {
                order.domain == domain && order.outcome == Outcome::Unproved && order.at > now - HOUR
            };
            shown.push(count(Limit::Domain, domain, here.iter().filter(new).count(), limits.domain));
            match here.iter().filter(failed).count() {
                0 => {}
                used => shown.push(count(Limit::Unproved, domain, used, limits.unproved)),
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CA: &str = "https://ca";

    fn order(host: &str, at: Millis, outcome: Outcome) -> OrderRow {
        let domain = registered_domain(host).to_owned();
        OrderRow { authority: CA.to_owned(), host: host.to_owned(), domain, at, outcome }
    }

    fn ask(past: &[OrderRow], host: &str, now: Millis) -> Result<(), (Millis, Limit)> {
        let limits = Limits { orders: 10, domain: 4, duplicates: 2, unproved: 2 };
        allowed(&limits, past, Wish { authority: CA, host, replaces: false }, now)
    }

    #[test]
    fn each_limit_holds_for_its_time_and_for_its_own() {
        let now = WEEK * 3;
        let issued = |host: &str, at| order(host, at, Outcome::Issued);
        let same = [issued("a.example.org", now - DAY), issued("a.example.org", now - HOUR)];
        assert_eq!(ask(&same, "a.example.org", now), Err((now - DAY + WEEK, Limit::Duplicates)));
        assert_eq!(ask(&same, "b.example.org", now), Ok(()));
        assert_eq!(ask(&same, "a.example.org", now - DAY + WEEK), Ok(()));
        let domain: Vec<_> = (0..4).map(|n| issued(&format!("{n}.example.org"), now - DAY + n)).collect();
        assert_eq!(ask(&domain, "z.example.org", now), Err((now - DAY + WEEK, Limit::Domain)));
        assert_eq!(ask(&domain, "z.example.com", now), Ok(()));
        let failed = [order("a.b.c", now - 10, Outcome::Unproved), order("a.b.c", now - 5, Outcome::Unproved)];
        assert_eq!(ask(&failed, "a.b.c", now), Err((now - 10 + HOUR, Limit::Unproved)));
        assert_eq!(ask(&failed, "d.b.c", now), Ok(()));
        let many: Vec<_> = (0..12).map(|n| order(&format!("a{n}.x{n}"), now - 100 + n, Outcome::Failed)).collect();
        assert_eq!(ask(&many, "a.b.c", now), Err((now - 98 + 3 * HOUR, Limit::Orders)));
    }

    #[test]
    fn renewals_that_the_authority_asked_for_count_nowhere_and_other_authorities_neither() {
        let now = WEEK * 3;
        let past: Vec<_> = (0..50).map(|n| order("a.example.org", now - n - 1, Outcome::Renewed)).rev().collect();
        let limits = Limits { orders: 100, ..Limits::default() };
        let wish = Wish { authority: CA, host: "a.example.org", replaces: false };
        assert_eq!(allowed(&limits, &past, wish, now), Ok(()));
        let full: Vec<_> = (0..50).map(|n| order("a.example.org", now - 50 + n, Outcome::Issued)).collect();
        assert!(allowed(&limits, &full, wish, now).is_err());
        assert_eq!(allowed(&limits, &full, Wish { replaces: true, ..wish }, now), Ok(()));
        assert_eq!(allowed(&limits, &full, Wish { authority: "https://other", ..wish }, now), Ok(()));
    }

    proptest! {
        #[test]
        fn when_it_says_it_is_free_it_is(
            events in proptest::collection::vec((0..4u8, 0..2 * WEEK, 0..5u8), 0..40),
            now in WEEK..3 * WEEK,
        ) {
            let outcomes = [Outcome::Begun, Outcome::Issued, Outcome::Renewed, Outcome::Unproved, Outcome::Failed];
            let mut past: Vec<_> = events
                .into_iter()
                .map(|(host, at, outcome)| order(&format!("{host}.example.org"), at.min(now), outcomes[usize::from(outcome)]))
                .collect();
            past.sort_by_key(|order| order.at);
            if let Err((at, _)) = ask(&past, "0.example.org", now) {
                prop_assert!(at > now);
                prop_assert_eq!(ask(&past, "0.example.org", at), Ok(()));
                prop_assert!(ask(&past, "0.example.org", at - 1).is_err());
            }
        }

        #[test]
        fn no_limit_is_ever_overrun(tries in proptest::collection::vec((0..6u8, 0..6 * HOUR), 0..200)) {
            let mut past: Vec<OrderRow> = Vec::new();
            let mut now = WEEK;
            for (host, step) in tries {
                now += step;
                let host = format!("{host}.example.org");
                if ask(&past, &host, now).is_ok() {
                    past.push(order(&host, now, Outcome::Issued));
                }
                let week = past.iter().filter(|order| order.at > now - WEEK);
                prop_assert!(week.clone().count() <= 4);
                prop_assert!(week.filter(|order| order.host == host).count() <= 2);
            }
        }
    }
}
