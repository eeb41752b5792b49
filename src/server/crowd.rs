//! How many connections there may be: in all, and from one network. Without it a stranger who opens sockets and
//! says nothing takes the descriptors that everything else needs.
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::base::workers::Seat;

/// Connections at once, whatever the process may open.
const MOST: usize = 20_000;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Crowd(Arc<Mutex<Counts>>);

struct Counts {
    all: usize,
    most: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// One connection; given back when dropped.
pub(super) struct Place {
    crowd: Crowd,
    network: Option<IpAddr>,
}

impl Crowd {
    /// `files` is how many descriptors this process may have: half of them are for connections, since each may
    /// need one more towards an app.
    pub(super) fn new(files: u64) -> Self {
        let most = usize::try_from(files / 2).unwrap_or(MOST).clamp(64, MOST);
        Self(Arc::new(Mutex::new(Counts { all: 0, most, by_network: HashMap::new() })))
    }

    /// `None` when there is no place: the connection is to be closed.
    pub(super) fn enter(&self, peer: IpAddr) -> Option<Place> {
        self.enter_by_proxy()?.of(peer)
    }

    /// For a trusted proxy, which speaks for everybody: it may take all places.
    pub(super) fn enter_by_proxy(&self) -> Option<Place> {
        let mut counts = self.lock();
        if counts.all >= counts.most {
            return None;
        }
        counts.all += 1;
        Some(Place { crowd: self.clone(), network: None })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The same place, counted for the network of `client`; `None` when that has as many as it may.
    pub(super) fn of(mut self, client: IpAddr) -> Option<Self> {
        if let Some(network) = network(client) {
            let mut counts = self.crowd.lock();
            let most = counts.most / 4;
            let here = counts.by_network.entry(network).or_insert(0);
            if *here >= most {
                return None;
            }
            *here += 1;
            drop(counts);
            self.network = Some(network);
        }
        Some(self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.lock();
        counts.all -= 1;
        if let Some(network) = self.network
            && let Some(here) = counts.by_network.get_mut(&network)
        {
            *here -= 1;
            if *here == 0 {
                counts.by_network.remove(&network);
            }
        }
    }
}

/// A client's socket, whose place is taken until it is closed: also when it is no HTTP connection any more.
pub(super) struct Counted {
    stream: TcpStream,
    _place: Place,
    _seat: Seat,
}

impl Counted {
    pub(super) fn new(stream: TcpStream, place: Place, seat: Seat) -> Self {
        Self { stream, _place: place, _seat: seat }
    }

    /// The first byte, which stays to be read; 0 when the client is gone.
    pub(super) async fn first_byte(&self) -> io::Result<u8> {
        let mut byte = [0];
        self.stream.peek(&mut byte).await?;
        Ok(byte[0])
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// One customer's network. The machine itself is not counted: a TLS front there speaks for everybody.
fn network(peer: IpAddr) -> Option<IpAddr> {
    match peer.to_canonical() {
        ip if ip.is_loopback() => None,
        IpAddr::V4(ip) => Some(ip.into()),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Some(std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_cannot_take_all_places() {
        let crowd = Crowd::new(800);
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let enter = |text: &str, n: usize| (0..n).filter_map(|_| crowd.enter(ip(text))).collect::<Vec<_>>();
        let first = enter("2001:db8::1", 300);
        assert_eq!(first.len(), 100);
        assert!(crowd.enter(ip("2001:db8::ffff:2")).is_none(), "the same network");
        let front = enter("127.0.0.1", 1000);
        assert_eq!(front.len(), 300, "a front may take all, but no more");
        assert!(crowd.enter(ip("192.0.2.1")).is_none());
        drop(front);
        let by_proxy = crowd.enter_by_proxy().expect("a place");
        assert!(by_proxy.of(ip("2001:db8::7")).is_none(), "it is the client's network that counts");
        drop(first);
        assert!(crowd.enter(ip("192.0.2.1")).is_some());
        assert!(crowd.lock().by_network.is_empty(), "nothing is remembered of who left");
    }
}
