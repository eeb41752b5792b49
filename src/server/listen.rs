//! The listener: one connection loop, and the choice of site by host name for every request.
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::announced;
use super::crowd::{Counted, Crowd, Place};
use crate::base::{Error, Kind, Tasks};
use crate::http::host::{self, Domains, Site};
use crate::http::trust::{self, Trusted};
use crate::http::{idle, problem, request_id, serve, strict};
use crate::proxy::Proxy;

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
}

/// What stands in front of this server.
#[derive(Default)]
pub(super) struct Front {
    pub trusted: Trusted,
    /// They put a PROXY header before each connection.
    pub announces: bool,
}

impl Sites {
    pub(super) fn new(domains: Domains, own: Router, proxy: Proxy, front: Front) -> Self {
        Self { domains, own, proxy, front: Arc::new(front) }
    }

    async fn answer(self, peer: SocketAddr, mut request: Request<Incoming>) -> Response<Body> {
        if !strict::is_plain(request.version(), request.uri(), request.headers()) {
            return refuse(&request, &Error::bad_input("the request is malformed"));
        }
        let mut client = self.front.trusted.client(peer.ip(), request.headers());
        if let Some(host) = client.host.take() {
            trust::rename(&mut request, &host);
        }
        let site = host::requested(request.uri(), request.headers())
            .map_or(Site::Bad, |host| host::classify(host, &self.domains));
        match site {
            Site::App(label) => self.proxy.handle(&label, &client, request).await,
            Site::Editor => {
                let mut request = request.map(|body| idle::limited(body, SILENCE));
                request.extensions_mut().insert::<IpAddr>(client.ip);
                request.extensions_mut().insert(ConnectInfo(SocketAddr::new(client.ip, peer.port())));
                match self.own.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
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
    listener: TcpListener,
    sites: Sites,
    stop: impl Future<Output = ()> + Send,
    deadline: Duration,
    tasks: &Tasks,
) {
    let (closing, open) = (CancellationToken::new(), TaskTracker::new());
    let crowd = Crowd::new(raise_file_limit());
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: closing connections will free some.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let by_proxy = sites.front.trusted.has(peer.ip());
        let place = if by_proxy { crowd.enter_by_proxy() } else { crowd.enter(peer.ip()) };
        let Some(place) = place else {
            tracing::debug!(%peer, "too many connections: one was closed");
            continue;
        };
        if let Err(error) = serve::tune(&stream) {
            tracing::debug!(%peer, %error, "a connection ended before it began");
            continue;
        }
        let sites = sites.clone();
        let (closing, connections, is_open) = (closing.clone(), tasks.clone(), open.token());
        let mut stream = stream;
        tasks.spawn("connection", async move {
            let announced = by_proxy && sites.front.announces;
            let known = if announced { announce(&mut stream, peer, place).await } else { Some((peer, place)) };
            let Some((peer, place)) = known else { return };
            let answer = move |request| sites.clone().answer(peer, request);
            serve::serve(Counted::new(stream, place), serve::Limits::default(), closing, &connections, answer).await;
            drop(is_open);
        });
    }
    drop(listener);
    closing.cancel();
    open.close();
    if tokio::time::timeout(deadline, open.wait()).await.is_err() {
        tracing::warn!("some requests were still running at the deadline");
    }
}
