//! Bodies on their way through: counted, bounded, and given up on when they fall silent.
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::BoxError;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::head::strip_trailers;
use super::journal::{Journal, micros_since};
use crate::base::Clock;

/// What became of a request's body, seen from outside of it.
#[derive(Debug)]
pub struct Watch {
    started: Instant,
    /// Microseconds from `started` to the last byte or the end.
    progress: AtomicU64,
    /// The app waits for the client's next byte.
    waiting: AtomicBool,
    fault: AtomicU8,
}

/// Why a request's body was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    TooLarge = 1,
    Stalled = 2,
    /// The client went away or broke the framing.
    Broken = 3,
}

impl Watch {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Clock::stopwatch(),
            progress: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            fault: AtomicU8::new(0),
        })
    }

    pub fn fault(&self) -> Option<Fault> {
        match self.fault.load(Ordering::Acquire) {
            1 => Some(Fault::TooLarge),
            2 => Some(Fault::Stalled),
            3 => Some(Fault::Broken),
            _ => None,
        }
    }

    /// How long nothing has moved.
    pub fn silence(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_micros(self.progress.load(Ordering::Relaxed)))
    }

    /// Whether it is the client who keeps the app waiting, not the other way round.
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    fn moved(&self) {
        self.waiting.store(false, Ordering::Relaxed);
        self.progress.store(micros_since(self.started), Ordering::Relaxed);
    }

    fn fail(&self, fault: Fault) -> BoxError {
        self.fault.store(fault as u8, Ordering::Release);
        format!("request body: {fault:?}").into()
    }
}

/// How long the sender has been silent. The clock runs only while the receiver waits: one that is slow
/// itself must not make the sender look silent.
struct Idle {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Idle {
    fn new(limit: Duration) -> Self {
        Self { limit, sleep: None }
    }
    fn heard(&mut self) {
        self.sleep = None;
    }
    /// Nothing came just now. True when that has been so for too long.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let limit = self.limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        sleep.as_mut().poll(cx).is_ready()
    }
}

/// A client's body on its way to the app.
pub struct Inbound<B> {
    body: B,
    left: u64,
    idle: Idle,
    watch: Arc<Watch>,
    count: Arc<AtomicU64>,
}

impl<B> Inbound<B> {
    pub fn new(body: B, max: u64, limit: Duration, watch: Arc<Watch>, count: Arc<AtomicU64>) -> Self {
        Self { body, left: max, idle: Idle::new(limit), watch, count }
    }
}

impl<B> Body for Inbound<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            this.watch.waiting.store(true, Ordering::Relaxed);
            return match this.idle.is_over(cx) {
                true => Poll::Ready(Some(Err(this.watch.fail(Fault::Stalled)))),
                false => Poll::Pending,
            };
        };
        this.idle.heard();
        this.watch.moved();
        match frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                this.count.fetch_add(length, Ordering::Relaxed);
                match this.left.checked_sub(length) {
                    Some(left) => this.left = left,
                    None => return Poll::Ready(Some(Err(this.watch.fail(Fault::TooLarge)))),
                }
                Poll::Ready(Some(Ok(plain(frame))))
            }
            Some(Err(error)) => {
                let error = error.into();
                tracing::debug!(%error, "request body broke off");
                Poll::Ready(Some(Err(this.watch.fail(Fault::Broken))))
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Data as it is, trailers without what only heads may say.
fn plain(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            strip_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

/// An app's body on its way to the client. Holds the lease and the journal until it has ended or is dropped.
pub struct Outbound<B, L> {
    body: B,
    idle: Idle,
    journal: Option<Journal>,
    lease: Option<L>,
}

impl<B: Body, L> Outbound<B, L> {
    /// `empty`: nothing will be read of it (`HEAD`, 204, 304).
    pub fn new(body: B, limit: Duration, mut journal: Journal, lease: L, empty: bool) -> Self {
        if empty || body.is_end_stream() {
            journal.ended(None);
        }
        Self { body, idle: Idle::new(limit), journal: Some(journal), lease: Some(lease) }
    }
}

impl<B, L> Outbound<B, L> {
    fn end(&mut self, error: Option<&str>) {
        self.lease = None;
        if let Some(mut journal) = self.journal.take() {
            journal.ended(error);
        }
    }
}

impl<B, L> Body for Outbound<B, L>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    L: Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let frame = plain(frame);
                this.idle.heard();
                let ends = this.body.is_end_stream();
                if let Some(journal) = &mut this.journal {
                    journal.sent(frame.data_ref().map_or(0, |data| data.len() as u64));
                    if ends {
                        journal.ended(None); // nobody may ask for the end itself
                    }
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.end(Some("response body"));
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                this.end(None);
                Poll::Ready(None)
            }
            Poll::Pending if this.idle.is_over(cx) => {
                this.end(Some("response body: idle"));
                Poll::Ready(Some(Err("the app fell silent".into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
