//! A socket of which something was read already: it is read again first.
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub struct Rewound<T> {
    socket: T,
    seen: Vec<u8>,
    /// Of `seen`, given again.
    given: usize,
}

impl<T> Rewound<T> {
    pub fn new(seen: Vec<u8>, socket: T) -> Self {
        Self { socket, seen, given: 0 }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Rewound<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.seen.is_empty() {
            return Pin::new(&mut this.socket).poll_read(cx, buf);
        }
        let left = &this.seen[this.given..];
        let now = left.len().min(buf.remaining());
        buf.put_slice(&left[..now]);
        this.given += now;
        if this.given == this.seen.len() {
            this.seen = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Rewound<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn what_was_seen_comes_first() {
        let (mut other, socket) = tokio::io::duplex(64);
        other.write_all(b" and new").await.expect("room");
        other.shutdown().await.expect("open");
        let mut socket = Rewound::new(b"seen".to_vec(), socket);
        let mut first = [0; 3];
        socket.read_exact(&mut first).await.expect("bytes");
        let mut rest = String::new();
        socket.read_to_string(&mut rest).await.expect("text");
        assert_eq!((&first, rest.as_str()), (b"see", "n and new"));
    }
}
