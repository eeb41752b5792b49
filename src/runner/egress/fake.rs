//! Names and the addresses that stand for them inside one app's network. An address is given once and
//! then stands for its name as long as the app lives, unless more names come than are kept.
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Names kept per app.
pub const NAMES: usize = 4096;

/// Where the addresses come from. All of it must be local inside the app's network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranges {
    pub v4: Ipv4Addr,
    /// How many addresses from `v4` on; at least twice [`NAMES`], so that none is reused soon.
    pub v4_count: u32,
    /// The first of a /64. `None`: the app's network has no IPv6, and names have no AAAA.
    pub v6: Option<Ipv6Addr>,
}

impl Ranges {
    /// 198.18.0.0/15 and a /64 of unique local addresses.
    pub const JAIL: Self = Self {
        v4: Ipv4Addr::new(198, 18, 0, 0),
        v4_count: 1 << 17,
        v6: Some(Ipv6Addr::new(0xfd5e, 0xad1e, 0x6a11, 1, 0, 0, 0, 0)),
    };

    /// Number 0 is the network itself and the last one its broadcast address; neither is given.
    fn last(&self) -> u32 {
        self.v4_count - 2
    }

    fn number(&self, address: IpAddr) -> Option<u32> {
        let number = match address.to_canonical() {
            IpAddr::V4(v4) => u128::from(v4.to_bits().checked_sub(self.v4.to_bits())?),
            IpAddr::V6(v6) => v6.to_bits().checked_sub(self.v6?.to_bits())?,
        };
        u32::try_from(number).ok().filter(|n| (1..=self.last()).contains(n))
    }

    /// Whether the address is of the kind that stands for a name, given or not.
    pub fn has(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => v4.to_bits().checked_sub(self.v4.to_bits()).is_some_and(|n| n < self.v4_count),
            IpAddr::V6(v6) => self.v6.is_some_and(|first| first.to_bits() >> 64 == v6.to_bits() >> 64),
        }
    }
}

/// The two addresses of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fake {
    pub v4: Ipv4Addr,
    pub v6: Option<Ipv6Addr>,
}

pub struct Fakes {
    ranges: Ranges,
    names: HashMap<Arc<str>, u32>,
    numbers: HashMap<u32, Entry>,
    next: u32,
    tick: u64,
}

struct Entry {
    name: Arc<str>,
    used: u64,
    /// Connections and sockets that need the name to stay.
    held: usize,
}

impl Fakes {
    pub fn new(ranges: Ranges) -> Self {
        Self { ranges, names: HashMap::new(), numbers: HashMap::new(), next: 1, tick: 0 }
    }

    /// The addresses of a name, in the form of [`super::rule::normal`]. `None`: as many names as are kept
    /// have something open.
    pub fn give(&mut self, name: &str) -> Option<Fake> {
        self.tick += 1;
        let number = match self.names.get(name) {
            Some(number) => *number,
            None => self.add(name)?,
        };
        if let Some(entry) = self.numbers.get_mut(&number) {
            entry.used = self.tick;
        }
        let v6 = self.ranges.v6.map(|first| Ipv6Addr::from_bits(first.to_bits() + u128::from(number)));
        Some(Fake { v4: Ipv4Addr::from_bits(self.ranges.v4.to_bits() + number), v6 })
    }

    fn add(&mut self, name: &str) -> Option<u32> {
        if self.numbers.len() >= NAMES {
            let idle = self.numbers.iter().filter(|(_, entry)| entry.held == 0);
            let (number, name) = idle.min_by_key(|(_, e)| e.used).map(|(n, e)| (*n, Arc::clone(&e.name)))?;
            self.numbers.remove(&number);
            self.names.remove(&name);
        }
        // Forward only: what an app has cached of a forgotten name leads nowhere for long, not elsewhere.
        while self.numbers.contains_key(&self.next) {
            self.step();
        }
        let number = self.next;
        self.step();
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name), number);
        self.numbers.insert(number, Entry { name, used: self.tick, held: 0 });
        Some(number)
    }

    fn step(&mut self) {
        self.next = if self.next >= self.ranges.last() { 1 } else { self.next + 1 };
    }

    /// The name an address stands for.
    pub fn name(&self, address: IpAddr) -> Option<Arc<str>> {
        self.numbers.get(&self.ranges.number(address)?).map(|entry| Arc::clone(&entry.name))
    }

    /// Keeps the name from being replaced, and gives it; each hold needs one [`Self::release`].
    pub fn hold(&mut self, address: IpAddr) -> Option<Arc<str>> {
        self.tick += 1;
        let entry = self.numbers.get_mut(&self.ranges.number(address)?)?;
        entry.held += 1;
        entry.used = self.tick;
        Some(Arc::clone(&entry.name))
    }

    pub fn release(&mut self, address: IpAddr) {
        let entry = self.ranges.number(address).and_then(|n| self.numbers.get_mut(&n));
        if let Some(entry) = entry {
            entry.held = entry.held.saturating_sub(1);
        }
    }

    pub fn ranges(&self) -> Ranges {
        self.ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: Ranges = Ranges { v4_count: 2 * NAMES as u32 + 2, ..Ranges::JAIL };

    #[test]
    fn an_address_leads_back_to_its_name() {
        let mut fakes = Fakes::new(Ranges::JAIL);
        let first = fakes.give("a.example").expect("an address");
        let second = fakes.give("b.example").expect("an address");
        assert_ne!(first, second);
        assert_eq!(fakes.give("a.example"), Some(first));
        assert_eq!(first.v4, Ipv4Addr::new(198, 18, 0, 1));
        for address in [IpAddr::V4(first.v4), first.v6.expect("v6").into(), first.v4.to_ipv6_mapped().into()] {
            assert_eq!(fakes.name(address).as_deref(), Some("a.example"));
            assert!(fakes.ranges().has(address));
        }
        for text in ["198.18.0.0", "198.18.0.9", "198.20.0.1", "198.17.255.255", "10.0.0.1", "fd5e:ad1e:6a11:2::1"] {
            assert_eq!(fakes.name(text.parse().expect(text)), None, "{text}");
        }
        assert!(!Ranges::JAIL.has("198.20.0.0".parse().expect("an address")));
    }

    #[test]
    fn the_oldest_idle_name_goes_first_and_a_held_one_never() {
        let mut fakes = Fakes::new(SMALL);
        let held = fakes.give("held.example").expect("an address");
        let old = fakes.give("old.example").expect("an address");
        assert_eq!(fakes.hold(held.v4.into()).as_deref(), Some("held.example"));
        for n in 2..NAMES {
            assert!(fakes.give(&format!("n{n}.example")).is_some());
        }
        assert!(fakes.give("old.example").is_some(), "now the most recent");
        for n in 0..3 * NAMES {
            assert!(fakes.give(&format!("m{n}.example")).is_some());
        }
        assert_eq!(fakes.name(held.v4.into()).as_deref(), Some("held.example"));
        assert_ne!(fakes.name(old.v4.into()).as_deref(), Some("old.example"));
        assert_eq!(fakes.numbers.len(), NAMES);
        assert_eq!(fakes.names.len(), NAMES);
        fakes.release(held.v4.into());
        for n in 0..NAMES {
            assert!(fakes.give(&format!("k{n}.example")).is_some());
        }
        assert_ne!(fakes.name(held.v4.into()).as_deref(), Some("held.example"));
    }

    #[test]
    fn when_all_are_held_nothing_is_given() {
        let mut fakes = Fakes::new(SMALL);
        for n in 0..NAMES {
            let fake = fakes.give(&format!("n{n}.example")).expect("an address");
            assert!(fakes.hold(fake.v4.into()).is_some());
        }
        assert_eq!(fakes.give("one.more"), None);
    }

    proptest! {
        #[test]
        fn no_two_names_share_an_address(names in proptest::collection::vec("[a-c]{1,3}", 1..200)) {
            let mut fakes = Fakes::new(Ranges::JAIL);
            for name in &names {
                let fake = fakes.give(name).expect("an address");
                let found = fakes.name(fake.v4.into());
                prop_assert_eq!(found.as_deref(), Some(name.as_str()));
            }
            for name in &names {
                let fake = fakes.give(name).expect("an address");
                let found = fakes.name(fake.v6.expect("v6").into());
                prop_assert_eq!(found.as_deref(), Some(name.as_str()));
            }
        }
    }
}
