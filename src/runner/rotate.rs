//! A file of lines that stays within its quota: `stem.jsonl`, then `stem.1.jsonl` and older.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Files kept, the open one included.
const FILES: u64 = 4;

#[derive(Debug)]
pub struct Rotating {
    dir: PathBuf,
    stem: &'static str,
    file: File,
    len: u64,
    limit: u64,
}

impl Rotating {
    /// Opens or makes it; `quota` is the bytes of all its files together.
    pub fn open(dir: &Path, stem: &'static str, quota: u64) -> io::Result<Self> {
        crate::base::fs::make_dir(dir, 0o700)?;
        let path = named(dir, stem, 0);
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
        let mut len = file.metadata()?.len();
        // A line torn by a crash ends here.
        let mut last = [b'\n'];
        if len > 0 {
            file.seek(SeekFrom::Start(len - 1))?;
            file.read_exact(&mut last)?;
        }
        if last != *b"\n" {
            file.write_all(b"\n")?;
            len += 1;
        }
        Ok(Self { dir: dir.to_owned(), stem, file, len, limit: (quota / FILES).max(64 << 10) })
    }

    /// Appends whole lines.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let length = lines.len() as u64;
        if self.len > 0 && self.len + length > self.limit {
            self.rotate()?;
        }
        self.file.write_all(lines)?;
        self.len += length;
        Ok(())
    }

    #[allow(clippy::disallowed_methods)] // a log rotation undone by a power cut loses nothing
    fn rotate(&mut self) -> io::Result<()> {
        for n in (1..FILES).rev() {
            match fs::rename(named(&self.dir, self.stem, n - 1), named(&self.dir, self.stem, n)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        let path = named(&self.dir, self.stem, 0);
        self.file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        self.len = 0;
        Ok(())
    }
}

/// The newest lines of all files, oldest first: at most `max` bytes of them.
pub fn read_back(dir: &Path, stem: &str, max: u64) -> Vec<u8> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let mut left = max;
    for n in 0..FILES {
        let Ok(mut file) = File::open(named(dir, stem, n)) else { continue };
        let len = file.metadata().map_or(0, |m| m.len());
        let take = len.min(left);
        let mut bytes = Vec::new();
        let read = file.seek(SeekFrom::Start(len - take)).and_then(|_| file.take(take).read_to_end(&mut bytes));
        if read.is_err() {
            break;
        }
        if take < len {
            // The first line is cut: away with it.
            let first = bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| at + 1);
            bytes.drain(..first);
        }
        parts.push(bytes);
        left -= take;
        if left == 0 {
            break;
        }
    }
    parts.reverse();
    parts.concat()
}

fn named(dir: &Path, stem: &str, n: u64) -> PathBuf {
    dir.join(if n == 0 { format!("{stem}.jsonl") } else { format!("{stem}.{n}.jsonl") })
}
