//! Full host names of the world's DNS, as people give them for their apps.
use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::name::clip;

/// Names that no public DNS has: they would never lead here, and nobody can prove that they are theirs.
const NOWHERE: [&str; 6] = ["localhost", "local", "invalid", "onion", "arpa", "internal"];

/// `shop.example.com`: lower case, in ASCII (IDNA), without final dot. Two labels or more, no address, no wildcard.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct DomainName(String);

impl DomainName {
    /// Reads what a person typed, also in their own script. Errors: `BadInput`, saying what a good one looks like.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::bad_input(format!("`{}` {why}", clip(text)))
                .hint("Give a host name alone, such as shop.example.com: no scheme, port, path or wildcard.")
        };
        if text.len() > 1000 {
            return Err(wrong("is longer than any host name"));
        }
        let name = text.trim();
        let name = name.strip_suffix('.').unwrap_or(name);
        let ascii = idna::domain_to_ascii_cow(name.as_bytes(), idna::AsciiDenyList::STD3)
            .map_err(|_| wrong("is no host name"))?
            .into_owned();
        let labels: Vec<&str> = ascii.split('.').collect();
        if ascii.len() > 253 || !labels.iter().all(|label| is_label(label)) {
            return Err(wrong("is no host name"));
        }
        let last = labels.last().copied().unwrap_or_default();
        if last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") {
            return Err(wrong("is an address, not a name"));
        }
        if NOWHERE.contains(&last) {
            return Err(wrong("is no name of the public DNS"));
        }
        if labels.len() < 2 {
            return Err(wrong("has no dot: it is no full host name"));
        }
        Ok(Self(ascii))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with `label` in front. Errors: `BadInput` when it becomes too long.
    pub fn below(&self, label: &str) -> Result<Self> {
        Self::parse(&format!("{label}.{self}"))
    }

    /// As its owner would write it: `bücher.example`. For reading, never for comparing.
    pub fn shown(&self) -> String {
        let (text, outcome) = idna::domain_to_unicode(&self.0);
        if outcome.is_ok() { text } else { self.0.clone() }
    }
}

fn is_label(label: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&label.len()) && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for DomainName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for DomainName {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_spelling_is_one_name() {
        for (typed, name) in [
            ("shop.example.com", "shop.example.com"),
            (" Shop.Example.COM. ", "shop.example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("shop。example。com", "shop.example.com"),
            ("1and1.com", "1and1.com"),
        ] {
            assert_eq!(DomainName::parse(typed).map(|name| name.0).ok().as_deref(), Some(name), "{typed}");
        }
        assert_eq!(DomainName::parse("xn--bcher-kva.example").unwrap().shown(), "bücher.example");
        assert_eq!(DomainName::parse("example.com").unwrap().below("www").unwrap().as_str(), "www.example.com");
    }

    #[test]
    fn what_is_no_name_of_the_world_is_refused() {
        let long = format!("{}.com", "a".repeat(64));
        let longer = format!("{}com", "a.".repeat(130));
        for bad in [
            "",
            ".",
            "com",
            "localhost",
            "app.localhost",
            "printer.local",
            "db.internal",
            "127.0.0.1",
            "127.1",
            "1.2.3.0x4",
            "[::1]",
            "::1",
            "https://example.com",
            "example.com/",
            "example.com:443",
            "*.example.com",
            "a b.example.com",
            "a_b.example.com",
            "-a.example.com",
            "a-.example.com",
            "a..example.com",
            "example.com\0",
            "1.0.0.127.in-addr.arpa",
            &long,
            &longer,
        ] {
            let error = DomainName::parse(bad).expect_err(bad);
            assert!(error.hint.is_some(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_parsed_name_parses_to_itself_and_is_plain(text in "(\\PC|[a-zA-Z0-9.-]){0,40}(\\.com)?") {
            if let Ok(name) = DomainName::parse(&text) {
                prop_assert_eq!(DomainName::parse(name.as_str()).ok(), Some(name.clone()));
                let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
                prop_assert!(name.as_str().contains('.') && name.as_str().bytes().all(plain));
            }
        }
    }
}
