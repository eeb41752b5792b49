//! Request and response bodies as the blocking streams the protocol works on.
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::poll_fn;
use hyper::{Request, header};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::base::Clock;

/// A client that neither sends nor takes anything for so long is gone.
const SILENCE: Duration = Duration::from_secs(90);
/// The longest a request may take to arrive, however steadily it trickles.
const WHOLE: Duration = Duration::from_secs(3600);
/// Pieces of an answer waiting for the client.
const WAITING: usize = 8;

struct Incoming {
    runtime: Handle,
    stream: Pin<Box<BodyDataStream>>,
    piece: Bytes,
    since: Instant,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            if self.since.elapsed() > WHOLE {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let next = async { tokio::time::timeout(SILENCE, self.stream.next()).await };
            match self.runtime.block_on(next) {
                Ok(Some(Ok(piece))) => self.piece = piece,
                Ok(Some(Err(e))) => return Err(io::Error::other(e)),
                Ok(None) => return Ok(0),
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        let n = buffer.len().min(self.piece.len());
        buffer[..n].copy_from_slice(&self.piece.split_to(n));
        Ok(n)
    }
}

/// Fails past a limit instead of ending, so that a cut request is not taken for a whole one.
struct Capped<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or(io::ErrorKind::InvalidData)?;
        Ok(n)
    }
}

/// The request's body, inflated if need be, at most `limit` bytes of it. Open and read it on a blocking thread.
pub(super) fn body(request: Request<Body>, limit: u64) -> impl FnOnce() -> Box<dyn Read> + Send + 'static {
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    let zipped = encoding.is_some_and(|e| e == "gzip" || e == "x-gzip");
    let stream = Box::pin(request.into_body().into_data_stream());
    let plain = Incoming { runtime: Handle::current(), stream, piece: Bytes::new(), since: Clock::stopwatch() };
    move || -> Box<dyn Read> {
        if zipped {
            // Reads the head at once.
            Box::new(Capped { inner: flate2::read::GzDecoder::new(plain), left: limit })
        } else {
            Box::new(Capped { inner: plain, left: limit })
        }
    }
}

/// Writes an answer while the client takes it. Not for use on a runtime's own threads.
pub(super) struct Outgoing {
    runtime: Handle,
    pieces: mpsc::Sender<io::Result<Bytes>>,
}

pub(super) fn answer() -> (Outgoing, Body) {
    let (pieces, mut taken) = mpsc::channel(WAITING);
    let body = Body::from_stream(poll_fn(move |cx| taken.poll_recv(cx)));
    (Outgoing { runtime: Handle::current(), pieces }, body)
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let send = self.pieces.send(Ok(Bytes::copy_from_slice(bytes)));
        let sent = self.runtime.block_on(async { tokio::time::timeout(SILENCE, send).await });
        match sent {
            Ok(Ok(())) => Ok(bytes.len()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
