//! A body compressed on its way: a piece at a time, and flushed whenever the sender pauses, so that what an app has
//! said is with its reader at once.
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::BoxError;
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};

use super::encode::Encoder;

/// Bytes compressed before other work of this thread gets its turn: a millisecond at most.
const PIECE: usize = 64 << 10;
/// Responses being compressed at the same time; further ones pass as they are. Each holds up to two MiB.
const MOST: usize = 128;

static BUSY: AtomicUsize = AtomicUsize::new(0);

/// The right to compress one response.
pub struct Place(());

impl Place {
    /// `None` when too many are being compressed.
    pub fn take() -> Option<Self> {
        let more = |busy: usize| (busy < MOST).then_some(busy + 1);
        BUSY.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Self(()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        BUSY.fetch_sub(1, Ordering::Relaxed);
    }
}

pub struct Compressed<B> {
    body: B,
    /// `None` once all has been said.
    encoder: Option<(Encoder, Place)>,
    /// What is still to be compressed of a frame.
    rest: Bytes,
    trailers: Option<HeaderMap>,
    /// Something went in that was not flushed.
    dirty: bool,
    /// Bytes compressed since this task last gave way.
    spent: usize,
}

impl<B: Body> Compressed<B> {
    pub fn new(body: B, encoder: Encoder, place: Place) -> Self {
        let rest = Bytes::new();
        Self { body, encoder: Some((encoder, place)), rest, trailers: None, dirty: false, spent: 0 }
    }

    fn finish(&mut self) -> Result<Vec<u8>, BoxError> {
        let encoder = self.encoder.take().map(|(encoder, _)| encoder.finish()).transpose()?;
        Ok(encoder.unwrap_or_default())
    }
}

impl<B> Body for Compressed<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            let Some((encoder, _)) = &mut this.encoder else {
                return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            };
            if !this.rest.is_empty() {
                if this.spent >= PIECE {
                    this.spent = 0;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let piece = this.rest.split_to(this.rest.len().min(PIECE));
                this.spent += piece.len();
                this.dirty = true;
                encoder.write(&piece)?;
                let out = match this.rest.is_empty() && this.body.is_end_stream() {
                    true => this.finish()?,
                    false => encoder.take(),
                };
                if !out.is_empty() {
                    return data(out);
                }
                continue;
            }
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => this.rest = bytes,
                    Err(frame) => {
                        this.trailers = frame.into_trailers().ok();
                        return data(this.finish()?);
                    }
                },
                Poll::Ready(Some(Err(error))) => {
                    // What is missing must not look like an end.
                    this.encoder = None;
                    return Poll::Ready(Some(Err(error.into())));
                }
                Poll::Ready(None) => return data(this.finish()?),
                Poll::Pending => {
                    this.spent = 0;
                    if !std::mem::take(&mut this.dirty) {
                        return Poll::Pending;
                    }
                    encoder.flush()?;
                    let out = encoder.take();
                    if !out.is_empty() {
                        return data(out);
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.is_end_stream() {
            true => SizeHint::with_exact(0),
            false => SizeHint::default(),
        }
    }
}

fn data(bytes: Vec<u8>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
}

#[cfg(test)]
mod tests {
    use super::super::accept::Coding;
    use super::super::encode::tests::{chunks, decode};
    use super::*;
    use http_body_util::{BodyExt as _, StreamBody};
    use proptest::prelude::*;
    use tokio::sync::mpsc;

    type Out = Pin<Box<dyn Body<Data = Bytes, Error = BoxError>>>;
    type Sent = Result<Frame<Bytes>, BoxError>;

    fn channel(coding: Coding) -> (mpsc::UnboundedSender<Sent>, Out) {
        let (send, receive) = mpsc::unbounded_channel();
        let stream = futures_util::stream::unfold(receive, |mut receive: mpsc::UnboundedReceiver<Sent>| async {
            receive.recv().await.map(|frame| (frame, receive))
        });
        let body = StreamBody::new(Box::pin(stream));
        (send, Box::pin(compressed(body, coding)))
    }

    fn compressed<B: Body>(body: B, coding: Coding) -> Compressed<B> {
        Compressed::new(body, Encoder::fast(coding, None).unwrap(), Place::take().unwrap())
    }

    fn chunk(bytes: &[u8]) -> Sent {
        Ok(Frame::data(Bytes::copy_from_slice(bytes)))
    }

    #[tokio::test]
    async fn what_was_said_arrives_before_more_is_said() {
        for coding in Coding::FAST {
            let (send, mut body) = channel(coding);
            let mut out = Vec::new();
            for word in ["one", "two", "a much longer third"] {
                send.send(chunk(word.as_bytes())).unwrap();
                while !decode(coding, &out).0.ends_with(word.as_bytes()) {
                    let frame = body.frame().await.unwrap().unwrap();
                    out.extend_from_slice(frame.data_ref().unwrap());
                }
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "3".parse().unwrap());
            send.send(Ok(Frame::trailers(trailers))).unwrap();
            drop(send);
            let rest = body.collect().await.unwrap();
            assert_eq!(rest.trailers().unwrap()["x-sum"], "3");
            out.extend_from_slice(&rest.to_bytes());
            assert_eq!(decode(coding, &out), (b"onetwoa much longer third".to_vec(), true));
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_does_not_end_well() {
        let (send, mut body) = channel(Coding::Gzip);
        send.send(chunk(b"half of")).unwrap();
        send.send(Err("gone".into())).unwrap();
        let mut out = Vec::new();
        let error = loop {
            match body.frame().await.unwrap() {
                Ok(frame) => out.extend_from_slice(frame.data_ref().unwrap()),
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), "gone");
        assert!(!decode(Coding::Gzip, &out).1);
    }

    #[tokio::test]
    async fn a_large_chunk_gives_way() {
        let large = Bytes::from(vec![b'x'; 10 * PIECE]);
        let body = http_body_util::Full::new(large.clone());
        let mut body = compressed(body, Coding::Zstd);
        let (mut pauses, mut out) = (0, Vec::new());
        std::future::poll_fn(|cx| {
            loop {
                match Pin::new(&mut body).poll_frame(cx) {
                    Poll::Ready(Some(frame)) => out.extend(frame.unwrap().into_data().unwrap()),
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => {
                        pauses += 1;
                        return Poll::Pending;
                    }
                }
            }
        })
        .await;
        assert!(pauses >= 9, "{pauses}");
        assert_eq!(decode(Coding::Zstd, &out), (large.to_vec(), true));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_chunks_and_pauses_come_out_the_same(chunks in chunks(), pauses: u16) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            for coding in Coding::FAST {
                let frames = chunks.clone().into_iter().enumerate();
                let stream = futures_util::stream::unfold(frames, |mut frames| async move {
                    let (n, chunk) = frames.next()?;
                    if pauses >> (n % 16) & 1 == 1 {
                        tokio::task::yield_now().await;
                    }
                    Some((Ok::<_, BoxError>(Frame::data(Bytes::from(chunk))), frames))
                });
                let body = StreamBody::new(Box::pin(stream));
                let out = runtime.block_on(compressed(body, coding).collect()).unwrap().to_bytes();
                prop_assert_eq!(decode(coding, &out), (chunks.concat(), true), "{:?}", coding);
            }
        }
    }
}
