//! How far each client network is ahead of its rate: a table of fixed size, so that a flood of addresses costs no
//! memory. Sharded, so that a look costs an uncontended lock.
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::gcra::Rate;

const SHARDS: usize = 64;
/// Sets of each shard.
const SETS: usize = 128;
/// Places of a set: a key can be in any place of one set.
const WAYS: usize = 8;

/// 16 bytes. `ahead` 0 is a free place.
#[derive(Clone, Copy, Default)]
struct Slot {
    key: u64,
    ahead: u64,
}

type Shard = Mutex<Box<[[Slot; WAYS]]>>;

/// 65,536 places, one MiB, made at the first use. When a set is full, whoever is least ahead of their rate makes
/// room: newcomers push out newcomers, and not the one who is being slowed down.
pub struct Clients {
    shards: OnceLock<Box<[Shard]>>,
    /// Its key is random: nobody can choose addresses that meet in one set.
    hasher: RandomState,
}

impl Default for Clients {
    fn default() -> Self {
        Self { shards: OnceLock::new(), hasher: RandomState::new() }
    }
}

impl Clients {
    /// Counts one of `who` at `now` (nanoseconds). `Err`: one too many, and nanoseconds until the next may come.
    pub fn take(&self, who: impl Hash, rate: Rate, now: u64) -> Result<(), u64> {
        let key = self.hasher.hash_one(who);
        self.with_set(key, |set| {
            let known = set.iter().position(|slot| slot.ahead != 0 && slot.key == key);
            let place = known.unwrap_or_else(|| least(set));
            let ahead = if known.is_some() { set[place].ahead } else { 0 };
            let ahead = rate.take(ahead, now)?;
            set[place] = Slot { key, ahead: ahead.max(1) };
            Ok(())
        })
    }

    /// Takes one counted back.
    pub fn give_back(&self, who: impl Hash, rate: Rate) {
        let key = self.hasher.hash_one(who);
        self.with_set(key, |set| {
            if let Some(slot) = set.iter_mut().find(|slot| slot.ahead != 0 && slot.key == key) {
                slot.ahead = rate.back(slot.ahead).max(1);
            }
        });
    }

    fn with_set<T>(&self, key: u64, work: impl FnOnce(&mut [Slot; WAYS]) -> T) -> T {
        let shards = self.shards.get_or_init(|| {
            (0..SHARDS).map(|_| Mutex::new(vec![[Slot::default(); WAYS]; SETS].into_boxed_slice())).collect()
        });
        let at = usize::try_from(key % (SHARDS * SETS) as u64).unwrap_or(0);
        let mut shard = shards[at / SETS].lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut shard[at % SETS])
    }
}

fn least(set: &[Slot; WAYS]) -> usize {
    set.iter().enumerate().min_by_key(|(_, slot)| slot.ahead).map_or(0, |(at, _)| at)
}

/// One customer's network: an IPv4 address, or the /64 of an IPv6 one, of which everybody has plenty.
pub fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_what_a_customer_has() {
        let same = |a: &str, b: &str| network(a.parse().unwrap()) == network(b.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:2") && !same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1") && !same("192.0.2.1", "192.0.2.2"));
    }

    #[test]
    fn everybody_has_a_rate_of_their_own() {
        let clients = Clients::default();
        let rate = Rate::new(1000, 2);
        for who in 0..200u32 {
            assert!(clients.take(who, rate, 5000).is_ok() && clients.take(who, rate, 5000).is_ok(), "{who}");
            assert_eq!(clients.take(who, rate, 5000), Err(1000), "{who}");
        }
        assert!(clients.take(7u32, rate, 6000).is_ok());
        assert!(clients.take(7u32, rate, 6000).is_err());
        clients.give_back(7u32, rate);
        clients.give_back(1_000_000u32, rate);
        assert!(clients.take(7u32, rate, 6000).is_ok() && clients.take(7u32, rate, 6000).is_err());
    }

    /// A million strangers take no more memory than none, and who is being slowed down stays so.
    #[test]
    fn a_flood_of_addresses_neither_grows_the_table_nor_frees_who_is_slowed_down() {
        let clients = Clients::default();
        let (slow, mut now) = (Rate::new(1_000_000_000, 50), 1);
        while clients.take("guesser", slow, now).is_ok() {}
        let size = |clients: &Clients| {
            let shards = clients.shards.get().unwrap();
            shards.iter().map(|shard| size_of_val(&**shard.lock().unwrap())).sum::<usize>()
        };
        let before = size(&clients);
        for stranger in 0..1_000_000u64 {
            now += 1;
            let _ = clients.take(stranger, slow, now);
        }
        assert_eq!((size(&clients), before), (1 << 20, 1 << 20));
        assert!(clients.take("guesser", slow, now).is_err(), "the flood did not wash the guesser's tries off");
    }

    #[test]
    fn many_threads_never_let_more_through() {
        let (clients, rate) = (Clients::default(), Rate::new(u64::MAX / 1000, 100));
        let passed: usize = std::thread::scope(|scope| {
            let many: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..500).filter(|_| clients.take(1u8, rate, 1).is_ok()).count()))
                .collect();
            many.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(passed, 100);
    }
}
