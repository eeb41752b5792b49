use proptest::prelude::*;

use super::*;

#[test]
fn hosts() {
    for good in ["localhost", "example.org", "a.b-c.example", "xn--bcher-kva.example", "1and1.com"] {
        assert!(is_host(good), "{good}");
    }
    let long = format!("{}.org", "a.".repeat(100));
    for bad in [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "-a",
        "a-",
        "a_b",
        "http://a",
        "a:80",
        "a/b",
        "127.0.0.1",
        "::1",
        "Ä",
        "A",
        "a b",
        "*.a",
        "a\n",
        &"a".repeat(64),
        &long,
    ] {
        assert!(!is_host(bad), "{bad:?}");
    }
}

#[test]
fn every_key_is_documented_and_its_default_good() {
    for (n, key) in KEYS.iter().enumerate() {
        assert!(key.doc.len() > 5 && key.doc.ends_with('.'), "{}", key.name);
        assert!(KEYS[..n].iter().all(|other| other.name != key.name), "{} twice", key.name);
        let table: toml::Table = format!("x = {}", key.default).parse().unwrap();
        assert_eq!(key.check(table["x"].clone()).as_ref(), Ok(&table["x"]), "{}", key.name);
    }
}

#[test]
fn the_key_that_was_meant() {
    for (typed, meant) in [("memory", "memory_mb"), ("Listen", "listen"), ("editor-domain", "editor_domain")] {
        assert_eq!(nearest(typed), Some(meant));
    }
    assert_eq!(nearest("zzzz"), None);
    assert_eq!(nearest(""), None);
}

proptest! {
    #[test]
    fn whatever_is_read_is_checked(n in 0..KEYS.len(), text in ".{0,40}|-?[0-9]{1,30}|[a-z.]{1,20}") {
        let key = &KEYS[n];
        if let Ok(value) = key.read(&text) {
            prop_assert_eq!(key.check(value.clone()), Ok(value));
        }
        let _ = nearest(&text);
    }
}
