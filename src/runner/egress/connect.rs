//! From a name to a connection outside: look it up, drop what may not be reached, connect to exactly one
//! of what is left. Between the check and the connect nothing is looked up again.
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hickory_proto::rr::{RData, RecordType};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::address::{barred, is_private};
use super::doors::Later;
use super::nameserver;
use super::own::Own;
use super::policy::{Grant, Host, Where};
use super::rate::Rate;
use crate::base::Clock;

/// Addresses of one name that are tried.
const TRIES: usize = 6;
/// The next address is tried beside one that takes longer.
const PATIENCE: Duration = Duration::from_millis(300);
const LOOKUP: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(20);
/// How long an answer is used again, and how many names' answers are kept per app.
const FRESH: Duration = Duration::from_secs(10);
const KEPT: usize = 256;
/// Look-ups in progress: of one app, and of all. An app can name hosts whose name servers never answer: it takes
/// many such apps to keep the others waiting.
const OF_ONE: usize = 4;
const OF_ALL: usize = 256;

/// Asks the network of the server for a name's addresses, in the order to try them.
pub trait Resolver: Send + Sync + 'static {
    /// `place` is given back when the look-up has ended, which may be long after anybody waits for it.
    fn look_up(&self, name: Arc<str>, place: OwnedSemaphorePermit) -> Later<'static, io::Result<Vec<IpAddr>>>;
    /// Its records of another type; `None`: there is no such name.
    fn records(&self, name: Arc<str>, kind: RecordType) -> Later<'static, io::Result<Option<Vec<RData>>>>;
}

/// What a guard says of an address of this machine.
const OWN: &str = "the server's own";

/// Says why an address may not be reached, if so.
pub type Guard = Arc<dyn Fn(IpAddr) -> Option<&'static str> + Send + Sync>;

/// Public addresses that are not the server's own.
pub fn public() -> Guard {
    let own = Own::default();
    Arc::new(move |address| match barred(address) {
        // The server's own may be of a private network.
        Some(what) if !is_private(address) => Some(what),
        what => own.has(address).then_some(OWN).or(what),
    })
}

/// The system's resolver, with a bound on how many of its threads wait.
pub struct System {
    places: Arc<Semaphore>,
}

impl Default for System {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(OF_ALL)) }
    }
}

impl Resolver for System {
    fn look_up(&self, name: Arc<str>, place: OwnedSemaphorePermit) -> Later<'static, io::Result<Vec<IpAddr>>> {
        let places = Arc::clone(&self.places);
        Box::pin(async move {
            let of_all = places.acquire_owned().await.map_err(io::Error::other)?;
            let work = move || {
                // Kept until the thread is free, also when nobody waits for it any more.
                let _places = (place, of_all);
                (&*name, 0).to_socket_addrs().map(|all| all.map(|one| one.ip()).collect())
            };
            tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
        })
    }

    fn records(&self, name: Arc<str>, kind: RecordType) -> Later<'static, io::Result<Option<Vec<RData>>>> {
        Box::pin(async move {
            let servers = tokio::task::spawn_blocking(nameserver::configured).await.map_err(io::Error::other)?;
            nameserver::ask(&servers, &name, kind).await
        })
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub enum Failure {
    /// None of the addresses may be reached; this is one, and why.
    Barred(IpAddr, &'static str),
    LookUp(io::Error),
    Connect(io::Error),
}

/// When it came, and what it was.
type Answer = (Instant, Vec<IpAddr>);

/// One app's way out. Answers are kept per app: what one app asks for is nothing another can notice.
pub struct Dialer {
    resolver: Arc<dyn Resolver>,
    guard: Guard,
    places: Arc<Semaphore>,
    rate: Rate,
    kept: Mutex<HashMap<Arc<str>, Answer>>,
}

impl Dialer {
    pub fn new(resolver: Arc<dyn Resolver>, guard: Guard) -> Self {
        let places = Arc::new(Semaphore::new(OF_ONE));
        Self { resolver, guard, places, rate: Rate::new(50, 100), kept: Mutex::default() }
    }

    /// A connection to one of the host's addresses that may be reached.
    pub async fn connect(&self, to: &Grant) -> Result<TcpStream, Failure> {
        let addresses = self.addresses(to).await?;
        match tokio::time::timeout(CONNECT, first(addresses)).await {
            Ok(result) => result.map_err(Failure::Connect),
            Err(_) => Err(Failure::Connect(io::ErrorKind::TimedOut.into())),
        }
    }

    /// The addresses of the host that may be reached, at least one, in the order to try them.
    pub async fn addresses(&self, to: &Grant) -> Result<Vec<SocketAddr>, Failure> {
        let all = match &to.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.look_up(name).await.map_err(Failure::LookUp)?,
        };
        // An IPv4 address in IPv6 form would be connected to as what it is.
        let all = all.into_iter().map(|address| address.to_canonical());
        let mut why = None;
        let may = |address: &IpAddr| {
            let barred = match to.at {
                Where::Anywhere => None,
                // The owner's name for a host of the private network: not for this machine, not for any other kind.
                Where::Private => (self.guard)(*address).filter(|what| !is_private(*address) || *what == OWN),
                Where::Public => (self.guard)(*address),
            };
            why = why.or(barred.map(|what| (*address, what)));
            barred.is_none()
        };
        let good: Vec<_> = all.filter(may).take(TRIES).map(|address| SocketAddr::new(address, to.port)).collect();
        match (good.is_empty(), why) {
            (false, _) => Ok(good),
            (true, Some((address, what))) => Err(Failure::Barred(address, what)),
            (true, None) => Err(Failure::LookUp(io::Error::other("it has no address"))),
        }
    }

    /// The records of a name that are not addresses; never kept. `None`: there is no such name.
    pub async fn records(&self, name: &str, kind: RecordType) -> io::Result<Option<Vec<RData>>> {
        let work = async {
            let _place = self.places.acquire().await.map_err(io::Error::other)?;
            self.rate.turn().await;
            self.resolver.records(name.into(), kind).await
        };
        tokio::time::timeout(LOOKUP, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn look_up(&self, name: &Arc<str>) -> io::Result<Vec<IpAddr>> {
        let kept = |now: Instant| {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.get(name).filter(|(at, _)| now.duration_since(*at) < FRESH).map(|(_, all)| all.clone())
        };
        if let Some(all) = kept(Clock::stopwatch()) {
            return Ok(all);
        }
        let work = async {
            let place = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
            // Another connection may have asked while this one waited.
            if let Some(all) = kept(Clock::stopwatch()) {
                return Ok(all);
            }
            self.rate.turn().await;
            let all = self.resolver.look_up(Arc::clone(name), place).await?;
            let now = Clock::stopwatch();
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= KEPT {
                kept.retain(|_, (at, _)| now.duration_since(*at) < FRESH);
            }
            if kept.len() < KEPT {
                kept.insert(Arc::clone(name), (now, all.clone()));
            }
            Ok(all)
        };
        tokio::time::timeout(LOOKUP, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Tries the addresses in order, the next one beside a slow one, and keeps the first that answers.
async fn first(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut running = FuturesUnordered::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if running.is_empty() {
            match waiting.next() {
                Some(next) => running.push(TcpStream::connect(next)),
                None => return Err(last),
            }
        }
        let slow = waiting.len() > 0;
        tokio::select! {
            done = running.next() => match done {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => last = error,
                None => {}
            },
            () = tokio::time::sleep(PATIENCE), if slow => {
                running.extend(waiting.next().map(TcpStream::connect));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Flips(AtomicUsize);

    impl Resolver for Flips {
        fn look_up(&self, _: Arc<str>, _: OwnedSemaphorePermit) -> Later<'static, io::Result<Vec<IpAddr>>> {
            let turn = self.0.fetch_add(1, Ordering::SeqCst);
            let answer = [vec![[8, 8, 8, 8], [127, 0, 0, 1]], vec![[10, 0, 0, 1]], vec![]];
            let answer = answer[turn.min(2)].iter().map(|ip| IpAddr::from(*ip)).collect();
            Box::pin(async move { Ok(answer) })
        }
        fn records(&self, _: Arc<str>, _: RecordType) -> Later<'static, io::Result<Option<Vec<RData>>>> {
            Box::pin(async { Ok(None) })
        }
    }

    fn to(name: &str, at: Where) -> Grant {
        Grant { host: Host::Name(name.into()), port: 443, at }
    }

    #[tokio::test]
    async fn what_may_not_be_reached_is_dropped_after_the_look_up() {
        let dialer = Dialer::new(Arc::new(Flips(AtomicUsize::new(0))), public());
        let good = dialer.addresses(&to("a.b", Where::Public)).await.expect("one is public");
        assert_eq!(good, ["8.8.8.8:443".parse().expect("an address")]);
        assert!(matches!(dialer.addresses(&to("c.d", Where::Public)).await, Err(Failure::Barred(_, "private"))));
        assert!(matches!(dialer.addresses(&to("e.f", Where::Public)).await, Err(Failure::LookUp(_))));
        // Kept: the resolver is not asked again, and the check is made again.
        assert!(dialer.addresses(&to("c.d", Where::Anywhere)).await.is_ok());
        assert!(matches!(dialer.addresses(&to("c.d", Where::Public)).await, Err(Failure::Barred(_, "private"))));
    }

    /// A name that the owner trusts to be private leads there, and nowhere else that is not public.
    #[tokio::test]
    async fn a_private_host_is_on_a_private_network() {
        struct Is(IpAddr);
        impl Resolver for Is {
            fn look_up(&self, _: Arc<str>, _: OwnedSemaphorePermit) -> Later<'static, io::Result<Vec<IpAddr>>> {
                let ip = self.0;
                Box::pin(async move { Ok(vec![ip]) })
            }
            fn records(&self, _: Arc<str>, _: RecordType) -> Later<'static, io::Result<Option<Vec<RData>>>> {
                Box::pin(async { Ok(None) })
            }
        }
        let guard: Guard = Arc::new(|ip| (ip == IpAddr::from([10, 9, 9, 9])).then_some(OWN).or_else(|| barred(ip)));
        for (text, reached) in [
            ("10.0.0.5", true),
            ("172.16.0.1", true),
            ("192.168.1.1", true),
            ("100.64.0.1", true),
            ("fd00::5", true),
            ("8.8.8.8", true),
            ("10.9.9.9", false),
            ("127.0.0.1", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("0.0.0.0", false),
            ("169.254.169.254", false),
            ("168.63.129.16", false),
            ("fd00:ec2::254", false),
            ("100.100.100.200", false),
            ("fe80::1", false),
            ("64:ff9b::a00:5", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("198.18.0.1", false),
        ] {
            let ip: IpAddr = text.parse().expect(text);
            let dialer = Dialer::new(Arc::new(Is(ip)), Arc::clone(&guard));
            let found = dialer.addresses(&to("db.internal", Where::Private)).await;
            assert_eq!(found.is_ok(), reached, "{text}: {found:?}");
            assert!(dialer.addresses(&to("db.internal", Where::Anywhere)).await.is_ok());
        }
    }

    /// Its name servers never answer: the thread that asks them is busy for longer than anybody waits.
    #[derive(Default)]
    struct Mute(Mutex<Vec<OwnedSemaphorePermit>>);

    impl Resolver for Mute {
        fn look_up(&self, _: Arc<str>, place: OwnedSemaphorePermit) -> Later<'static, io::Result<Vec<IpAddr>>> {
            self.0.lock().expect("places").push(place);
            Box::pin(std::future::pending())
        }
        fn records(&self, _: Arc<str>, _: RecordType) -> Later<'static, io::Result<Option<Vec<RData>>>> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test]
    async fn a_look_up_nobody_waits_for_still_takes_its_place() {
        let resolver = Arc::new(Mute::default());
        let dialer = Dialer::new(Arc::clone(&resolver) as Arc<dyn Resolver>, public());
        for n in 0..2 * OF_ONE {
            // Begun, and given up.
            assert!(dialer.addresses(&to(&format!("n{n}.b"), Where::Public)).now_or_never().is_none());
        }
        assert_eq!(resolver.0.lock().expect("places").len(), OF_ONE);
    }

    #[tokio::test]
    async fn addresses_are_tried_in_order_until_one_answers() {
        let listener = std::net::TcpListener::bind("127.0.0.2:0").expect("a listener");
        let good = listener.local_addr().expect("its address");
        let dead = SocketAddr::new(IpAddr::from([127, 0, 0, 3]), good.port());
        let stream = first(vec![dead, good]).await.expect("connected");
        assert_eq!(stream.peer_addr().expect("a peer"), good);
        assert_eq!(first(vec![dead]).await.expect_err("refused").kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn the_systems_resolver_knows_localhost() {
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a place");
        let all = System::default().look_up("localhost".into(), place).await.expect("addresses");
        assert!(all.iter().all(IpAddr::is_loopback) && !all.is_empty());
    }
}
