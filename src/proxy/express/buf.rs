//! Room to read into. A connection that waits has none: room goes round among the connections of a thread.
use std::cell::RefCell;
use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::LocalKey;

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes read at once.
const SIZE: usize = 16 << 10;
/// Pieces of room a thread keeps for whoever reads next.
const KEPT: usize = 64;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static SHEETS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// What is written together before it is sent. It goes round as well.
pub struct Sheet(Vec<u8>);

impl Sheet {
    pub fn take() -> Self {
        Self(SHEETS.try_with(|sheets| sheets.borrow_mut().pop()).ok().flatten().unwrap_or_default())
    }
}

impl Deref for Sheet {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Sheet {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        let mut sheet = std::mem::take(&mut self.0);
        sheet.clear();
        if (1..=SIZE * 2).contains(&sheet.capacity()) {
            keep(&SHEETS, sheet);
        }
    }
}

fn keep(place: &'static LocalKey<RefCell<Vec<Vec<u8>>>>, room: Vec<u8>) {
    // A thread that ends keeps nothing.
    let _ = place.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() < KEPT {
            kept.push(room);
        }
    });
}

/// What was read and not used yet.
#[derive(Default)]
pub struct Buf {
    room: Vec<u8>,
    from: usize,
    to: usize,
}

impl Buf {
    pub fn data(&self) -> &[u8] {
        &self.room[self.from..self.to]
    }

    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Takes that many bytes from the front.
    pub fn used(&mut self, bytes: usize) {
        self.from = (self.from + bytes).min(self.to);
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
        }
    }

    /// Reads what there is, into more room if all is taken. `Ok(0)` is the end. While there is nothing, an empty one
    /// holds no room.
    pub fn poll_fill<R: AsyncRead + Unpin>(&mut self, from: &mut R, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.make_room();
        let mut free = ReadBuf::new(&mut self.room[self.to..]);
        let read = Pin::new(from).poll_read(cx, &mut free);
        let length = free.filled().len();
        self.to += length;
        if self.is_empty() {
            self.give_back();
        }
        read.map_ok(|()| length)
    }

    fn make_room(&mut self) {
        if self.room.is_empty() {
            let kept = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
            self.room = kept.unwrap_or_else(|| vec![0; SIZE]);
        } else if self.to == self.room.len() {
            self.room.drain(..self.from);
            self.to -= self.from;
            self.from = 0;
            let more = if self.to > SIZE / 2 { self.to + SIZE } else { SIZE };
            self.room.resize(more, 0);
        }
    }

    fn give_back(&mut self) {
        let room = std::mem::take(&mut self.room);
        (self.from, self.to) = (0, 0);
        if room.len() == SIZE {
            keep(&FREE, room);
        }
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn it_grows_while_nothing_is_used_and_is_empty_while_it_waits() {
        let text: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        let mut source = text.as_slice();
        let mut buf = Buf::default();
        let mut seen = vec![];
        while poll_fn(|cx| buf.poll_fill(&mut source, cx)).await.expect("bytes") > 0 {
            if buf.data().len() > 40_000 {
                seen.extend_from_slice(&buf.data()[..30_000]);
                buf.used(30_000);
            }
        }
        seen.extend_from_slice(buf.data());
        assert!(seen == text);
        buf.used(usize::MAX);
        let (_other, mut silent) = tokio::io::duplex(1);
        let waits = poll_fn(|cx| Poll::Ready(buf.poll_fill(&mut silent, cx).is_pending())).await;
        assert!(waits && buf.room.is_empty());
    }
}
