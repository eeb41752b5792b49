//! The engine: a shelf of certificates, the orders on their way, and what is known of every host.
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;

use super::account::{Authority, Registrar};
use super::challenges::Challenges;
use super::dns::Zones;
use super::limits::{self, Count, DAY};
use super::pair::{self, Facts};
use super::shelf::Shelf;
use super::view::View;
use super::web::Web;
use super::{Options, names};
use crate::base::{Clock, Error, Kind, Millis, Result, Tasks};
use crate::store::certs::{self as rows, CertRow, OrderRow};
use crate::store::seal::Key;
use crate::store::{Db, Store};

/// Whether a host is one of this server's. Asked in handshakes: it takes no lock and asks no database.
pub type Owns = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Orders that run at the same time.
const AT_ONCE: usize = 4;
/// Orders that run or wait for their turn.
const MOST_FLIGHTS: usize = 256;

/// Cheap to clone.
#[derive(Clone)]
pub struct Certs(pub(super) Arc<Engine>);

pub(super) struct Engine {
    pub options: Options,
    pub registrar: Registrar,
    pub clock: Clock,
    pub tasks: Tasks,
    pub owns: Owns,
    pub challenges: Challenges,
    pub zones: Option<Zones>,
    pub shelf: Shelf,
    pub authorities: Vec<Authority>,
    known: Mutex<BTreeMap<String, Known>>,
    /// Held while a row and what is known of it change together.
    writing: Mutex<()>,
    /// Host or wildcard → ends when its order does.
    flights: Mutex<HashMap<String, CancellationToken>>,
    pub turns: Semaphore,
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
        let zones = options.dns.clone().map(|dns| Zones::new(dns, clock.clone())).transpose()?;
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
            zones,
            authorities,
            known: Mutex::new(known),
            writing: Mutex::default(),
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
        let subject = self.0.subject(&host);
        let done = self.fly(&subject)?;
        let wait = self.0.options.wait;
        if tokio::time::timeout(wait, done.cancelled()).await.is_err() {
            return Err(Error::new(Kind::TimedOut, format!("the certificate for {host} is still on its way"))
                .hint("Try again in a minute."));
        }
        self.find(&host).ok_or_else(|| self.why_not(&subject))
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
            // Also after an order that was cut off.
            if let Some(zones) = &landing.certs.0.zones {
                zones.clear(&landing.subject).await;
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
    /// What is ordered for a host: itself, or the wildcard for it where a zone of ours makes one possible.
    fn subject(&self, host: &str) -> String {
        let wildcard = self.zones.as_ref().and_then(|zones| zones.wildcard(host));
        wildcard.unwrap_or_else(|| host.to_owned())
    }

    /// Whether that host or wildcard is still ours to renew.
    pub fn serves(&self, subject: &str) -> bool {
        match subject.strip_prefix("*.") {
            Some(_) => self.zones.as_ref().is_some_and(|zones| zones.covers(subject)),
            None => names::orderable(subject) && (self.owns)(subject),
        }
    }

    pub fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The orders that still count.
    pub fn past(&self, now: Millis) -> Result<Vec<OrderRow>> {
        self.registrar.store.read(|db| rows::orders(db, now - 8 * DAY))
    }

    /// Changes what is known of a host, in the store first. Its pair stays as it is.
    pub fn change(&self, host: &str, change: impl FnOnce(&mut CertRow)) -> Result<()> {
        let _one_at_a_time = self.writing();
        self.write(host, change)
    }

    /// The same, unless the certificate was replaced since it was looked at.
    pub fn change_of(&self, host: &str, used: &Arc<CertifiedKey>, change: impl FnOnce(&mut CertRow)) -> Result<()> {
        let _one_at_a_time = self.writing();
        if self.uses(host, used) { self.write(host, change) } else { Ok(()) }
    }

    fn write(&self, host: &str, change: impl FnOnce(&mut CertRow)) -> Result<()> {
        let mut row = self.known().get(host).map(|known| known.row.clone()).unwrap_or_default();
        host.clone_into(&mut row.host);
        change(&mut row);
        self.registrar.store.write(|db: &Db| rows::put(db, &self.registrar.key, &row))?;
        let mut known = self.known();
        let entry = known.entry(host.to_owned());
        entry.or_insert_with(|| Known { row: CertRow::default(), facts: None, certified: None }).row = row;
        Ok(())
    }

    fn uses(&self, host: &str, used: &Arc<CertifiedKey>) -> bool {
        let known = self.known();
        known.get(host).and_then(|known| known.certified.as_ref()).is_some_and(|now| Arc::ptr_eq(now, used))
    }

    /// A certificate for a host takes the place of its earlier one: durable first, then in use.
    pub fn take_in(&self, row: CertRow) -> Result<()> {
        let _one_at_a_time = self.writing();
        self.registrar.store.write(|db| rows::put(db, &self.registrar.key, &row))?;
        for (host, known) in load(vec![row]) {
            if let Some(certified) = &known.certified {
                self.shelf.put(&host, certified);
            }
            self.known().insert(host, known);
        }
        Ok(())
    }

    /// Staples that to the certificate, unless it was replaced meanwhile.
    pub fn staple(
        &self,
        host: &str,
        old: &Arc<CertifiedKey>,
        staple: Option<Vec<u8>>,
        next: Millis,
        renew_at: Option<Millis>,
    ) -> Result<()> {
        let _one_at_a_time = self.writing();
        if !self.uses(host, old) {
            return Ok(());
        }
        self.write(host, |row| {
            (row.ocsp, row.ocsp_next) = (staple.clone(), next);
            row.renew_at = renew_at.unwrap_or(row.renew_at);
        })?;
        let fresh = Arc::new(CertifiedKey { ocsp: staple, ..CertifiedKey::clone(old) });
        self.shelf.put(host, &fresh);
        if let Some(known) = self.known().get_mut(host) {
            known.certified = Some(fresh);
        }
        Ok(())
    }

    /// Nobody needs it any more.
    pub fn drop_host(&self, host: &str) -> Result<()> {
        let _one_at_a_time = self.writing();
        self.registrar.store.write(|db| rows::remove(db, host))?;
        self.shelf.remove(host);
        self.known().remove(host);
        Ok(())
    }
}
