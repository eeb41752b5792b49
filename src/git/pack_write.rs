//! Writing a pack: entries are copied as they lie in stored packs, deltas included, wherever the base is sent
//! too; anything else is deflated anew. No search for deltas, so it streams at the speed of the disk.
use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::path::Path;

use gix_hash::ObjectId;
use gix_object::Kind;

use super::objects::Objects;
use crate::base::{Error, Result, ResultExt as _};

struct Pack {
    data: gix_pack::data::File,
    index: gix_pack::index::File,
    offsets: Vec<u64>,
}

/// Hashes and counts what it passes on.
struct Hashed<'a> {
    out: &'a mut dyn Write,
    hash: gix_hash::Hasher,
    at: u64,
}

impl Hashed<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.at += bytes.len() as u64;
        self.out.write_all(bytes).map_err(gone)
    }
}

/// The reader went away, or the disk is full.
fn gone(e: io::Error) -> Error {
    Error::internal("the pack could not be sent").because(e)
}

/// Where an object lies: pack and offset.
type Place = (usize, u64);

/// Writes `ids`, which are all different, as one pack. `offsets` says whether the reader takes deltas that name
/// their base by offset.
pub(super) fn write(folder: &Path, odb: &Objects, ids: &[ObjectId], offsets: bool, out: &mut dyn Write) -> Result<()> {
    let packs = open(&folder.join("pack"))?;
    // In the order of the packs, so that reading is sequential and every base comes before its deltas.
    let mut order: Vec<(Option<Place>, ObjectId)> = ids.iter().map(|id| (find(&packs, id), *id)).collect();
    order.sort_unstable_by_key(|(place, _)| place.unwrap_or((usize::MAX, 0)));
    let sent: HashSet<ObjectId> = ids.iter().copied().collect();
    let mut out = Hashed { out, hash: gix_hash::hasher(gix_hash::Kind::Sha1), at: 0 };
    let count = u32::try_from(ids.len()).internal("too many objects for one pack")?;
    out.put(b"PACK\0\0\0\x02")?;
    out.put(&count.to_be_bytes())?;
    let mut written: HashMap<Place, u64> = HashMap::with_capacity(ids.len());
    let mut buffer = Vec::new();
    for (place, id) in order {
        let here = out.at;
        if let Some(place) = place {
            written.insert(place, here);
            if offsets && copy(&packs[place.0], place, here, &written, &sent, &mut out)? {
                continue;
            }
        }
        let (kind, data) = odb.read(&id, &mut buffer)?;
        deflate(kind, data, &mut out)?;
    }
    let checksum =
        out.hash.try_finalize().map_err(|e| Error::internal("the pack's checksum").because(e.to_string()))?;
    out.out.write_all(checksum.as_bytes()).map_err(gone)?;
    out.out.flush().map_err(gone)
}

fn open(folder: &Path) -> Result<Vec<Pack>> {
    let mut packs = Vec::new();
    for entry in std::fs::read_dir(folder).internal("while reading the packs")? {
        let path = entry.internal("while reading the packs")?.path();
        if path.extension().is_none_or(|e| e != "idx") {
            continue;
        }
        let broken =
            |e: &dyn std::fmt::Debug| Error::internal("a stored pack cannot be read").because(format!("{e:?}"));
        let index = gix_pack::index::File::at(&path, gix_hash::Kind::Sha1).map_err(|e| broken(&e))?;
        let data =
            gix_pack::data::File::at(path.with_extension("pack"), gix_hash::Kind::Sha1).map_err(|e| broken(&e))?;
        let mut offsets = index.sorted_offsets();
        offsets.push(data.pack_end() as u64);
        packs.push(Pack { data, index, offsets });
    }
    Ok(packs)
}

/// The first pack that has it: with one order for all, chains of deltas across packs cannot be circles.
fn find(packs: &[Pack], id: &ObjectId) -> Option<Place> {
    packs.iter().enumerate().find_map(|(n, p)| p.index.lookup(id).map(|at| (n, p.index.pack_offset_at_index(at))))
}

/// Copies the entry as it is, if the reader can make the object of it.
fn copy(
    pack: &Pack,
    place: Place,
    here: u64,
    written: &HashMap<Place, u64>,
    sent: &HashSet<ObjectId>,
    out: &mut Hashed<'_>,
) -> Result<bool> {
    use gix_pack::data::entry::Header;
    let broken = || Error::internal("a stored pack is broken");
    let (n, offset) = place;
    let end = pack.offsets.get(pack.offsets.partition_point(|o| *o <= offset)).copied().ok_or_else(broken)?;
    let raw = pack.data.entry_slice(offset..end).ok_or_else(broken)?;
    let entry = pack.data.entry(offset).map_err(|e| broken().because(format!("{e:?}")))?;
    match entry.header {
        Header::Commit | Header::Tree | Header::Blob | Header::Tag => out.put(raw)?,
        Header::RefDelta { base_id } if sent.contains(&base_id) => out.put(raw)?,
        Header::OfsDelta { base_distance } => {
            let base = offset.checked_sub(base_distance).ok_or_else(broken)?;
            let Some(base) = written.get(&(n, base)) else { return Ok(false) };
            let mut head = Vec::with_capacity(20);
            entry_header(6, entry.decompressed_size, &mut head);
            distance(here - base, &mut head);
            let body = usize::try_from(entry.data_offset - offset).internal("a pack offset")?;
            out.put(&head)?;
            out.put(raw.get(body..).ok_or_else(broken)?)?;
        }
        Header::RefDelta { .. } => return Ok(false),
    }
    Ok(true)
}

fn deflate(kind: Kind, data: &[u8], out: &mut Hashed<'_>) -> Result<()> {
    let kind = match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let mut packed = Vec::with_capacity(data.len() / 2 + 32);
    entry_header(kind, data.len() as u64, &mut packed);
    let mut zlib = flate2::write::ZlibEncoder::new(packed, flate2::Compression::new(4));
    zlib.write_all(data).internal("while deflating an object")?;
    out.put(&zlib.finish().internal("while deflating an object")?)
}

/// Type and size: four bits, then seven at a time.
pub(super) fn entry_header(kind: u8, size: u64, out: &mut Vec<u8>) {
    let mut byte = (kind << 4) | (size & 15) as u8;
    let mut rest = size >> 4;
    while rest > 0 {
        out.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    out.push(byte);
}

/// A delta's distance to its base, git's way: big end first, each step further counting from one.
fn distance(mut back: u64, out: &mut Vec<u8>) {
    let mut bytes = [0u8; 10];
    let mut at = 9;
    bytes[at] = (back & 0x7f) as u8;
    back >>= 7;
    while back > 0 {
        back -= 1;
        at -= 1;
        bytes[at] = 0x80 | (back & 0x7f) as u8;
        back >>= 7;
    }
    out.extend_from_slice(&bytes[at..]);
}
