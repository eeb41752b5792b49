//! Datagrams to the hosts that the manifest lists one by one: a socket of ours inside for each
//! destination, and outside one for each program's socket that sends there.
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::connect::Failure;
use super::policy::{Grant, Transport, shown};
use super::site::{Open, Site, lock};

/// Destinations per app, and sources per destination.
const PORTS: usize = 64;
const SOURCES: usize = 64;
/// Datagrams that wait while their host is looked up; more are lost, as datagrams are.
const QUEUE: usize = 32;
/// A source that is silent so long is forgotten.
const IDLE: Duration = Duration::from_secs(60);
const LONGEST: usize = 65_535;
const MAKING: Duration = Duration::from_secs(10);

/// Destinations that have a socket.
#[derive(Default)]
pub struct Ports(HashSet<SocketAddr>);

type Sources = HashMap<SocketAddr, mpsc::Sender<Vec<u8>>>;

impl Site {
    /// Makes a socket inside at `at`, if there is none. A failure is in the app's log.
    pub async fn open_port(self: &Arc<Self>, at: SocketAddr) {
        let Some(namespace) = &self.namespace else { return };
        let Ok(grant) = self.grant(at, Transport::Udp) else { return };
        let what = format!("{} (udp)", shown(&grant.host, grant.port));
        {
            let mut ports = lock(&self.ports);
            if ports.0.contains(&at) {
                return;
            }
            if ports.0.len() >= PORTS {
                drop(ports);
                return self.refusals.refused(&what, "Too many UDP destinations.");
            }
            ports.0.insert(at);
        }
        let made = tokio::time::timeout(MAKING, namespace.bind_udp(at)).await;
        let socket = made.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).and_then(|socket| {
            socket.set_nonblocking(true)?;
            UdpSocket::from_std(socket)
        });
        match socket {
            Ok(socket) => {
                // For the rest of the app's life.
                self.fakes().hold(at.ip());
                let site = Arc::clone(self);
                self.spawn("egress udp", async move { site.listen_port(Arc::new(socket), at, grant, what).await });
            }
            Err(error) => {
                lock(&self.ports).0.remove(&at);
                self.refusals.failed(&what, &format!("The server could not open the way: {error}."));
            }
        }
    }

    async fn listen_port(self: Arc<Self>, inside: Arc<UdpSocket>, at: SocketAddr, grant: Grant, what: String) {
        let mut sources = Sources::new();
        while inside.readable().await.is_ok() {
            let mut packet = vec![0; LONGEST];
            while let Ok((n, from)) = inside.try_recv_from(&mut packet) {
                let known = sources.get(&from).filter(|to| !to.is_closed());
                let to = match known {
                    Some(to) => to,
                    None => {
                        sources.retain(|_, to| !to.is_closed());
                        let open = (sources.len() < SOURCES).then(|| self.open(at.ip(), &what)).flatten();
                        let Some(open) = open else { continue };
                        let (sender, queue) = mpsc::channel(QUEUE);
                        let flow = Flow { inside: Arc::clone(&inside), from, queue, _open: open };
                        let (site, grant) = (Arc::clone(&self), grant.clone());
                        self.spawn("egress udp flow", async move {
                            if let Err(failure) = flow.run(&site, &grant).await {
                                site.tell(&grant, Transport::Udp, failure);
                            }
                        });
                        sources.entry(from).insert_entry(sender).into_mut()
                    }
                };
                let _ = to.try_send(packet[..n].to_vec());
            }
            tokio::task::consume_budget().await;
        }
    }
}

/// One program's socket and what it talks to.
struct Flow {
    inside: Arc<UdpSocket>,
    from: SocketAddr,
    queue: mpsc::Receiver<Vec<u8>>,
    _open: Open,
}

impl Flow {
    async fn run(mut self, site: &Site, grant: &Grant) -> Result<(), Failure> {
        let all = site.dialer.addresses(grant).await?;
        let to = all[0];
        let any: SocketAddr =
            if to.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
        let outside = UdpSocket::bind(any).await.map_err(Failure::Connect)?;
        outside.connect(to).await.map_err(Failure::Connect)?;
        let spend = |counter: &std::sync::atomic::AtomicU64, n: usize| {
            counter.fetch_add(n as u64, std::sync::atomic::Ordering::Relaxed);
            site.bounds.budget.spend(n)
        };
        loop {
            tokio::select! {
                packet = self.queue.recv() => {
                    let Some(packet) = packet else { return Ok(()) };
                    if !spend(&site.count.bytes_out, packet.len()) {
                        return Ok(());
                    }
                    // A closed port loses it.
                    let _ = outside.send(&packet).await;
                }
                ready = outside.readable() => {
                    ready.map_err(Failure::Connect)?;
                    let mut packet = vec![0; LONGEST];
                    if let Ok(n) = outside.try_recv(&mut packet) {
                        if !spend(&site.count.bytes_in, n) {
                            return Ok(());
                        }
                        let _ = self.inside.send_to(&packet[..n], self.from).await;
                    }
                }
                () = tokio::time::sleep(IDLE) => return Ok(()),
            }
        }
    }
}
