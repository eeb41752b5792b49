//! Reading objects in Rust: what the wire's side of this module uses instead of libgit2.
use std::collections::HashMap;
use std::path::Path;

use gix_hash::{ObjectId, oid};
use gix_object::{Exists as _, Find as _, FindHeader as _, Kind};

use super::Oid;
use crate::base::{Error, Result, ResultExt as _};

/// Bytes of decoded objects kept for delta chains.
const CACHE: usize = 32 << 20;

/// A reader of one `objects` folder and its alternates.
pub(super) struct Objects {
    handle: gix_odb::Handle,
}

/// What a commit or tag points to.
pub(super) struct Commit {
    pub(super) tree: ObjectId,
    pub(super) parents: Vec<ObjectId>,
    /// Seconds.
    pub(super) time: i64,
}

impl Objects {
    pub(super) fn at(objects: &Path) -> Result<Self> {
        let mut handle = gix_odb::at(objects, gix_hash::Kind::Sha1).internal("while opening the objects")?;
        handle.ignore_replacements = true;
        handle.prevent_pack_unload();
        handle.set_pack_cache(|| Box::new(Cache::default()));
        Ok(Self { handle })
    }

    pub(super) fn exists(&self, id: &oid) -> bool {
        self.handle.exists(id)
    }

    /// `None` when it is missing.
    pub(super) fn kind(&self, id: &oid) -> Result<Option<Kind>> {
        let header = self.handle.try_header(id).map_err(broken)?;
        Ok(header.map(|h| h.kind))
    }

    /// Reads a whole object into `buffer`. Errors: `BadInput` when it is missing.
    pub(super) fn read<'a>(&self, id: &oid, buffer: &'a mut Vec<u8>) -> Result<(Kind, &'a [u8])> {
        let found = self.handle.try_find(id, buffer).map_err(broken)?;
        let data = found.ok_or_else(|| Error::bad_input(format!("object {id} is missing")))?;
        Ok((data.kind, data.data))
    }
}

fn broken(e: impl std::fmt::Display) -> Error {
    Error::internal("an object cannot be read").because(e.to_string())
}

pub(super) fn to_gix(id: Oid) -> ObjectId {
    ObjectId::from_bytes_or_panic(id.as_bytes())
}

/// Errors: never for a SHA-1 id.
pub(super) fn to_git2(id: &oid) -> Result<Oid> {
    Oid::from_bytes(id.as_bytes()).internal("an object id has the wrong length")
}

/// Takes a commit apart. Errors: `BadInput` when it is not one.
pub(super) fn parse_commit(data: &[u8]) -> Result<Commit> {
    let bad = || Error::bad_input("a commit is malformed");
    let mut lines = data.split(|b| *b == b'\n');
    let tree = lines.next().and_then(|l| l.strip_prefix(b"tree ")).and_then(hex_id).ok_or_else(bad)?;
    let mut parents = Vec::new();
    let mut time = 0;
    for line in lines {
        if let Some(parent) = line.strip_prefix(b"parent ") {
            parents.push(hex_id(parent).ok_or_else(bad)?);
        } else if line.starts_with(b"committer ") {
            let mut words = line.rsplit(|b| *b == b' ').skip(1);
            let seconds = words.next().and_then(|w| std::str::from_utf8(w).ok());
            time = seconds.and_then(|s| s.parse().ok()).unwrap_or(0);
        } else if line.is_empty() {
            break;
        }
    }
    Ok(Commit { tree, parents, time })
}

/// What a tag names. Errors: `BadInput` when it is not one.
pub(super) fn parse_tag(data: &[u8]) -> Result<ObjectId> {
    let line = data.split(|b| *b == b'\n').next();
    line.and_then(|l| l.strip_prefix(b"object ")).and_then(hex_id).ok_or_else(|| Error::bad_input("a tag is malformed"))
}

fn hex_id(hex: &[u8]) -> Option<ObjectId> {
    (hex.len() == 40).then(|| ObjectId::from_hex(hex).ok()).flatten()
}

/// One entry of a tree.
pub(super) struct TreeEntry<'a> {
    pub(super) mode: u32,
    pub(super) name: &'a [u8],
    pub(super) id: ObjectId,
}

/// Takes a tree apart; an `Err` ends it.
pub(super) fn tree_entries(mut data: &[u8]) -> impl Iterator<Item = Result<TreeEntry<'_>>> {
    std::iter::from_fn(move || {
        if data.is_empty() {
            return None;
        }
        let parsed = (|| {
            let space = data.iter().take(8).position(|b| *b == b' ')?;
            let mode = data[..space].iter().try_fold(0u32, |mode, b| match b {
                b'0'..=b'7' => Some(mode * 8 + u32::from(b - b'0')),
                _ => None,
            })?;
            let rest = &data[space + 1..];
            let nul = rest.iter().position(|b| *b == 0)?;
            let id = rest.get(nul + 1..nul + 21)?;
            Some((TreeEntry { mode, name: &rest[..nul], id: ObjectId::from_bytes_or_panic(id) }, &rest[nul + 21..]))
        })();
        match parsed {
            Some((entry, rest)) => {
                data = rest;
                Some(Ok(entry))
            }
            None => {
                data = &[];
                Some(Err(Error::bad_input("a tree is malformed")))
            }
        }
    })
}

/// Decoded bases of delta chains, forgotten all at once when there are too many.
#[derive(Default)]
struct Cache {
    /// By pack and offset.
    map: HashMap<(u32, u64), Decoded>,
    bytes: usize,
}

struct Decoded {
    data: Vec<u8>,
    kind: Kind,
    compressed: usize,
}

impl gix_pack::cache::DecodeEntry for Cache {
    fn put(&mut self, pack: u32, offset: u64, data: &[u8], kind: Kind, compressed: usize) {
        if data.len() > CACHE / 8 {
            return;
        }
        if self.bytes + data.len() > CACHE {
            self.map.clear();
            self.bytes = 0;
        }
        self.bytes += data.len();
        self.map.insert((pack, offset), Decoded { data: data.to_vec(), kind, compressed });
    }

    fn get(&mut self, pack: u32, offset: u64, out: &mut Vec<u8>) -> Option<(Kind, usize)> {
        let found = self.map.get(&(pack, offset))?;
        out.clear();
        out.extend_from_slice(&found.data);
        Some((found.kind, found.compressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn junk_never_panics(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_commit(&data);
            let _ = parse_tag(&data);
            prop_assert!(tree_entries(&data).count() <= data.len());
        }
    }

    #[test]
    fn a_commit_is_taken_apart() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let text = format!("tree {id}\nparent {id}\nauthor A <a> 5 +0000\ncommitter B <b> 77 +0100\n\nparent no\n");
        let commit = parse_commit(text.as_bytes()).unwrap();
        assert_eq!((commit.parents.len(), commit.time, commit.tree.to_string().as_str()), (1, 77, id));
    }
}
