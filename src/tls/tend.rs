//! What is due: asking when to renew, renewals, staples, and certificates that nobody needs any more.
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio_rustls::rustls::sign::CertifiedKey;

use super::certs::Certs;
use super::limits::{DAY, HOUR};
use super::{ari, ocsp, policy};
use crate::base::{Millis, Result};
use crate::store::certs as rows;

/// Authorities and responders that are asked at the same time.
const AT_ONCE: usize = 4;
/// How often it is looked.
const EVERY: Duration = Duration::from_secs(60);

/// Looks until the server stops.
pub(super) async fn keep(certs: Certs) {
    let stopping = certs.0.tasks.stopping();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = certs.tend() => {}
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

impl Certs {
    /// Does what is due now and waits for it; the background does this every minute.
    pub async fn tend(&self) {
        let now = self.0.clock.now();
        if let Err(error) = self.forget(now) {
            tracing::error!(?error, "old certificates could not be removed");
        }
        stream::iter(self.unasked(now)).for_each_concurrent(AT_ONCE, |host| self.ask_when(host, now)).await;
        let mut flying = Vec::new();
        for host in self.due(now) {
            match self.fly(&host) {
                Ok(done) => flying.push(done),
                Err(error) => tracing::warn!(host, ?error, "a certificate is renewed later"),
            }
        }
        for done in flying {
            done.cancelled().await;
        }
        stream::iter(self.unstapled(now)).for_each_concurrent(AT_ONCE, |host| self.staple(host, now)).await;
    }

    /// Those whose authority is to be asked when it wants them renewed.
    fn unasked(&self, now: Millis) -> Vec<String> {
        let known = self.0.known();
        let due = known.values().filter(|known| known.certified.is_some() && known.row.ari_next <= now);
        due.map(|known| known.row.host.clone()).collect()
    }

    async fn ask_when(&self, host: String, now: Millis) {
        let Some((row, certified)) = self.at_hand(&host) else { return };
        // One that is not asked any more leaves the time that was chosen.
        let Some(authority) = self.0.authorities.iter().find(|authority| authority.url == row.authority) else {
            return;
        };
        let changed = match ari::ask(authority, &certified.cert[0]).await {
            Ok(said) => self.0.change_of(&host, &certified, |row| {
                row.ari_next = now.saturating_add(said.again);
                if row.ari == said.window {
                    return;
                }
                row.ari = said.window;
                let dice = rand::random();
                row.renew_at = match said.window {
                    Some(window) => policy::suggested(window, row.issued, row.expires, dice),
                    None => policy::renew_at(row.issued, row.expires, dice),
                };
            }),
            Err(error) => {
                tracing::info!(host, ?error, "the authority does not tell when to renew");
                self.0.change_of(&host, &certified, |row| row.ari_next = now.saturating_add(HOUR))
            }
        };
        if let Err(error) = changed {
            tracing::error!(host, ?error, "the time of a renewal could not be kept");
        }
    }

    /// Those whose responder is to be asked.
    fn unstapled(&self, now: Millis) -> Vec<String> {
        let known = self.0.known();
        let due = known.values().filter(|known| known.row.ocsp_next <= now && known.row.expires > now);
        let named = due.filter(|known| known.certified.as_ref().is_some_and(|c| ocsp::responder(&c.cert[0]).is_some()));
        named.map(|known| known.row.host.clone()).collect()
    }

    async fn staple(&self, host: String, now: Millis) {
        let Some((row, certified)) = self.at_hand(&host) else { return };
        // Of an authority that is not asked any more there is no line to ask by.
        let Some(authority) = self.0.authorities.first() else { return };
        let word = ocsp::ask(&authority.web, &certified.cert, now).await;
        let (staple, next, renew) = match word {
            Ok((bytes, word @ ocsp::Word::Good { .. })) => (Some(bytes), word.again(now), false),
            Ok((_, word @ ocsp::Word::Revoked)) => {
                tracing::error!(host, "the certificate was revoked: a new one is ordered");
                (None, word.again(now), true)
            }
            Err(error) => {
                tracing::warn!(host, ?error, "no staple");
                let still_good = |bytes: &Vec<u8>| ocsp::still_good(bytes, &certified.cert, now);
                (row.ocsp.clone().filter(still_good), now.saturating_add(HOUR), false)
            }
        };
        if let Err(error) = self.0.staple(&host, &certified, staple, next, renew.then_some(now)) {
            tracing::error!(host, ?error, "a staple could not be kept");
        }
    }

    fn at_hand(&self, host: &str) -> Option<(rows::CertRow, Arc<CertifiedKey>)> {
        let known = self.0.known();
        let known = known.get(host)?;
        Some((known.row.clone(), known.certified.clone()?))
    }

    /// Those to be renewed, the nearest to its end first.
    fn due(&self, now: Millis) -> Vec<String> {
        let known = self.0.known();
        let mut due: Vec<_> = known
            .values()
            .filter(|known| known.certified.is_some() && known.row.renew_at <= now && known.row.next_try <= now)
            .filter(|known| self.0.serves(&known.row.host))
            .map(|known| (known.row.expires, known.row.host.clone()))
            .collect();
        due.sort();
        due.into_iter().map(|(_, host)| host).collect()
    }

    /// Removes what is over and not ours any more, and old orders.
    fn forget(&self, now: Millis) -> Result<()> {
        let over: Vec<String> = {
            let known = self.0.known();
            let over = |row: &rows::CertRow| row.expires <= now && row.next_try <= now && !self.0.serves(&row.host);
            known.values().filter(|known| over(&known.row)).map(|known| known.row.host.clone()).collect()
        };
        for host in over {
            self.0.drop_host(&host)?;
        }
        self.0.registrar.store.write(|db| rows::forget_orders(db, now - 8 * DAY))
    }
}
