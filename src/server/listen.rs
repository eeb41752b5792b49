//! The listeners: one connection loop each, and the choice of site by host name for every request.
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tower::ServiceExt as _;

use super::announced;
use super::crowd::{Counted, Crowd, Place};
use super::hsts::Hsts;
use super::plain::Plain;
use super::secure::Secure;
use super::tls::{Secured, Tls};
use crate::base::{Error, Kind, Tasks, Workers};
use crate::http::host::{self, Domains, Site};
use crate::http::trust::{self, Client, Trusted};
use crate::http::{idle, problem, request_id, serve, strict};
use crate::proxy::Proxy;
use crate::proxy::express::Named;

/// How long a request to Steady itself may be silent in the middle of its body.
const SILENCE: Duration = Duration::from_secs(60);

/// The sites of one server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sites {
    domains: Domains,
    /// Editor, API and git.
    own: Router,
    proxy: Proxy,
    front: Arc<Front>,
    plain: Option<Plain>,
    hsts: Option<Hsts>,
}

/// One listener, and TLS where it is spoken there.
pub(super) struct Door {
    pub listener: TcpListener,
    pub tls: Option<Tls>,
}

/// The other end of a connection, and how it came.
#[derive(Clone)]
struct Caller {
    peer: SocketAddr,
    /// The handshake, when TLS is spoken.
    tls: Option<Arc<Secured>>,
}

/// What stands in front of this server.
#[derive(Default)]
pub(super) struct Front {
    pub trusted: Trusted,
    /// They put a PROXY header before each connection.
    pub announces: bool,
}

impl Sites {
    pub(super) fn new(domains: Domains, own: Router, proxy: Proxy, front: Front, secure: Option<&Secure>) -> Self {
        let plain = secure.map(|secure| secure.plain.clone());
        let hsts = secure.and_then(|secure| secure.hsts.clone());
        Self { domains, own, proxy, front: Arc::new(front), plain, hsts }
    }

    /// What the express lane may answer on this connection: requests for apps of ours, and nothing that the rest of
    /// this file has to say something about.
    fn express(&self, caller: &Caller, host: &str) -> Option<Named> {
        let Site::App(label) = host::classify(host, &self.domains) else { return None };
        let mut fields = HeaderMap::new();
        if let Some(tls) = &caller.tls {
            if !tls.speaks_for(host) {
                return None;
            }
            self.hsts.iter().for_each(|hsts| hsts.add(&mut fields, false));
        }
        Some(Named { label, fields })
    }

    async fn answer(self, caller: Caller, mut request: Request<Incoming>, home: Tasks) -> Response<Body> {
        if !strict::is_plain(request.version(), request.uri(), request.headers()) {
            return refuse(&request, &Error::bad_input("the request is malformed"));
        }
        if let Some(tls) = &caller.tls
            && !tls.speaks_for(host::requested(request.uri(), request.headers()).unwrap_or_default())
        {
            return misdirected(&request);
        }
        let mut client = self.front.trusted.client(caller.peer.ip(), request.headers());
        if let Some(host) = client.host.take() {
            trust::rename(&mut request, &host);
        }
        let host = host::requested(request.uri(), request.headers()).unwrap_or_default();
        let site = host::classify(host, &self.domains);
        if caller.tls.is_some() {
            let (hsts, foreign) = (self.hsts.clone(), matches!(site, Site::Foreign(_)));
            let mut response = self.serve(&client, caller.peer, site, request, &home).await;
            if let Some(hsts) = hsts {
                hsts.add(response.headers_mut(), foreign);
            }
            return response;
        }
        // A proxy that is believed has spoken TLS already.
        let open = self.plain.as_ref().filter(|_| client.scheme != Some("https") && self.is_ours(&site));
        match open.zip(host::spelled(host)).and_then(|(plain, name)| plain.answer(&name, &request)) {
            Some(response) => response,
            None => self.serve(&client, caller.peer, site, request, &home).await,
        }
    }

    fn is_ours(&self, site: &Site) -> bool {
        match site {
            Site::Editor => true,
            Site::App(label) => self.proxy.has(label),
            Site::Foreign(name) => self.proxy.has(name),
            Site::Bad => false,
        }
    }

    async fn serve(
        self,
        client: &Client,
        peer: SocketAddr,
        site: Site,
        request: Request<Incoming>,
        home: &Tasks,
    ) -> Response<Body> {
        match site {
            Site::App(label) => self.proxy.handle(&label, client, request).await,
            Site::Editor => {
                let mut request = request.map(|body| idle::limited(body, SILENCE));
                request.extensions_mut().insert::<IpAddr>(client.ip);
                request.extensions_mut().insert(ConnectInfo(SocketAddr::new(client.ip, peer.port())));
                // Not here: what it does may take its time, and visitors' connections must not wait for it.
                match AbortOnDropHandle::new(home.spawn("own", self.own.oneshot(request))).await {
                    Ok(Ok(response)) => response,
                    Ok(Err(never)) => match never {},
                    Err(error) => {
                        let error = Error::internal("while answering a request of the editor").because(error);
                        problem::page(&error, &request_id(), None)
                    }
                }
            }
            Site::Foreign(name) if self.proxy.has(&name) => self.proxy.handle(&name, client, request).await,
            Site::Foreign(name) => refuse(
                &request,
                &Error::new(Kind::NotFound, format!("{} is not served here", crate::base::name::clip(&name))).hint(
                    format!(
                        "This server's editor is at {}, its apps at NAME.{}.",
                        self.domains.editor, self.domains.apps
                    ),
                ),
            ),
            Site::Bad => refuse(&request, &Error::bad_input("the request names no host, or not one host")),
        }
    }
}

/// As many descriptors as the system lets this process have; how many these are.
fn raise_file_limit() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

/// The client sends a request for one host over a connection whose certificate is another's: it is to open one of its
/// own (RFC 9110 section 15.5.20).
fn misdirected(request: &Request<Incoming>) -> Response<Body> {
    let error = Error::bad_input("this connection was made for another host")
        .hint("Open a new connection, naming the host in the TLS handshake.");
    let mut response = refuse(request, &error);
    *response.status_mut() = StatusCode::MISDIRECTED_REQUEST;
    response
}

fn refuse(request: &Request<Incoming>, error: &Error) -> Response<Body> {
    let accept = request.headers().get(hyper::header::ACCEPT).and_then(|v| v.to_str().ok());
    problem::page(error, &request_id(), accept)
}

/// Learns from a trusted proxy whom a connection is from, and counts it for them. `None`: it is to be closed.
async fn announce(stream: &mut TcpStream, proxy: SocketAddr, place: Place) -> Option<(SocketAddr, Place)> {
    match announced::client(stream, proxy, announced::IN_TIME).await {
        Ok(client) if client == proxy => Some((client, place)),
        Ok(client) => Some((client, place.of(client.ip())?)),
        Err(error) => {
            tracing::debug!(%proxy, %error, "a trusted proxy did not say whom a connection is from");
            None
        }
    }
}

/// Accepts until `stop` completes, then lets running requests finish until the deadline.
pub(super) async fn serve(
    doors: Vec<Door>,
    sites: Sites,
    stop: impl Future<Output = ()> + Send,
    deadline: Duration,
    tasks: &Tasks,
    workers: &Workers,
) {
    let (closing, open) = (CancellationToken::new(), TaskTracker::new());
    let crowd = Crowd::new(raise_file_limit());
    let hall = Hall { sites, crowd, closing: closing.clone(), open: open.clone(), tasks: tasks.clone() };
    let accepting = doors.into_iter().map(|door| accept(door, hall.clone(), workers));
    let accepting = futures_util::future::join_all(accepting);
    tokio::select! {
        _ = accepting => {}
        () = stop => {}
    }
    drop(hall);
    closing.cancel();
    open.close();
    if tokio::time::timeout(deadline, open.wait()).await.is_err() {
        tracing::warn!("some requests were still running at the deadline");
    }
}

/// What all connections share.
#[derive(Clone)]
struct Hall {
    sites: Sites,
    crowd: Crowd,
    closing: CancellationToken,
    open: TaskTracker,
    tasks: Tasks,
}

/// Never ends.
async fn accept(door: Door, hall: Hall, workers: &Workers) {
    // Whoever is accepted has the listener's options.
    if let Err(error) = serve::tune(&door.listener) {
        tracing::warn!(%error, "clients that vanish will be noticed late");
    }
    loop {
        let (stream, peer) = match door.listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: closing connections will free some.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let by_proxy = hall.sites.front.trusted.has(peer.ip());
        let place = if by_proxy { hall.crowd.enter_by_proxy() } else { hall.crowd.enter(peer.ip()) };
        let Some(place) = place else {
            tracing::debug!(%peer, "too many connections: one was closed");
            continue;
        };
        let Some(seat) = workers.seat() else { continue };
        let (tls, is_open, guest) = (door.tls.clone(), hall.open.token(), hall.clone());
        let stream = stream.into_std();
        hall.tasks.spawn_on(&seat.handle().clone(), "connection", async move {
            // From here on its worker alone is woken for it.
            let mut stream = match stream.and_then(TcpStream::from_std) {
                Ok(stream) => stream,
                Err(error) => return tracing::debug!(%peer, %error, "a connection ended before it began"),
            };
            let announced = by_proxy && guest.sites.front.announces;
            let known = if announced { announce(&mut stream, peer, place).await } else { Some((peer, place)) };
            if let Some((peer, place)) = known {
                guest.welcome(Counted::new(stream, place, seat), peer, tls).await;
            }
            drop(is_open);
        });
    }
}

impl Hall {
    async fn welcome(self, socket: Counted, peer: SocketAddr, tls: Option<Tls>) {
        let Some(tls) = tls else { return self.http(socket, Caller { peer, tls: None }).await };
        let shaken = tokio::select! {
            shaken = tls.handshake(socket) => shaken,
            () = self.closing.cancelled() => None,
        };
        if let Some((socket, secured)) = shaken {
            self.http(socket, Caller { peer, tls: Some(Arc::new(secured)) }).await;
        }
    }

    async fn http<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(self, socket: T, caller: Caller) {
        let Self { sites, closing, tasks, .. } = self;
        let limits = serve::Limits::default();
        // What a proxy says of its clients is in each request's head, and where TLS is on others are sent there.
        let is_direct = !sites.front.trusted.has(caller.peer.ip()) && (caller.tls.is_some() || sites.plain.is_none());
        let rest = match is_direct {
            true => {
                let named = |host: &str| sites.express(&caller, host);
                sites.proxy.express(socket, caller.peer.ip(), limits, &closing, &tasks, named).await
            }
            false => Some(serve::Rest::whole(socket)),
        };
        if let Some(rest) = rest {
            let home = tasks.clone();
            let answer = move |request| sites.clone().answer(caller.clone(), request, home.clone());
            // Apart, so that connections that never come here do not need its room.
            Box::pin(serve::go_on(rest, limits, closing, &tasks, answer)).await;
        }
    }
}
