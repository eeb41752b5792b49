//! A pack from outside, into the repository: kept apart in a folder of its own until every check passed.
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, Write as _};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use gix_pack::Bundle;

use super::objects::Objects;
use super::{Repo, fsck, prescan};
use crate::base::{Clock, Error, Kind, Result, ResultExt as _, fs as durable};

/// Longest time one pack may take to index.
const TIME: Duration = Duration::from_secs(600);

/// A pack on its way in. Dropped without [`Incoming::store`], it leaves nothing.
pub(super) struct Incoming {
    folder: PathBuf,
    spool: BufWriter<File>,
}

impl Incoming {
    pub(super) fn begin(repo: &Repo) -> Result<Self> {
        let folder = repo.objects_dir().join(format!("incoming-{}", crate::base::secret::random_token(12)));
        let make = || -> io::Result<BufWriter<File>> {
            durable::make_dir(&folder.join("pack"), 0o700)?;
            durable::make_dir(&folder.join("info"), 0o700)?;
            let mut alternates = File::create(folder.join("info/alternates"))?;
            writeln!(alternates, "{}", repo.objects_dir().display())?;
            let spool = File::options().read(true).write(true).create_new(true).open(folder.join("spool"))?;
            Ok(BufWriter::with_capacity(128 << 10, spool))
        };
        match make() {
            Ok(spool) => Ok(Self { folder, spool }),
            Err(e) => {
                let _ = durable::remove_tree(&folder);
                Err(Error::internal("while making room for a push").because(e))
            }
        }
    }

    /// Where the pack is written before [`Incoming::store`].
    pub(super) fn spool(&mut self) -> &mut impl io::Write {
        &mut self.spool
    }

    /// Copies a pack of at most `max` bytes from the network. Errors: `TooLarge`.
    pub(super) fn receive(&mut self, input: &mut dyn Read, max: u64) -> Result<u64> {
        let mut buffer = vec![0u8; 64 << 10];
        let mut total = 0u64;
        loop {
            let n = match input.read(&mut buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other.or_error(Kind::BadInput, "the connection broke while the pack was sent")?,
            };
            if n == 0 {
                return Ok(total);
            }
            total += n as u64;
            if total > max {
                let hint = "Keep large files out of the repository, or push in several steps.";
                return Err(Error::new(Kind::TooLarge, format!("the pack is larger than {max} bytes")).hint(hint));
            }
            self.spool.write_all(&buffer[..n]).internal("while storing a push")?;
        }
    }

    /// Checks the pack and moves it, durable, among the repository's objects. Errors: `BadInput` saying what is
    /// wrong with it; then the repository is as before.
    pub(super) fn store(mut self, repo: &Repo) -> Result<()> {
        let max = repo.options.max_object;
        self.spool.flush().internal("while storing a push")?;
        let mut spool = self.spool.get_ref();
        let wire = spool.metadata().internal("while storing a push")?.len();
        spool.rewind().internal("while storing a push")?;
        let count = prescan::scan(BufReader::with_capacity(128 << 10, spool), wire, max)?;
        if count == 0 {
            return Ok(());
        }
        spool.rewind().internal("while storing a push")?;
        let (pack, index) = self.index(repo, spool, max)?;
        let _ = durable::remove_tree(&self.folder.join("spool"));
        self.check(&index)?;
        publish(&pack, &index, &repo.objects_dir().join("pack")).internal("while storing a push")
    }

    /// Writes pack and index into the folder of its own, completing a thin pack.
    fn index(&self, repo: &Repo, spool: &File, max: u64) -> Result<(PathBuf, PathBuf)> {
        let known = gix_odb::at(repo.objects_dir(), gix_hash::Kind::Sha1).internal("while storing a push")?;
        let options = gix_pack::bundle::write::Options {
            thread_limit: Some(2),
            alloc_limit_bytes: usize::try_from(max).ok(),
            ..Default::default()
        };
        let timed = Timed { inner: spool, since: Clock::stopwatch() };
        let mut input = BufReader::with_capacity(128 << 10, timed);
        // gix-pack expects some things of a pack that ours may break: a panic there refuses the push.
        let written = std::panic::catch_unwind(AssertUnwindSafe(|| {
            Bundle::write_to_directory(
                &mut input,
                Some(&self.folder.join("pack")),
                &mut gix_features::progress::Discard,
                &AtomicBool::new(false),
                Some(known),
                gix_hash::Kind::Sha1,
                options,
            )
            .map_err(|e| format!("{e:?}"))
        }))
        .unwrap_or_else(|_| Err("the pack reader panicked".to_owned()));
        let outcome = written.or_error(Kind::BadInput, "the pack is broken: its objects cannot be read")?;
        outcome.data_path.zip(outcome.index_path).ok_or_else(|| Error::internal("the pack was not written"))
    }

    fn check(&self, index: &Path) -> Result<()> {
        let odb = Objects::at(&self.folder)?;
        let index = gix_pack::index::File::at(index, gix_hash::Kind::Sha1)
            .map_err(|e| Error::internal("the new index cannot be read").because(format!("{e:?}")))?;
        fsck::check(&odb, index.iter().map(|entry| entry.oid))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Err(error) = durable::remove_tree(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "an incoming pack stays behind until the next start");
        }
    }
}

/// The pack first: an index without its pack would make every reader fail.
fn publish(pack: &Path, index: &Path, into: &Path) -> io::Result<()> {
    for file in [pack, index] {
        File::open(file)?.sync_all()?;
    }
    for file in [pack, index] {
        let Some(name) = file.file_name() else { continue };
        durable::rename_durable(file, &into.join(name))?;
    }
    Ok(())
}

/// Fails once too much time has passed.
struct Timed<R> {
    inner: R,
    since: Instant,
}

impl<R: Read> Read for Timed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since.elapsed() > TIME {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.inner.read(buffer)
    }
}
