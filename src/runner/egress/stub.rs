//! The DNS server of one app: its sockets, and how much it may ask.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use super::dns::{Found, MAX_PACKET, MAX_QUERY, Question, Read, read};
use super::rate::Rate;
use super::site::Site;

/// Questions a second after a burst; who asks more waits, and the kernel drops what does not fit its queue.
const PER_SECOND: u32 = 500;
const BURST: u32 = 1000;
/// TCP connections, and how long each may be silent.
const CONNECTIONS: usize = 16;
const SILENCE: Duration = Duration::from_secs(10);
/// Packets whose answer comes from outside, at a time. The others are answered meanwhile.
const WAITING: usize = 16;

pub struct Stub {
    site: Arc<Site>,
    rate: Rate,
    places: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Stub {
    pub fn new(site: Arc<Site>) -> Arc<Self> {
        let (places, waiting) = (Arc::new(Semaphore::new(CONNECTIONS)), Arc::new(Semaphore::new(WAITING)));
        Arc::new(Self { site, rate: Rate::new(PER_SECOND, BURST), places, waiting })
    }

    async fn reply(&self, packet: &[u8]) -> Option<Vec<u8>> {
        self.rate.turn().await;
        match read(packet) {
            Read::Question(question) => question.answer(self.site.find(&question).await),
            Read::Reply(reply) => Some(reply),
            Read::Noise => None,
        }
    }

    /// The same for one packet; `None` also when it is sent later, by a task of its own.
    async fn reply_in_a_packet(&self, packet: &[u8], socket: &Arc<UdpSocket>, from: SocketAddr) -> Option<Vec<u8>> {
        self.rate.turn().await;
        match read(packet) {
            Read::Question(question) if question.is_for_records().is_some() => {
                let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
                    return question.answer(Found::Failed);
                };
                let (site, socket) = (Arc::clone(&self.site), Arc::clone(socket));
                self.site.spawn("egress dns", async move {
                    if let Some(reply) = in_a_packet(&question, site.find(&question).await) {
                        // As below.
                        let _ = socket.send_to(&reply, from).await;
                    }
                    drop(place);
                });
                None
            }
            Read::Question(question) => question.answer(self.site.find(&question).await),
            Read::Reply(reply) => Some(reply),
            Read::Noise => None,
        }
    }

    pub async fn serve_udp(self: Arc<Self>, socket: UdpSocket) {
        let socket = Arc::new(socket);
        // One more than the longest, to notice what is longer.
        let mut packet = vec![0; MAX_QUERY + 1];
        loop {
            match socket.recv_from(&mut packet).await {
                Ok((n, from)) => {
                    if let Some(reply) = self.reply_in_a_packet(&packet[..n], &socket, from).await {
                        // Somebody who does not read loses the answer, as with any name server.
                        let _ = socket.send_to(&reply, from).await;
                    }
                }
                // An earlier answer met a closed port.
                Err(error) => {
                    tracing::debug!("a DNS socket of an app: {error}");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    pub async fn serve_tcp(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let stub = Arc::clone(&self);
                    self.site.spawn("egress dns", async move {
                        stub.talk(stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!("cannot accept DNS of an app: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Answers until the other side is silent, wrong or gone.
    async fn talk(&self, mut stream: TcpStream) {
        let mut packet = vec![0; MAX_QUERY];
        loop {
            let asked = tokio::time::timeout(SILENCE, async {
                let n = usize::from(stream.read_u16().await.ok()?);
                let packet = packet.get_mut(..n)?;
                stream.read_exact(packet).await.ok()
            });
            let Ok(Some(n)) = asked.await else { return };
            let Some(reply) = self.reply(&packet[..n]).await else { return };
            let Ok(length) = u16::try_from(reply.len()) else { return };
            let framed = [&length.to_be_bytes(), reply.as_slice()].concat();
            let written = tokio::time::timeout(SILENCE, stream.write_all(&framed)).await;
            let Ok(Ok(())) = written else { return };
        }
    }
}

fn in_a_packet(question: &Question, found: Found) -> Option<Vec<u8>> {
    question.answer(found).filter(|reply| reply.len() <= MAX_PACKET).or_else(|| question.cut())
}
