//! The engine's side of one app: what it may do, what it has open, and the answer to each thing it tries.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::connect::{Dialer, Failure};
use super::dns::{Found, Question};
use super::doors::{Attempt, Attempts, Namespace};
use super::fake::Fakes;
use super::policy::{self, Grant, Host, Policy, Transport};
use super::rate::Rate;
use super::records;
use super::refusals::Refusals;
use super::relay::{self, Buffers};
use super::trap::Traps;
use super::udp::Ports;
use super::usage::Counters;
use crate::base::Tasks;

/// A refused connect is not to be tried again, as `ECONNREFUSED` would make some libraries do.
const NOT_ALLOWED: Errno = Errno::ACCESS;

pub struct Site {
    pub policy: Policy,
    /// Connections that may be open.
    pub most: u64,
    pub bounds: relay::Bounds,
    pub fakes: Mutex<Fakes>,
    pub refusals: Refusals,
    pub count: Counters,
    pub dialer: Dialer,
    pub attempts: Arc<dyn Attempts>,
    pub namespace: Option<Arc<dyn Namespace>>,
    /// Where a replaced DNS socket leads, without a namespace.
    pub dns: Option<SocketAddr>,
    pub traps: Mutex<Traps>,
    pub openings: Rate,
    pub ports: Mutex<Ports>,
    pub tasks: Tasks,
    pub buffers: Arc<Buffers>,
    /// Connections of all apps together.
    pub places: Arc<Semaphore>,
    pub stop: CancellationToken,
}

/// The answer to an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    GoOn,
    /// Once somebody of ours listens there.
    Through(SocketAddr),
    /// With a socket to the DNS stub in its place.
    Dns(SocketAddr),
    Refuse(Errno),
}

/// One open connection: while it is there it counts, and its name stays.
pub struct Open {
    site: Arc<Site>,
    at: IpAddr,
    _place: OwnedSemaphorePermit,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.site.count.close();
        self.site.fakes().release(self.at);
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the kernel makes of an address: IPv4 in IPv6 form is IPv4, and nowhere is here.
fn plain(to: SocketAddr) -> SocketAddr {
    let ip = match to.ip().to_canonical() {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, to.port())
}

impl Site {
    pub fn fakes(&self) -> MutexGuard<'_, Fakes> {
        lock(&self.fakes)
    }

    /// Runs until the session ends.
    pub fn spawn(self: &Arc<Self>, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        drop(self.tasks.spawn(name, async move { stop.run_until_cancelled_owned(work).await }));
    }

    pub async fn heed_all(self: Arc<Self>) {
        while let Some(attempt) = self.attempts.next().await {
            self.heed(attempt);
        }
    }

    fn heed(self: &Arc<Self>, attempt: Attempt) {
        let at = plain(attempt.to);
        // Nothing listens at an address that is not allowed, and what is allowed does not change.
        if !attempt.datagram && lock(&self.traps).is_open(at) {
            return self.attempts.go_on(attempt.id);
        }
        match if attempt.datagram { self.judge_datagram(at) } else { self.judge(at) } {
            Verdict::GoOn => self.attempts.go_on(attempt.id),
            Verdict::Through(at) if self.namespace.is_some() => self.open_trap(at, attempt.id),
            Verdict::Through(at) => self.replace(at, attempt.id),
            Verdict::Dns(at) => self.replace_dns(at, attempt),
            Verdict::Refuse(errno) => self.attempts.refuse(attempt.id, errno.raw_os_error()),
        }
    }

    fn judge(&self, at: SocketAddr) -> Verdict {
        if at.port() == 0 {
            return Verdict::Refuse(Errno::CONNREFUSED);
        }
        // Without a network of its own it was told to ask the host's name servers, and to do so by TCP.
        if let (None, Some(dns), 53) = (&self.namespace, self.dns, at.port()) {
            return Verdict::Dns(dns);
        }
        match self.grant(at, Transport::Tcp) {
            Ok(_) => Verdict::Through(at),
            Err(_) if self.is_inside(at.ip()) => Verdict::GoOn,
            Err((what, why)) => {
                self.refusals.refused(&what, &why);
                Verdict::Refuse(NOT_ALLOWED)
            }
        }
    }

    /// The app's own loopback, where it may talk to itself.
    fn is_inside(&self, ip: IpAddr) -> bool {
        self.namespace.is_some() && ip.is_loopback() && !self.fakes().ranges().has(ip)
    }

    fn judge_datagram(&self, at: SocketAddr) -> Verdict {
        let named = self.fakes().name(at.ip()).is_some();
        let Some(_) = self.namespace else {
            return match self.dns {
                Some(dns) if at.port() == 53 => Verdict::Dns(dns),
                // What getaddrinfo does to sort addresses: no answer is answer enough.
                _ if named || at.port() == 0 => Verdict::Refuse(NOT_ALLOWED),
                _ => self.refuse_datagram(at),
            };
        };
        // Only loopback is there: what goes to an address without a socket of ours goes nowhere.
        let harmless = named || at.port() == 0 || self.is_inside(at.ip());
        if harmless || self.grant(at, Transport::Udp).is_ok() || self.grant(at, Transport::Tcp).is_ok() {
            return Verdict::GoOn;
        }
        self.refuse_datagram(at)
    }

    fn refuse_datagram(&self, at: SocketAddr) -> Verdict {
        if let Err((what, why)) = self.grant(at, Transport::Udp) {
            self.refusals.refused(&format!("{what} (udp)"), &why);
        }
        Verdict::Refuse(NOT_ALLOWED)
    }

    /// What an address inside stands for, if that is allowed. Errors: how to name it, and why not.
    pub fn grant(&self, at: SocketAddr, transport: Transport) -> Result<Grant, (String, String)> {
        let at = plain(at);
        let host = {
            let fakes = self.fakes();
            match fakes.name(at.ip()) {
                Some(name) => Host::Name(name),
                None if fakes.ranges().has(at.ip()) => {
                    let why = "No name stands for this address now: look the name up again.";
                    return Err((at.to_string(), why.to_owned()));
                }
                None => Host::Address(at.ip()),
            }
        };
        let refused = |why| (policy::shown(&host, at.port()), why);
        self.policy.decide(&host, at.port(), transport).map_err(refused)
    }

    /// Counts one more connection that came in at an address of ours. `None`: too many; it is said.
    pub fn open(self: &Arc<Self>, at: IpAddr, what: &str) -> Option<Open> {
        // Never more than are left: however many apps take all they can, there is one for who has none.
        let left = self.places.available_permits() as u64;
        let crowded = self.count.open_now() >= left;
        let place = Arc::clone(&self.places).try_acquire_owned().ok().filter(|_| !crowded);
        let Some(place) = place else {
            self.refusals.refused(what, "The server has as many outbound connections as it can hold.");
            return None;
        };
        if let Some(why) = self.bounds.budget.exhausted() {
            self.refusals.refused(what, &why);
            return None;
        }
        if !self.count.open(self.most) {
            let why = format!("{} connections are open, and that is the limit.", self.most);
            self.refusals.refused(what, &why);
            return None;
        }
        // Loopback and literal addresses have no name to hold, and none to release.
        self.fakes().hold(at);
        Some(Open { site: Arc::clone(self), at, _place: place })
    }

    /// A connection from the app that reached a listener of ours: where it was meant to go is decided
    /// again, from the address it really came to.
    pub fn accepted(self: &Arc<Self>, app: TcpStream) {
        let Ok(at) = app.local_addr().map(plain) else { return };
        self.carry(app, at);
    }

    /// Joins a connection of the app to what `at` stands for.
    pub fn carry(self: &Arc<Self>, app: TcpStream, at: SocketAddr) {
        let grant = match self.grant(at, Transport::Tcp) {
            Ok(grant) => grant,
            Err((what, why)) => {
                self.refusals.refused(&what, &why);
                return relay::reset(app);
            }
        };
        let what = policy::shown(&grant.host, grant.port);
        let Some(open) = self.open(at.ip(), &what) else { return relay::reset(app) };
        let site = Arc::clone(self);
        self.spawn("egress relay", async move {
            match site.dialer.connect(&grant).await {
                Ok(out) => relay::relay(app, out, &site.buffers, &site.count, &site.bounds).await,
                Err(failure) => {
                    site.tell(&grant, Transport::Tcp, failure);
                    relay::reset(app);
                }
            }
            drop(open);
        });
    }

    /// Says in the app's log why an allowed connection is not there.
    pub fn tell(&self, to: &Grant, transport: Transport, failure: Failure) {
        let what = policy::shown(&to.host, to.port);
        match failure {
            // Not the address itself: it may be one of the owner's network, which is not the app's business.
            Failure::Barred(_, why) => {
                self.refusals.refused(&what, &self.policy.not_public(&to.host, to.port, transport, why));
            }
            Failure::LookUp(error) => self.refusals.failed(&what, &format!("Looking up its name failed: {error}.")),
            Failure::Connect(error) => self.refusals.failed(&what, &format!("{error}.")),
        }
    }

    /// What a name is to this app.
    pub async fn find(self: &Arc<Self>, question: &Question) -> Found {
        let Some(name) = question.name() else { return Found::Refused };
        if name == "localhost" || name.ends_with(".localhost") {
            return Found::Loopback;
        }
        let kind = question.is_for_records();
        let host = if kind.is_some() { records::host(name) } else { name };
        if let Err(why) = self.policy.may_resolve(name).or_else(|_| self.policy.may_resolve(host)) {
            // A program asks for both kinds of address at once; one line is enough.
            if question.is_for_ipv4() || kind.is_some() {
                self.refusals.refused(host, &why);
            }
            return Found::Refused;
        }
        if let Some(kind) = kind {
            return records::find(self, name, kind).await;
        }
        if !question.is_for_address() {
            return Found::Empty;
        }
        let Some(fake) = self.fakes().give(name) else { return Found::Failed };
        for port in self.policy.udp_ports(name) {
            for ip in [Some(IpAddr::V4(fake.v4)), fake.v6.map(IpAddr::V6)].into_iter().flatten() {
                self.open_port(SocketAddr::new(ip, port)).await;
            }
        }
        Found::Fake(fake)
    }
}
