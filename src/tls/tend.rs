//! What is due: renewals, and certificates that nobody needs any more.
use std::time::Duration;

use super::certs::Certs;
use super::limits::DAY;
use super::names;
use crate::base::{Millis, Result};
use crate::store::certs as rows;

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

impl super::certs::Engine {
    /// Whether that host or wildcard is still ours to renew.
    fn serves(&self, host: &str) -> bool {
        names::orderable(host) && (self.owns)(host)
    }
}
