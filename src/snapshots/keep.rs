//! One app's snapshots on disk: taken in from a job's folder, laid out again, thinned out.
//!
//! ```text
//! moments/N.json        what each consists of
//! db/ID/eEPOCH/*.ltx    pages, see `chain`
//! chunks/aa/HASH        the content of other files, compressed, by the hash of what is in them
//! last/                 the newest one's list and sums: what the next one is compared with
//! ```
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::ltx::Reader;
use super::manifest::{Database, MOST_BYTES, Manifest, Plain};
use super::{CHUNK, MANIFEST, chain};
use crate::base::fs::{make_dir, open_plain, remove_tree, rename_durable, sync_dir};
use crate::base::secret::sha256_hex;
use crate::base::{Error, Kind, Result, ResultExt as _};

/// Only ever used by one act at a time: whoever holds the app's turn of snapshots.
#[derive(Clone, Debug)]
pub struct Keep {
    root: PathBuf,
}

impl Keep {
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// What a job compares with. Made when it is not there; readable by every user, inside a folder that is not.
    pub fn last(&self) -> Result<PathBuf> {
        make_dir(&self.root, 0o700).internal("while making the snapshots folder")?;
        let last = self.root.join("last");
        make_dir(&last, 0o755).internal("while making the snapshots folder")?;
        make_dir(&last.join("sums"), 0o755).internal("while making the snapshots folder")?;
        Ok(last)
    }

    /// Takes in what a job wrote to `out`. All of it is held against what the job says of it, synced, and only then
    /// does the moment exist. Returns its list and the bytes it added.
    /// Errors: `App` when the job's folder contradicts itself.
    pub fn adopt(&self, out: &Path) -> Result<(Manifest, u64)> {
        let manifest = read_manifest(&out.join(MANIFEST))?;
        let last = self.last()?;
        let mut added = 0;
        for base in &manifest.databases {
            let from = out.join("db").join(format!("{}.ltx", base.path.id()));
            if base.moment == manifest.moment {
                added += self.adopt_pages(&manifest, base, &from, out)?;
            }
        }
        for hash in manifest.files.iter().flat_map(|file| &file.chunks) {
            added += self.adopt_chunk(hash, &out.join("chunks").join(hash), out)?;
        }
        // The next one may only be compared with what is kept.
        for base in manifest.databases.iter().filter(|base| base.moment == manifest.moment) {
            let id = base.path.id();
            place(out, &out.join("sums").join(&id), &last.join("sums").join(&id), 1 << 33)
                .internal("while keeping a snapshot's sums")?;
        }
        make_dir(&self.root.join("moments"), 0o700).internal("while keeping a snapshot's list")?;
        let list = out.join(MANIFEST);
        let bytes = place(out, &list, &self.moment(manifest.moment), MOST_BYTES)
            .and_then(|bytes| place(out, &list, &last.join(MANIFEST), MOST_BYTES).map(|_| bytes))
            .internal("while keeping a snapshot's list")?;
        Ok((manifest, added + bytes))
    }

    fn adopt_pages(&self, manifest: &Manifest, base: &Database, from: &Path, out: &Path) -> Result<u64> {
        let odd = |why: String| Error::app(format!("the pages of {} contradict its list: {why}", base.path.as_str()));
        let check = || -> io::Result<(u64, u64)> {
            let mut reader = Reader::open(BufReader::new(open_plain(from)?))?;
            let (header, mut page) = (reader.header, Vec::new());
            while reader.next(&mut page)?.is_some() {}
            let told = (base.page_size, base.pages, manifest.moment, manifest.epoch, base.sum);
            let found = (header.page_size, header.commit, header.max, header.node, reader.finish()?);
            if told == found { Ok((header.min, header.max)) } else { Err(io::Error::other(format!("{found:?}"))) }
        };
        let (min, max) = check().map_err(|e| odd(e.to_string()))?;
        let folder = self.database(base, manifest.epoch);
        make_dir(&folder, 0o700).internal("while keeping a database's pages")?;
        let to = folder.join(chain::file_name(min, max));
        let bytes = place(out, from, &to, u64::MAX).internal("while keeping a database's pages")?;
        let links = chain::links(&folder).internal("while looking through a database's pages")?;
        if chain::way(&links, max).is_none() {
            return Err(odd("they go on from pages that are not kept".into()));
        }
        Ok(bytes)
    }

    fn adopt_chunk(&self, hash: &str, from: &Path, out: &Path) -> Result<u64> {
        let to = self.chunk(hash);
        if to.exists() {
            return Ok(0);
        }
        let content = open_plain(from)
            .and_then(unpack)
            .map_err(|e| Error::app(format!("a chunk of a file is missing: {hash}")).because(e))?;
        if sha256_hex(&content) != hash {
            return Err(Error::app(format!("a chunk of a file is not what its name says: {hash}")));
        }
        let folder = to.parent().unwrap_or(&self.root);
        make_dir(folder, 0o700).internal("while keeping a chunk")?;
        place(out, from, &to, CHUNK * 2).internal("while keeping a chunk")
    }

    pub fn manifest(&self, moment: u64) -> Result<Manifest> {
        read_manifest(&self.moment(moment))
    }

    /// Lays a snapshot out in the empty folder `to`, every byte held against its checksum, and synced.
    /// Errors: `Internal` when what is kept is not as it was written: nothing of it may be used.
    pub fn lay(&self, manifest: &Manifest, to: &Path) -> Result<()> {
        for folder in &manifest.folders {
            make_dir(&to.join(folder.path.path()?), 0o700).internal("while laying a folder out")?;
        }
        for base in &manifest.databases {
            let path = to.join(base.path.path()?);
            self.lay_database(manifest, base, &path)?;
            set_mode(&path, base.mode)?;
        }
        for file in &manifest.files {
            let path = to.join(file.path.path()?);
            let told = || format!("while laying {} out", file.path.as_str());
            self.lay_file(file, &path).internal(told())?;
            set_mode(&path, file.mode)?;
        }
        // Inner ones first: one that may not be entered must not stand in the way.
        for folder in manifest.folders.iter().rev() {
            let path = to.join(folder.path.path()?);
            sync_dir(&path).internal("while laying a folder out")?;
            set_mode(&path, folder.mode)?;
        }
        sync_dir(to).internal("while laying a snapshot out")
    }

    /// One database of a snapshot, as a file that must not exist yet.
    pub fn lay_database(&self, manifest: &Manifest, base: &Database, to: &Path) -> Result<()> {
        let told = format!("while laying the database {} out", base.path.as_str());
        let links = chain::links(&self.database(base, manifest.epoch)).internal(told.clone())?;
        let lost = || Error::internal(format!("{told}: its pages of moment {} are not there", base.moment));
        chain::lay(&chain::way(&links, base.moment).ok_or_else(lost)?, to).internal(told.clone())
    }

    fn lay_file(&self, file: &Plain, to: &Path) -> io::Result<()> {
        let mut out = File::create_new(to)?;
        for hash in &file.chunks {
            let content = unpack(File::open(self.chunk(hash))?)?;
            if sha256_hex(&content) != *hash {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("chunk {hash} is another")));
            }
            out.write_all(&content)?;
        }
        out.sync_all()
    }

    /// Drops every moment but these, and what only the dropped ones needed.
    pub fn prune(&self, wanted: &BTreeSet<u64>) -> Result<()> {
        let told = "while dropping old snapshots";
        let mut pages: BTreeMap<PathBuf, BTreeSet<u64>> = BTreeMap::new();
        let mut chunks = HashSet::new();
        for moment in wanted {
            let manifest = self.manifest(*moment)?;
            for base in &manifest.databases {
                pages.entry(self.database(base, manifest.epoch)).or_default().insert(base.moment);
            }
            chunks.extend(manifest.files.into_iter().flat_map(|file| file.chunks));
        }
        // The lists go first: one that is there can be laid out.
        for entry in entries(&self.root.join("moments")).internal(told)? {
            let number = entry.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            if number.is_none_or(|number: u64| !wanted.contains(&number)) {
                fs::remove_file(&entry).internal(told)?;
            }
        }
        for base in entries(&self.root.join("db")).internal(told)? {
            for epoch in entries(&base).internal(told)? {
                match pages.get(&epoch) {
                    Some(moments) => chain::prune(&epoch, moments).internal(told)?,
                    None => remove_tree(&epoch).internal(told)?,
                }
            }
        }
        for folder in entries(&self.root.join("chunks")).internal(told)? {
            for chunk in entries(&folder).internal(told)? {
                if chunk.file_name().and_then(|name| name.to_str()).is_none_or(|name| !chunks.contains(name)) {
                    fs::remove_file(&chunk).internal(told)?;
                }
            }
        }
        Ok(())
    }

    fn moment(&self, moment: u64) -> PathBuf {
        self.root.join("moments").join(format!("{moment}.json"))
    }
    fn database(&self, base: &Database, epoch: u64) -> PathBuf {
        self.root.join("db").join(base.path.id()).join(format!("e{epoch}"))
    }
    fn chunk(&self, hash: &str) -> PathBuf {
        self.root.join("chunks").join(&hash[..2]).join(hash)
    }
}

fn read_manifest(path: &Path) -> Result<Manifest> {
    let told = "while reading a snapshot's list";
    let mut bytes = Vec::new();
    open_plain(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)).internal(told)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Error::new(Kind::TooLarge, "the snapshot's list is too long"));
    }
    Manifest::parse(&bytes)
}

/// A chunk's content, never more than a chunk has.
fn unpack(file: File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    zstd::stream::read::Decoder::new(file)?.take(CHUNK + 1).read_to_end(&mut content)?;
    if content.len() as u64 > CHUNK {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a chunk is longer than chunks are"));
    }
    Ok(content)
}

/// A synced copy of the server's own: what a job wrote stays the job's. Made in the job's folder, which is swept after a
/// crash, and moved into place.
fn place(out: &Path, from: &Path, to: &Path, most: u64) -> io::Result<u64> {
    let part = out.join("part");
    let mut source = open_plain(from)?.take(most);
    let _ = fs::remove_file(&part);
    let mut target = File::create_new(&part)?;
    let bytes = io::copy(&mut source, &mut target)?;
    target.set_permissions(fs::Permissions::from_mode(0o644))?;
    target.sync_all()?;
    rename_durable(&part, to)?;
    Ok(bytes)
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    // Nothing an app wrote gets more than the plain bits.
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o777)).internal("while laying a file out")
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}
