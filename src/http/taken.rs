//! Whether a client takes what it is sent, per HTTP/2 stream. Flow control lets one stop a single response for ever
//! while its connection is alive, and the app behind it would be busy for as long.
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;

/// Counts up whenever a part of a body is handed over (odd from then on) and when the next is asked for (even).
type Steps = Arc<AtomicU64>;

tokio::task_local! {
    static STEPS: Steps;
}

/// One stream's work. It ends early when a part of the response's body waits longer than `limit` to be sent: what
/// is dropped then resets that stream and no other.
pub struct Watched<F> {
    work: Pin<Box<F>>,
    limit: Duration,
    steps: Steps,
    /// The step that is being timed.
    timed: u64,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<F> Watched<F> {
    pub fn new(work: F, limit: Duration) -> Self {
        Self { work: Box::pin(work), limit, steps: Steps::default(), timed: 0, sleep: None }
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let work = &mut this.work;
        if STEPS.sync_scope(Arc::clone(&this.steps), || work.as_mut().poll(cx)).is_ready() {
            return Poll::Ready(());
        }
        let now = this.steps.load(Ordering::Relaxed);
        if now.is_multiple_of(2) {
            this.sleep = None; // the app is waited for, or there is no body yet
            return Poll::Pending;
        }
        if this.sleep.is_none() || this.timed != now {
            this.timed = now;
            this.sleep = Some(Box::pin(tokio::time::sleep(this.limit)));
        }
        let over = this.sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready());
        if over {
            tracing::debug!("a response was given up: the client takes nothing of it any more");
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

/// The body of a response that is made inside of [`Watched`]; any other is given back as it is.
pub fn body(body: Body) -> Body {
    match STEPS.try_with(Arc::clone) {
        Ok(steps) if !body.is_end_stream() => Body::new(Taken { body, steps }),
        _ => body,
    }
}

struct Taken {
    body: Body,
    steps: Steps,
}

impl HttpBody for Taken {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        // Asked for the next: the last one is on its way.
        let now = this.steps.load(Ordering::Relaxed);
        this.steps.store(now + now % 2, Ordering::Relaxed);
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(Some(_))) {
            this.steps.fetch_add(1, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
