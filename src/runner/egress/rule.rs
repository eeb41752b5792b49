//! What an app may reach: the words of `permissions.net`, parsed once. Pure.
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Ports of a rule that names none.
pub const USUAL_PORTS: [u16; 2] = [443, 80];
/// Characters of a rule: a host name has at most 253.
const MAX: usize = 260;

/// The outbound connections of one app. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Net {
    pub tcp: Reach,
    /// Always with a port.
    #[serde(default)]
    pub udp: Vec<HostRule>,
    /// Of the server's owner's own network, always with a port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private: Vec<HostRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    #[default]
    None,
    Hosts(Vec<HostRule>),
    /// Every public address, every port.
    Public,
}

/// `api.github.com`, `*.example.com:8443`, `203.0.113.7:5432`, `[2001:db8::1]:443`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostRule {
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// Lower case, ASCII, no trailing dot.
    Name(String),
    /// What follows `*.`
    Below(String),
    Address(IpAddr),
}

impl HostRule {
    /// Errors: what is wrong with it, as a part of a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{}` {why}", text.escape_debug()));
        if text.is_empty() || text.len() > MAX {
            return wrong("is not a host name");
        }
        if text.contains("://") || text.contains(['/', '@', '?', '#', ' ']) {
            return wrong("must be a host name with an optional port, such as api.example.com or db.example.com:5432");
        }
        let (host, port) = match (text.strip_prefix('['), text.parse::<IpAddr>()) {
            (_, Ok(address)) => (address.to_string(), None),
            (Some(rest), _) => match rest.split_once(']') {
                Some((host, "")) => (host.to_owned(), None),
                Some((host, port)) if port.starts_with(':') => (host.to_owned(), Some(&port[1..])),
                _ => return wrong("is not an address in brackets"),
            },
            (None, _) => match text.rsplit_once(':') {
                Some((host, port)) => (host.to_owned(), Some(port)),
                None => (text.to_owned(), None),
            },
        };
        let port = match port.map(|p| p.parse::<u16>().ok().filter(|n| *n > 0 && n.to_string() == p)) {
            None => None,
            Some(Some(port)) => Some(port),
            Some(None) => return wrong("has a port that is not a number from 1 to 65535"),
        };
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Self { host: Host::Address(address), port });
        }
        if text.starts_with('[') {
            return wrong("is not an address in brackets");
        }
        if host == "*" {
            return wrong("is every host: write \"net\": \"public\"");
        }
        let below = host.strip_prefix("*.");
        let Some(name) = normal(below.unwrap_or(&host)) else { return wrong("is not a host name") };
        if below.is_some() && !name.contains('.') {
            return wrong("is too wide: name at least two labels after the star, such as *.example.com");
        }
        let host = if below.is_some() { Host::Below(name) } else { Host::Name(name) };
        Ok(Self { host, port })
    }

    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The address this rule names, when it names one.
    pub fn address(&self) -> Option<IpAddr> {
        if let Host::Address(address) = self.host { Some(address) } else { None }
    }

    fn has_port(&self, port: u16) -> bool {
        self.port.map_or_else(|| USUAL_PORTS.contains(&port), |own| own == port)
    }

    /// Whether a name (as [`normal`] gives it) is one of this rule's, whatever the port.
    pub fn has_name(&self, name: &str) -> bool {
        match &self.host {
            Host::Name(own) => own == name,
            Host::Below(own) => {
                name.strip_suffix(own.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            Host::Address(_) => false,
        }
    }

    pub fn allows_name(&self, name: &str, port: u16) -> bool {
        self.has_name(name) && self.has_port(port)
    }

    pub fn allows_address(&self, address: IpAddr, port: u16) -> bool {
        self.host == Host::Address(address) && self.has_port(port)
    }

    /// Whether all that `other` allows is allowed here.
    pub fn covers(&self, other: &Self) -> bool {
        let host = match (&self.host, &other.host) {
            (Host::Below(own), Host::Below(theirs)) => own == theirs || theirs.ends_with(&format!(".{own}")),
            (_, Host::Name(name)) => self.has_name(name),
            (own, theirs) => own == theirs,
        };
        host && other.port.map_or(self.port.is_none(), |port| self.has_port(port))
    }
}

impl Net {
    /// What this asks for beyond `approved`, in the words of steady.json; empty when nothing.
    pub fn beyond(&self, approved: &Self) -> Vec<String> {
        let mut more = Vec::new();
        match (&self.tcp, &approved.tcp) {
            (Reach::None, _) | (_, Reach::Public) => {}
            (Reach::Public, _) => more.push("net: public".to_owned()),
            (Reach::Hosts(asked), approved) => {
                let known: &[HostRule] = if let Reach::Hosts(known) = approved { known } else { &[] };
                more.extend(new_of(asked, known).map(|rule| format!("net: {rule}")));
            }
        }
        more.extend(new_of(&self.udp, &approved.udp).map(|rule| format!("udp: {rule}")));
        more.extend(new_of(&self.private, &approved.private).map(|rule| format!("private: {rule}")));
        more
    }

    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

fn new_of<'a>(asked: &'a [HostRule], known: &'a [HostRule]) -> impl Iterator<Item = &'a HostRule> {
    asked.iter().filter(move |rule| !known.iter().any(|k| k.covers(rule)))
}

/// A host name in the one form that is compared: lower case, ASCII (punycode), without the last dot.
/// `None` when it is not a host name. Digits that some programs read as an address are no name.
pub fn normal(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let name = idna::domain_to_ascii(name).ok()?;
    let last = name.rsplit('.').next()?;
    let number = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    (!number && name.len() <= 253 && name.split('.').all(label)).then_some(name)
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => f.write_str(name)?,
            Host::Below(name) => write!(f, "*.{name}")?,
            Host::Address(IpAddr::V6(address)) if self.port.is_some() => write!(f, "[{address}]")?,
            Host::Address(address) => write!(f, "{address}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl TryFrom<String> for HostRule {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<HostRule> for String {
    fn from(rule: HostRule) -> Self {
        rule.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> HostRule {
        HostRule::parse(text).expect(text)
    }

    #[test]
    fn one_form_for_every_spelling() {
        for (text, shown) in [
            ("API.Example.com.", "api.example.com"),
            ("*.Example.com:8443", "*.example.com:8443"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:443", "[2001:db8::1]:443"),
            ("203.0.113.7:5432", "203.0.113.7:5432"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(rule(text).to_string(), shown);
            assert_eq!(rule(shown), rule(text));
        }
        for bad in [
            "",
            "*",
            "*.com",
            "a..b",
            "-a.b",
            "https://a.b",
            "a.b/c",
            "a.b:0",
            "a.b:65536",
            "a.b:x",
            "a.b:080",
            "a b",
            "u@a.b",
            "1.2.3",
            "0x7f.1",
            "2130706433",
            "[::1",
            "[a.b]:1",
            "a.*.b",
        ] {
            assert!(HostRule::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_star_is_below_and_never_the_name_itself() {
        let star = rule("*.example.com");
        assert!(star.allows_name("a.example.com", 443) && star.allows_name("a.b.example.com", 80));
        assert!(!star.allows_name("example.com", 443) && !star.allows_name("badexample.com", 443));
        assert!(!star.allows_name("a.example.com", 8080));
        assert!(rule("a.b:5432").allows_name("a.b", 5432) && !rule("a.b:5432").allows_name("a.b", 443));
    }

    #[test]
    fn only_what_is_more_is_a_difference() {
        let hosts = |list: &[&str]| Net { tcp: Reach::Hosts(list.iter().map(|t| rule(t)).collect()), ..Net::default() };
        let public = Net { tcp: Reach::Public, ..Net::default() };
        assert!(hosts(&["a.example.com:443"]).beyond(&hosts(&["*.example.com"])).is_empty());
        assert_eq!(hosts(&["a.example.com"]).beyond(&hosts(&["a.example.com:443"])), ["net: a.example.com"]);
        assert_eq!(hosts(&["*.example.com"]).beyond(&hosts(&["a.example.com"])), ["net: *.example.com"]);
        assert!(hosts(&["a.b"]).beyond(&public).is_empty());
        assert_eq!(public.beyond(&hosts(&["a.b"])), ["net: public"]);
        assert!(Net::default().beyond(&Net::default()).is_empty());
        let udp = Net { udp: vec![rule("t.example:123")], ..Net::default() };
        assert_eq!(udp.beyond(&public), ["udp: t.example:123"]);
        let own = Net { private: vec![rule("10.0.0.5:5432")], ..Net::default() };
        assert_eq!(own.beyond(&public), ["private: 10.0.0.5:5432"], "public addresses are others");
        assert!(own.beyond(&own).is_empty());
    }
}
