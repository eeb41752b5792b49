//! A bare connection to a child, and where free ones wait for the next request.
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

use crate::base::workers;

/// Parts of a shelf: workers with other numbers seldom meet at one.
const PARTS: usize = 8;
/// Connections kept in one of them.
const MOST: usize = 128;

/// Whoever holds it writes one request, and reads the whole answer before the next.
pub struct Link(Either<UnixStream, TcpStream>);

impl Link {
    pub(super) fn new(stream: Either<UnixStream, TcpStream>) -> Self {
        Self(stream)
    }

    /// Whether it is open and nothing came that nobody asked for. Costs a system call only where something did.
    fn is_quiet(&self) -> bool {
        let mut byte = [0];
        let read = match &self.0 {
            Either::Left(unix) => unix.try_read(&mut byte),
            Either::Right(tcp) => tcp.try_read(&mut byte),
        };
        read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

/// Free connections to one child, the last used first. Each thread has its own, as long as there are enough parts: a
/// connection is woken where it was made.
#[derive(Default)]
pub(super) struct Shelf([Mutex<Vec<Link>>; PARTS]);

impl Shelf {
    pub(super) fn take(&self) -> Option<Link> {
        let mut part = self.part();
        while let Some(link) = part.pop() {
            if link.is_quiet() {
                return Some(link);
            }
        }
        None
    }

    pub(super) fn put(&self, link: Link) {
        let mut part = self.part();
        if part.len() < MOST {
            part.push(link);
        }
    }

    pub(super) fn clear(&self) {
        for part in &self.0 {
            part.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    fn part(&self) -> MutexGuard<'_, Vec<Link>> {
        let number = workers::current().map_or(0, |worker| worker + 1);
        self.0[number % PARTS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Link {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    fn link() -> (Link, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        (Link::new(Either::Left(ours)), theirs)
    }

    #[tokio::test]
    async fn only_open_and_quiet_ones_are_given_again() {
        let shelf = Shelf::default();
        let (good, _app) = link();
        let (closed, app) = link();
        let (loud, mut talker) = link();
        drop(app);
        talker.write_all(b"HTTP/1.1 200 OK\r\n").await.expect("room");
        for link in [good, closed, loud] {
            shelf.put(link);
        }
        // Until the runtime has seen what there is to see of them.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert!(shelf.take().is_some_and(|link| link.is_quiet()));
        assert!(shelf.take().is_none(), "the others were dropped on the way");
        shelf.put(link().0);
        shelf.clear();
        assert!(shelf.take().is_none());
    }
}
