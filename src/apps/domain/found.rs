//! What DNS said of a custom domain, and what follows. Pure.
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::dns::CHALLENGE;
use crate::base::{DomainName, Millis};

/// The last look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub cname: Option<String>,
    pub addresses: Vec<IpAddr>,
    /// Of the name beside it that proves whose it is.
    pub txt: Vec<String>,
    /// Where the app's own name leads: where the domain should lead too.
    pub own: Vec<IpAddr>,
    /// Why not all could be asked.
    pub trouble: Option<String>,
}

/// What is expected of a domain.
pub struct Wanted<'a> {
    pub host: &'a DomainName,
    pub token: &'a str,
    /// All names of the app at this server, the current one first.
    pub names: &'a [String],
}

/// A record that its owner sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordView {
    /// `CNAME`, `A`, `AAAA` or `TXT`.
    pub kind: String,
    pub name: String,
    pub value: String,
    /// It is there.
    pub set: bool,
}

impl Found {
    /// Its owner proved that it is theirs: by the token, or by an alias to this very app.
    pub fn proves(&self, wanted: &Wanted<'_>) -> bool {
        self.txt.iter().any(|txt| txt.trim() == wanted.token) || self.leads_by_name(wanted)
    }

    fn leads_by_name(&self, wanted: &Wanted<'_>) -> bool {
        self.cname.as_ref().is_some_and(|cname| wanted.names.contains(cname))
    }

    /// Visitors of the domain come here. `None` when it cannot be said: nobody answered, or this server's own
    /// address is not known.
    pub fn leads_here(&self, wanted: &Wanted<'_>) -> Option<bool> {
        if self.leads_by_name(wanted) || self.addresses.iter().any(|ip| self.own.contains(ip)) {
            return Some(true);
        }
        if self.trouble.is_some() || (self.own.is_empty() && !self.addresses.is_empty()) { None } else { Some(false) }
    }

    /// What to set, with what is there already marked. A name with others below it (`example.com`) cannot be an
    /// alias, so both ways are shown.
    pub fn records(&self, wanted: &Wanted<'_>) -> Vec<RecordView> {
        let record =
            |kind: &str, name: String, value: String, set| RecordView { kind: kind.to_owned(), name, value, set };
        let host = wanted.host.to_string();
        let own = wanted.names.first().cloned().unwrap_or_default();
        let mut all = vec![record("CNAME", host.clone(), own, self.leads_by_name(wanted))];
        all.extend(self.own.iter().map(|ip| {
            let kind = if ip.is_ipv4() { "A" } else { "AAAA" };
            record(kind, host.clone(), ip.to_string(), self.addresses.contains(ip))
        }));
        let token = self.txt.iter().any(|txt| txt.trim() == wanted.token);
        all.push(record("TXT", format!("{CHALLENGE}.{host}"), wanted.token.to_owned(), token));
        all
    }

    /// What is there, in a sentence.
    pub fn words(&self) -> String {
        if let Some(trouble) = &self.trouble {
            return trouble.clone();
        }
        let addresses = self.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match (&self.cname, addresses.as_str()) {
            (Some(cname), _) => format!("an alias of {cname}"),
            (None, "") => "nothing".to_owned(),
            (None, _) => addresses,
        }
    }
}

const SECOND: Millis = 1000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;

/// When to look again by ourselves: soon while its owner sits in front of it, then ever more rarely, and in the end
/// not before somebody asks.
pub fn next_look(proved: bool, age: Millis) -> Option<Millis> {
    let wait = match age {
        _ if proved => 6 * HOUR,
        age if age < HOUR => MINUTE,
        age if age < DAY => 15 * MINUTE,
        age if age < 14 * DAY => 6 * HOUR,
        _ => return None,
    };
    Some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn judged(found: &Found) -> (bool, Option<bool>) {
        let host = DomainName::parse("shop.example.com").unwrap();
        let names = ["app.steady.example".to_owned(), "old.steady.example".to_owned()];
        let wanted = Wanted { host: &host, token: "abc", names: &names };
        (found.proves(&wanted), found.leads_here(&wanted))
    }

    #[test]
    fn a_token_or_an_alias_to_this_very_app_proves() {
        let none = Found::default();
        assert_eq!(judged(&none), (false, Some(false)));
        let cname = |to: &str| Found { cname: Some(to.to_owned()), ..none.clone() };
        assert_eq!(judged(&cname("app.steady.example")), (true, Some(true)));
        assert_eq!(judged(&cname("old.steady.example")), (true, Some(true)), "a name from before a renaming");
        assert_eq!(judged(&cname("other.steady.example")), (false, Some(false)), "somebody else's app");
        let txt = |text: &str| Found { txt: vec!["x".to_owned(), text.to_owned()], ..none.clone() };
        assert_eq!(judged(&txt(" abc ")), (true, Some(false)));
        assert_eq!(judged(&txt("abcd")), (false, Some(false)));
        let address = Found { addresses: vec![ip("192.0.2.1")], own: vec![ip("192.0.2.1")], ..none.clone() };
        assert_eq!(
            judged(&address),
            (false, Some(true)),
            "an address proves nothing: it is this server's, not an app's"
        );
        let elsewhere = Found { addresses: vec![ip("192.0.2.9")], own: vec![ip("192.0.2.1")], ..none.clone() };
        assert_eq!(judged(&elsewhere), (false, Some(false)));
        let unknown = Found { addresses: vec![ip("192.0.2.9")], ..none.clone() };
        assert_eq!(judged(&unknown), (false, None));
        let silent = Found { trouble: Some("no answer".to_owned()), ..none };
        assert_eq!(judged(&silent), (false, None));
    }

    #[test]
    fn records_say_what_to_set_and_what_is_set() {
        let host = DomainName::parse("shop.example.com").unwrap();
        let names = ["app.steady.example".to_owned()];
        let wanted = Wanted { host: &host, token: "abc", names: &names };
        let own = vec![ip("192.0.2.1"), ip("2001:db8::1")];
        let found = Found { own, addresses: vec![ip("2001:db8::1")], txt: vec!["abc".to_owned()], ..Found::default() };
        let lines: Vec<String> =
            found.records(&wanted).iter().map(|r| format!("{} {} {} {}", r.kind, r.name, r.value, r.set)).collect();
        assert_eq!(
            lines,
            [
                "CNAME shop.example.com app.steady.example false",
                "A shop.example.com 192.0.2.1 false",
                "AAAA shop.example.com 2001:db8::1 true",
                "TXT _steady-challenge.shop.example.com abc true",
            ]
        );
    }

    proptest! {
        #[test]
        fn looks_grow_rarer(age in 0..100 * DAY, more in 0..100 * DAY) {
            let [early, late] = [age, age + more].map(|age| next_look(false, age).unwrap_or(Millis::MAX));
            prop_assert!(early <= late && early >= MINUTE);
        }
    }
}
