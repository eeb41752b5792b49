//! The listener: one connection loop, and the choice of site by host name for every request.
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use crate::base::{Error, Kind, Tasks};
use crate::http::host::{self, Domains, Site};
use crate::http::{problem, request_id};
use crate::proxy::Proxy;

/// From accept to the end of the request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_HEAD: usize = 64 << 10;
const MAX_HEADERS: usize = 100;

/// The sites of one server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sites {
    domains: Domains,
    /// Editor, API and git.
    own: Router,
    proxy: Proxy,
}

impl Sites {
    pub(super) fn new(domains: Domains, own: Router, proxy: Proxy) -> Self {
        Self { domains, own, proxy }
    }

    async fn answer(self, peer: SocketAddr, request: Request<Incoming>) -> Response<Body> {
        let site = host::requested(request.uri(), request.headers())
            .map_or(Site::Bad, |host| host::classify(host, &self.domains));
        match site {
            Site::App(label) => self.proxy.handle(&label, peer.ip(), request).await,
            Site::Editor => {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert::<IpAddr>(peer.ip());
                request.extensions_mut().insert(ConnectInfo(peer));
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

fn refuse(request: &Request<Incoming>, error: &Error) -> Response<Body> {
    let accept = request.headers().get(hyper::header::ACCEPT).and_then(|v| v.to_str().ok());
    problem::page(error, &request_id(), accept)
}

/// Accepts until `stop` completes, then lets running requests finish until the deadline.
pub(super) async fn serve(
    listener: TcpListener,
    sites: Sites,
    stop: impl Future<Output = ()> + Send,
    deadline: Duration,
    tasks: &Tasks,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(64 << 10)
        .keep_alive_interval(Duration::from_secs(30));
    let graceful = GracefulShutdown::new();
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
        let _ = stream.set_nodelay(true);
        let sites = sites.clone();
        let service = hyper::service::service_fn(move |request| {
            let sites = sites.clone();
            async move { Ok::<_, Infallible>(sites.answer(peer, request).await) }
        });
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let watched = graceful.watch(connection);
        tasks.spawn("connection", async move {
            if let Err(error) = watched.await {
                tracing::debug!(%peer, %error, "connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(deadline, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still running at the deadline");
    }
}
