//! Between a jailed child and the engine of outbound connections: what the kernel tells of connects, and
//! sockets made by the child's init.
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::net::{SocketType, sockopt};

use super::egress::{Attempt, Attempts, Doors, Later, Namespace, Ranges, Rate};
use super::sandbox::notify::{Call, Listener, To};
use super::wire::Wire;

/// Connects of one child that are looked at: a second after a burst, and at once. Each is the server's work and
/// on nobody's account, so who makes more of them waits.
const CONNECTS: (u32, u32) = (3_000, 6_000);

/// What of a child the engine needs; `None` when the child ended before it had them.
/// Inside the runtime.
/// `folder`: for one without a network of its own, where its unix sockets may be.
pub fn open(wire: &Wire, folder: Option<&Path>) -> io::Result<Option<Doors>> {
    let has_network = folder.is_none();
    let (sockets, watch) = wire.take_doors();
    let Some(watch) = watch else { return Ok(None) };
    let (mut dns_udp, mut dns_tcp) = (Vec::new(), Vec::new());
    if has_network {
        for socket in sockets {
            match sockopt::socket_type(&socket)? {
                SocketType::DGRAM => dns_udp.push(UdpSocket::from(socket)),
                _ => dns_tcp.push(TcpListener::from(socket)),
            }
        }
    } else {
        // Without a network of its own the child is led to a stub on the server's loopback.
        let (udp, tcp) = both(|| UdpSocket::bind("127.0.0.1:0"))?;
        dns_udp.push(udp);
        dns_tcp.push(tcp);
    }
    let v6 = dns_udp.iter().any(|socket| socket.local_addr().is_ok_and(|at| at.is_ipv6()));
    let ranges = if v6 { Ranges::JAIL } else { Ranges { v6: None, ..Ranges::JAIL } };
    let attempts = Arc::new(Connects {
        listener: Listener::new(watch, !has_network)?,
        folder: folder.map(Path::to_owned),
        rate: Rate::new(CONNECTS.0, CONNECTS.1),
        waiting: Mutex::default(),
    });
    let namespace = has_network.then(|| Arc::new(Inside(wire.clone())) as Arc<dyn Namespace>);
    Ok(Some(Doors { attempts, dns_udp, dns_tcp, namespace, ranges }))
}

/// Ports tried: a free one for datagrams may be anybody's for streams.
const TRIES: usize = 64;

/// The same address for datagrams and for streams.
fn both(mut next: impl FnMut() -> io::Result<UdpSocket>) -> io::Result<(UdpSocket, TcpListener)> {
    // Held until one fits, so that none comes twice.
    let mut tried = Vec::new();
    loop {
        let udp = next()?;
        match TcpListener::bind(udp.local_addr()?) {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tried.len() < TRIES => tried.push(udp),
            Err(error) => return Err(error),
        }
    }
}

/// The child's waiting connects.
struct Connects {
    listener: Listener,
    /// Without a network of its own: the one folder whose unix sockets it may reach.
    folder: Option<PathBuf>,
    rate: Rate,
    waiting: Mutex<HashMap<u64, Call>>,
}

impl Connects {
    fn take(&self, id: u64) -> Option<Call> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }
}

impl Attempts for Connects {
    fn next(&self) -> Later<'_, Option<Attempt>> {
        Box::pin(async move {
            loop {
                self.rate.turn().await;
                let call = match self.listener.next().await {
                    Ok(call) => call?,
                    Err(error) => {
                        // Else every connect of the app would hang until it is stopped, and nobody knew why.
                        tracing::error!(%error, "an app's connects cannot be heard any more");
                        return None;
                    }
                };
                match call.to {
                    To::Ip(to) => {
                        let attempt = Attempt { id: call.id, to, datagram: call.datagram };
                        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(call.id, call);
                        return Some(attempt);
                    }
                    // In a network and a file system of its own it finds nobody but itself. Elsewhere what is
                    // looked at here may be another thing by the time the kernel looks.
                    _ if self.folder.is_none() => drop(self.listener.go_on(call)),
                    To::Unix(_) => {
                        drop(self.listener.reach_unix(call, self.folder.as_deref().unwrap_or(Path::new(""))))
                    }
                    To::Nowhere => drop(self.listener.forget(call)),
                    To::Other(_) => drop(self.listener.refuse(call, Errno::ACCESS.raw_os_error())),
                }
            }
        })
    }

    fn go_on(&self, id: u64) {
        let Some(call) = self.take(id) else { return };
        // A caller that died meanwhile is told nothing.
        let _ = if self.folder.is_none() {
            self.listener.go_on(call)
        } else {
            self.listener.refuse(call, Errno::ACCESS.raw_os_error())
        };
    }

    fn refuse(&self, id: u64, errno: i32) {
        if let Some(call) = self.take(id) {
            let _ = self.listener.refuse(call, errno);
        }
    }

    fn replace(&self, id: u64, socket: OwnedFd) {
        if let Some(call) = self.take(id)
            && let Err(error) = self.listener.replace(call, socket)
        {
            tracing::debug!(%error, "a socket could not be exchanged");
        }
    }
}

/// A child's network, by way of its init.
struct Inside(Wire);

impl Namespace for Inside {
    fn listen_tcp(&self, at: SocketAddr) -> Later<'_, io::Result<TcpListener>> {
        Box::pin(async move { self.0.listen(at).await.map(TcpListener::from) })
    }
    fn bind_udp(&self, at: SocketAddr) -> Later<'_, io::Result<UdpSocket>> {
        Box::pin(async move { self.0.bind(at).await.map(UdpSocket::from) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_for_streams_is_passed_over() {
        let (udp, tcp) = both(|| UdpSocket::bind("127.0.0.1:0")).expect("a pair");
        let (taken, held) = (udp.local_addr().expect("address"), tcp);
        let mut first = Some(udp);
        let (udp, tcp) = both(|| first.take().map_or_else(|| UdpSocket::bind("127.0.0.1:0"), Ok)).expect("another");
        assert_eq!(udp.local_addr().expect("address"), tcp.local_addr().expect("address"));
        assert_ne!(udp.local_addr().expect("address"), taken);
        drop(held);
    }
}
