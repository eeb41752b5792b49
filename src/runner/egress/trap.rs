//! Listeners inside an app's network, at exactly the addresses its programs connect to, made when the
//! first one does.
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::policy::{Transport, shown};
use super::site::{Site, lock};
use crate::base::Clock;

/// Listeners per app, and connects that may wait for one of them to be made.
const LISTENERS: usize = 256;
const WAITING: usize = 256;
/// How long the jail may take to make one.
const MAKING: Duration = Duration::from_secs(10);
/// One that was not used so long is closed.
const IDLE: Duration = Duration::from_secs(600);
/// One that was used just now may have a connect on its way, and is not closed to make room.
const BUSY: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Traps(HashMap<SocketAddr, Trap>);

enum Trap {
    /// The attempts that wait for it.
    Opening(Vec<u64>),
    Open {
        used: Instant,
        stop: CancellationToken,
    },
}

impl Traps {
    /// Whether one listens there; then it is used now.
    pub fn is_open(&mut self, at: SocketAddr) -> bool {
        match self.0.get_mut(&at) {
            Some(Trap::Open { used, .. }) => {
                *used = Clock::stopwatch();
                true
            }
            _ => false,
        }
    }

    /// Closes those that nobody has used for long.
    pub fn sweep(&mut self) {
        self.0.retain(|_, trap| match trap {
            Trap::Open { used, stop } if used.elapsed() > IDLE => {
                stop.cancel();
                false
            }
            _ => true,
        });
    }

    /// Whether there is room for one more, after closing the least used if need be.
    fn has_room(&mut self) -> bool {
        if self.0.len() < LISTENERS {
            return true;
        }
        let old = self.0.iter().filter_map(|(at, trap)| match trap {
            Trap::Open { used, .. } if used.elapsed() > BUSY => Some((*used, *at)),
            _ => None,
        });
        let Some((_, at)) = old.min() else { return false };
        if let Some(Trap::Open { stop, .. }) = self.0.remove(&at) {
            stop.cancel();
        }
        true
    }
}

impl Site {
    /// Answers an attempt once there is a listener at `at`.
    pub fn open_trap(self: &Arc<Self>, at: SocketAddr, attempt: u64) {
        let mut traps = lock(&self.traps);
        let room = match traps.0.get_mut(&at) {
            Some(Trap::Open { .. }) => return self.attempts.go_on(attempt),
            Some(Trap::Opening(waiting)) if waiting.len() < WAITING => return waiting.push(attempt),
            Some(Trap::Opening(_)) => false,
            None => traps.has_room(),
        };
        if !room {
            drop(traps);
            self.refusals.refused(&self.named(at), "Too many destinations at once.");
            return self.attempts.refuse(attempt, Errno::CONNREFUSED.raw_os_error());
        }
        traps.0.insert(at, Trap::Opening(vec![attempt]));
        drop(traps);
        // While it listens the address keeps its name.
        self.fakes().hold(at.ip());
        let site = Arc::clone(self);
        self.spawn("egress listener", async move {
            site.openings.turn().await;
            let mut made = site.listen(at).await;
            // One that was closed a moment ago may still be on its way out.
            if made.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::AddrInUse) {
                tokio::time::sleep(Duration::from_millis(50)).await;
                made = site.listen(at).await;
            }
            match made {
                Ok(listener) => site.admit(at, listener).await,
                Err(error) => site.give_up(at, &error),
            }
            site.fakes().release(at.ip());
        });
    }

    async fn listen(&self, at: SocketAddr) -> io::Result<TcpListener> {
        let namespace = self.namespace.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let made = tokio::time::timeout(MAKING, namespace.listen_tcp(at)).await;
        let listener = made.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        listener.set_nonblocking(true)?;
        // The jail is believed, and yet: a listener elsewhere would let the program past us.
        if listener.local_addr()? != at {
            return Err(io::Error::other("the listener is not where it should be"));
        }
        TcpListener::from_std(listener)
    }

    async fn admit(self: &Arc<Self>, at: SocketAddr, listener: TcpListener) {
        let stop = CancellationToken::new();
        let open = Trap::Open { used: Clock::stopwatch(), stop: stop.clone() };
        let before = lock(&self.traps).0.insert(at, open);
        if let Some(Trap::Opening(waiting)) = before {
            waiting.into_iter().for_each(|attempt| self.attempts.go_on(attempt));
        }
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((app, _)) => {
                    lock(&self.traps).is_open(at);
                    self.accepted(app);
                }
                // Of the connection, or too many files: neither is for ever.
                Err(error) => {
                    tracing::warn!("cannot accept at {at}: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn give_up(&self, at: SocketAddr, error: &io::Error) {
        let waiting = lock(&self.traps).0.remove(&at);
        let why = if error.kind() == io::ErrorKind::AddrInUse {
            let port = at.port();
            format!("The app itself listens on port {port} of every address: listen on 127.0.0.1:{port} instead.")
        } else {
            tracing::warn!("cannot listen at {at} for an app: {error}");
            "The server could not open the way.".to_owned()
        };
        self.refusals.failed(&self.named(at), &why);
        if let Some(Trap::Opening(waiting)) = waiting {
            let refused = Errno::CONNREFUSED.raw_os_error();
            waiting.into_iter().for_each(|attempt| self.attempts.refuse(attempt, refused));
        }
    }

    fn named(&self, at: SocketAddr) -> String {
        self.grant(at, Transport::Tcp).map_or_else(|(what, _)| what, |grant| shown(&grant.host, grant.port))
    }
}
