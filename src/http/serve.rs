//! Serving one connection: HTTP/1.1 or HTTP/2, bounded in size and time on the client's side.
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use super::rewound::Rewound;
use super::taken::{self, Watched};
use super::wire::Wire;
use crate::base::Tasks;

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's head.
    pub head_bytes: usize,
    pub headers: usize,
    /// For a request's head to arrive; also how long a connection may wait for its next request.
    pub head_timeout: Duration,
    /// How long a client may accept no byte of what is being sent to it.
    pub write_timeout: Duration,
    /// HTTP/2 requests at once on one connection.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 64 << 10,
            headers: 100,
            head_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            streams: 128,
        }
    }
}

/// A connection that another leaves.
pub struct Rest<T> {
    pub socket: T,
    /// What was read of it and not answered.
    pub seen: Vec<u8>,
    /// Requests of HTTP/1 were answered on it.
    pub begun: bool,
}

impl<T> Rest<T> {
    /// One of which nothing was read.
    pub fn whole(socket: T) -> Self {
        Self { socket, seen: Vec::new(), begun: false }
    }
}

/// Sets a client's socket up: small writes go out at once, and a peer that vanished is noticed within two
/// minutes even where silence is allowed (WebSocket).
/// Set on a listener, it holds for all that it accepts.
pub fn tune(socket: impl AsFd) -> io::Result<()> {
    use rustix::net::sockopt;
    let socket = socket.as_fd();
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(socket, Duration::from_secs(15))?;
    sockopt::set_tcp_keepcnt(socket, 4)?;
    Ok(())
}

/// How long a quiet HTTP/1 connection is still answered when the server closes. A client may be sending its next
/// request at that very moment; it gets its answer, and hears with it that this was the last.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Serves until the client or the server is done. When `closing` is cancelled, running requests are finished
/// and no new ones taken; streams of events, which have no end of their own, end, and their readers come back
/// by themselves. Resolves when HTTP is over; what an upgraded connection still does is its own affair.
pub async fn serve<T, S, F>(socket: T, limits: Limits, closing: CancellationToken, tasks: &Tasks, answer: S)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Fn(Request<Incoming>) -> F + Send + Sync,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    serve_from(Wire::default(), socket, limits, closing, tasks, answer).await;
}

/// The same for what another has begun to serve.
pub async fn go_on<T, S, F>(rest: Rest<T>, limits: Limits, closing: CancellationToken, tasks: &Tasks, answer: S)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Fn(Request<Incoming>) -> F + Send + Sync,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let wire = if rest.begun { Wire::after_requests() } else { Wire::default() };
    serve_from(wire, Rewound::new(rest.seen, rest.socket), limits, closing, tasks, answer).await;
}

async fn serve_from<T, S, F>(
    wire: Wire,
    socket: T,
    limits: Limits,
    closing: CancellationToken,
    tasks: &Tasks,
    answer: S,
) where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Fn(Request<Incoming>) -> F + Send + Sync,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let is_raw = Arc::new(AtomicBool::new(false));
    let has_moved = Arc::new(AtomicBool::new(true));
    let (back, given_back) = oneshot::channel();
    let guard = Guard {
        socket: Some(socket),
        back: Some(back),
        wire,
        silent: Some(Box::pin(tokio::time::sleep(limits.head_timeout))),
        is_raw: Arc::clone(&is_raw),
        has_moved: Arc::clone(&has_moved),
        poison: None,
        stalled: None,
        write_timeout: limits.write_timeout,
    };
    let is_http1 = Arc::new(AtomicBool::new(true));
    let service = service_fn(|request: Request<Incoming>| {
        let keeps = request.version() < Version::HTTP_2;
        is_http1.store(keeps, Ordering::Relaxed);
        let answer = answer(request);
        let (is_raw, closing) = (Arc::clone(&is_raw), closing.clone());
        async move {
            let mut response = answer.await.map(taken::body);
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                is_raw.store(true, Ordering::Release);
            } else if keeps && closing.is_cancelled() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let events = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(EVENTS));
            Ok::<_, std::convert::Infallible>(if events { response.map(|body| until(body, closing)) } else { response })
        }
    });
    let mut builder = Builder::new(OnTasks(tasks.clone(), limits.write_timeout));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_bytes.max(8192))
        .max_headers(limits.headers);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30));
    {
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(guard), service);
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = closing.cancelled() => {
                let quiet = async {
                    while is_http1.load(Ordering::Relaxed) && has_moved.swap(false, Ordering::Relaxed) {
                        tokio::time::sleep(LAST_WORDS).await;
                    }
                };
                tokio::select! {
                    result = connection.as_mut() => result,
                    () = quiet => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                }
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "connection ended");
        }
    }
    tasks.spawn_here("linger", async {
        if let Ok(socket) = given_back.await {
            linger(socket).await;
        }
    });
}

/// Server-sent events.
pub const EVENTS: &[u8] = b"text/event-stream";

/// `body`, which ends when the server closes.
fn until(body: Body, closing: CancellationToken) -> Body {
    use futures_util::StreamExt as _;
    Body::from_stream(body.into_data_stream().take_until(closing.cancelled_owned()))
}

/// Closing with unread bytes would reset the connection and may take the last response with it: the rest is
/// read and thrown away, for a little while.
pub async fn linger<T: AsyncRead + AsyncWrite + Unpin>(mut socket: T) {
    let _ = tokio::time::timeout(Duration::from_secs(2), async {
        socket.shutdown().await?;
        let mut rest = (&mut socket).take(64 << 20);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    })
    .await;
}

/// A byte that is wrong anywhere in a head or in a chunk's frame, and an end, so that it is looked at.
const POISON: &[u8] = b"\0\r\n\r\n";

/// HTTP/2 runs each request as a task of its own, for which a client may take nothing for so long.
#[derive(Clone)]
struct OnTasks(Tasks, Duration);

impl<F> Executor<F> for OnTasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn_here("http2", Watched::new(future, self.1));
    }
}

/// The client's socket: reads are checked by [`Wire`], writes may not stall. Given back when dropped.
struct Guard<T> {
    socket: Option<T>,
    back: Option<oneshot::Sender<T>>,
    wire: Wire,
    /// Until the client has said which HTTP it speaks: nobody else watches the time before that.
    silent: Option<Pin<Box<Sleep>>>,
    /// Upgraded: no longer HTTP.
    is_raw: Arc<AtomicBool>,
    /// Set with every byte, either way.
    has_moved: Arc<AtomicBool>,
    /// What is read instead once something was refused.
    poison: Option<&'static [u8]>,
    stalled: Option<Pin<Box<Sleep>>>,
    write_timeout: Duration,
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        if let (Some(back), Some(socket)) = (self.back.take(), self.socket.take()) {
            let _ = back.send(socket); // nobody waits any more: closed at once
        }
    }
}

impl<T: Unpin> Guard<T> {
    fn socket(&mut self) -> io::Result<Pin<&mut T>> {
        self.socket.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// A write that cannot go on fails once it has waited too long.
    fn in_time<R>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.has_moved.store(true, Ordering::Relaxed);
            self.stalled = None;
            return written;
        }
        let limit = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing any more")))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guard<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(poison) = &mut this.poison {
            let (now, later) = poison.split_at(poison.len().min(buf.remaining()));
            buf.put_slice(now);
            *poison = later;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        if this.socket()?.poll_read(cx, buf)?.is_pending() {
            let silent = this.silent.as_mut().is_some_and(|silent| silent.as_mut().poll(cx).is_ready());
            return if silent { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { Poll::Pending };
        }
        this.has_moved.store(true, Ordering::Relaxed);
        if this.is_raw.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        if let Err(wrong) = this.wire.follow(&buf.filled()[before..]) {
            // In place of the offending byte comes what no parser takes: it answers 400 and closes.
            buf.set_filled(before + wrong);
            buf.put_slice(&POISON[..1]);
            this.poison = Some(&POISON[1..]);
        }
        if this.wire.has_begun() {
            this.silent = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guard<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.socket()?.poll_write(cx, buf);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.socket()?.poll_write_vectored(cx, bufs);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.socket()?.poll_flush(cx);
        self.in_time(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = self.socket()?.poll_shutdown(cx);
        self.in_time(cx, shut)
    }
}
