//! How often somebody unknown may try. In memory: a restart forgets, which gives an attacker a few tries.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::secret::sha256_hex;
use crate::base::{Error, Kind, Millis, Result};

/// Entries per table: strangers cannot make it grow (about 1 MiB).
const ENTRIES: usize = 10_000;

/// How tries are slowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// Tries that cost nothing.
    pub(super) free: u32,
    /// The wait after the first that is not free; each more doubles it. Milliseconds.
    pub(super) first: Millis,
    /// The longest wait. Milliseconds.
    pub(super) longest: Millis,
    /// An entry is forgotten after this long without a try. Milliseconds.
    pub(super) forget: Millis,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    tries: u32,
    until: Millis,
    last: Millis,
}

/// Who is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Who {
    /// Of fixed size, whatever was sent.
    key: String,
    /// Probably many people: see [`Table::shared`].
    shared: bool,
}

/// One bounded table of tries by key.
#[derive(Debug)]
struct Table {
    rule: Rule,
    /// For the machine's own address: a proxy in front that does not say whom it speaks for makes
    /// everybody come from there, and one guesser must not shut them all out.
    shared: Rule,
    entries: HashMap<String, Entry>,
}

impl Table {
    fn new(rule: Rule, shared: Rule) -> Self {
        Self { rule, shared, entries: HashMap::new() }
    }

    /// Milliseconds this key has to wait; 0 = may try.
    fn wait(&self, who: &Who, now: Millis) -> Millis {
        self.entries.get(&who.key).map_or(0, |entry| (entry.until - now).max(0))
    }

    /// Counts one try, before it is known how it ends: many at once cannot slip past the limit.
    fn count(&mut self, who: &Who, now: Millis) {
        let Rule { free, first, longest, forget } = if who.shared { self.shared } else { self.rule };
        self.make_room(&who.key, now);
        let entry = self.entries.entry(who.key.clone()).or_insert(Entry { tries: 0, until: 0, last: now });
        if now - entry.last > forget {
            *entry = Entry { tries: 0, until: 0, last: now };
        }
        entry.tries = entry.tries.saturating_add(1);
        entry.last = now;
        if entry.tries >= free {
            let doubled = first.saturating_mul(1 << (entry.tries - free).min(30));
            entry.until = now + doubled.min(longest);
        }
    }

    /// Takes one counted try back: it was no failure.
    fn forgive(&mut self, who: &Who) {
        if let Some(entry) = self.entries.get_mut(&who.key) {
            entry.tries = entry.tries.saturating_sub(1);
            if entry.tries < self.rule.free {
                entry.until = 0;
            }
        }
    }

    fn prune(&mut self, now: Millis) {
        let forget = self.rule.forget.max(self.shared.forget);
        self.entries.retain(|_, entry| now - entry.last <= forget && entry.tries > 0);
    }

    /// A full table drops what was tried least and longest ago: a flood of new keys cannot push out the
    /// one that is under attack.
    fn make_room(&mut self, key: &str, now: Millis) {
        if self.entries.len() < ENTRIES || self.entries.contains_key(key) {
            return;
        }
        self.prune(now);
        if self.entries.len() >= ENTRIES
            && let Some(least) = self.entries.iter().min_by_key(|(_, e)| (e.tries, e.last)).map(|(k, _)| k.clone())
        {
            self.entries.remove(&least);
        }
    }
}

/// The sign-in form: tries by address and by name.
#[derive(Debug)]
pub(super) struct SignIns(Mutex<Tables>);

#[derive(Debug)]
struct Tables {
    addresses: Table,
    names: Table,
    /// Who signed in from where, and when: a stranger who keeps guessing at a name must not lock its
    /// owner out of the address they always come from.
    known: HashMap<String, Millis>,
}

const MINUTE: Millis = 60_000;
const BY_ADDRESS: Rule = Rule { free: 5, first: 1_000, longest: 15 * MINUTE, forget: 60 * MINUTE };
/// Shorter than by address, because anybody can make a name wait.
const BY_NAME: Rule = Rule { free: 5, first: 1_000, longest: MINUTE, forget: 60 * MINUTE };
const BY_SHARED_ADDRESS: Rule = Rule { free: 50, first: 1_000, longest: 5_000, forget: 60 * MINUTE };
const GUESTS: Rule = Rule { free: 5, first: 30_000, longest: 60 * MINUTE, forget: 6 * 60 * MINUTE };
const SHARED_GUESTS: Rule = Rule { free: 100, first: 1_000, longest: MINUTE, forget: 6 * 60 * MINUTE };

/// A counted try at a sign-in, of which it is not yet known how it ends.
#[derive(Debug)]
pub(super) struct Try {
    address: Who,
    name: Who,
    /// Both in one.
    pair: String,
}

impl SignIns {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Tables {
            addresses: Table::new(BY_ADDRESS, BY_SHARED_ADDRESS),
            names: Table::new(BY_NAME, BY_NAME),
            known: HashMap::new(),
        }))
    }

    /// Errors: `TooMany`, saying how long to wait. Counts as failed until [`SignIns::succeeded`].
    pub(super) fn begin(&self, name: &str, from: &str, now: Millis) -> Result<Try> {
        let address = by_address(from);
        let pair = sha256_hex(format!("{} {name}", address.key).as_bytes());
        let this = Try { pair, name: by_name(name), address };
        let mut tables = self.lock();
        let named = if tables.known.contains_key(&this.pair) { 0 } else { tables.names.wait(&this.name, now) };
        let wait = tables.addresses.wait(&this.address, now).max(named);
        if wait > 0 {
            return Err(too_many("there were too many failed sign-ins", wait));
        }
        tables.addresses.count(&this.address, now);
        tables.names.count(&this.name, now);
        Ok(this)
    }

    /// Earlier failures from that address stay counted, or one's own account would wash them off.
    pub(super) fn succeeded(&self, this: Try, now: Millis) {
        let mut tables = self.lock();
        tables.addresses.forgive(&this.address);
        tables.names.entries.remove(&this.name.key);
        if this.address.shared {
            return;
        }
        if tables.known.len() >= ENTRIES
            && let Some(oldest) = tables.known.iter().min_by_key(|(_, at)| **at).map(|(k, _)| k.clone())
        {
            tables.known.remove(&oldest);
        }
        tables.known.insert(this.pair, now);
    }

    /// It was never decided (the server was too busy to look).
    pub(super) fn undecided(&self, this: &Try) {
        let mut tables = self.lock();
        tables.addresses.forgive(&this.address);
        tables.names.forgive(&this.name);
    }

    pub(super) fn prune(&self, now: Millis) {
        let mut tables = self.lock();
        tables.addresses.prune(now);
        tables.names.prune(now);
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// New guests by address.
#[derive(Debug)]
pub(super) struct GuestStarts(Mutex<Table>);

impl GuestStarts {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Table::new(GUESTS, SHARED_GUESTS)))
    }

    /// Errors: `TooMany`, saying how long to wait.
    pub(super) fn begin(&self, from: &str, now: Millis) -> Result<()> {
        let who = by_address(from);
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match table.wait(&who, now) {
            0 => {
                table.count(&who, now);
                Ok(())
            }
            wait => Err(too_many("too many playgrounds were started from your network", wait)),
        }
    }

    pub(super) fn prune(&self, now: Millis) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).prune(now);
    }
}

fn too_many(what: &str, wait: Millis) -> Error {
    let seconds = (wait + 999) / 1000;
    let time = match seconds {
        1 => "a second".to_owned(),
        2..120 => format!("{seconds} seconds"),
        _ => format!("{} minutes", (seconds + 59) / 60),
    };
    Error::new(Kind::TooMany, what).hint(format!("Wait {time} and try again."))
}

fn by_name(name: &str) -> Who {
    Who { key: sha256_hex(name.as_bytes()), shared: false }
}

/// One customer's network: an IPv4 address, or the /64 of an IPv6 one, of which everybody has plenty.
fn by_address(from: &str) -> Who {
    match from.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(ip) if ip.is_loopback() => Who { key: "this machine".to_owned(), shared: true },
        Ok(IpAddr::V4(ip)) => Who { key: ip.to_string(), shared: false },
        Ok(IpAddr::V6(ip)) => Who { key: hex::encode(&ip.octets()[..8]), shared: false },
        Err(_) => by_name(from),
    }
}

#[cfg(test)]
mod tests;
