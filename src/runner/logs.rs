//! An app's log and request log: kept across deploys and crashes, within a quota.
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use super::rotate::{Rotating, read_back};
use crate::base::{Clock, Millis, Result, ResultExt as _};

/// Longer lines are split.
pub const MAX_LINE: usize = 16 << 10;
/// Lines kept in memory for an app that was looked at or ran, and their bytes.
const RING_LINES: usize = 1000;
const RING_BYTES: usize = 2 << 20;
/// Lines a follower may lag behind before it is told to read again. Room for them is made at once.
const FOLLOWED: usize = 128;
/// The request log's own quota.
const REQUEST_BYTES: u64 = 2 << 20;
/// Request lines that may wait to be written: more than an app's requests of [`REQUESTS_WAIT`] make.
const WAITING_BYTES: usize = 2 << 20;
/// How long finished requests wait to be written, many at once.
pub(super) const REQUESTS_WAIT: Duration = Duration::from_millis(50);
/// What one question may read from disk.
const MAX_READ: u64 = 8 << 20;
const MAX_LINES: usize = 20_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Out,
    Err,
    /// Steady's own remarks: started, stopped, crashed.
    Steady,
}

/// One line. `text` has secrets already replaced, and is at most 16 KiB.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogLine {
    /// Rises by one per line of an app; where a tail resumes.
    pub seq: u64,
    pub at: Millis,
    pub stream: Stream,
    pub version: String,
    pub text: String,
}

/// One finished request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestLine {
    pub id: String,
    pub at: Millis,
    pub method: String,
    /// Path without the query string: queries carry secrets.
    pub path: String,
    pub status: u16,
    pub version: String,
    /// Microseconds waited at the gate in all; of these, spent booting the app; spent in the app until
    /// its response head; until the last byte.
    pub gate_us: u64,
    pub boot_us: u64,
    pub app_us: u64,
    pub total_us: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Which stage failed, when one did.
    pub error: Option<String>,
}

/// Handle to one app's logs. Cheap to clone. Nothing is read from disk until it is used.
#[derive(Clone)]
pub struct Logs(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    quota: u64,
    clock: Clock,
    open: Mutex<Option<Open>>,
    /// Never locked while a file is touched: requests end here.
    waiting: Mutex<Waiting>,
}

/// Request lines not yet written.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    lost: u64,
}

struct Open {
    file: Rotating,
    requests: Rotating,
    next: u64,
    ring: VecDeque<LogLine>,
    ring_bytes: usize,
    /// Whether the ring holds all there is.
    whole: bool,
    follow: broadcast::Sender<LogLine>,
}

impl Logs {
    pub fn new(dir: &Path, quota: u64, clock: Clock) -> Self {
        Self(Arc::new(Shared { dir: dir.to_owned(), quota, clock, open: Mutex::new(None), waiting: Mutex::default() }))
    }

    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The newest `n` lines with `seq` above `after`, oldest first.
    pub fn tail(&self, n: usize, after: Option<u64>) -> Result<Vec<LogLine>> {
        let n = n.min(MAX_LINES);
        let mut guard = self.lock()?;
        let open = ready(&mut guard);
        let newer = |line: &&LogLine| after.is_none_or(|after| line.seq > after);
        let oldest_held = open.ring.front().map_or(open.next, |l| l.seq);
        let enough = open.whole || n <= open.ring.len() || after.is_some_and(|after| after + 1 >= oldest_held);
        if enough {
            let mut lines: Vec<LogLine> = open.ring.iter().rev().filter(newer).take(n).cloned().collect();
            lines.reverse();
            return Ok(lines);
        }
        drop(guard);
        let mut lines: Vec<LogLine> = parse(&read_back(&self.0.dir, "log", MAX_READ));
        lines.retain(|line| newer(&line));
        lines.drain(..lines.len().saturating_sub(n));
        Ok(lines)
    }

    /// Lines from now on. A slow reader that lags is told so by the channel and reads `tail` again.
    pub fn follow(&self) -> broadcast::Receiver<LogLine> {
        match self.lock() {
            Ok(mut guard) => ready(&mut guard).follow.subscribe(),
            Err(error) => {
                tracing::warn!(?error, "a log cannot be followed");
                broadcast::channel(1).1
            }
        }
    }

    /// The newest `n` requests, newest first.
    pub fn requests(&self, n: usize) -> Result<Vec<RequestLine>> {
        self.write_requests_if_any();
        let _open = self.lock()?;
        let mut lines: Vec<RequestLine> = parse(&read_back(&self.0.dir, "requests", REQUEST_BYTES));
        lines.reverse();
        lines.truncate(n);
        Ok(lines)
    }

    /// Adds a remark of Steady's own.
    pub fn remark(&self, version: &str, text: &str) {
        self.add(Stream::Steady, version, vec![text.to_owned()]);
    }

    /// Adds lines that are already clean. A full disk loses them, and the server's log says so.
    pub fn add(&self, stream: Stream, version: &str, texts: Vec<String>) {
        let at = self.0.clock.now();
        let mut guard = match self.lock() {
            Ok(guard) => guard,
            Err(error) => return tracing::warn!(?error, "log lines lost"),
        };
        let open = ready(&mut guard);
        let mut bytes = Vec::new();
        for mut text in texts {
            if text.len() > MAX_LINE {
                text.truncate((0..=MAX_LINE).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0));
            }
            let line = LogLine { seq: open.next, at, stream, version: version.to_owned(), text };
            open.next += 1;
            if serde_json::to_writer(&mut bytes, &line).is_ok() {
                bytes.push(b'\n');
            }
            open.remember(line.clone());
            // No reader is no error.
            let _ = open.follow.send(line);
        }
        if let Err(error) = open.file.append(&bytes) {
            tracing::warn!(dir = %self.0.dir.display(), %error, "log lines lost");
        }
    }

    /// Takes one finished request, without touching a file: a slow disk must not slow requests. True when
    /// it is the first to wait: the caller then sees to [`Logs::write_requests`].
    #[must_use]
    pub fn request(&self, line: &RequestLine) -> bool {
        let Ok(line) = serde_json::to_vec(line) else { return false };
        let mut waiting = self.waiting();
        let first = waiting.bytes.is_empty();
        if waiting.bytes.len() + line.len() >= WAITING_BYTES {
            waiting.lost += 1;
            return false;
        }
        waiting.bytes.extend_from_slice(&line);
        waiting.bytes.push(b'\n');
        first
    }

    /// Writes the requests that wait.
    pub fn write_requests(&self) {
        // Both locks in this order, the files' first: batches are written as they came.
        let guard = self.lock();
        let Waiting { bytes, lost } = std::mem::take(&mut *self.waiting());
        let written = guard.map(|mut guard| ready(&mut guard).requests.append(&bytes));
        let dir = self.0.dir.display();
        match written {
            Ok(Ok(())) if lost == 0 => {}
            Ok(Ok(())) => tracing::warn!(%dir, lost, "request lines lost: too many at once"),
            Ok(Err(error)) => tracing::warn!(%dir, %error, "request lines lost"),
            Err(error) => tracing::warn!(%dir, ?error, "request lines lost"),
        }
    }

    /// Closes the files and gives the memory back, unless somebody follows. The next use opens them again.
    pub(super) fn rest(&self) {
        self.write_requests_if_any();
        let mut guard = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if guard.as_ref().is_some_and(|open| open.follow.receiver_count() == 0) {
            *guard = None;
        }
    }

    fn write_requests_if_any(&self) {
        let any = !self.waiting().bytes.is_empty();
        if any {
            self.write_requests();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number the next line will get: remembered at a child's start to find its lines later.
    pub fn mark(&self) -> u64 {
        self.lock().map_or(0, |mut guard| ready(&mut guard).next)
    }

    /// The last `n` lines since `mark` that may say why an app failed, as plain text: what it wrote, and what it
    /// was not allowed to reach.
    pub fn since(&self, mark: u64, n: usize) -> Vec<String> {
        let lines = self.tail(n, mark.checked_sub(1)).unwrap_or_default();
        let telling = |l: &LogLine| l.stream != Stream::Steady || super::egress::is_about_egress(&l.text);
        lines.into_iter().filter(telling).map(|l| l.text).collect()
    }

    /// The lock, with the files open: `ready` then never fails.
    fn lock(&self) -> Result<MutexGuard<'_, Option<Open>>> {
        let mut guard = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if guard.is_none() {
            let open = Open::new(&self.0.dir, self.0.quota);
            *guard = Some(open.internal(format!("while opening the logs in {}", self.0.dir.display()))?);
        }
        Ok(guard)
    }
}

#[allow(clippy::expect_used)]
fn ready<'a>(guard: &'a mut MutexGuard<'_, Option<Open>>) -> &'a mut Open {
    guard.as_mut().expect("`lock` opened it")
}

impl Open {
    fn new(dir: &Path, quota: u64) -> std::io::Result<Self> {
        let (file, requests) = (Rotating::open(dir, "log", quota)?, Rotating::open(dir, "requests", REQUEST_BYTES)?);
        let kept = read_back(dir, "log", RING_BYTES as u64);
        let whole = (kept.len() as u64) < RING_BYTES as u64 / 2;
        let mut open = Self {
            file,
            requests,
            next: 0,
            ring: VecDeque::new(),
            ring_bytes: 0,
            whole,
            follow: broadcast::channel(FOLLOWED).0,
        };
        for line in parse::<LogLine>(&kept) {
            open.next = line.seq + 1;
            open.remember(line);
        }
        Ok(open)
    }

    fn remember(&mut self, line: LogLine) {
        self.ring_bytes += line.text.len();
        self.ring.push_back(line);
        while self.ring.len() > RING_LINES || self.ring_bytes > RING_BYTES {
            let Some(old) = self.ring.pop_front() else { break };
            self.ring_bytes -= old.text.len();
            self.whole = false;
        }
    }
}

/// Whole lines of JSON; what does not parse (torn by a crash) is skipped.
fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Vec<T> {
    bytes.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|l| l.text.as_str()).collect()
    }

    #[test]
    fn numbers_continue_after_a_restart_and_the_quota_holds() {
        let dir = tempfile::tempdir().expect("temp dir");
        let logs = || Logs::new(dir.path(), 1 << 20, Clock::manual(5));
        let first = logs();
        first.remark("v1", "one");
        first.remark("v1", "two");
        let second = logs();
        second.remark("v2", "three");
        assert_eq!(texts(&second.tail(2, None).expect("tail")), ["two", "three"]);
        assert_eq!(texts(&second.tail(9, Some(0)).expect("tail")), ["two", "three"]);
        for n in 0..3000 {
            second.add(Stream::Out, "v2", vec![format!("{n} {}", "x".repeat(1000))]);
        }
        assert!(crate::base::fs::tree_size(dir.path()) < (1 << 20) + (64 << 10));
        let tail = second.tail(1500, None).expect("from disk");
        assert!(tail.len() > 500, "{} lines are still there", tail.len());
        assert!(tail.windows(2).all(|w| w[0].seq + 1 == w[1].seq), "in order, none missing");
        assert_eq!(tail.last().expect("a line").seq, 3002);
    }

    #[test]
    fn what_was_refused_is_among_the_lines_that_say_why_it_failed() {
        let dir = tempfile::tempdir().expect("temp dir");
        let logs = Logs::new(dir.path(), 1 << 20, Clock::manual(5));
        logs.remark("v1", "refused: before.example. No.");
        let mark = logs.mark();
        logs.remark("v1", "started v1 (1)");
        logs.add(Stream::Err, "v1", vec!["Error: EACCES".into()]);
        logs.remark("v1", "refused: a.example. No.");
        logs.remark("v1", "cannot reach b.example. Connection refused.");
        let told = ["Error: EACCES", "refused: a.example. No.", "cannot reach b.example. Connection refused."];
        assert_eq!(logs.since(mark, 9), told);
    }

    #[test]
    fn requests_come_newest_first() {
        let dir = tempfile::tempdir().expect("temp dir");
        let logs = Logs::new(dir.path(), 1 << 20, Clock::manual(5));
        let first: Vec<bool> = [200, 404, 500].map(|status| logs.request(&line(status, "/"))).to_vec();
        assert_eq!(first, [true, false, false], "only the first sees to the writing");
        let back: Vec<u16> = logs.requests(2).expect("requests").iter().map(|r| r.status).collect();
        assert_eq!(back, [500, 404]);
        assert!(logs.request(&line(201, "/")), "nothing waits any more");
        logs.write_requests();
        let other = Logs::new(dir.path(), 1 << 20, Clock::manual(5));
        assert_eq!(other.requests(9).expect("requests").len(), 4);
    }

    #[test]
    fn resting_logs_go_on_where_they_were() {
        let dir = tempfile::tempdir().expect("temp dir");
        let logs = Logs::new(dir.path(), 1 << 20, Clock::manual(5));
        logs.remark("v1", "one");
        assert!(logs.request(&line(200, "/")));
        logs.rest();
        assert!(logs.0.open.lock().expect("lock").is_none() && logs.waiting().bytes.is_empty());
        let mut follower = logs.follow();
        logs.rest();
        logs.remark("v1", "two");
        assert_eq!(follower.try_recv().map(|line| line.seq), Ok(1), "a followed log is not closed");
        assert_eq!(texts(&logs.tail(9, None).expect("tail")), ["one", "two"]);
        assert_eq!(logs.requests(9).expect("requests").len(), 1);
    }

    #[test]
    fn requests_that_nobody_writes_are_bounded() {
        let dir = tempfile::tempdir().expect("temp dir");
        let logs = Logs::new(dir.path(), 1 << 20, Clock::manual(5));
        let path = "x".repeat(500);
        for _ in 0..5000 {
            let _ = logs.request(&line(200, &path));
        }
        assert!(logs.waiting().bytes.len() <= WAITING_BYTES && logs.waiting().lost > 0);
        assert!(logs.requests(5000).expect("requests").len() > 500);
        assert_eq!(logs.waiting().lost, 0);
    }

    fn line(status: u16, path: &str) -> RequestLine {
        RequestLine {
            id: "x".into(),
            at: 1,
            method: "GET".into(),
            path: path.into(),
            status,
            version: "v1".into(),
            gate_us: 0,
            boot_us: 0,
            app_us: 1,
            total_us: 2,
            bytes_in: 0,
            bytes_out: 0,
            error: None,
        }
    }
}
