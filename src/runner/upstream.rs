//! A child ready to answer: an HTTP/1.1 client over its socket, and a lease that counts as in flight.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::body::Body;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio_util::either::Either;

use super::Admission;
use super::app::App;
use super::boots::FirstAnswer;
use super::child::Child;
use super::link::{Link, Shelf};
use super::supervisor::{ChildId, Phase};
use super::wire::Wire;
use crate::base::{Clock, Error, Millis, Result, ResultExt as _, Tasks};

/// The child's socket, in a folder of its own.
pub const SOCKET: &str = "http.sock";
/// How long after its socket refused a child's death may go unnoticed.
const DEATH_NOTICED: Duration = Duration::from_secs(1);
/// How long a child that boots may take to let a connection in.
const ACCEPTS: Duration = Duration::from_secs(2);
/// Connections kept for the next request.
const MAX_POOLED: usize = 128;

/// One admitted request's way to the child. Dropping it (or the response body made from it) ends the lease.
pub struct Upstream {
    /// Version that will answer.
    pub version: String,
    /// Microseconds waited at the gate, and of these booting.
    pub gate_us: u64,
    pub boot_us: u64,
    lease: Lease,
    app: Arc<App>,
    child: ChildId,
}

/// Keeps the app counted as busy; hold it until the response (or upgraded connection) has ended.
pub struct Lease(Arc<Line>);

/// The way to one child and the count of who uses it.
pub struct Line {
    /// The folder of the socket. The child can write there, so nothing in it is followed.
    dir: OnceLock<OwnedFd>,
    /// The port it was told, for a child that listens by itself, and who can reach it there.
    port: u16,
    inside: OnceLock<Wire>,
    /// It listens on its port and not on the socket.
    by_port: AtomicBool,
    /// Connections, some of them still busy with a response.
    pool: Mutex<Vec<SendRequest<Body>>>,
    /// Microseconds its first answer took.
    first_answer: FirstAnswer,
    /// Those without a client of their own: free, all of them.
    links: Shelf,
    in_flight: AtomicU64,
    quiet_since: AtomicI64,
    /// Told whenever the last lease has ended.
    pub quiet: Notify,
    clock: Clock,
    tasks: Tasks,
}

impl Upstream {
    pub(super) fn new(app: &Arc<App>, child: &Child, lease: Lease, gate_us: u64, boot_us: u64) -> Self {
        Self { version: child.version.clone(), gate_us, boot_us, lease, app: app.clone(), child: child.id }
    }

    /// Sends the request over a pooled or new connection. A request whose body was not consumed is sent
    /// again once when a pooled connection turns out to be dead. The lease must outlive the response body.
    /// Errors: `App` naming the stage (`connect`, `send`, `response head`).
    pub async fn send(self, request: Request<Body>) -> Result<(Response<Incoming>, Lease)> {
        let (app, child) = (self.app.clone(), self.child);
        let (line, clock) = (self.lease.0.clone(), Clock::stopwatch());
        let (request, error) = match self.attempt(request).await {
            Ok(done) => {
                if line.first_answer.load(Ordering::Relaxed) == 0 {
                    let us = u64::try_from(clock.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
                    // Whoever else is first too has a figure as good.
                    line.first_answer.store(us, Ordering::Relaxed);
                }
                return Ok(done);
            }
            Err((error, Some(unsent))) => (unsent, error),
            Err((error, None)) => return Err(error),
        };
        match elsewhere(&app, child).await {
            Some(upstream) => upstream.attempt(request).await.map_err(|(error, _)| error),
            None => Err(error),
        }
    }

    /// A free connection to write HTTP/1.1 on, if one is left from an earlier request.
    pub fn kept(&self) -> Option<Link> {
        self.lease.0.links.take()
    }

    /// A new one.
    /// Errors: `App` naming the stage.
    pub async fn dial(&self) -> Result<Link> {
        self.lease.0.dial().await.map(Link::new).map_err(refused)
    }

    /// Where a request goes that has not left, because [`Upstream::dial`] failed. `None`: nowhere.
    pub async fn elsewhere(&self) -> Option<Self> {
        elsewhere(&self.app, self.child).await
    }

    /// Puts a connection back on which a whole response has come.
    pub fn keep(&self, link: Link) {
        self.lease.0.links.put(link);
    }

    async fn attempt(self, mut request: Request<Body>) -> std::result::Result<(Response<Incoming>, Lease), Unanswered> {
        let line = self.lease.0.clone();
        if let Some(path) = request.uri().path_and_query() {
            let path = Uri::from(path.clone());
            *request.uri_mut() = path;
        }
        let mut left = false;
        if let Some(pooled) = line.pooled() {
            // What can be said again, should the connection turn out to have just closed.
            let again = (request.method().is_idempotent() && request.body().is_end_stream()).then(|| replay(&request));
            match line.exchange(pooled, request).await {
                Ok(response) => return Ok((response, self.lease)),
                Err((_, Some(unsent))) => request = unsent,
                Err((error, None)) => {
                    left = true;
                    request = again.ok_or((error, None))?;
                }
            }
        }
        let sent = match line.connect().await {
            Ok(fresh) => line.exchange(fresh, request).await,
            Err(error) => Err((error, Some(request))),
        };
        // What left once may be what killed the child: the next child is spared.
        sent.map(|response| (response, self.lease)).map_err(|(error, unsent)| (error, unsent.filter(|_| !left)))
    }
}

/// A failure, and the request if it never left.
type Unanswered = (Error, Option<Request<Body>>);

impl Lease {
    pub(super) fn new(line: &Arc<Line>) -> Self {
        line.in_flight.fetch_add(1, Ordering::SeqCst);
        Self(line.clone())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.quiet_since.store(self.0.clock.now(), Ordering::SeqCst);
        if self.0.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.quiet.notify_one();
        }
    }
}

impl Line {
    pub(super) fn new(port: u16, clock: Clock, tasks: Tasks) -> Self {
        Self {
            dir: OnceLock::new(),
            port,
            inside: OnceLock::new(),
            by_port: AtomicBool::new(false),
            pool: Mutex::new(Vec::new()),
            first_answer: FirstAnswer::default(),
            links: Shelf::default(),
            in_flight: AtomicU64::new(0),
            quiet_since: AtomicI64::new(clock.now()),
            quiet: Notify::new(),
            clock,
            tasks,
        }
    }

    pub(super) fn first_answer(&self) -> FirstAnswer {
        self.first_answer.clone()
    }

    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Since when nothing is in flight; `None` while something is.
    pub fn quiet_since(&self) -> Option<Millis> {
        (self.in_flight() == 0).then(|| self.quiet_since.load(Ordering::SeqCst))
    }

    /// Gives it the way into the child's network. Once.
    pub(super) fn reach(&self, wire: Wire) {
        let _ = self.inside.set(wire);
    }

    /// Where its socket will be. Once.
    pub(super) fn look_in(&self, dir: OwnedFd) {
        let _ = self.dir.set(dir);
    }

    pub(super) fn dir(&self) -> Option<&OwnedFd> {
        self.dir.get()
    }

    /// Whether the child listens on its socket; with `port`, on that either.
    pub(super) async fn listens(&self, port: bool) -> bool {
        if self.dial_socket().await.is_ok() {
            return true;
        }
        // A child that listens and lets nobody in would hold up whoever is to stop it.
        let dialed = async { tokio::time::timeout(ACCEPTS, self.dial_port()).await };
        let by_port = port && matches!(dialed.await, Ok(Ok(_)));
        self.by_port.store(by_port, Ordering::Relaxed);
        by_port
    }

    async fn dial(&self) -> std::io::Result<Either<UnixStream, TcpStream>> {
        if self.by_port.load(Ordering::Relaxed) {
            return Ok(Either::Right(self.dial_port().await?));
        }
        Ok(Either::Left(self.dial_socket().await?))
    }

    /// Links are not followed: what a child puts in its place must not lead the server to another socket of this
    /// machine.
    async fn dial_socket(&self) -> std::io::Result<UnixStream> {
        dial(self.dir.get().ok_or(std::io::ErrorKind::NotFound)?, SOCKET).await
    }

    /// Init makes the connection, inside the child's network: no port of the host is involved.
    async fn dial_port(&self) -> std::io::Result<TcpStream> {
        match self.dial_inside(Ipv4Addr::LOCALHOST.into()).await {
            Err(_) => self.dial_inside(Ipv6Addr::LOCALHOST.into()).await,
            stream => stream,
        }
    }

    async fn dial_inside(&self, address: IpAddr) -> std::io::Result<TcpStream> {
        let wire = self.inside.get().ok_or(std::io::ErrorKind::NotConnected)?;
        let stream = TcpStream::from_std(wire.connect(SocketAddr::from((address, self.port))).await?.into())?;
        // It may still have been on its way.
        stream.writable().await?;
        stream.take_error()?.map_or(Ok(()), Err)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn connect(&self) -> Result<SendRequest<Body>> {
        let stream = self.dial().await.map_err(refused)?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|e| Error::app("connect: the app's connection failed").because(e))?;
        self.tasks.spawn_here("upstream", async move {
            // Its failure reaches whoever waits for the response.
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }

    /// Closes the connections that wait for the next request.
    pub(super) fn forget(&self) {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.links.clear();
    }

    /// A connection that is free now; dead ones are dropped on the way.
    fn pooled(&self) -> Option<SendRequest<Body>> {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.retain(|sender| !sender.is_closed());
        let at = pool.iter().rposition(SendRequest::is_ready)?;
        Some(pool.swap_remove(at))
    }

    /// One request and its response head; the connection goes to the pool at once and is ready again
    /// when the body has been read.
    async fn exchange(
        &self,
        mut sender: SendRequest<Body>,
        request: Request<Body>,
    ) -> std::result::Result<Response<Incoming>, Unanswered> {
        if let Err(e) = sender.ready().await {
            return Err((closed(e), Some(request)));
        }
        match sender.try_send_request(request).await {
            Ok(response) => {
                let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
                if pool.len() < MAX_POOLED && response.status() != hyper::StatusCode::SWITCHING_PROTOCOLS {
                    pool.push(sender);
                }
                Ok(response)
            }
            Err(mut refused) => {
                let unsent = refused.take_message();
                let stage = if unsent.is_some() { "send" } else { "response head" };
                Err((unanswered(stage, refused.into_error()), unsent))
            }
        }
    }
}

/// The child does not even accept: it has just died, and its end is about to be noticed. The request has not
/// left, so it goes back to the gate.
async fn elsewhere(app: &Arc<App>, child: ChildId) -> Option<Upstream> {
    let other = |phase| phase != Phase::Ready { child };
    if !app.until(DEATH_NOTICED, other).await {
        return None;
    }
    match app.admit().await {
        Admission::Go(upstream) => Some(upstream),
        _ => None,
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

fn refused(cause: std::io::Error) -> Error {
    Error::app("connect: the app does not accept connections").because(cause)
}

/// It was open, and is not any more.
pub fn closed(cause: impl Into<Cause>) -> Error {
    Error::app("send: the app closed the connection").because(cause)
}

/// It took a request, or some of it, and gave no head.
pub fn unanswered(stage: &str, cause: impl Into<Cause>) -> Error {
    Error::app(format!("{stage}: the app closed the connection without answering")).because(cause)
}

fn replay(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// A connection to a socket in a child's folder, which is opened without following links.
pub(super) async fn dial(dir: &OwnedFd, name: &str) -> std::io::Result<UnixStream> {
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let socket = rustix::fs::openat2(dir, name, flags, Mode::empty(), inside)?;
    let stat = rustix::fs::statat(&socket, "", AtFlags::EMPTY_PATH)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    UnixStream::connect(format!("/proc/self/fd/{}", socket.as_raw_fd())).await
}

/// Opens the folder of a child's socket.
pub(super) fn open_dir(path: &std::path::Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).internal("while opening the socket folder")
}
