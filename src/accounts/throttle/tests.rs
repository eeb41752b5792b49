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
fn the_machines_own_address_may_be_a_proxys() {
    let tries = SignIns::new();
    let mine = tries.begin("dev", "127.0.0.1", 0).unwrap();
    tries.succeeded(mine, 0);
    for n in 0..200 {
        let from = if n % 2 == 0 { "::1" } else { "127.0.0.1" };
        let _ = tries.begin(&format!("n{n}"), from, 0);
    }
    assert!(tries.begin("fresh", "127.0.0.1", 0).is_err());
    assert!(tries.begin("fresh", "127.0.0.1", 5_000).is_ok(), "nobody waits long");
    let mut now = 10_000;
    for _ in 0..5 {
        now += 5_000;
        assert!(fails(&tries, "dev", "127.0.0.1", now));
    }
    now += 5_000;
    assert!(fails(&tries, "dev", "127.0.0.1", now));
    assert!(tries.lock().names.wait(&by_name("dev"), now) > 0, "a guesser is not known there as dev");
    assert!(tries.begin("dev", "127.0.0.1", now).is_err());
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
    assert_eq!(by_address("::ffff:192.0.2.1"), by_address("192.0.2.1"));
}

#[test]
fn tables_stay_bounded_and_keep_the_worst() {
    let mut table = Table::new(BY_ADDRESS, BY_SHARED_ADDRESS);
    for _ in 0..9 {
        table.count(&by_name("attacker"), 0);
    }
    for n in 0..ENTRIES + 50 {
        table.count(&by_name(&n.to_string()), 1);
    }
    assert_eq!(table.entries.len(), ENTRIES);
    assert!(table.wait(&by_name("attacker"), 1) > 0);
    table.prune(BY_ADDRESS.forget + 2);
    assert!(table.entries.is_empty());
}

proptest! {
    #[test]
    fn any_key_is_short_and_the_wait_is_bounded(name in ".{0,300}", from in ".{0,300}", times in 1..40usize) {
        let mut table = Table::new(BY_NAME, BY_NAME);
        for _ in 0..times {
            table.count(&by_name(&name), 5);
        }
        prop_assert!(table.wait(&by_name(&name), 5) <= BY_NAME.longest);
        prop_assert_eq!(table.wait(&by_name(&name), 5) > 0, times >= 5);
        prop_assert!(by_address(&from).key.len() <= 64);
    }
}
