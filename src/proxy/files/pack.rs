//! Compresses the files of a folder once, so that every visitor gets them small and nobody waits for it; and takes the
//! hashes that their tags are made of.
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::super::compress::{Coding, kind};
use super::index::{Entry, Form};
use super::walk::{siblings, walk};
use super::{cache, choose, content_type};
use crate::base::fs::{make_dir, write_atomic};
use crate::base::{Clock, Result, ResultExt as _};

/// What it may take. Files beyond it are compressed when they are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// From the beginning to the last file begun.
    pub time: Duration,
    /// Bytes of compressed files.
    pub bytes: u64,
}

/// Bytes. Smaller files hardly shrink; larger ones would take more memory and time than they are worth here.
const WORTH: std::ops::RangeInclusive<u64> = 1024..=(8 << 20);
/// Bytes up to which a file gets the slowest levels: they take a second for every half a MiB.
const SLOWEST: usize = 64 << 10;
const LIST: &str = "files.json";

/// Packs the files of `root` into the folder `into`, which must not exist. Returns how many bytes that takes; `None`
/// when it was told to stop, or when there is nothing to gain because no index is kept of so many files.
/// Errors: `Internal` when something cannot be read or written.
pub fn pack(root: &Path, into: &Path, budget: Budget, stop: &dyn Fn() -> bool) -> Result<Option<u64>> {
    let Some(files) = walk(root) else { return Ok(None) };
    make_dir(into, 0o700).internal("while making a folder for packed files")?;
    let begun = Clock::stopwatch();
    let mut entries: Vec<Entry> = Vec::with_capacity(files.len());
    for (name, meta) in &files {
        if stop() {
            return Ok(None);
        }
        let tag = hash(root, name)?;
        entries.push(Entry {
            name: name.clone(),
            length: meta.len(),
            modified: cache::seconds(meta),
            tag: format!("\"{tag}\""),
            forms: vec![],
        });
    }
    for n in 0..entries.len() {
        let own = siblings(&files, &entries[n].name).map(|(form, _)| form);
        let tagged = own.map(|form| {
            let at = entries.binary_search_by(|entry| entry.name.cmp(&form.name));
            Form { tag: at.map_or_else(|_| String::new(), |at| entries[at].tag.clone()), ..form }
        });
        entries[n].forms = tagged.collect();
    }
    // The small ones first: most files then have their turn.
    let mut order: Vec<usize> = (0..entries.len()).filter(|n| is_worth(&entries[*n])).collect();
    order.sort_by_key(|n| entries[*n].length);
    let mut total = 0;
    for n in order {
        if stop() {
            return Ok(None);
        }
        if begun.elapsed() > budget.time || total > budget.bytes {
            break;
        }
        let plain = read_file(root, &entries[n].name)?;
        for coding in Coding::SMALL {
            let entry = &mut entries[n];
            if entry.forms.iter().any(|form| form.coding == coding) {
                continue;
            }
            let small = smallest(coding, &plain).internal("while packing a file")?;
            if small.len() + small.len() / 20 >= plain.len() {
                continue;
            }
            let name = format!("{n}.{}", coding.extension());
            write(&into.join(&name), &small)?;
            total += small.len() as u64;
            let tag = format!("{}-{}\"", entry.tag.trim_end_matches('"'), coding.extension());
            entry.forms.push(Form { coding, name, packed: true, length: small.len() as u64, tag });
        }
    }
    let list = serde_json::to_vec(&entries).internal("while listing packed files")?;
    // The last one written: a folder without it counts as nothing.
    write_atomic(&into.join(LIST), &list, 0o600).internal("while listing packed files")?;
    Ok(Some(total + list.len() as u64))
}

/// The files of which a packed folder tells; `None` where there is none.
pub(super) fn read(packed: &Path) -> Option<Vec<Entry>> {
    let list = fs::read(packed.join(LIST)).ok()?;
    let read = serde_json::from_slice(&list);
    read.inspect_err(|error| tracing::warn!(%error, path = %packed.display(), "packed files cannot be used")).ok()
}

fn is_worth(entry: &Entry) -> bool {
    WORTH.contains(&entry.length) && kind::shrinks(content_type(Path::new(&entry.name)).as_bytes())
}

fn hash(root: &Path, name: &str) -> Result<String> {
    let Some((mut file, _)) = choose::open(root, Path::new(name)) else { return Ok(String::new()) };
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut piece).internal("while reading a static file")? {
            0 => return Ok(hex::encode(&hash.finalize()[..12])),
            n => hash.update(&piece[..n]),
        }
    }
}

fn read_file(root: &Path, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some((file, _)) = choose::open(root, Path::new(name)) {
        file.take(*WORTH.end()).read_to_end(&mut bytes).internal("while reading a static file")?;
    }
    Ok(bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    // In a folder that counts as nothing until its list is there.
    fs::File::create_new(path).and_then(|mut file| file.write_all(bytes)).internal("while writing a packed file")
}

fn smallest(coding: Coding, plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let small = plain.len() <= SLOWEST;
    match coding {
        Coding::Brotli => {
            let quality = if small { 11 } else { 9 };
            let mut writer = brotli::CompressorWriter::new(Vec::new(), 64 << 10, quality, 22);
            writer.write_all(plain)?;
            Ok(writer.into_inner())
        }
        Coding::Zstd => zstd::bulk::compress(plain, if small { 19 } else { 12 }),
        Coding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(plain)?;
            encoder.finish()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::compress::encode::tests::decode;
    use super::*;

    const BUDGET: Budget = Budget { time: Duration::from_secs(60), bytes: 1 << 20 };

    #[allow(clippy::disallowed_methods)] // a test's own folder
    fn put(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn files_are_packed_into_forms_that_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let (root, into) = (dir.path().join("root"), dir.path().join("packed"));
        let page = "<p>a line of a page</p>\n".repeat(200);
        put(&root, "index.html", &page);
        put(&root, "copy/index.html", &page);
        put(&root, "small.css", "p {}");
        put(&root, "own.js", &page);
        put(&root, "own.js.br", "made by the project");
        put(&root, "picture.png", &page);
        put(&root, ".env", "SECRET");
        let bytes = pack(&root, &into, BUDGET, &|| false).unwrap().unwrap();
        assert!(bytes > 0 && bytes < 10_000, "{bytes}");
        let entries = read(&into).unwrap();
        let named = |name: &str| entries.iter().find(|entry| entry.name == name).unwrap();
        let codings = |name: &str| named(name).forms.iter().map(|form| form.coding).collect::<Vec<_>>();
        assert_eq!(codings("index.html"), Coding::SMALL);
        for form in &named("index.html").forms {
            let small = fs::read(into.join(&form.name)).unwrap();
            assert_eq!(decode(form.coding, &small), (page.clone().into_bytes(), true));
            assert_eq!(form.length, small.len() as u64);
            assert!(form.tag.starts_with(named("index.html").tag.trim_end_matches('"')) && form.tag.ends_with('"'));
        }
        assert_eq!(named("index.html").tag, named("copy/index.html").tag, "the tag is of the content");
        assert_eq!((codings("small.css"), codings("picture.png")), (vec![], vec![]));
        let own = &named("own.js").forms;
        assert_eq!((own.len(), own[0].name.as_str(), own[0].packed), (3, "own.js.br", false));
        assert_eq!(own[0].tag, named("own.js.br").tag);
        assert!(entries.iter().all(|entry| entry.name != ".env"));
    }

    #[test]
    fn what_is_stopped_or_over_its_budget_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        put(&root, "a.html", &"<p>a line</p>".repeat(1000));
        let into = dir.path().join("stopped");
        assert_eq!(pack(&root, &into, BUDGET, &|| true).unwrap(), None);
        assert!(read(&into).is_none());
        let none = Budget { bytes: 0, time: Duration::ZERO };
        let into = dir.path().join("none");
        assert!(pack(&root, &into, none, &|| false).unwrap().is_some());
        assert!(read(&into).unwrap()[0].forms.len() <= 3);
    }
}
