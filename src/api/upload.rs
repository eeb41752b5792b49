//! An uploaded folder: a tar, plain or gzipped, read into memory within bounds.
use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt as _;
use tokio::sync::Semaphore;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::wire::{MAX_FILES, MAX_UNPACKED, MAX_UPLOAD};
use crate::base::{Error, Kind, Result, ResultExt as _, fs, name};

/// What `DeployFrom::Files` takes: path, bytes, executable.
pub(super) type Files = Vec<(PathBuf, Vec<u8>, bool)>;

/// Each holds up to [`MAX_UNPACKED`] bytes of memory.
static TURNS: Semaphore = Semaphore::const_new(3);
const TURN_WAIT: Duration = Duration::from_secs(30);
/// Silence on the wire after which an upload is given up.
const IDLE: Duration = Duration::from_secs(60);

/// Reads the body whole. Errors: `BadInput` naming the entry; `TooLarge`; `Busy` when too many upload at once.
pub(super) async fn receive(body: Body) -> Result<Files> {
    let busy = || Error::new(Kind::Busy, "too many folders are being uploaded at once").hint("Try again in a moment.");
    let turn = tokio::time::timeout(TURN_WAIT, TURNS.acquire()).await.map_err(|_| busy())?.map_err(|_| busy())?;
    let chunks = futures_util::stream::unfold(body.into_data_stream(), |mut chunks| async move {
        let next = match tokio::time::timeout(IDLE, chunks.next()).await {
            Ok(None) => return None,
            Ok(Some(chunk)) => chunk.map_err(io::Error::other),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        };
        Some((next, chunks))
    });
    let reader = SyncIoBridge::new(StreamReader::new(Box::pin(chunks)));
    let files = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        unpack(reader, Bounds::default())
    });
    files.await.internal("while unpacking an upload")?
}

#[derive(Clone, Copy)]
struct Bounds {
    sent: u64,
    unpacked: u64,
    files: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { sent: MAX_UPLOAD, unpacked: MAX_UNPACKED, files: MAX_FILES }
    }
}

/// Only regular files and folders; everything else is refused by name.
fn unpack(input: impl Read, bounds: Bounds) -> Result<Files> {
    let over = Arc::new(AtomicBool::new(false));
    let mut input = BufReader::new(Bounded { input, left: bounds.sent, over: over.clone() });
    let fail = |e: io::Error| match over.load(Ordering::Relaxed) {
        true => too_large(bounds),
        false => Error::bad_input("the uploaded folder is not a whole tar archive").because(e),
    };
    let gzip = input.fill_buf().map_err(fail)?.first() == Some(&0x1f);
    // Headers and long names count as well: half a KiB of slack for each file.
    let left = bounds.unpacked + 2048 * bounds.files as u64;
    let input: Box<dyn Read + '_> = if gzip { Box::new(flate2::read::GzDecoder::new(input)) } else { Box::new(input) };
    let mut archive = tar::Archive::new(Bounded { input, left, over: over.clone() });

    let mut files = Vec::new();
    let mut seen = Seen::default();
    let mut total = 0u64;
    for entry in archive.entries().map_err(fail)? {
        let mut entry = entry.map_err(fail)?;
        let kind = entry.header().entry_type();
        if matches!(kind, tar::EntryType::XGlobalHeader) {
            continue;
        }
        let raw = entry.path_bytes().into_owned();
        let shown = name::clip(&String::from_utf8_lossy(&raw));
        let text = std::str::from_utf8(&raw).map_err(|_| Error::bad_input(format!("`{shown}` is not UTF-8")))?;
        let text = text.strip_prefix("./").unwrap_or(text);
        let folder = kind.is_dir();
        let text = if folder { text.trim_end_matches('/') } else { text };
        if folder && matches!(text, "" | ".") {
            continue;
        }
        if !folder && !kind.is_file() {
            return Err(Error::bad_input(format!("`{shown}` is a {}, not a file or a folder", named(kind)))
                .hint("Leave it out, or put a copy of the file in its place."));
        }
        let path = fs::confine(text)?;
        seen.add(&path, folder)?;
        if folder {
            continue;
        }
        total = total.saturating_add(entry.size());
        if total > bounds.unpacked || files.len() >= bounds.files {
            return Err(too_large(bounds));
        }
        let executable = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
        let mut bytes = Vec::with_capacity(usize::try_from(entry.size().min(1 << 20)).unwrap_or(0));
        let size = entry.size();
        entry.read_to_end(&mut bytes).map_err(fail)?;
        if bytes.len() as u64 != size {
            return Err(Error::bad_input(format!("`{shown}` is cut short")));
        }
        files.push((path, bytes, executable));
    }
    if files.is_empty() {
        return Err(Error::bad_input("the uploaded folder has no files"));
    }
    Ok(files)
}

fn too_large(bounds: Bounds) -> Error {
    let (sent, unpacked) = (bounds.sent >> 20, bounds.unpacked >> 20);
    Error::new(Kind::TooLarge, "the uploaded folder is too large").hint(format!(
        "At most {sent} MiB compressed, {unpacked} MiB in all, {} files. Leave out what is not code with .gitignore.",
        bounds.files
    ))
}

fn named(kind: tar::EntryType) -> &'static str {
    match kind {
        tar::EntryType::Symlink => "symbolic link",
        tar::EntryType::Link => "hard link",
        tar::EntryType::Char | tar::EntryType::Block => "device",
        tar::EntryType::Fifo => "pipe",
        tar::EntryType::GNUSparse => "sparse file",
        _ => "special entry",
    }
}

/// Every path once, and none both a file and a folder.
#[derive(Default)]
struct Seen {
    /// True for folders.
    paths: HashMap<PathBuf, bool>,
    parents: HashSet<PathBuf>,
}

impl Seen {
    fn add(&mut self, path: &Path, folder: bool) -> Result<()> {
        let twice = |path: &Path| Error::bad_input(format!("`{}` is in the archive twice", path.display()));
        for parent in path.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()) {
            if self.paths.get(parent) == Some(&false) {
                return Err(twice(parent));
            }
            self.parents.insert(parent.to_owned());
        }
        if !folder && self.parents.contains(path) {
            return Err(twice(path));
        }
        match self.paths.insert(path.to_owned(), folder) {
            Some(before) if !(before && folder) => Err(twice(path)),
            _ => Ok(()),
        }
    }
}

/// Fails, and says so in `over`, when more than `left` bytes are read.
struct Bounded<R> {
    input: R,
    left: u64,
    over: Arc<AtomicBool>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            self.over.store(true, Ordering::Relaxed);
            io::Error::other("too large")
        })?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
