//! What one app's connections amount to.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

/// Counted since the session began. Datagrams' flows are connections too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Connections open now.
    pub open: u64,
    /// Connections ever accepted from the app.
    pub total: u64,
    /// Bytes that came to the app.
    pub bytes_in: u64,
    /// Bytes that the app sent.
    pub bytes_out: u64,
    /// Names, connects and connections refused.
    pub refused: u64,
}

#[derive(Default)]
pub struct Counters {
    open: AtomicU64,
    total: AtomicU64,
    pub bytes_in: AtomicU64,
    pub bytes_out: AtomicU64,
}

impl Counters {
    /// A place among at most `most` open connections; `None` when there is none.
    pub fn open(&self, most: u64) -> bool {
        let free = self.open.try_update(Relaxed, Relaxed, |open| (open < most).then_some(open + 1)).is_ok();
        if free {
            self.total.fetch_add(1, Relaxed);
        }
        free
    }

    pub fn open_now(&self) -> u64 {
        self.open.load(Relaxed)
    }

    pub fn close(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    /// Bytes that moved without a connection.
    pub fn moved(&self, out: usize, back: usize) {
        self.bytes_out.fetch_add(out as u64, Relaxed);
        self.bytes_in.fetch_add(back as u64, Relaxed);
    }

    pub fn usage(&self, refused: u64) -> Usage {
        Usage {
            open: self.open.load(Relaxed),
            total: self.total.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            refused,
        }
    }
}
