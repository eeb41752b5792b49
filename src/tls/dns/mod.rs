//! Proof by DNS: a TXT record is put in place, seen, and taken away again.
mod acme_dns;
mod ask;
mod hook;
mod rfc2136;
mod seen;
mod tsig;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::options::{Dns, Provider};
use super::web::Web;
use crate::base::{Clock, Error, Kind, Result};

/// One change of a zone.
const CHANGE_TIME: Duration = Duration::from_secs(60);

/// Who can change a zone: a provider's API joins by these two.
///
/// Both are about one *value*: the same name may carry others at the same time, of an order for the host itself, of
/// another server, of another program, and they stay untouched.
pub trait DnsProvider: Send + Sync {
    /// Adds the value; it being there already is success.
    fn set_txt<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<()>>;
    /// Takes that value away; it being gone is success.
    fn clear_txt<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<()>>;
}

/// The zones that we may change.
pub(super) struct Zones {
    options: Dns,
    provider: Box<dyn DnsProvider>,
    /// By subject: name and value of what is in place.
    placed: Mutex<HashMap<String, Vec<(String, String)>>>,
}

impl Zones {
    pub fn new(options: Dns, clock: Clock) -> Result<Self> {
        let provider: Box<dyn DnsProvider> = match options.provider.clone() {
            Provider::Rfc2136 { server, key_name, algorithm, key } => {
                Box::new(rfc2136::Updates { server, signer: tsig::Signer::new(key_name, algorithm, &key), clock })
            }
            Provider::AcmeDns { url, user, password, subdomain } => {
                Box::new(acme_dns::AcmeDns { web: Web::new(None)?, url, user, password, subdomain })
            }
            Provider::Hook { argv } => Box::new(hook::Hook { argv }),
        };
        Ok(Self { options, provider, placed: Mutex::default() })
    }

    /// The wildcard that serves this host, where there is one.
    pub fn wildcard(&self, host: &str) -> Option<String> {
        let (_, parent) = host.split_once('.')?;
        self.options.domains.iter().any(|domain| domain == parent).then(|| format!("*.{parent}"))
    }

    /// Whether a host or wildcard is in a zone that we may change.
    pub fn covers(&self, subject: &str) -> bool {
        let host = subject.strip_prefix("*.").unwrap_or(subject);
        let inside = |domain: &str| host == domain || host.strip_suffix(domain).is_some_and(|h| h.ends_with('.'));
        self.options.domains.iter().any(|domain| inside(domain))
    }

    /// Puts a proof in place and waits until the zone's servers show it.
    /// Errors: `TimedOut` when they do not.
    pub async fn place(&self, subject: &str, value: &str) -> Result<()> {
        let name = record(subject);
        // Noted first: what may be there is cleared, even if adding it seemed to fail.
        self.placed().entry(subject.to_owned()).or_default().push((name.clone(), value.to_owned()));
        bounded(self.provider.set_txt(&name, value)).await?;
        seen::wait(&self.options, &name, value).await
    }

    /// Takes away what was put in place for that subject.
    pub async fn clear(&self, subject: &str) {
        let placed = self.placed().remove(subject).unwrap_or_default();
        for (name, value) in placed {
            if let Err(error) = bounded(self.provider.clear_txt(&name, &value)).await {
                tracing::warn!(name, ?error, "a TXT record of a proof stays; it does no harm");
            }
        }
    }

    fn placed(&self) -> MutexGuard<'_, HashMap<String, Vec<(String, String)>>> {
        self.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where authorities look for the proof of a host or wildcard: the same name for both.
fn record(subject: &str) -> String {
    format!("_acme-challenge.{}", subject.strip_prefix("*.").unwrap_or(subject))
}

async fn bounded(change: BoxFuture<'_, Result<()>>) -> Result<()> {
    let late = || Error::new(Kind::TimedOut, format!("changing the zone took more than {} s", CHANGE_TIME.as_secs()));
    tokio::time::timeout(CHANGE_TIME, change).await.map_err(|_| late())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_hosts_share_a_wildcard_and_which_are_proved_here() {
        let zones = Zones::new(
            Dns {
                domains: vec!["apps.example.org".to_owned()],
                provider: Provider::Hook { argv: vec!["true".to_owned()] },
                servers: Vec::new(),
                patience: Duration::ZERO,
            },
            Clock::System,
        )
        .unwrap();
        assert_eq!(zones.wildcard("a.apps.example.org").as_deref(), Some("*.apps.example.org"));
        for host in ["apps.example.org", "b.a.apps.example.org", "a.example.org", "aapps.example.org", "x"] {
            assert_eq!(zones.wildcard(host), None, "{host}");
        }
        for subject in ["apps.example.org", "*.apps.example.org", "b.a.apps.example.org"] {
            assert!(zones.covers(subject), "{subject}");
        }
        for subject in ["aapps.example.org", "example.org", "*.example.org", "example.com"] {
            assert!(!zones.covers(subject), "{subject}");
        }
        assert_eq!(record("*.apps.example.org"), record("apps.example.org"));
    }
}
