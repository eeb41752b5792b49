//! What the engine is told.
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::limits::Limits;
use crate::base::Secret;

/// The default authority.
pub const LETS_ENCRYPT: &str = instant_acme::LetsEncrypt::Production.url();

#[derive(Clone, Debug)]
pub struct Options {
    /// URLs of authorities' directories, the preferred first; the others are asked when it fails.
    /// With none, nothing is ordered.
    pub authorities: Vec<String>,
    /// Where authorities write to; some want none.
    pub email: Option<String>,
    /// For authorities that only serve known customers.
    pub external: Option<ExternalAccount>,
    /// PEM of the roots trusted for the authorities' own servers, in place of the system's.
    pub roots: Option<PathBuf>,
    /// How a host is proved where DNS does not do it: the first at the first try, then in turn.
    pub proofs: Vec<Proof>,
    pub dns: Option<Dns>,
    /// How long a handshake waits for the certificate it caused to be ordered.
    pub wait: Duration,
    pub limits: Limits,
    /// After the first failure; each further one doubles it, up to a day.
    pub first_delay: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            authorities: vec![LETS_ENCRYPT.to_owned()],
            email: None,
            external: None,
            roots: None,
            proofs: vec![Proof::TlsAlpn01, Proof::Http01],
            dns: None,
            wait: Duration::from_secs(30),
            limits: Limits::default(),
            first_delay: Duration::from_mins(1),
        }
    }
}

/// External account binding: what the authority gave its customer.
#[derive(Clone, Debug)]
pub struct ExternalAccount {
    pub kid: String,
    /// Base64 (URL-safe, without padding), as authorities show it.
    pub key: Secret<String>,
}

/// How the authority is shown that a host is served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A file at `http://HOST/.well-known/acme-challenge/`, port 80.
    Http01,
    /// A handshake on port 443.
    TlsAlpn01,
    /// A TXT record; the only way to a wildcard.
    Dns01,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Dns01 => "dns-01",
        })
    }
}

/// Proof by DNS, for the names in zones that we may change.
#[derive(Clone, Debug)]
pub struct Dns {
    /// Hosts that are these or below are proved by DNS; hosts one label below share a wildcard.
    pub domains: Vec<String>,
    pub provider: Provider,
    /// Asked whether the record is there, before the authority is told; empty: the zone's own name servers.
    pub servers: Vec<SocketAddr>,
    /// For how long it is asked.
    pub patience: Duration,
}

/// Who changes the zone.
#[derive(Clone, Debug)]
pub enum Provider {
    /// Dynamic updates (RFC 2136), signed with TSIG.
    Rfc2136 { server: SocketAddr, key_name: String, algorithm: Algorithm, key: Secret<Vec<u8>> },
    /// The HTTP API of an acme-dns server. `subdomain` is where the CNAME of `_acme-challenge` leads.
    AcmeDns { url: String, user: String, password: Secret<String>, subdomain: String },
    /// A program and its arguments, run with `set NAME VALUE` or `clear NAME VALUE` added, and nothing in its
    /// environment.
    Hook { argv: Vec<String> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    HmacSha256,
    HmacSha384,
    HmacSha512,
}
