//! The job that takes a snapshot: `steady snapshot-home HOME BEFORE OUT MOMENT EPOCH TIME MAX_BYTES`, run in a jail as the
//! app's own user. What it writes to OUT is as untrusted as the app.
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::manifest::{Database, Folder, MOST, Manifest, Name, Plain, Stamp};
use super::scan::{Held, Order};
use super::sums::Sums;
use super::{CHUNK, MANIFEST};
use crate::base::fs::open_plain;
use crate::base::secret::sha256_hex;
use crate::base::sqlite::{is_beside_database, is_database};

/// How long a writer may keep one database to itself before it is left out of the snapshot.
const PATIENCE: Duration = Duration::from_secs(10);
const MAX_DEPTH: u32 = 64;
/// As cheap as can be: what compresses at all does so here.
const LEVEL: i32 = 1;

/// Prints why it failed on standard error: a job's lines are shown to a person.
#[allow(clippy::print_stderr)]
pub fn main(args: &[String]) -> ExitCode {
    let [home, before, out, numbers @ ..] = args else { return usage() };
    let numbers: Vec<u64> = numbers.iter().filter_map(|text| text.parse().ok()).collect();
    let [moment, epoch, time, max] = numbers[..] else { return usage() };
    let order = Order { moment, epoch, time: time.cast_signed(), patience: PATIENCE };
    match take(Path::new(home), Path::new(before), Path::new(out), order, max) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr)]
fn usage() -> ExitCode {
    eprintln!("usage: steady snapshot-home HOME BEFORE OUT MOMENT EPOCH TIME MAX_BYTES");
    ExitCode::from(2)
}

struct Taking<'a> {
    home: &'a Path,
    before: &'a Path,
    out: &'a Path,
    order: Order,
    /// Bytes that may still be read.
    left: u64,
    known: HashMap<Name, Plain>,
    known_databases: HashMap<Name, Database>,
    manifest: Manifest,
    found: Vec<PathBuf>,
}

/// Takes what is in `home`, writing only what `before` (the last snapshot's list and sums; may be empty) does not have:
/// `db/ID.ltx`, `sums/ID`, `chunks/HASH`, and the list of everything.
/// Errors: a sentence for a person, among them the size limit.
pub fn take(home: &Path, before: &Path, out: &Path, order: Order, max: u64) -> Result<(), String> {
    let last = fs::read(before.join(MANIFEST)).ok().and_then(|bytes| Manifest::parse(&bytes).ok()).unwrap_or_default();
    let said = |e: io::Error| format!("the snapshot cannot be written: {e}");
    for folder in ["db", "sums", "chunks"] {
        fs::create_dir_all(out.join(folder)).map_err(said)?;
    }
    let mut taking = Taking {
        home,
        before,
        out,
        order,
        left: max,
        known: last.files.into_iter().map(|file| (file.path.clone(), file)).collect(),
        // Pages of another epoch were written by another owner of the app: not built on.
        known_databases: last
            .databases
            .into_iter()
            .filter(|_| last.epoch == order.epoch)
            .map(|base| (base.path.clone(), base))
            .collect(),
        manifest: Manifest { moment: order.moment, epoch: order.epoch, ..Manifest::default() },
        found: Vec::new(),
    };
    taking.walk(home, 0)?;
    taking.databases()?;
    let json = serde_json::to_vec(&taking.manifest).map_err(|e| e.to_string())?;
    File::create(out.join(MANIFEST)).and_then(|mut file| file.write_all(&json)).map_err(said)
}

impl Taking<'_> {
    fn name(&self, path: &Path) -> Name {
        Name::new(path.strip_prefix(self.home).unwrap_or(path))
    }

    fn note(&mut self, path: &Path, why: &str) {
        let note = format!("{}: {why}", self.name(path).as_str());
        self.manifest.notes.push(note);
    }

    fn spend(&mut self, bytes: u64) -> Result<(), String> {
        self.left = self.left.checked_sub(bytes).ok_or("the data is larger than a snapshot may be")?;
        Ok(())
    }

    /// Links are left out: those to the code are laid anew, others lead to what is taken by its own name.
    fn walk(&mut self, folder: &Path, depth: u32) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("the data is nested deeper than {MAX_DEPTH} folders"));
        }
        let cannot = |e: io::Error| format!("cannot read {}: {e}", folder.display());
        let mut entries: Vec<_> = fs::read_dir(folder).map_err(cannot)?.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            if self.manifest.files.len() + self.manifest.folders.len() + self.found.len() >= MOST {
                return Err(format!("there are more than {MOST} files"));
            }
            // What goes while the app runs is not missed.
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            if meta.is_dir() {
                let mode = meta.permissions().mode() & 0o7777;
                self.manifest.folders.push(Folder { path: self.name(&path), mode });
                self.walk(&path, depth + 1)?;
            } else if meta.is_file() && !is_beside_database(&path) {
                if is_database(&path) {
                    self.found.push(path);
                } else {
                    self.file(&path, &meta)?;
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, meta: &fs::Metadata) -> Result<(), String> {
        let (name, mode) = (self.name(path), meta.permissions().mode() & 0o7777);
        if let Some(known) = self.known.get(&name)
            && known.stamp == stamp(meta)
            && known.bytes == meta.len()
        {
            self.manifest.files.push(Plain { mode, ..known.clone() });
            return Ok(());
        }
        // One that is being written is read once more; what it has then is taken.
        for again in [true, false] {
            let Some((chunks, bytes)) = self.chunks(path)? else { return Ok(()) };
            let Ok(after) = fs::symlink_metadata(path) else { return Ok(()) };
            if again && stamp(&after) != stamp(meta) {
                continue;
            }
            self.manifest.files.push(Plain { path: name, mode, bytes, chunks, stamp: stamp(&after) });
            break;
        }
        Ok(())
    }

    /// The content's chunks, in order; new ones are written. `None` when it is gone, or has become something else.
    fn chunks(&mut self, path: &Path) -> Result<Option<(Vec<String>, u64)>, String> {
        let Ok(file) = open_plain(path) else { return Ok(None) };
        let cannot = |e: io::Error| format!("cannot read {}: {e}", path.display());
        let (mut hashes, mut bytes, mut chunk) = (Vec::new(), 0, Vec::new());
        loop {
            chunk.clear();
            (&file).take(CHUNK).read_to_end(&mut chunk).map_err(cannot)?;
            if chunk.is_empty() {
                return Ok(Some((hashes, bytes)));
            }
            self.spend(chunk.len() as u64)?;
            bytes += chunk.len() as u64;
            let hash = sha256_hex(&chunk);
            let to = self.out.join("chunks").join(&hash);
            if !to.exists() {
                let packed = zstd::bulk::compress(&chunk, LEVEL).map_err(cannot)?;
                File::create(&to).and_then(|mut file| file.write_all(&packed)).map_err(cannot)?;
            }
            hashes.push(hash);
        }
    }

    /// All are held before the first is read.
    fn databases(&mut self) -> Result<(), String> {
        let mut held = Vec::new();
        for path in std::mem::take(&mut self.found) {
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            match Held::begin(&path, self.order.patience) {
                Ok(base) => held.push((path, meta, base)),
                Err(why) => self.note(&path, &why),
            }
        }
        for (path, meta, base) in held {
            let (name, journal) = (self.name(&path), base.journal.clone());
            let id = name.id();
            let before = self.known_databases.get(&name).and_then(|known| {
                let sums = Sums::load(&self.before.join("sums").join(&id))?;
                (sums.moment == known.moment && sums.database() == known.sum).then_some(sums)
            });
            let to = self.out.join("db").join(format!("{id}.ltx"));
            let mut file = File::create(&to).map_err(|e| format!("the snapshot cannot be written: {e}"))?;
            let found = match base.scan(before.as_ref(), self.order, &mut io::BufWriter::new(&mut file)) {
                Ok(found) => found,
                Err(why) => {
                    let _ = fs::remove_file(&to);
                    self.note(&path, &why);
                    continue;
                }
            };
            self.spend(file.metadata().map_or(0, |meta| meta.len()))?;
            let moment = match found.changed {
                Some(_) => {
                    let sums = self.out.join("sums").join(&id);
                    found.sums.save(&sums).map_err(|e| format!("the snapshot cannot be written: {e}"))?;
                    self.order.moment
                }
                None => {
                    let _ = fs::remove_file(&to);
                    before.map_or(self.order.moment, |before| before.moment)
                }
            };
            self.manifest.databases.push(Database {
                path: name,
                moment,
                page_size: found.sums.page_size,
                pages: u32::try_from(found.sums.pages.len()).map_err(|e| e.to_string())?,
                sum: found.sums.database(),
                journal,
                mode: meta.permissions().mode() & 0o7777,
                stamp: stamp(&meta),
            });
        }
        Ok(())
    }
}

fn stamp(meta: &fs::Metadata) -> Stamp {
    let ns = |seconds: i64, ns: i64| seconds.saturating_mul(1_000_000_000).saturating_add(ns);
    Stamp {
        inode: meta.ino(),
        modified_ns: ns(meta.mtime(), meta.mtime_nsec()),
        changed_ns: ns(meta.ctime(), meta.ctime_nsec()),
    }
}
