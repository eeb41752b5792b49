//! What one app may reach, and the words for what it may not. Pure, but for nothing: addresses are
//! judged by [`super::address`] before they come here.
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::rule::{HostRule, Net, Reach};

/// Characters of a suggested line; beyond it the rules that are already there are left out.
const MAX_LINE: usize = 300;

/// Whose connections these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    App,
    /// An install or a build: it reaches what the owner trusts, whatever the manifest says.
    Job,
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub net: Net,
    /// The owner's own hosts, which may have any address.
    pub trusted: Vec<HostRule>,
    /// Hosts of the owner's network that apps may ask for. It opens nothing: it is for saying what would help.
    pub offered: Vec<HostRule>,
    pub purpose: Purpose,
}

/// Which addresses a host may turn out to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// Public ones that are not the server's own.
    Public,
    /// Those of private networks too: the owner named this host for apps.
    Private,
    /// All: the owner named this very address, or trusts the host like the server itself.
    Anywhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Tcp,
    Udp,
}

/// What a program wanted to talk to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// In the form of [`super::rule::normal`].
    Name(Arc<str>),
    /// Never an IPv4 address in IPv6 form.
    Address(IpAddr),
}

/// A yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub host: Host,
    pub port: u16,
    pub at: Where,
}

impl Policy {
    /// Errors: why not, and the line of steady.json that would allow it, as sentences.
    pub fn decide(&self, host: &Host, port: u16, transport: Transport) -> Result<Grant, String> {
        let grant = |host: &Host, at| Ok(Grant { host: host.clone(), port, at });
        if transport == Transport::Tcp {
            if allows(&self.trusted, host, port) {
                return grant(host, Where::Anywhere);
            }
            // What the server calls localhost has the address of the app's own loopback.
            let localhost = Host::Name("localhost".into());
            if is_loopback(host) && [&self.trusted, &self.net.private].iter().any(|r| allows(r, &localhost, port)) {
                return grant(&localhost, Where::Anywhere);
            }
            if allows(&self.net.private, host, port) {
                return grant(host, if matches!(host, Host::Name(_)) { Where::Private } else { Where::Anywhere });
            }
        }
        let allowed = match (transport, &self.net.tcp) {
            (Transport::Udp, _) => allows(&self.net.udp, host, port),
            (Transport::Tcp, Reach::None) => false,
            (Transport::Tcp, Reach::Hosts(rules)) => allows(rules, host, port),
            (Transport::Tcp, Reach::Public) => true,
        };
        if !allowed {
            return Err(self.advice(host, Some(port), transport));
        }
        if let Host::Address(address) = host
            && super::address::barred(*address).is_some()
        {
            return Err(self.advice(host, Some(port), transport));
        }
        grant(host, Where::Public)
    }

    /// Whether a name may be looked up: something of it is allowed. Errors: as [`Self::decide`].
    pub fn may_resolve(&self, name: &str) -> Result<(), String> {
        let listed = match &self.net.tcp {
            Reach::Public => return Ok(()),
            Reach::Hosts(rules) => rules.as_slice(),
            Reach::None => &[],
        };
        let mut all = listed.iter().chain(&self.trusted).chain(&self.net.udp).chain(&self.net.private);
        if all.any(|rule| rule.has_name(name)) {
            return Ok(());
        }
        Err(self.advice(&Host::Name(name.into()), None, Transport::Tcp))
    }

    /// UDP ports that are open for a name.
    pub fn udp_ports(&self, name: &str) -> Vec<u16> {
        let rules = self.net.udp.iter().filter(|rule| rule.has_name(name));
        rules.filter_map(HostRule::port).collect()
    }

    /// UDP destinations that are addresses and may be reached.
    pub fn udp_addresses(&self) -> Vec<SocketAddr> {
        let rules = self.net.udp.iter();
        let named = rules.filter_map(|rule| Some(SocketAddr::new(rule.address()?, rule.port()?)));
        named.filter(|to| super::address::barred(to.ip()).is_none()).collect()
    }

    /// Why a host whose addresses are not public is not reached, as a sentence.
    pub fn not_public(&self, host: &Host, port: u16, transport: Transport, what: &str) -> String {
        let offered = self.offered(host, Some(port)).is_some() && transport == Transport::Tcp;
        let allow = offered.then(|| format!(" {}", self.advice(host, Some(port), transport)));
        format!("Its address is {what}: {NOT_PUBLIC}{}", allow.unwrap_or_default())
    }

    /// The host of the owner's network that this is, whatever is asked for.
    fn offered(&self, host: &Host, port: Option<u16>) -> Option<&HostRule> {
        self.offered.iter().find(|rule| match (host, port) {
            (Host::Name(name), None) => rule.has_name(name),
            (Host::Address(_), None) => false,
            (host, Some(port)) => allows(std::slice::from_ref(rule), host, port),
        })
    }

    fn advice(&self, host: &Host, port: Option<u16>, transport: Transport) -> String {
        if self.purpose == Purpose::Job {
            let hosts: Vec<_> = self.trusted.iter().map(ToString::to_string).collect();
            return if hosts.is_empty() {
                "This job has no network.".into()
            } else {
                format!(
                    "Installs and builds reach only {}; the server's owner can add hosts (build_hosts).",
                    hosts.join(", ")
                )
            };
        }
        let offered = self.offered(host, port).filter(|_| transport == Transport::Tcp);
        if let Host::Address(address) = host
            && let Some(what) = super::address::barred(*address)
            && offered.is_none()
        {
            return never(*address, what);
        }
        let port = port.or_else(|| offered.and_then(HostRule::port));
        let (key, rules) = match (transport, &self.net.tcp) {
            _ if offered.is_some() => ("private", self.net.private.as_slice()),
            (Transport::Udp, _) => ("udp", self.net.udp.as_slice()),
            (Transport::Tcp, Reach::Hosts(rules)) => ("net", rules.as_slice()),
            (Transport::Tcp, _) => ("net", &[] as &[HostRule]),
        };
        let usual = key == "net" && port.is_none_or(|p| super::rule::USUAL_PORTS.contains(&p));
        let new = match (host, port) {
            (host, Some(port)) if !usual => shown(host, port),
            (Host::Name(name), _) => name.to_string(),
            (Host::Address(address), _) => address.to_string(),
        };
        let line = |known: &[String]| {
            let list: Vec<_> = known.iter().chain([&new]).map(|rule| format!("\"{rule}\"")).collect();
            format!("To allow it, in steady.json: \"permissions\": {{ \"{key}\": [{}] }}", list.join(", "))
        };
        let known: Vec<_> = rules.iter().map(ToString::to_string).collect();
        let whole = line(&known);
        if whole.len() <= MAX_LINE { whole } else { format!("{}, beside what is there", line(&[])) }
    }
}

/// The sentence about an address that no manifest can allow.
pub fn never(address: IpAddr, what: &str) -> String {
    format!("{address} is {what}: {}", NOT_PUBLIC)
}

/// The end of a sentence about what is not public.
pub const NOT_PUBLIC: &str =
    "apps reach public addresses only, and hosts that the server's owner names (private_hosts), each with its port.";

/// `api.example.com:443`, `[2001:db8::1]:443`
pub fn shown(host: &Host, port: u16) -> String {
    match host {
        Host::Name(name) => format!("{name}:{port}"),
        Host::Address(address) => SocketAddr::new(*address, port).to_string(),
    }
}

fn allows(rules: &[HostRule], host: &Host, port: u16) -> bool {
    rules.iter().any(|rule| match host {
        Host::Name(name) => rule.allows_name(name, port),
        Host::Address(address) => rule.allows_address(*address, port),
    })
}

fn is_loopback(host: &Host) -> bool {
    matches!(host, Host::Address(address) if address.is_loopback())
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Transport::{Tcp, Udp};

    fn rules(list: &[&str]) -> Vec<HostRule> {
        list.iter().map(|text| HostRule::parse(text).expect(text)).collect()
    }

    fn hosts(list: &[&str]) -> Policy {
        Policy {
            net: Net { tcp: Reach::Hosts(rules(list)), ..Net::default() },
            trusted: vec![],
            offered: vec![],
            purpose: Purpose::App,
        }
    }

    fn public() -> Policy {
        Policy { net: Net { tcp: Reach::Public, ..Net::default() }, ..hosts(&[]) }
    }

    fn name(text: &str) -> Host {
        Host::Name(text.into())
    }

    fn address(text: &str) -> Host {
        Host::Address(text.parse().expect(text))
    }

    #[test]
    fn a_refusal_carries_the_line_that_would_allow_it() {
        let none = Policy { net: Net::default(), ..hosts(&[]) };
        for (policy, host, port, transport, line) in [
            (&none, name("api.github.com"), 443, Tcp, r#"{ "net": ["api.github.com"] }"#),
            (&none, name("db.example"), 5432, Tcp, r#"{ "net": ["db.example:5432"] }"#),
            (&hosts(&["a.b"]), name("c.d"), 80, Tcp, r#"{ "net": ["a.b", "c.d"] }"#),
            (&none, address("2606:4700::1111"), 8443, Tcp, r#"{ "net": ["[2606:4700::1111]:8443"] }"#),
            (&none, address("8.8.8.8"), 443, Tcp, r#"{ "net": ["8.8.8.8"] }"#),
            (&public(), name("ntp.example"), 123, Udp, r#"{ "udp": ["ntp.example:123"] }"#),
            (&none, name("ntp.example"), 443, Udp, r#"{ "udp": ["ntp.example:443"] }"#),
        ] {
            let why = policy.decide(&host, port, transport).expect_err("refused");
            assert_eq!(why, format!("To allow it, in steady.json: \"permissions\": {line}"));
            // And what it says is true.
            let list =
                line.split('[').nth(1).map_or("", |_| &line[line.find('[').unwrap()..line.rfind(']').unwrap() + 1]);
            let list: Vec<HostRule> = serde_json::from_str(list).expect("a list of rules");
            let net = match transport {
                Tcp => Net { tcp: Reach::Hosts(list), ..Net::default() },
                Udp => Net { udp: list, ..Net::default() },
            };
            assert!(Policy { net, ..none.clone() }.decide(&host, port, transport).is_ok(), "{why}");
        }
        let many: Vec<_> = (0..40).map(|n| format!("h{n}.example")).collect();
        let many = hosts(&many.iter().map(String::as_str).collect::<Vec<_>>());
        let why = many.may_resolve("x.y").expect_err("refused");
        assert_eq!(why, r#"To allow it, in steady.json: "permissions": { "net": ["x.y"] }, beside what is there"#);
    }

    #[test]
    fn private_addresses_are_never_allowed_not_even_by_a_rule() {
        for text in ["10.0.0.1", "127.0.0.2", "169.254.169.254", "fd00::1", "64:ff9b::808:808", "198.18.0.9"] {
            for policy in [public(), hosts(&[&format!("{}", text.parse::<IpAddr>().expect(text))])] {
                let why = policy.decide(&address(text), 80, Tcp).expect_err(text);
                assert!(why.contains("public addresses only") && !why.contains("To allow"), "{why}");
            }
        }
        assert!(public().decide(&address("8.8.8.8"), 22, Tcp).is_ok());
        assert!(hosts(&["8.8.8.8:53"]).decide(&address("8.8.8.8"), 53, Tcp).is_ok());
        assert!(hosts(&["8.8.8.8:53"]).decide(&address("8.8.8.8"), 53, Udp).is_err());
        assert!(hosts(&["dns.example"]).decide(&address("8.8.8.8"), 443, Tcp).is_err());
    }

    #[test]
    fn what_the_owner_trusts_may_be_anywhere() {
        let trusted = rules(&["registry.example", "localhost:4873", "10.0.0.9:8080"]);
        let job = Policy { net: Net::default(), trusted, offered: vec![], purpose: Purpose::Job };
        let grant = job.decide(&name("registry.example"), 443, Tcp).expect("allowed");
        assert_eq!(grant.at, Where::Anywhere);
        assert_eq!(job.decide(&address("10.0.0.9"), 8080, Tcp).expect("allowed").at, Where::Anywhere);
        let local = job.decide(&address("127.0.0.1"), 4873, Tcp).expect("allowed");
        assert_eq!(local.host, name("localhost"));
        assert!(job.decide(&address("127.0.0.1"), 22, Tcp).is_err());
        let why = job.decide(&name("evil.example"), 443, Tcp).expect_err("refused");
        assert_eq!(
            why,
            "Installs and builds reach only registry.example, localhost:4873, 10.0.0.9:8080; the server's owner can add hosts (build_hosts)."
        );
        assert!(job.may_resolve("registry.example").is_ok() && job.may_resolve("evil.example").is_err());
        let app = hosts(&["localhost:4873"]);
        assert!(app.decide(&address("127.0.0.1"), 4873, Tcp).is_err(), "only the owner opens loopback");
    }

    #[test]
    fn a_private_host_is_offered_by_the_owner_and_asked_for_by_the_app() {
        let offered = rules(&["db.internal:5432", "10.0.0.5:6379", "localhost:3306", "*.lan.example:443"]);
        for net in [Net::default(), public().net] {
            let asks_nothing = Policy { net, offered: offered.clone(), ..hosts(&[]) };
            for (host, port, line) in [
                (address("10.0.0.5"), 6379, r#"{ "private": ["10.0.0.5:6379"] }"#),
                (address("10.0.0.5"), 6380, "10.0.0.5 is private: apps reach public addresses only, and hosts"),
                (address("10.0.0.6"), 6379, "10.0.0.6 is private: apps reach public addresses only, and hosts"),
            ] {
                let why = asks_nothing.decide(&host, port, Tcp).expect_err("refused");
                assert!(why.contains(line), "{why}");
            }
            let why = asks_nothing.not_public(&name("db.internal"), 5432, Tcp, "private");
            assert!(why.ends_with(r#""permissions": { "private": ["db.internal:5432"] }"#), "{why}");
            let why = asks_nothing.not_public(&name("other.internal"), 5432, Tcp, "private");
            assert!(why.ends_with("each with its port."), "{why}");
        }
        let none = Policy { offered: offered.clone(), ..hosts(&[]) };
        let why = none.may_resolve("db.internal").expect_err("refused");
        assert_eq!(why, r#"To allow it, in steady.json: "permissions": { "private": ["db.internal:5432"] }"#);
        let why = none.decide(&name("a.lan.example"), 443, Tcp).expect_err("refused");
        assert!(why.ends_with(r#"{ "private": ["a.lan.example:443"] }"#), "{why}");

        let net = Net { private: rules(&["db.internal:5432", "10.0.0.5:6379", "localhost:3306"]), ..Net::default() };
        let asks = Policy { net, offered, ..hosts(&[]) };
        assert_eq!(asks.decide(&name("db.internal"), 5432, Tcp).expect("allowed").at, Where::Private);
        assert_eq!(asks.decide(&address("10.0.0.5"), 6379, Tcp).expect("allowed").at, Where::Anywhere);
        let local = asks.decide(&address("127.0.0.1"), 3306, Tcp).expect("allowed");
        assert_eq!((local.host, local.at), (name("localhost"), Where::Anywhere));
        assert!(asks.may_resolve("db.internal").is_ok());
        for (host, port, by) in [
            (name("db.internal"), 5433, Tcp),
            (name("db.internal"), 5432, Udp),
            (name("a.lan.example"), 443, Tcp),
            (name("x.db.internal"), 5432, Tcp),
            (address("10.0.0.6"), 6379, Tcp),
            (address("10.0.0.5"), 5432, Tcp),
            (address("10.0.0.5"), 6379, Udp),
            (address("127.0.0.1"), 22, Tcp),
            (address("169.254.169.254"), 80, Tcp),
        ] {
            asks.decide(&host, port, by).expect_err("refused");
        }
    }

    #[test]
    fn udp_needs_its_own_rule() {
        let mut policy = public();
        policy.net.udp = rules(&["t.example:123", "*.t.example:123", "8.8.8.8:53", "10.0.0.1:53"]);
        assert!(policy.decide(&name("t.example"), 123, Udp).is_ok());
        assert!(policy.decide(&name("t.example"), 124, Udp).is_err());
        assert_eq!(policy.udp_ports("a.t.example"), [123]);
        assert_eq!(policy.udp_addresses(), ["8.8.8.8:53".parse().expect("an address")]);
    }
}
