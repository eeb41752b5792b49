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

/// One bounded table of tries by key.
#[derive(Debug)]
struct Table {
    rule: Rule,
    entries: HashMap<String, Entry>,
}

impl Table {
    fn new(rule: Rule) -> Self {
        Self { rule, entries: HashMap::new() }
    }

    /// Milliseconds this key has to wait; 0 = may try.
    fn wait(&self, key: &str, now: Millis) -> Millis {
        self.entries.get(key).map_or(0, |entry| (entry.until - now).max(0))
    }

    /// Counts one try, before it is known how it ends: many at once cannot slip past the limit.
    fn count(&mut self, key: &str, now: Millis) {
        let Rule { free, first, longest, forget } = self.rule;
        self.make_room(key, now);
        let entry = self.entries.entry(key.to_owned()).or_insert(Entry { tries: 0, until: 0, last: now });
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
    fn forgive(&mut self, key: &str) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.tries = entry.tries.saturating_sub(1);
            if entry.tries < self.rule.free {
                entry.until = 0;
            }
        }
    }

    fn prune(&mut self, now: Millis) {
        let forget = self.rule.forget;
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
const GUESTS: Rule = Rule { free: 5, first: 30_000, longest: 60 * MINUTE, forget: 6 * 60 * MINUTE };

/// A counted try at a sign-in, of which it is not yet known how it ends.
#[derive(Debug)]
pub(super) struct Try {
    address: String,
    name: String,
    pair: String,
}

impl SignIns {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Tables {
            addresses: Table::new(BY_ADDRESS),
            names: Table::new(BY_NAME),
            known: HashMap::new(),
        }))
    }

    /// Errors: `TooMany`, saying how long to wait. Counts as failed until [`SignIns::succeeded`].
    pub(super) fn begin(&self, name: &str, from: &str, now: Millis) -> Result<Try> {
        let address = address_key(from);
        let this = Try { pair: sha256_hex(format!("{address} {name}").as_bytes()), name: key(name), address };
        let mut tables = self.lock();
        let by_name = if tables.known.contains_key(&this.pair) { 0 } else { tables.names.wait(&this.name, now) };
        let wait = tables.addresses.wait(&this.address, now).max(by_name);
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
        tables.names.entries.remove(&this.name);
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
        Self(Mutex::new(Table::new(GUESTS)))
    }

    /// Errors: `TooMany`, saying how long to wait.
    pub(super) fn begin(&self, from: &str, now: Millis) -> Result<()> {
        let key = address_key(from);
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match table.wait(&key, now) {
            0 => {
                table.count(&key, now);
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

/// A fixed-size key, whatever was sent.
fn key(text: &str) -> String {
    sha256_hex(text.as_bytes())
}

/// One customer's network: an IPv4 address, or the /64 of an IPv6 one, of which everybody has plenty.
fn address_key(from: &str) -> String {
    match from.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => ip.to_string(),
        Ok(IpAddr::V6(ip)) => hex::encode(&ip.octets()[..8]),
        Err(_) => key(from),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fails(tries: &SignIns, name: &str, from: &str, now: Millis) -> bool {
        tries.begin(name, from, now).is_ok()
    }

    #[test]
    fn five_failures_are_free_then_the_wait_doubles() {
        let tries = SignIns::new();
        let mut now = 1_000_000;
        for n in 0..5 {
            assert!(fails(&tries, "dev", "192.0.2.1", now), "try {n}");
        }
        for wait in [1_000, 2_000, 4_000, 8_000] {
            let error = tries.begin("other", "192.0.2.1", now).unwrap_err();
            assert_eq!(error.kind, Kind::TooMany);
            assert!(tries.begin("dev", "192.0.2.1", now + wait - 1).is_err());
            now += wait;
            assert!(fails(&tries, "dev", "192.0.2.1", now), "after {wait} ms");
        }
        assert!(tries.begin("dev", "198.51.100.9", now).is_err(), "the name waits from anywhere");
        assert!(fails(&tries, "else", "198.51.100.9", now), "another name from elsewhere does not");
    }

    #[test]
    fn a_name_waits_a_minute_at_most_and_an_address_a_quarter_hour() {
        let tries = SignIns::new();
        let mut now = 0;
        for n in 0..100 {
            now += 60_000;
            assert!(fails(&tries, "dev", &format!("192.0.2.{n}"), now), "try {n}");
        }
        let mut now = 0;
        for n in 0..100 {
            now += 15 * MINUTE;
            assert!(fails(&tries, &format!("n{n}"), "203.0.113.1", now), "try {n}");
        }
        assert!(tries.begin("x", "203.0.113.1", now + 15 * MINUTE - 1).is_err());
    }

    #[test]
    fn the_owner_is_not_locked_out_of_a_known_address() {
        let tries = SignIns::new();
        let mine = tries.begin("dev", "192.0.2.1", 0).unwrap();
        tries.succeeded(mine, 0);
        for n in 0..5 {
            assert!(fails(&tries, "dev", &format!("198.51.100.{n}"), 10));
        }
        assert!(tries.begin("dev", "198.51.100.77", 10).is_err());
        assert!(tries.begin("dev", "192.0.2.1", 10).is_ok());
    }

    #[test]
    fn ones_own_account_does_not_wash_off_failures() {
        let tries = SignIns::new();
        for n in 0..5 {
            assert!(fails(&tries, &format!("victim{n}"), "192.0.2.1", 0));
            if n < 4 {
                let mine = tries.begin("mallory", "192.0.2.1", 0).unwrap();
                tries.succeeded(mine, 0);
            }
        }
        assert!(tries.begin("victim9", "192.0.2.1", 0).is_err());
    }

    #[test]
    fn an_hour_of_quiet_forgets() {
        let tries = SignIns::new();
        for _ in 0..5 {
            assert!(fails(&tries, "dev", "192.0.2.1", 0));
        }
        let later = 60 * MINUTE + 1;
        for n in 0..5 {
            assert!(fails(&tries, "dev", "192.0.2.1", later), "try {n}");
        }
        assert!(tries.begin("dev", "192.0.2.1", later).is_err());
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let starts = GuestStarts::new();
        for n in 0..5 {
            starts.begin(&format!("2001:db8:1:2::{n}"), 0).unwrap();
        }
        assert_eq!(starts.begin("2001:db8:1:2:ffff::1", 0).unwrap_err().kind, Kind::TooMany);
        assert!(starts.begin("2001:db8:1:3::1", 0).is_ok());
        assert_eq!(address_key("::ffff:192.0.2.1"), address_key("192.0.2.1"));
    }

    #[test]
    fn tables_stay_bounded_and_keep_the_worst() {
        let mut table = Table::new(BY_ADDRESS);
        for _ in 0..9 {
            table.count("attacker", 0);
        }
        for n in 0..ENTRIES + 50 {
            table.count(&n.to_string(), 1);
        }
        assert_eq!(table.entries.len(), ENTRIES);
        assert!(table.wait("attacker", 1) > 0);
        table.prune(BY_ADDRESS.forget + 2);
        assert!(table.entries.is_empty());
    }

    proptest! {
        #[test]
        fn any_key_is_short_and_the_wait_is_bounded(name in ".{0,300}", from in ".{0,300}", times in 1..40usize) {
            let mut table = Table::new(BY_NAME);
            for _ in 0..times {
                table.count(&key(&name), 5);
            }
            prop_assert!(table.wait(&key(&name), 5) <= BY_NAME.longest);
            prop_assert_eq!(table.wait(&key(&name), 5) > 0, times >= 5);
            prop_assert!(address_key(&from).len() <= 64);
        }
    }
}
