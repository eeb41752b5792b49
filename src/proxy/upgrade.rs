//! Upgraded connections (WebSocket and others): bytes both ways until either side or Steady stops.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio_util::io::InspectReader;

use super::journal::Journal;
use crate::base::Tasks;

/// Copies in the background. The lease keeps the app counted as busy until then.
pub fn tunnel<L: Send + 'static>(
    tasks: &Tasks,
    client: OnUpgrade,
    app: OnUpgrade,
    limit: Duration,
    mut journal: Journal,
    lease: L,
) {
    let stopping = tasks.stopping();
    let work = async move {
        let _busy = lease;
        let bytes_in = journal.bytes_in();
        let bytes_out = AtomicU64::new(0);
        let copy = async {
            let both = async { tokio::try_join!(client, app) };
            let (client, app) = match tokio::time::timeout(limit, both).await {
                Ok(Ok(both)) => both,
                Ok(Err(error)) => return Err(std::io::Error::other(error)),
                Err(_) => return Err(std::io::ErrorKind::TimedOut.into()),
            };
            let mut client = InspectReader::new(TokioIo::new(client), |read| {
                bytes_in.fetch_add(read.len() as u64, Ordering::Relaxed);
            });
            let mut app = InspectReader::new(TokioIo::new(app), |read| {
                bytes_out.fetch_add(read.len() as u64, Ordering::Relaxed);
            });
            copy_bidirectional(&mut client, &mut app).await
        };
        let ended = tokio::select! {
            result = copy => match result {
                Ok(_) => None,
                Err(error) => {
                    tracing::debug!(%error, "upgraded connection broke off");
                    Some("upgraded connection")
                }
            },
            () = stopping.cancelled() => Some("server stopping"),
        };
        journal.sent(bytes_out.into_inner());
        journal.ended(ended);
    };
    tasks.spawn_here("upgraded", work);
}
