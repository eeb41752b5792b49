//! The engine: a shelf of certificates, the orders on their way, and what is known of every host.
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;

use super::account::{Authority, Registrar};
use super::challenges::Challenges;
use super::limits::{self, Count, DAY, Limit, Wish};
use super::order::{Failure, Issued, Job, order};
use super::pair::{self, Facts};
use super::policy;
use super::shelf::Shelf;
use super::view::View;
use super::web::Web;
use super::{Options, names};
use crate::base::{Clock, Error, Kind, Millis, Result, Tasks};
use crate::store::certs::{self as rows, CertRow, OrderRow, Outcome};
use crate::store::seal::Key;
use crate::store::{Db, Store};

/// Whether a host is one of this server's. Asked in handshakes: it takes no lock and asks no database.
pub type Owns = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Orders that run at the same time.
const AT_ONCE: usize = 4;
/// Orders that run or wait for their turn.
const MOST_FLIGHTS: usize = 256;
/// One order, from account to chain.
const ORDER_TIME: Duration = Duration::from_secs(150);

/// Cheap to clone.
#[derive(Clone)]
pub struct Certs(pub(super) Arc<Engine>);

pub(super) struct Engine {
    pub options: Options,
    pub registrar: Registrar,
    pub clock: Clock,
    pub tasks: Tasks,
    pub owns: Owns,
    challenges: Challenges,
    shelf: Shelf,
    authorities: Vec<Authority>,
    known: Mutex<BTreeMap<String, Known>>,
    /// Host or wildcard → ends when its order does.
    flights: Mutex<HashMap<String, CancellationToken>>,
    turns: Semaphore,
}

/// What is known of a host: its row without the pair, and the certificate in use.
#[derive(Clone)]
pub(super) struct Known {
    pub row: CertRow,
    pub facts: Option<Facts>,
    pub certified: Option<Arc<CertifiedKey>>,
}

impl Certs {
    /// Loads what the store has and begins to renew it in the background.
    /// Errors: `BadInput` when the roots cannot be read.
    pub fn start(options: Options, store: Store, key: Key, clock: Clock, tasks: Tasks, owns: Owns) -> Result<Self> {
        // Without authorities nobody is spoken to, and a system without roots will do.
        let authorities = match options.authorities.as_slice() {
            [] => Vec::new(),
            some => {
                let web = Web::new(options.roots.as_deref())?;
                some.iter().map(|url| Authority::new(url.clone(), web.clone(), clock.clone())).collect()
            }
        };
        let known = load(store.read(|db| rows::all(db, &key))?);
        let ready = known.iter().filter_map(|(host, known)| Some((host.as_str().into(), known.certified.clone()?)));
        let engine = Arc::new(Engine {
            shelf: Shelf::new(ready.collect()),
            registrar: Registrar { store, key, email: options.email.clone(), external: options.external.clone() },
            options,
            clock,
            tasks: tasks.clone(),
            owns,
            challenges: Challenges::default(),
            authorities,
            known: Mutex::new(known),
            flights: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        });
        tasks.spawn("certificates", super::tend::keep(Self(engine.clone())));
        Ok(Self(engine))
    }

    /// The open questions of authorities, for whoever answers them.
    pub fn challenges(&self) -> Challenges {
        self.0.challenges.clone()
    }

    /// The certificate for that host, its own or a wildcard; no lock, and any spelling of the name.
    pub fn find(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        self.0.shelf.find(host)
    }

    /// The certificate for a host that has none yet: ordered once for all who ask, and waited for a while.
    /// Errors: `NotFound` when none will be ordered for that name; `Busy` when it failed lately or a limit is
    /// reached, `TimedOut` when it is still on its way.
    pub async fn want(&self, host: &str) -> Result<Arc<CertifiedKey>> {
        if let Some(found) = self.find(host) {
            return Ok(found);
        }
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if !names::orderable(&host) || !(self.0.owns)(&host) {
            return Err(Error::not_found("there is no certificate for that name, and none is ordered"));
        }
        if self.0.authorities.is_empty() {
            return Err(Error::not_found(format!("there is no certificate for {host}, and no authority to ask"))
                .hint("Set `acme`, or give Steady a certificate file."));
        }
        let done = self.fly(&host)?;
        let wait = self.0.options.wait;
        if tokio::time::timeout(wait, done.cancelled()).await.is_err() {
            return Err(Error::new(Kind::TimedOut, format!("the certificate for {host} is still on its way"))
                .hint("Try again in a minute."));
        }
        self.find(&host).ok_or_else(|| self.why_not(&host))
    }

    /// Everything known, by host.
    pub fn status(&self) -> Vec<View> {
        let ordering = self.0.flights();
        let known = self.0.known();
        let view = |(host, known): (&String, &Known)| View {
            host: host.clone(),
            issuer: known.facts.as_ref().map(|facts| facts.issuer.clone()),
            authority: known.row.authority.clone(),
            not_before: known.row.issued,
            not_after: known.row.expires,
            renew_at: known.row.renew_at,
            suggested: known.row.ari.is_some(),
            stapled: known.certified.as_ref().is_some_and(|certified| certified.ocsp.is_some()),
            ordering: ordering.contains_key(host),
            last_error: known.row.last_error.clone(),
            failures: known.row.failures,
            next_try: known.row.next_try,
        };
        known.iter().map(view).collect()
    }

    /// What was ordered lately, beside what authorities allow.
    pub fn limits(&self) -> Result<Vec<Count>> {
        let now = self.0.clock.now();
        let past = self.0.past(now)?;
        Ok(limits::counts(&self.0.options.limits, &self.0.options.authorities, &past, now))
    }

    /// Begins an order, or joins the one on its way. Ends when that does, however.
    /// Errors: `Busy`.
    pub(super) fn fly(&self, subject: &str) -> Result<CancellationToken> {
        let waits = self.0.known().get(subject).is_some_and(|known| known.row.next_try > self.0.clock.now());
        let mut flights = self.0.flights();
        if let Some(done) = flights.get(subject) {
            return Ok(done.clone());
        }
        if waits {
            return Err(self.why_not(subject));
        }
        if flights.len() >= MOST_FLIGHTS {
            return Err(Error::new(Kind::Busy, format!("{MOST_FLIGHTS} certificates are being ordered already"))
                .hint("Try again in a few minutes."));
        }
        let done = CancellationToken::new();
        flights.insert(subject.to_owned(), done.clone());
        let landing = Landing { certs: self.clone(), subject: subject.to_owned(), done: done.clone() };
        self.0.tasks.spawn("certificate", async move {
            let stopping = landing.certs.0.tasks.stopping();
            tokio::select! {
                () = stopping.cancelled() => {}
                () = landing.certs.0.obtain(&landing.subject) => {}
            }
        });
        Ok(done)
    }

    fn why_not(&self, host: &str) -> Error {
        let known = self.0.known();
        let why = known.get(host).and_then(|known| known.row.last_error.clone());
        Error::new(Kind::Busy, why.unwrap_or_else(|| format!("there is no certificate for {host} yet")))
    }
}

/// Ends a flight, however its task ends.
struct Landing {
    certs: Certs,
    subject: String,
    done: CancellationToken,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.certs.0.flights().remove(&self.subject);
        self.done.cancel();
    }
}

fn load(rows: Vec<CertRow>) -> BTreeMap<String, Known> {
    let read = |mut row: CertRow| {
        let mut known = Known { facts: None, certified: None, row: CertRow::default() };
        if let Some(pair) = row.pair.take() {
            match ready(&pair, row.ocsp.clone()) {
                Ok((facts, certified)) => (known.facts, known.certified) = (Some(facts), Some(Arc::new(certified))),
                Err(error) => tracing::error!(host = row.host, ?error, "a certificate of the store cannot be used"),
            }
        }
        (row.host.clone(), Known { row, ..known })
    };
    rows.into_iter().map(read).collect()
}

fn ready(pair: &rows::Pair, ocsp: Option<Vec<u8>>) -> Result<(Facts, CertifiedKey)> {
    let chain = pair::chain(pair.chain.as_bytes())?;
    let facts = Facts::read(&chain[0])?;
    let mut certified = pair::certified(chain, &pair.key)?;
    certified.ocsp = ocsp;
    Ok((facts, certified))
}

impl Engine {
    pub fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The orders that still count.
    fn past(&self, now: Millis) -> Result<Vec<OrderRow>> {
        self.registrar.store.read(|db| rows::orders(db, now - 8 * DAY))
    }

    /// Asks the authorities in turn, and keeps what came of it.
    async fn obtain(&self, subject: &str) {
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
        for attempt in 0..2 {
            let now = self.clock.now();
            if authority.quiet_until() > now {
                return Ok(Asked::Held(authority.quiet_until(), format!("{} asked us to wait", authority.url)));
            }
            let wish = Wish { authority: &authority.url, host: subject, replaces: false };
            if let Err((until, limit)) = limits::allowed(&self.options.limits, &self.past(now)?, wish, now) {
                return Ok(Asked::Held(until, reached(subject, &authority.url, limit)));
            }
            let number = self.begin(authority, subject, now)?;
            let proofs = &self.options.proofs;
            let Some(proof) = proofs.get((failures as usize + attempt) % proofs.len().max(1)) else {
                return Err(Error::bad_input("there is no way to prove a host: `proofs` is empty"));
            };
            let job = Job { host: subject, proof: *proof };
            let late = || Error::new(Kind::TimedOut, format!("the order took more than {} s", ORDER_TIME.as_secs()));
            let asked = order(authority, &self.registrar, &self.challenges, &job);
            let result = tokio::time::timeout(ORDER_TIME, asked).await.unwrap_or_else(|_| Err(late().into()));
            match result {
                Ok(issued) => {
                    self.end(number, Outcome::Issued)?;
                    return Ok(Asked::Issued(issued, Outcome::Issued));
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

    /// Durable first, then in use.
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
        self.registrar.store.write(|db| rows::put(db, &self.registrar.key, &row))?;
        for (host, known) in load(vec![row]) {
            if let Some(certified) = &known.certified {
                self.shelf.put(&host, certified);
            }
            self.known().insert(host, known);
        }
        Ok(())
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

    /// Changes what is known of a host, in the store first. Its pair stays as it is.
    pub fn change(&self, host: &str, change: impl FnOnce(&mut CertRow)) -> Result<()> {
        let mut row = self.known().get(host).map(|known| known.row.clone()).unwrap_or_default();
        host.clone_into(&mut row.host);
        change(&mut row);
        self.registrar.store.write(|db: &Db| rows::put(db, &self.registrar.key, &row))?;
        let mut known = self.known();
        let entry = known.entry(host.to_owned());
        entry.or_insert_with(|| Known { row: CertRow::default(), facts: None, certified: None }).row = row;
        Ok(())
    }

    /// Nobody needs it any more.
    pub fn drop_host(&self, host: &str) -> Result<()> {
        self.registrar.store.write(|db| rows::remove(db, host))?;
        self.shelf.remove(host);
        self.known().remove(host);
        Ok(())
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
