//! One request's line in the app's request log, written when its response has ended, however it ended.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hyper::StatusCode;

use crate::base::{Clock, Millis};
use crate::runner::logs::RequestLine;

/// Collects; dropping it writes.
pub struct Journal(Box<Inner>);

struct Inner {
    started: Instant,
    admitted: Option<Instant>,
    line: RequestLine,
    bytes_in: Arc<AtomicU64>,
    write: Option<Box<dyn FnOnce(RequestLine) + Send>>,
}

/// Characters of a path kept.
const MAX_PATH: usize = 512;

/// What is written when a visitor leaves before there is a status (nginx's custom).
const CLIENT_LEFT: u16 = 499;

impl Journal {
    pub fn new(
        id: &str,
        at: Millis,
        method: &str,
        path: &str,
        version: &str,
        write: impl FnOnce(RequestLine) + Send + 'static,
    ) -> Self {
        let line = RequestLine {
            id: id.to_owned(),
            at,
            method: method.chars().take(32).collect(),
            path: path.chars().take(MAX_PATH).collect(),
            status: CLIENT_LEFT,
            version: version.to_owned(),
            gate_us: 0,
            boot_us: 0,
            app_us: 0,
            total_us: 0,
            bytes_in: 0,
            bytes_out: 0,
            error: Some("client left".to_owned()),
        };
        let write: Box<dyn FnOnce(RequestLine) + Send> = Box::new(write);
        let started = Clock::stopwatch();
        Self(Box::new(Inner { started, admitted: None, line, bytes_in: Arc::default(), write: Some(write) }))
    }

    /// The request came in earlier than this journal was begun.
    pub fn began(&mut self, at: Instant) {
        self.0.started = at;
    }

    pub fn admitted(&mut self, version: &str, gate_us: u64, boot_us: u64) {
        version.clone_into(&mut self.0.line.version);
        self.0.line.gate_us = gate_us;
        self.0.line.boot_us = boot_us;
        self.0.admitted = Some(Clock::stopwatch());
    }

    /// The app gave its response head.
    pub fn answered(&mut self, status: StatusCode) {
        self.0.line.status = status.as_u16();
        self.0.line.app_us = self.0.admitted.map_or(0, micros_since);
    }

    pub fn sent(&mut self, bytes: u64) {
        self.0.line.bytes_out += bytes;
    }

    /// So much of the client's body has come.
    pub fn received(&mut self, bytes: u64) {
        self.0.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts what the client sent; shared with the request's body.
    pub fn bytes_in(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.bytes_in)
    }

    /// Which stage failed; `None` when all went well.
    pub fn ended(&mut self, error: Option<&str>) {
        self.0.line.error = error.map(str::to_owned);
    }

    /// Steady itself answers, because `stage` failed.
    pub fn refused(&mut self, status: StatusCode, stage: &str) {
        self.0.line.status = status.as_u16();
        self.ended(Some(stage));
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let inner = &mut *self.0;
        inner.line.total_us = micros_since(inner.started);
        inner.line.bytes_in = inner.bytes_in.load(Ordering::Relaxed);
        if let Some(write) = inner.write.take() {
            write(inner.line.clone());
        }
    }
}

pub fn micros_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}
