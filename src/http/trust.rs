//! Proxies in front of Steady that are believed about whom they speak for. Pure.
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::header::{self, FORWARDED, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Uri};
use serde::{Deserialize, Serialize};

/// A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.address.is_ipv4() && prefix(ip, self.bits) == prefix(self.address, self.bits)
    }
}

/// The first `bits` bits.
fn prefix(ip: IpAddr, bits: u8) -> u128 {
    let (value, width) = match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)), 32),
        IpAddr::V6(ip) => (u128::from(ip), 128),
    };
    value.checked_shr(u32::from(width - bits)).unwrap_or(0)
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is no network", crate::base::name::clip(text));
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address = address.parse::<IpAddr>().map_err(|_| wrong())?.to_canonical();
        let most = if address.is_ipv4() { 32 } else { 128 };
        let plain = |bits: &&str| bits.bytes().all(|b| b.is_ascii_digit());
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|n| plain(&bits) && *n <= most).ok_or_else(wrong)?,
            None => most,
        };
        Ok(Self { address, bits })
    }
}

impl TryFrom<String> for Network {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// Whom a request comes from, as far as it can be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub ip: IpAddr,
    /// `http` or `https`, when a trusted proxy said so.
    pub scheme: Option<&'static str>,
    /// The host that was asked for, when a trusted proxy said so.
    pub host: Option<String>,
}

/// The proxies of one server.
#[derive(Clone, Debug, Default)]
pub struct Trusted(pub Vec<Network>);

/// Proxies in a row that are looked at.
const MOST_HOPS: usize = 32;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

impl Trusted {
    pub fn has(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(ip))
    }

    /// From the last hop back: the client is the first address that is no trusted proxy's. What stands further left was
    /// written by the client. `X-Forwarded-*` counts when it is there, `Forwarded` (RFC 7239) only when not.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        let mut client = Client { ip: peer.to_canonical(), scheme: None, host: None };
        if self.0.is_empty() || !self.has(peer) {
            return client;
        }
        if [FOR, PROTO, HOST].iter().any(|name| headers.contains_key(name)) {
            let hops = self.walk(&mut client, items(headers, &FOR).map(|item| address(item.trim())));
            let said = |name: &HeaderName| {
                let all: Vec<&str> = items(headers, name).take(MOST_HOPS).map(str::trim).collect();
                // One value is the whole truth; of several each is a hop's, the last one is the last hop's.
                if all.len() > 1 { all.get(hops.min(all.len() - 1)).copied() } else { all.first().copied() }
            };
            client.scheme = said(&PROTO).and_then(scheme);
            client.host = said(&HOST).and_then(host);
            return client;
        }
        let elements: Vec<Vec<(&str, &str)>> = items(headers, &FORWARDED).take(MOST_HOPS).map(pairs).collect();
        let value = |element: &[(&str, &str)], name: &str| {
            element.iter().find(|(named, _)| named.eq_ignore_ascii_case(name)).map(|(_, value)| (*value).to_owned())
        };
        let hops = self.walk(&mut client, elements.iter().map(|e| value(e, "for").and_then(|node| address(&node))));
        if let Some(element) = elements.get(hops.min(elements.len().saturating_sub(1))) {
            client.scheme = value(element, "proto").as_deref().and_then(scheme);
            client.host = value(element, "host").as_deref().and_then(host);
        }
        client
    }

    /// `hops` from the last to the first; an unreadable one ends what can be believed. Returns how many were trusted
    /// proxies.
    fn walk(&self, client: &mut Client, hops: impl Iterator<Item = Option<IpAddr>>) -> usize {
        let mut proxies = 0;
        for hop in hops.take(MOST_HOPS) {
            let Some(ip) = hop else { return proxies };
            client.ip = ip;
            if !self.has(ip) {
                return proxies;
            }
            proxies += 1;
        }
        proxies.saturating_sub(1)
    }
}

/// From here on the request is one for that host, whatever the proxy called this server.
pub fn rename<B>(request: &mut Request<B>, host: &str) {
    let path = request.uri().path_and_query().cloned();
    if let (true, Some(path)) = (request.uri().authority().is_some(), path) {
        *request.uri_mut() = Uri::from(path);
    }
    if let Ok(host) = HeaderValue::from_str(host) {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// The members of a list header over all its lines, the last one first. A line that is not text hides all before it.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> + use<'a> {
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    lines.into_iter().rev().map_while(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','))
}

/// `for=192.0.2.1;proto=https`
fn pairs(element: &str) -> Vec<(&str, &str)> {
    let both = element.split(';').filter_map(|pair| pair.split_once('='));
    both.map(|(name, value)| (name.trim(), value.trim().trim_matches('"'))).collect()
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`
fn address(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']')?.0.parse::<std::net::Ipv6Addr>().ok().map(|ip| IpAddr::V6(ip).to_canonical());
    }
    let alone = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|at| at.ip());
    alone.or_else(with_port).map(|ip| ip.to_canonical())
}

fn scheme(text: &str) -> Option<&'static str> {
    ["http", "https"].into_iter().find(|known| text.eq_ignore_ascii_case(known))
}

/// Only what could stand in a `Host` header; what it means is found out as for any other.
fn host(text: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
    (!text.is_empty() && text.len() <= 270 && text.bytes().all(plain)).then(|| text.to_owned())
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
