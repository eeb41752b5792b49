//! From a child's pipe to its log: split into lines, cleaned, bounded in rate whatever the child does.
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::Semaphore;

use super::logs::{Logs, MAX_LINE, Stream};
use super::redact::Redactor;
use crate::base::Millis;

/// Kept per second and pipe; what is above is counted and dropped.
const LINES_PER_SECOND: u64 = 2_000;
const BYTES_PER_SECOND: u64 = 2 << 20;
/// Read per second before the child is made to wait: a flood costs the flooder.
const READ_PER_SECOND: u64 = 32 << 20;
/// Bytes read at once, at first and when a program writes more: most write little, and hundreds are awake.
const FIRST_BUFFER: usize = 2 << 10;
const LARGE_BUFFER: usize = 32 << 10;
/// Small pieces taken per second as they come. Each costs the server a turn on another thread, so of what comes after
/// them more is gathered first.
const PIECES_PER_SECOND: u64 = 100;
const SMALL: u64 = 8 << 10;
const GATHER: Duration = Duration::from_millis(5);

/// All pumps together: a slow disk must not hold all the threads that may block.
static WRITERS: Semaphore = Semaphore::const_new(16);

/// Turns bytes into clean lines.
pub struct Lines {
    redactor: Redactor,
    held: Vec<u8>,
    /// The line that comes next has lost its beginning: what is left of it goes too, because a secret may
    /// have been cut in two.
    skipping: bool,
}

impl Lines {
    pub fn new(redactor: Redactor) -> Self {
        Self { redactor, held: Vec::new(), skipping: false }
    }

    /// The lines that are complete with these bytes. A long one comes in parts of at most 16 KiB.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(String)) {
        let bytes = match (self.skipping, bytes.iter().position(|b| *b == b'\n')) {
            (false, _) => bytes,
            (true, Some(end)) => &bytes[end + 1..],
            (true, None) => return,
        };
        self.skipping = false;
        self.held.extend_from_slice(bytes);
        let mut start = 0;
        loop {
            let rest = &self.held[start..];
            match rest.iter().position(|b| *b == b'\n') {
                Some(end) if end <= MAX_LINE => {
                    self.emit(&rest[..end], each);
                    start += end + 1;
                }
                Some(_) => start += self.part(rest, each),
                None if rest.len() > MAX_LINE + self.redactor.lookahead() => start += self.part(rest, each),
                None => break,
            }
        }
        self.held.drain(..start);
    }

    /// Drops these bytes, and what was held of their first line: hardly any work, whatever they are. How many
    /// lines that were.
    pub fn skip(&mut self, bytes: &[u8]) -> u64 {
        let ends = bytes.iter().filter(|b| **b == b'\n').count() as u64;
        let counted = u64::from(std::mem::take(&mut self.skipping));
        self.held.clear();
        self.skipping = bytes.last().is_some_and(|last| *last != b'\n');
        (ends + u64::from(self.skipping)).saturating_sub(counted)
    }

    /// What is left when the pipe has closed.
    pub fn finish(&mut self, each: &mut dyn FnMut(String)) {
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_slice();
        while rest.len() > MAX_LINE {
            let taken = self.part(rest, each);
            rest = &rest[taken..];
        }
        if !rest.is_empty() {
            self.emit(rest, each);
        }
    }

    fn emit(&self, line: &[u8], each: &mut dyn FnMut(String)) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        each(String::from_utf8_lossy(&self.redactor.clean(line, line.len()).0).into_owned());
    }

    /// The beginning of a line that is too long, marked; a little shorter, for the mark and for bytes
    /// that grow when replaced.
    fn part(&self, rest: &[u8], each: &mut dyn FnMut(String)) -> usize {
        let line_end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        let mut cut = MAX_LINE - 64;
        while cut > MAX_LINE - 70 && rest[cut] & 0xC0 == 0x80 {
            cut -= 1;
        }
        let (clean, taken) = self.redactor.clean(&rest[..line_end], cut);
        each(format!("{} …", String::from_utf8_lossy(&clean)));
        taken
    }
}

/// Reads until the pipe closes.
pub async fn run(pipe: impl AsyncRead + Unpin, logs: Logs, stream: Stream, version: String, redactor: Redactor) {
    let mut pipe = pipe;
    let mut lines = Lines::new(redactor);
    let mut budget = Budget::default();
    let mut buffer = vec![0u8; FIRST_BUFFER];
    let mut advised = false;
    loop {
        let read = if budget.dropped == 0 {
            pipe.read(&mut buffer).await
        } else {
            // What was dropped is said soon, also when nothing follows.
            match tokio::time::timeout(Duration::from_secs(1), pipe.read(&mut buffer)).await {
                Ok(read) => read,
                Err(_) => {
                    add(&logs, Stream::Steady, &version, budget.dropped_line().into_iter().collect()).await;
                    budget.dropped = 0;
                    continue;
                }
            }
        };
        let Ok(read @ 1..) = read else { break };
        let now = logs.clock().now();
        if let Some(dropped) = budget.renew(now) {
            add(&logs, Stream::Steady, &version, vec![dropped]).await;
        }
        let mut kept = Vec::new();
        if budget.is_spent() {
            budget.dropped += lines.skip(&buffer[..read]);
        } else {
            lines.push(&buffer[..read], &mut |line| budget.take(line, &mut kept));
        }
        let advise = !advised && stream == Stream::Err && kept.iter().any(|line| is_about_read_only(line));
        add(&logs, stream, &version, kept).await;
        if advise {
            advised = true;
            add(&logs, Stream::Steady, &version, vec![READ_ONLY.to_owned()]).await;
        }
        if read == FIRST_BUFFER {
            buffer.resize(LARGE_BUFFER, 0);
        }
        match budget.read(read as u64, now) {
            Some(wait) => tokio::time::sleep(wait).await,
            // A pipe that is always full must not keep this thread from everybody's requests.
            None => tokio::task::yield_now().await,
        }
    }
    let mut kept = Vec::new();
    lines.finish(&mut |line| budget.take(line, &mut kept));
    add(&logs, stream, &version, kept).await;
    add(&logs, Stream::Steady, &version, budget.dropped_line().into_iter().collect()).await;
}

/// Writes where a slow disk holds nobody up but this child.
async fn add(logs: &Logs, stream: Stream, version: &str, lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    let (logs, version) = (logs.clone(), version.to_owned());
    // Never closed.
    let _turn = WRITERS.acquire().await;
    // Ends early only with the server itself.
    let _ = tokio::task::spawn_blocking(move || logs.add(stream, &version, lines)).await;
}

const READ_ONLY: &str = "the code folder is read-only: write to a relative path or into DATA_DIR, where files stay";

/// Said once per child, because the system's own words do not say what to do instead.
fn is_about_read_only(line: &str) -> bool {
    [
        "EROFS",
        "attempt to write a readonly database",
        "SQLITE_READONLY",
        "SQLITE_CANTOPEN",
        "unable to open database file",
    ]
    .iter()
    .any(|sign| line.contains(sign))
}

/// What may still be kept in the second that runs.
#[derive(Default)]
struct Budget {
    second: Millis,
    lines: u64,
    bytes: u64,
    read: u64,
    pieces: u64,
    dropped: u64,
}

impl Budget {
    /// A new second: says what was dropped in the last.
    fn renew(&mut self, now: Millis) -> Option<String> {
        if now.div_euclid(1000) == self.second {
            return None;
        }
        let said = self.dropped_line();
        *self = Self { second: now.div_euclid(1000), ..Self::default() };
        said
    }

    fn dropped_line(&self) -> Option<String> {
        (self.dropped > 0).then(|| {
            let most = format!("{LINES_PER_SECOND} lines or {} MiB", BYTES_PER_SECOND >> 20);
            format!("… {} lines dropped: more than {most} a second", self.dropped)
        })
    }

    fn is_spent(&self) -> bool {
        self.lines > LINES_PER_SECOND || self.bytes > BYTES_PER_SECOND
    }

    fn take(&mut self, line: String, kept: &mut Vec<String>) {
        self.lines += 1;
        // As the file has it: a control character is written as six.
        self.bytes += (line.len() + 5 * line.bytes().filter(|b| *b < 0x20).count()) as u64;
        if self.is_spent() {
            self.dropped += 1;
        } else {
            kept.push(line);
        }
    }

    /// How long to wait before more is read.
    fn read(&mut self, bytes: u64, now: Millis) -> Option<Duration> {
        self.read += bytes;
        self.pieces += 1;
        let rest = 1000 - now.rem_euclid(1000);
        if self.read > READ_PER_SECOND {
            return Some(Duration::from_millis(u64::try_from(rest).unwrap_or(0).min(1000)));
        }
        (bytes < SMALL && self.pieces > PIECES_PER_SECOND).then_some(GATHER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Secret;
    use std::path::Path;

    fn split(parts: &[&[u8]]) -> Vec<String> {
        let secrets = [("KEY".to_owned(), Secret::new("s3cr3t-value".to_owned()))];
        let mut lines = Lines::new(Redactor::new(&secrets, Path::new("/")));
        let mut out = Vec::new();
        for part in parts {
            lines.push(part, &mut |l| out.push(l));
        }
        lines.finish(&mut |l| out.push(l));
        out
    }

    #[test]
    fn lines_whatever_the_chunks() {
        assert_eq!(split(&[b"a\nb", b"c\r\n", b"\xff\n", b"end"]), ["a", "bc", "\u{fffd}", "end"]);
        assert_eq!(split(&[b"x s3cr", b"3t-value y\n"]), ["x [KEY] y"]);
    }

    #[test]
    fn a_skipped_line_takes_all_its_parts_along() {
        let secrets = [("KEY".to_owned(), Secret::new("s3cr3t-value".to_owned()))];
        let mut lines = Lines::new(Redactor::new(&secrets, Path::new("/")));
        let mut out = Vec::new();
        lines.push(b"kept\nheld ", &mut |l| out.push(l));
        assert_eq!(lines.skip(b"a\nb\nlong"), 3);
        assert_eq!(lines.skip(b" still long s3cr"), 0);
        lines.push(b"3t-value end", &mut |l| out.push(l));
        lines.push(b" of it\nnext\n", &mut |l| out.push(l));
        assert_eq!((lines.skip(b"x\n"), lines.skip(b"\n\n")), (1, 2));
        lines.push(b"last", &mut |l| out.push(l));
        lines.finish(&mut |l| out.push(l));
        assert_eq!(out, ["kept", "next", "last"]);
    }

    async fn pumped(bytes: Vec<u8>) -> Vec<crate::runner::logs::LogLine> {
        let dir = tempfile::tempdir().expect("temp dir");
        // All in one second: the clock stands.
        let logs = Logs::new(dir.path(), 16 << 20, crate::base::Clock::manual(500));
        run(bytes.as_slice(), logs.clone(), Stream::Out, "v1".into(), Redactor::new(&[], Path::new("/"))).await;
        assert!(crate::base::fs::tree_size(dir.path()) < 4 << 20);
        logs.tail(20_000, None).expect("tail")
    }

    #[tokio::test]
    async fn a_flood_is_dropped_and_counted() {
        for (flood, lines) in [(vec![b'\n'; 8 << 20], 8 << 20), (b"hello world\n".repeat(500_000), 500_000)] {
            let kept = pumped(flood).await;
            let (said, out): (Vec<_>, Vec<_>) = kept.iter().partition(|line| line.stream == Stream::Steady);
            assert_eq!(out.len(), 2000);
            let text = format!("… {} lines dropped: more than 2000 lines or 2 MiB a second", lines - 2000);
            assert_eq!(said.iter().map(|l| &l.text).collect::<Vec<_>>(), [&text]);
        }
    }

    #[tokio::test]
    async fn bytes_are_bounded_as_they_are_written() {
        let mut line = vec![1u8; 4000];
        line.push(b'\n');
        let kept = pumped(line.repeat(2000)).await;
        assert!((80..90).contains(&kept.len()), "{} lines of 24 KB each as JSON", kept.len());
        assert!(kept.last().expect("a line").text.contains("lines dropped"));
        let endless = pumped(vec![b'x'; 16 << 20]).await;
        assert!((120..140).contains(&endless.len()), "{} parts of 16 KiB", endless.len());
        assert!(endless.last().expect("a line").text.contains("lines dropped"));
    }

    #[test]
    fn many_small_pieces_are_gathered_and_large_ones_are_not_held_up() {
        let mut budget = Budget::default();
        let waits: Vec<_> = (0..150).map(|_| budget.read(20, 0)).collect();
        assert_eq!(waits.iter().position(Option::is_some), Some(100));
        assert!(waits[100..].iter().all(|wait| *wait == Some(GATHER)));
        assert_eq!(budget.read(32 << 10, 0), None);
        budget.renew(1000);
        assert_eq!(budget.read(20, 1000), None, "a new second");
        assert_eq!(budget.read(READ_PER_SECOND, 1400), Some(Duration::from_millis(600)));
    }

    #[test]
    fn a_long_line_is_split_and_a_secret_across_the_cut_stays_hidden() {
        for before in (MAX_LINE - 100)..(MAX_LINE + 20) {
            let mut long = vec![b'a'; before];
            long.extend_from_slice(b"s3cr3t-value");
            long.extend(vec![b'b'; 40_000]);
            for parts in [split(&[&long]), split(&long.chunks(1000).collect::<Vec<_>>())] {
                assert!(parts.len() >= 3 && parts.iter().all(|p| p.len() <= MAX_LINE + 64));
                let whole = parts.concat();
                assert!(whole.contains("[KEY]") && !whole.contains("s3cr"), "at {before}");
            }
        }
    }
}
