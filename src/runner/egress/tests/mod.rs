//! The whole engine, and around it an app that does nothing but try. The jail is made of two channels; its
//! network is this one, or a namespace of its own.
mod broker;
mod netns;
mod private;
mod records;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::address::barred;
use super::connect::{Guard, Resolver, public};
use super::fake::Ranges;
use super::*;
use crate::base::Tasks;
use crate::runner::{AppKey, Limits};

/// Fake addresses where the app's network is ours.
const RANGES: Ranges = Ranges { v4: Ipv4Addr::new(127, 18, 0, 0), v4_count: 1 << 17, v6: None };
const LONG: Duration = Duration::from_secs(60);

#[derive(Debug)]
enum Outcome {
    GoOn,
    Refuse(i32),
    Replace(OwnedFd),
}

type Work = Box<dyn FnOnce() + Send>;

/// Where the app's sockets are made: here, or on a thread that has another network.
#[derive(Clone, Default)]
struct Place(Option<std::sync::mpsc::Sender<Work>>);

impl Place {
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let Some(thread) = &self.0 else { return work() };
        let (send, done) = oneshot::channel();
        let work = Box::new(move || drop(send.send(work())));
        thread.send(work).expect("the thread is there");
        done.await.expect("it was done")
    }
}

/// The app's side of the doors.
struct Jail {
    place: Place,
    send: mpsc::UnboundedSender<Attempt>,
    attempts: tokio::sync::Mutex<mpsc::UnboundedReceiver<Attempt>>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Outcome>>>,
    next: AtomicU64,
    listeners: AtomicUsize,
}

impl Jail {
    fn answer(&self, id: u64, outcome: Outcome) {
        let waiting = self.waiting.lock().expect("attempts").remove(&id);
        let _ = waiting.expect("one answer for each attempt").send(outcome);
    }
}

impl Attempts for Jail {
    fn next(&self) -> Later<'_, Option<Attempt>> {
        Box::pin(async { self.attempts.lock().await.recv().await })
    }
    fn go_on(&self, id: u64) {
        self.answer(id, Outcome::GoOn);
    }
    fn refuse(&self, id: u64, errno: i32) {
        self.answer(id, Outcome::Refuse(errno));
    }
    fn replace(&self, id: u64, socket: OwnedFd) {
        self.answer(id, Outcome::Replace(socket));
    }
}

impl Namespace for Jail {
    fn listen_tcp(&self, at: SocketAddr) -> Later<'_, io::Result<std::net::TcpListener>> {
        self.listeners.fetch_add(1, Ordering::SeqCst);
        Box::pin(self.place.run(move || listener(at)))
    }
    fn bind_udp(&self, at: SocketAddr) -> Later<'_, io::Result<std::net::UdpSocket>> {
        Box::pin(self.place.run(move || std::net::UdpSocket::bind(at)))
    }
}

/// Answers by turns; the last one stays.
#[derive(Default)]
struct Book(Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>, Mutex<HashMap<String, Vec<RData>>>);

impl Resolver for Book {
    fn look_up(&self, name: Arc<str>, _: OwnedSemaphorePermit) -> Later<'static, io::Result<Vec<IpAddr>>> {
        let mut book = self.0.lock().expect("a book");
        let turns = book.get_mut(&*name);
        let answer = turns.and_then(|t| if t.len() > 1 { t.pop_front() } else { t.front().cloned() });
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such name")) })
    }

    fn records(&self, name: Arc<str>, kind: RecordType) -> Later<'static, io::Result<Option<Vec<RData>>>> {
        let book = self.1.lock().expect("a book");
        if book.contains_key("SLOW") {
            return Box::pin(std::future::pending());
        }
        let all = book.get(&*name).cloned();
        let of = move |all: Vec<RData>| all.into_iter().filter(|data| data.record_type() == kind).collect();
        Box::pin(async move { Ok(all.map(of)) })
    }
}

/// What counts as public where there is only loopback: 127.77.0.0/16.
fn pretended(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(v4) if v4.octets()[..2] == [127, 77] => None,
        ip => barred(ip),
    }
}

/// One app and all around it.
struct World {
    jail: Arc<Jail>,
    session: Session,
    dns: SocketAddr,
    dns_tcp: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
}

struct Setup {
    net: Net,
    trusted: Vec<HostRule>,
    offered: Vec<HostRule>,
    connections: u64,
    /// Of all apps together.
    places: usize,
    namespace: bool,
    place: Place,
    names: Vec<(&'static str, Vec<Vec<IpAddr>>)>,
    records: Vec<(&'static str, Vec<RData>)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            net: Net::default(),
            trusted: vec![],
            offered: vec![],
            connections: 100,
            places: 1000,
            namespace: true,
            place: Place::default(),
            names: vec![],
            records: vec![],
        }
    }
}

fn rules(list: &[String]) -> Vec<HostRule> {
    list.iter().map(|text| HostRule::parse(text).expect(text)).collect()
}

fn hosts(list: &[String]) -> Net {
    Net { tcp: Reach::Hosts(rules(list)), ..Net::default() }
}

fn at(text: &str) -> IpAddr {
    text.parse().expect(text)
}

async fn world(setup: Setup) -> World {
    let (send, attempts) = mpsc::unbounded_channel();
    let place = setup.place;
    let jail = Arc::new(Jail {
        place: place.clone(),
        send,
        attempts: tokio::sync::Mutex::new(attempts),
        waiting: Mutex::default(),
        next: AtomicU64::new(1),
        listeners: AtomicUsize::new(0),
    });
    let dns_udp = place.run(|| std::net::UdpSocket::bind("127.0.0.1:0")).await.expect("a socket");
    let dns_tcp = place.run(|| std::net::TcpListener::bind("127.0.0.1:0")).await.expect("a socket");
    let (dns, dns_at) = (dns_udp.local_addr().expect("its address"), dns_tcp.local_addr().expect("its address"));
    let book = Book::default();
    for (name, turns) in setup.names {
        book.0.lock().expect("a book").insert(name.into(), turns.into());
    }
    for (name, all) in setup.records {
        book.1.lock().expect("a book").insert(name.into(), all);
    }
    // With a network of its own the app has the real rules.
    let guard: Guard = if place.0.is_some() { public() } else { Arc::new(pretended) };
    let mut egress = Egress::with(Tasks::new(), Arc::new(book), guard);
    egress.places = Arc::new(Semaphore::new(setup.places));
    egress.offered = setup.offered;
    let subject = Subject {
        key: AppKey::app(1),
        net: setup.net,
        trusted: setup.trusted,
        purpose: Purpose::App,
        limits: Limits { connections: setup.connections, ..Limits::default() },
        budget: Arc::new(Budget::new(crate::base::Clock::System)),
    };
    let doors = Doors {
        attempts: Arc::clone(&jail) as Arc<dyn Attempts>,
        dns_udp: vec![dns_udp],
        dns_tcp: vec![dns_tcp],
        namespace: setup.namespace.then(|| Arc::clone(&jail) as Arc<dyn Namespace>),
        ranges: if place.0.is_some() { Ranges::JAIL } else { RANGES },
    };
    let lines = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&lines);
    let log: Log = Arc::new(move |line| to.lock().expect("lines").push(line));
    let session = egress.serve(subject, doors, log).await.expect("served");
    World { jail, session, dns, dns_tcp: dns_at, lines }
}

impl World {
    async fn attempt(&self, to: SocketAddr, datagram: bool) -> Outcome {
        let id = self.jail.next.fetch_add(1, Ordering::SeqCst);
        let (send, outcome) = oneshot::channel();
        self.jail.waiting.lock().expect("attempts").insert(id, send);
        self.jail.send.send(Attempt { id, to, datagram }).expect("heard");
        tokio::time::timeout(LONG, outcome).await.expect("an answer in time").expect("an answer")
    }

    /// What `connect` does in the app.
    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        match self.attempt(to, false).await {
            Outcome::GoOn => {
                let stream = self.jail.place.run(move || std::net::TcpStream::connect(to)).await?;
                stream.set_nonblocking(true)?;
                TcpStream::from_std(stream)
            }
            Outcome::Refuse(errno) => Err(io::Error::from_raw_os_error(errno)),
            Outcome::Replace(socket) => TcpStream::from_std(socket.into()),
        }
    }

    /// A socket of the app.
    async fn udp(&self) -> UdpSocket {
        let socket = self.jail.place.run(|| std::net::UdpSocket::bind("0.0.0.0:0")).await.expect("a socket");
        socket.set_nonblocking(true).expect("not blocking");
        UdpSocket::from_std(socket).expect("a socket")
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.queries.push(Query::query(Name::from_ascii(format!("{name}.")).expect(name), kind));
        let socket = self.udp().await;
        socket.connect(self.dns).await.expect("connected");
        socket.send(&message.to_vec().expect("a packet")).await.expect("sent");
        let mut reply = [0; 600];
        let n = tokio::time::timeout(LONG, socket.recv(&mut reply)).await.expect("in time").expect("a reply");
        Message::from_vec(&reply[..n]).expect("a message")
    }

    async fn fake(&self, name: &str) -> IpAddr {
        self.found(name, RecordType::A).await
    }

    async fn found(&self, name: &str, kind: RecordType) -> IpAddr {
        let reply = self.ask(name, kind).await;
        match &reply.answers.first().expect("an answer").data {
            RData::A(a) => IpAddr::V4(a.0),
            RData::AAAA(a) => IpAddr::V6(a.0),
            other => panic!("{other:?}"),
        }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("lines").clone()
    }

    async fn said(&self, part: &str) {
        until(|| self.lines().iter().any(|line| line.contains(part))).await;
    }
}

/// Listens, not blocking, also at an IPv6 address that is only a local route.
fn listener(at: SocketAddr) -> io::Result<std::net::TcpListener> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if at.is_ipv6() {
        net::sockopt::set_ipv6_freebind(&socket, true)?;
    }
    net::bind(&socket, &at)?;
    net::listen(&socket, 128)?;
    Ok(socket.into())
}

async fn until(mut done: impl FnMut() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, wait).await.expect("it comes to pass");
}

/// Answers each connection's bytes with the same bytes in upper case, and its end with its own.
async fn upstream(ip: &str) -> u16 {
    let listener = listener(SocketAddr::new(at(ip), 0)).and_then(TcpListener::from_std).expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    serve(listener);
    port
}

fn serve(listener: TcpListener) {
    #[allow(clippy::disallowed_methods)]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut all = String::new();
                stream.read_to_string(&mut all).await.expect("read to the end");
                stream.write_all(all.to_uppercase().as_bytes()).await.expect("written");
            });
        }
    });
}

async fn shout(mut stream: TcpStream, word: &str) -> io::Result<String> {
    stream.write_all(word.as_bytes()).await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
