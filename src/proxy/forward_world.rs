//! A client's and an app's end of one proxy, for tests that play both.
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::super::*;
use crate::http::{problem, serve};
use crate::runner::logs::RequestLine;

pub const SHORT: Duration = Duration::from_millis(300);
pub const LONG: Duration = Duration::from_secs(20);

pub struct World {
    pub front: SocketAddr,
    pub apps: TcpListener,
    pub lines: mpsc::UnboundedReceiver<RequestLine>,
    pub busy: Arc<AtomicUsize>,
    pub tasks: Tasks,
}

/// Counts as in flight.
struct Lease(Arc<AtomicUsize>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub fn patient() -> Limits {
    Limits { max_body: 64 << 20, head_timeout: LONG, idle_timeout: LONG }
}

pub async fn world(limits: Limits) -> World {
    let (apps, front) = (TcpListener::bind("127.0.0.1:0").await, TcpListener::bind("127.0.0.1:0").await);
    let (apps, front) = (apps.unwrap(), front.unwrap());
    let (app, address) = (apps.local_addr().unwrap(), front.local_addr().unwrap());
    let (write, lines) = mpsc::unbounded_channel();
    let (busy, tasks) = (Arc::new(AtomicUsize::new(0)), Tasks::new());
    let (counter, all) = (Arc::clone(&busy), tasks.clone());
    tasks.spawn("front", async move {
        while let Ok((socket, peer)) = front.accept().await {
            let (write, counter, inner) = (write.clone(), Arc::clone(&counter), all.clone());
            let (closing, outer) = (all.stopping(), all.clone());
            let limit = serve::Limits { write_timeout: SHORT, ..serve::Limits::default() };
            all.spawn("connection", async move {
                let answer =
                    move |request| one(request, peer, app, limits, inner.clone(), write.clone(), Arc::clone(&counter));
                serve::serve(socket, limit, closing, &outer, answer).await;
            });
        }
    });
    World { front: address, apps, lines, busy, tasks }
}

async fn one(
    request: Request<Incoming>,
    peer: SocketAddr,
    app: SocketAddr,
    limits: Limits,
    tasks: Tasks,
    write: mpsc::UnboundedSender<RequestLine>,
    busy: Arc<AtomicUsize>,
) -> Response<Body> {
    let visitor =
        Visitor { request_id: "theid".into(), peer: peer.ip(), host: "hello.localhost".into(), scheme: "http".into() };
    let write = move |line| {
        let _ = write.send(line);
    };
    let journal = Journal::new("theid", 0, request.method().as_str(), request.uri().path(), "v1", write);
    let page = |failure: Failure, mut journal: Journal| {
        let mut response = problem::page(&failure.error, "theid", None);
        *response.status_mut() = failure.status.unwrap_or(response.status());
        journal.refused(response.status(), failure.stage);
        response
    };
    if let Err(failure) = declared_size(request.headers(), limits.max_body) {
        return page(failure, journal);
    }
    let connections = tasks.clone();
    let send = |request| async move {
        busy.fetch_add(1, Ordering::SeqCst);
        let lease = Lease(busy);
        let fail = |_| Error::app("send");
        let socket = TcpStream::connect(app).await.map_err(|_| Error::app("connect"))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.map_err(fail)?;
        connections.spawn("upstream", connection.with_upgrades());
        Ok((sender.send_request(request).await.map_err(fail)?, lease))
    };
    match forward(request, &visitor, Some("localhost"), limits, &tasks, journal, send).await {
        Ok(forwarded) => forwarded.response,
        Err((failure, journal)) => page(failure, journal),
    }
}

impl World {
    pub async fn client(&self, text: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.front).await.unwrap();
        client.write_all(text.as_bytes()).await.unwrap();
        client
    }
    pub async fn app(&self) -> TcpStream {
        tokio::time::timeout(LONG, self.apps.accept()).await.unwrap().unwrap().0
    }
    pub async fn line(&mut self) -> RequestLine {
        tokio::time::timeout(LONG, self.lines.recv()).await.unwrap().unwrap()
    }
    pub async fn becomes_idle(&self) {
        for _ in 0..2000 {
            if self.busy.load(Ordering::SeqCst) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the app is still counted as busy");
    }
}

/// Reads until `end` was seen, or the other side is done.
pub async fn read_to(socket: &mut TcpStream, end: &str) -> String {
    let mut seen = Vec::new();
    let reading = async {
        while !seen.ends_with(end.as_bytes()) || end.is_empty() {
            match socket.read_u8().await {
                Ok(byte) => seen.push(byte),
                Err(_) => return,
            }
        }
    };
    let in_time = tokio::time::timeout(LONG, reading).await;
    let text = String::from_utf8_lossy(&seen).into_owned();
    assert!(in_time.is_ok(), "waited for {end:?}, got {text:?}");
    text
}

pub async fn read_all(socket: &mut TcpStream) -> String {
    read_to(socket, "").await
}
