//! Getting a certificate: which authority, which proof, what came of it.
use std::time::Duration;

use instant_acme::CertificateIdentifier;

use super::account::Authority;
use super::certs::Engine;
use super::limits::{self, Limit, Wish};
use super::options::Proof;
use super::order::{Desk, Failure, Issued, Job, order};
use super::{ari, names, policy};
use crate::base::{Error, Kind, Millis, Result};
use crate::store::certs::{self as rows, CertRow, OrderRow, Outcome};

/// One order, from account to chain; beside it a zone may take its time.
const ORDER_TIME: Duration = Duration::from_secs(150);

impl Engine {
    /// Asks the authorities in turn, and keeps what came of it.
    pub async fn obtain(&self, subject: &str) {
        // The semaphore is never closed.
        let Ok(_turn) = self.turns.acquire().await else { return };
        let mut held: Option<(Millis, String)> = None;
        let mut last: Option<Error> = None;
        let failures = self.known().get(subject).map_or(0, |known| known.row.failures);
        for authority in &self.authorities {
            match self.ask(authority, subject, failures).await {
                Ok(Asked::Issued(issued, outcome)) => {
                    match self.keep(authority, subject, issued) {
                        Ok(()) => tracing::info!(host = subject, authority = authority.url, ?outcome, "certificate"),
                        Err(error) => tracing::error!(host = subject, ?error, "a certificate could not be kept"),
                    }
                    return;
                }
                Ok(Asked::Held(until, why)) => {
                    if held.as_ref().is_none_or(|(earliest, _)| until < *earliest) {
                        held = Some((until, why));
                    }
                }
                Err(error) => {
                    tracing::warn!(host = subject, authority = authority.url, ?error, "no certificate");
                    last = Some(error);
                }
            }
        }
        self.fail(subject, last, held);
    }

    /// One authority; a second time, with the next proof, where it did not see the first.
    async fn ask(&self, authority: &Authority, subject: &str, failures: u32) -> Result<Asked> {
        let mut last = Error::internal(format!("nothing was asked for {subject}"));
        let old = self.old(authority, subject);
        for attempt in 0..2 {
            let now = self.clock.now();
            if authority.quiet_until() > now {
                return Ok(Asked::Held(authority.quiet_until(), format!("{} asked us to wait", authority.url)));
            }
            let wish = Wish { authority: &authority.url, host: subject, replaces: old.is_some() };
            if let Err((until, limit)) = limits::allowed(&self.options.limits, &self.past(now)?, wish, now) {
                return Ok(Asked::Held(until, reached(subject, &authority.url, limit)));
            }
            let number = self.begin(authority, subject, now)?;
            let proof = self.proof(subject, failures as usize + attempt)?;
            let job = Job { host: subject, proof, replaces: old.clone() };
            let time = ORDER_TIME + self.options.dns.as_ref().map_or(Duration::ZERO, |dns| dns.patience);
            let late = || Error::new(Kind::TimedOut, format!("the order took more than {} s", time.as_secs()));
            let desk = Desk { challenges: &self.challenges, zones: self.zones.as_ref() };
            let asked = order(authority, &self.registrar, desk, &job);
            let result = tokio::time::timeout(time, asked).await.unwrap_or_else(|_| Err(late().into()));
            if let Some(zones) = &self.zones {
                zones.clear(subject).await;
            }
            match result {
                Ok(issued) => {
                    let outcome = if old.is_some() { Outcome::Renewed } else { Outcome::Issued };
                    self.end(number, outcome)?;
                    return Ok(Asked::Issued(issued, outcome));
                }
                Err(Failure { outcome, error, stranger }) => {
                    self.end(number, outcome)?;
                    last = error;
                    if stranger {
                        authority.forget(&self.registrar).await?;
                    } else if outcome != Outcome::Unproved {
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    fn proof(&self, subject: &str, attempt: usize) -> Result<Proof> {
        if self.zones.as_ref().is_some_and(|zones| zones.covers(subject)) {
            return Ok(Proof::Dns01);
        }
        let proofs = &self.options.proofs;
        let turn = proofs.get(attempt % proofs.len().max(1)).copied();
        turn.ok_or_else(|| Error::bad_input(format!("there is no way to prove that {subject} is served here")))
    }

    /// The certificate in use, when that authority gave it and wants to know which one it replaces.
    fn old(&self, authority: &Authority, subject: &str) -> Option<CertificateIdentifier<'static>> {
        let known = self.known();
        let known =
            known.get(subject).filter(|known| known.row.ari.is_some() && known.row.authority == authority.url)?;
        ari::identifier(known.certified.as_ref()?.cert.first()?)
    }

    fn begin(&self, authority: &Authority, host: &str, at: Millis) -> Result<i64> {
        let order = OrderRow {
            authority: authority.url.clone(),
            host: host.to_owned(),
            domain: names::registered_domain(host).to_owned(),
            at,
            outcome: Outcome::Begun,
        };
        self.registrar.store.write(|db| rows::begin_order(db, &order))
    }

    fn end(&self, order: i64, outcome: Outcome) -> Result<()> {
        self.registrar.store.write(|db| rows::end_order(db, order, outcome))
    }

    fn keep(&self, authority: &Authority, host: &str, issued: Issued) -> Result<()> {
        let (issued_at, expires) = (issued.facts.not_before, issued.facts.not_after);
        let row = CertRow {
            host: host.to_owned(),
            authority: authority.url.clone(),
            issued: issued_at,
            expires,
            renew_at: policy::renew_at(issued_at, expires, rand::random()),
            pair: Some(issued.pair),
            ..CertRow::default()
        };
        self.take_in(row)
    }

    /// Notes a failure, and when to try again: after all authorities failed, or when the first limit ends.
    fn fail(&self, host: &str, last: Option<Error>, held: Option<(Millis, String)>) {
        let now = self.clock.now();
        let changed = self.change(host, |row| match (last, held) {
            (Some(error), _) => {
                row.failures = row.failures.saturating_add(1);
                let first = self.options.first_delay;
                row.next_try = policy::next_try(now, row.failures, first, rand::random());
                row.last_error = Some(match error.hint {
                    Some(hint) => format!("{}. {hint}", error.public),
                    None => error.public,
                });
            }
            (None, Some((until, why))) => (row.next_try, row.last_error) = (until, Some(why)),
            (None, None) => {}
        });
        if let Err(error) = changed {
            tracing::error!(host, ?error, "a failed certificate could not be noted");
        }
    }
}

enum Asked {
    Issued(Issued, Outcome),
    /// A limit holds until then.
    Held(Millis, String),
}

fn reached(host: &str, authority: &str, limit: Limit) -> String {
    format!("{host} waits for its certificate: {authority} allows no more {limit}")
}
