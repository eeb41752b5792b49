//! Which stored form of a file to send, looked for on the disk: for folders with too many files for an index.
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};

use super::super::compress::{Coding, accept};
use super::cache;
use super::index::{Entry, Form};
use crate::base::fs::open_beneath;

/// The file and those of its compressed siblings that are there. `None` when there is no such regular file inside.
pub fn look(root: &Path, name: &Path, version: &str) -> Option<Entry> {
    let (_, meta) = open(root, name)?;
    let tag = |name: &Path, meta: &Metadata| cache::etag(version, &name.to_string_lossy(), meta);
    let mut forms = Vec::new();
    for coding in Coding::SMALL.into_iter().filter(|_| compressible(name)) {
        let mut sibling = name.as_os_str().to_owned();
        sibling.push(".");
        sibling.push(coding.extension());
        let sibling = PathBuf::from(sibling);
        let Some((_, meta)) = open(root, &sibling) else { continue };
        let (tag, name) = (tag(&sibling, &meta), sibling.to_str()?.to_owned());
        forms.push(Form { coding, name, packed: false, length: meta.len(), tag });
    }
    let (length, modified, tag) = (meta.len(), cache::seconds(&meta), tag(name, &meta));
    Some(Entry { name: name.to_str()?.to_owned(), length, modified, tag, forms })
}

/// The form that a client with these `Accept-Encoding` lines gets; `None`: the file itself.
pub fn form<'a, 'h>(entry: &'a Entry, accepted: impl Iterator<Item = &'h [u8]>) -> Option<&'a Form> {
    let mut offered = [Coding::Gzip; Coding::SMALL.len()];
    let mut count = 0;
    let there = |coding: &Coding| entry.forms.iter().any(|form| form.coding == *coding);
    for (place, coding) in offered.iter_mut().zip(Coding::SMALL.into_iter().filter(there)) {
        (*place, count) = (coding, count + 1);
    }
    let best = accept::best(accepted, &offered[..count])?;
    entry.forms.iter().find(|form| form.coding == best)
}

pub fn open(root: &Path, name: &Path) -> Option<(File, Metadata)> {
    let file = open_beneath(root, name).ok()?;
    let meta = file.metadata().ok()?;
    Some((file, meta))
}

/// Pictures, films and archives have no compressed siblings worth looking for.
fn compressible(name: &Path) -> bool {
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    match kind.type_().as_str() {
        "image" => kind.subtype() == "svg" || kind.subtype() == "bmp" || kind.subtype() == "x-icon",
        "audio" | "video" => name.extension().is_some_and(|e| e == "ts"),
        "application" => !matches!(kind.subtype().as_str(), "zip" | "gzip" | "zstd" | "x-gzip"),
        _ => true,
    }
}
