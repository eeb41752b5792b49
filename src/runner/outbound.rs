//! The doors of a real child for [`super::egress`]: connects that its filter reports, and sockets that its
//! init makes.
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::egress::fake::Ranges;
use super::egress::{Attempt, Attempts, Doors, Later, Namespace};
use super::sandbox::notify::{Call, Listener, To};
use super::wire::Wire;

/// Calls that wait for an answer. More threads of one app than that cannot wait in `connect`.
const WAITING: usize = 4096;

/// The doors of a child, from what it handed out: DNS sockets, and where its connects are heard.
/// `inside`: it has a network namespace of its own. Call it once, within the runtime.
/// Errors: `NotFound` when the child has no filter, and what the system says of the sockets.
pub fn doors(wire: &Wire, inside: bool) -> io::Result<Doors> {
    let (dns, watch) = wire.take_doors();
    let watch = watch.ok_or(io::ErrorKind::NotFound)?;
    let mut ranges = Ranges::JAIL;
    let mut doors = (Vec::new(), Vec::new());
    let mut has_v6 = false;
    for socket in dns {
        has_v6 |= sockopt::socket_domain(&socket)? == AddressFamily::INET6;
        if sockopt::socket_type(&socket)? == SocketType::STREAM {
            doors.1.push(TcpListener::from(socket));
        } else {
            doors.0.push(UdpSocket::from(socket));
        }
    }
    if !has_v6 {
        ranges.v6 = None;
    }
    let namespace = inside.then(|| Arc::new(wire.clone()) as Arc<dyn Namespace>);
    let attempts = Arc::new(Calls::new(watch, inside)?);
    Ok(Doors { attempts, dns_udp: doors.0, dns_tcp: doors.1, namespace, ranges })
}

impl Namespace for Wire {
    fn listen_tcp(&self, at: SocketAddr) -> Later<'_, io::Result<TcpListener>> {
        Box::pin(async move { self.listen(at).await.map(TcpListener::from) })
    }
    fn bind_udp(&self, at: SocketAddr) -> Later<'_, io::Result<UdpSocket>> {
        Box::pin(async move { self.bind(at).await.map(UdpSocket::from) })
    }
}

/// The connects of all processes of one child.
struct Calls {
    listener: Listener,
    waiting: Mutex<HashMap<u64, Call>>,
    inside: bool,
}

impl Calls {
    fn new(watch: OwnedFd, inside: bool) -> io::Result<Self> {
        Ok(Self { listener: Listener::new(watch)?, waiting: Mutex::default(), inside })
    }

    /// `None` when it is answered already.
    fn attempt(&self, call: Call) -> io::Result<Option<Attempt>> {
        let To::Ip(to) = call.to else {
            // What the address says now may be another one when the call goes on: without a namespace an
            // internet socket must not go anywhere unseen.
            return if self.inside || call.family == AddressFamily::UNIX {
                self.listener.go_on(call).map(|()| None)
            } else {
                self.listener.refuse(call, Errno::ACCESS.raw_os_error()).map(|()| None)
            };
        };
        // An address of another family than the socket's is an error of the kernel's choosing.
        if self.inside && ![AddressFamily::INET, AddressFamily::INET6].contains(&call.family) {
            return self.listener.go_on(call).map(|()| None);
        }
        let attempt = Attempt { id: call.id, to, datagram: call.datagram };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING {
            drop(waiting);
            return self.listener.refuse(call, Errno::AGAIN.raw_os_error()).map(|()| None);
        }
        waiting.insert(call.id, call);
        Ok(Some(attempt))
    }

    fn answer(&self, id: u64, answer: impl FnOnce(Call) -> io::Result<()>) {
        let call = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(Err(error)) = call.map(answer) {
            tracing::warn!("cannot answer a connect of an app: {error}");
        }
    }
}

impl Attempts for Calls {
    fn next(&self) -> Later<'_, Option<Attempt>> {
        Box::pin(async {
            loop {
                let call = match self.listener.next().await {
                    Ok(call) => call?,
                    Err(error) => {
                        tracing::error!("cannot hear the connects of an app: {error}");
                        return None;
                    }
                };
                match self.attempt(call) {
                    Ok(Some(attempt)) => return Some(attempt),
                    Ok(None) => {}
                    Err(error) => tracing::warn!("cannot answer a connect of an app: {error}"),
                }
            }
        })
    }

    fn go_on(&self, id: u64) {
        self.answer(id, |call| self.listener.go_on(call));
    }

    fn refuse(&self, id: u64, errno: i32) {
        self.answer(id, |call| self.listener.refuse(call, errno));
    }

    fn replace(&self, id: u64, socket: OwnedFd) {
        self.answer(id, |call| self.listener.replace(call, socket));
    }
}
