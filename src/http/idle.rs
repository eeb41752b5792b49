//! A request body that may not fall silent for ever.
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

/// Fails when somebody waits for it longer than the limit. Time in which nobody reads does not count.
struct Idle<B> {
    body: B,
    limit: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

/// `body`, given up after this much silence.
pub fn limited(body: Incoming, limit: Duration) -> Body {
    if body.is_end_stream() { Body::empty() } else { Body::new(Idle { body, limit, waiting: None }) }
}

impl<B> HttpBody for Idle<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<axum::BoxError>,
{
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let limit = this.limit;
        match this.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit))).as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err("the client sends nothing any more".into()))),
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

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn silence_ends_it_and_a_reader_who_pauses_does_not() {
        let (send, receive) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
        let stream = futures_util::stream::unfold(receive, |mut r| async { r.recv().await.map(|item| (item, r)) });
        let mut body = Idle { body: Body::from_stream(stream), limit: Duration::from_millis(50), waiting: None };
        send.send(Ok(Bytes::from_static(b"x"))).await.expect("a reader");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(body.frame().await.expect("more").is_ok(), "nobody had asked for it until now");
        assert!(body.frame().await.expect("an end").is_err(), "silence ends it");
    }
}
