//! The engine of outbound connections: one per server, one session per running app or job.
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::budget::Budget;
use super::connect::{Dialer, Guard, Resolver, System, public};
use super::doors::Doors;
use super::fake::Fakes;
use super::policy::{Policy, Purpose};
use super::rate::Rate;
use super::refusals::{Log, Refusals};
use super::relay::{Bounds, Buffers};
use super::rule::{HostRule, Net};
use super::site::Site;
use super::stub::Stub;
use super::usage::{Counters, Usage};
use crate::base::{Result, ResultExt as _, Tasks};
use crate::runner::{AppKey, Limits};

/// Outbound connections of all apps together: two descriptors each, and no more than a quarter of what this
/// process may have.
const CONNECTIONS: usize = 8192;
/// A connection on which nothing moves for so long is reset.
const IDLE: Duration = Duration::from_secs(3600);
/// Listeners that may be made: a second, and at once.
const OPENINGS: (u32, u32) = (100, 256);
const MINUTE: Duration = Duration::from_secs(60);

/// Whose connections, and what they may be.
#[derive(Clone)]
pub struct Subject {
    pub key: AppKey,
    pub net: Net,
    /// The owner's own hosts, which may have any address.
    pub trusted: Vec<HostRule>,
    pub purpose: Purpose,
    /// `connections` of it.
    pub limits: Limits,
    /// Of the app, whatever process of it runs.
    pub budget: Arc<Budget>,
}

/// A cheap handle.
#[derive(Clone)]
pub struct Egress {
    tasks: Tasks,
    resolver: Arc<dyn Resolver>,
    guard: Guard,
    buffers: Arc<Buffers>,
    pub(super) places: Arc<Semaphore>,
    /// Hosts of the owner's network that apps may ask for.
    pub(super) offered: Vec<HostRule>,
}

/// The outbound connections of one app. Dropping it ends them all.
pub struct Session {
    site: Arc<Site>,
    _end: DropGuard,
}

impl Egress {
    /// `offered`: hosts of the owner's network that apps may ask for; what is said of refusals names them.
    pub fn new(tasks: Tasks, offered: Vec<HostRule>) -> Self {
        Self { offered, ..Self::with(tasks, Arc::new(System::default()), public()) }
    }

    pub(super) fn with(tasks: Tasks, resolver: Arc<dyn Resolver>, guard: Guard) -> Self {
        let (_, files) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
        let most = usize::try_from(files / 8).unwrap_or(CONNECTIONS).clamp(64, CONNECTIONS);
        let places = Arc::new(Semaphore::new(most));
        Self { tasks, resolver, guard, buffers: Arc::default(), places, offered: Vec::new() }
    }

    /// Answers all that an app tries until the session is dropped: also while the server drains, so that
    /// apps can finish. `log` gets lines for the app's own log and must not block.
    /// Errors: `Internal`, when a DNS socket cannot be used.
    pub async fn serve(&self, subject: Subject, doors: Doors, log: Log) -> Result<Session> {
        let (udp, tcp) = sockets(doors.dns_udp, doors.dns_tcp).internal("while opening an app's DNS sockets")?;
        let stop = CancellationToken::new();
        let site = Arc::new(Site {
            policy: Policy {
                net: subject.net,
                trusted: subject.trusted,
                offered: self.offered.clone(),
                purpose: subject.purpose,
            },
            most: subject.limits.connections,
            bounds: Bounds { idle: IDLE, budget: subject.budget },
            fakes: Mutex::new(Fakes::new(doors.ranges)),
            refusals: Refusals::new(log),
            count: Counters::default(),
            dialer: Dialer::new(Arc::clone(&self.resolver), Arc::clone(&self.guard)),
            attempts: doors.attempts,
            dns: udp.first().and_then(|socket| socket.local_addr().ok()),
            namespace: doors.namespace,
            traps: Mutex::default(),
            openings: Rate::new(OPENINGS.0, OPENINGS.1),
            ports: Mutex::default(),
            tasks: self.tasks.clone(),
            buffers: Arc::clone(&self.buffers),
            places: Arc::clone(&self.places),
            stop: stop.clone(),
        });
        let session = Session { site: Arc::clone(&site), _end: stop.drop_guard() };
        tracing::debug!(app = subject.key.0, "outbound connections are served");
        for at in site.policy.udp_addresses() {
            site.open_port(at).await;
        }
        let stub = Stub::new(Arc::clone(&site));
        for socket in udp {
            site.spawn("egress dns", Arc::clone(&stub).serve_udp(socket));
        }
        for listener in tcp {
            site.spawn("egress dns", Arc::clone(&stub).serve_tcp(listener));
        }
        site.spawn("egress attempts", Arc::clone(&site).heed_all());
        site.spawn("egress minutes", minutes(Arc::clone(&site)));
        Ok(session)
    }
}

impl Session {
    pub fn usage(&self) -> Usage {
        self.site.count.usage(self.site.refusals.count())
    }

    /// Hosts that were refused, at most 64: `api.example.com:443`, or a name only that was looked up.
    pub fn refused(&self) -> Vec<String> {
        self.site.refusals.hosts()
    }
}

fn sockets(
    udp: Vec<std::net::UdpSocket>,
    tcp: Vec<std::net::TcpListener>,
) -> io::Result<(Vec<UdpSocket>, Vec<TcpListener>)> {
    let udp = udp.into_iter().map(|socket| {
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket)
    });
    let tcp = tcp.into_iter().map(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    Ok((udp.collect::<io::Result<_>>()?, tcp.collect::<io::Result<_>>()?))
}

async fn minutes(site: Arc<Site>) {
    loop {
        tokio::time::sleep(MINUTE).await;
        site.refusals.minute();
        super::site::lock(&site.traps).sweep();
    }
}
