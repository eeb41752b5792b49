//! The first look at a pack from outside: walks its entries once, inflating each into nothing, and refuses
//! bombs before anything that allocates by what a pack claims sees it.
use std::collections::HashMap;
use std::io::{self, BufRead, Read};

use flate2::bufread::ZlibDecoder;

use crate::base::{Error, Result};

/// Entries one pack may have.
const ENTRIES: u32 = 500_000;
/// Longest chain of deltas.
const DEPTH: u32 = 4_095;
/// All objects of a pack, written out, may have this many bytes, or [`RATIO`] times the pack's if that is more.
const TOTAL: u64 = 2 << 30;
const RATIO: u64 = 64;

/// Counts what is taken.
struct Counting<R> {
    inner: R,
    at: u64,
}

impl<R: BufRead> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Counting<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }
    fn consume(&mut self, n: usize) {
        self.at += n as u64;
        self.inner.consume(n);
    }
}

fn bad(why: &str) -> Error {
    Error::bad_input(format!("the pack is broken: {why}"))
}

/// Checks the outline of a pack of `wire` bytes whose objects may have at most `max_object` bytes each.
/// Gives the number of objects. Errors: `BadInput`.
pub fn scan(pack: impl BufRead, wire: u64, max_object: u64) -> Result<u32> {
    let mut pack = Counting { inner: pack, at: 0 };
    let mut header = [0u8; 12];
    pack.read_exact(&mut header).map_err(|_| bad("it ends in its header"))?;
    let word = |from: usize| u32::from_be_bytes([header[from], header[from + 1], header[from + 2], header[from + 3]]);
    if &header[..4] != b"PACK" || word(4) != 2 {
        return Err(bad("it does not begin like a pack of version 2"));
    }
    let count = word(8);
    if count > ENTRIES {
        return Err(Error::bad_input(format!("the pack has {count} objects; at most {ENTRIES} are accepted at once")));
    }
    let most = TOTAL.max(wire.saturating_mul(RATIO));
    let mut total = 0u64;
    let mut depths: HashMap<u64, u32> = HashMap::new();
    for _ in 0..count {
        let at = pack.at;
        let (kind, size) = entry_header(&mut pack)?;
        let depth = match kind {
            1..=4 => 0,
            6 => {
                let back = offset(&mut pack)?;
                let base = at.checked_sub(back).filter(|_| back > 0);
                1 + *base.and_then(|base| depths.get(&base)).ok_or_else(|| bad("a delta's base is not in it"))?
            }
            7 => {
                pack.read_exact(&mut [0u8; 20]).map_err(|_| bad("it ends inside an entry"))?;
                1
            }
            _ => return Err(bad("an entry has an unknown type")),
        };
        if depth > DEPTH {
            return Err(Error::bad_input("the pack has a chain of deltas that is too long"));
        }
        depths.insert(at, depth);
        let object = inflate(&mut pack, size, max_object, kind >= 6)?;
        if object > max_object {
            return Err(Error::bad_input(format!("an object has {object} bytes; at most {max_object} are accepted"))
                .hint("Keep large files out of the repository; the app can store them in its data folder."));
        }
        total = total.saturating_add(object);
        if total > most {
            return Err(Error::bad_input(format!("the pack's objects are more than {most} bytes together")));
        }
    }
    pack.read_exact(&mut [0u8; 20]).map_err(|_| bad("it ends before its checksum"))?;
    if pack.at != wire {
        return Err(bad("there are bytes after its checksum"));
    }
    Ok(count)
}

fn byte(pack: &mut impl Read) -> Result<u8> {
    let mut one = [0u8; 1];
    pack.read_exact(&mut one).map_err(|_| bad("it ends inside an entry"))?;
    Ok(one[0])
}

/// Type and size at the head of an entry.
fn entry_header(pack: &mut impl Read) -> Result<(u8, u64)> {
    let first = byte(pack)?;
    let mut size = u64::from(first & 15);
    let (mut shift, mut more) = (4, first & 0x80 != 0);
    while more {
        let next = byte(pack)?;
        if shift > 57 {
            return Err(bad("a size is too long"));
        }
        size |= u64::from(next & 0x7f) << shift;
        shift += 7;
        more = next & 0x80 != 0;
    }
    Ok(((first >> 4) & 7, size))
}

/// How far back the base of a delta begins.
fn offset(pack: &mut impl Read) -> Result<u64> {
    let mut next = byte(pack)?;
    let mut value = u64::from(next & 0x7f);
    for _ in 0..9 {
        if next & 0x80 == 0 {
            return Ok(value);
        }
        next = byte(pack)?;
        let grown =
            value.checked_add(1).and_then(|v| v.checked_mul(128)).ok_or_else(|| bad("an offset is too long"))?;
        value = grown | u64::from(next & 0x7f);
    }
    Err(bad("an offset is too long"))
}

/// Inflates an entry into nothing; gives the size of the object it makes: for a delta, what its head claims.
fn inflate(pack: &mut impl BufRead, declared: u64, max: u64, delta: bool) -> Result<u64> {
    // A delta larger than its largest result cannot be honest.
    if declared > max.saturating_mul(2) || (!delta && declared > max) {
        return Ok(declared.max(max.saturating_add(1)));
    }
    let mut zlib = ZlibDecoder::new(pack);
    let mut buffer = [0u8; 16 << 10];
    let mut head = Vec::with_capacity(32);
    let mut seen = 0u64;
    loop {
        let n = zlib.read(&mut buffer).map_err(|_| bad("an entry does not inflate"))?;
        if n == 0 {
            break;
        }
        let room = 32usize.saturating_sub(head.len()).min(n);
        head.extend_from_slice(&buffer[..room]);
        seen += n as u64;
        if seen > declared {
            return Err(bad("an entry is larger than it says"));
        }
    }
    if seen != declared {
        return Err(bad("an entry is smaller than it says"));
    }
    if !delta {
        return Ok(declared);
    }
    let mut rest = &head[..];
    varint(&mut rest)?;
    varint(&mut rest)
}

fn varint(data: &mut &[u8]) -> Result<u64> {
    let mut value = 0u64;
    for shift in (0..63).step_by(7) {
        let next = byte(data)?;
        value |= u64::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(bad("a delta's size is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan_bytes(bytes: &[u8]) -> Result<u32> {
        scan(bytes, bytes.len() as u64, 1 << 20)
    }

    fn pack(entries: &[Vec<u8>]) -> Vec<u8> {
        let mut out = b"PACK\0\0\0\x02".to_vec();
        out.extend((entries.len() as u32).to_be_bytes());
        entries.iter().for_each(|e| out.extend(e));
        out.extend([0; 20]);
        out
    }

    fn entry(kind: u8, size: usize, body: &[u8]) -> Vec<u8> {
        use std::io::Write as _;
        let mut out = Vec::new();
        super::super::pack_write::entry_header(kind, size as u64, &mut out);
        let mut zlib = flate2::write::ZlibEncoder::new(out, flate2::Compression::fast());
        zlib.write_all(body).unwrap();
        zlib.finish().unwrap()
    }

    #[test]
    fn a_plain_pack_passes() {
        assert_eq!(scan_bytes(&pack(&[entry(3, 5, b"hello"), entry(3, 0, b"")])).unwrap(), 2);
        assert_eq!(scan_bytes(&pack(&[])).unwrap(), 0);
    }

    #[test]
    fn outlines_that_lie() {
        let good = pack(&[entry(3, 5, b"hello")]);
        for cut in 0..good.len() {
            assert!(scan_bytes(&good[..cut]).is_err(), "cut at {cut}");
        }
        assert!(scan_bytes(&[good.clone(), vec![0]].concat()).is_err(), "bytes after the end");
        for (what, entries) in [
            ("too small", vec![entry(3, 6, b"hello")]),
            ("too large", vec![entry(3, 4, b"hello")]),
            ("over the limit", vec![entry(3, 2 << 20, &vec![0; 2 << 20])]),
            ("type 0", vec![entry(0, 5, b"hello")]),
            ("type 5", vec![entry(5, 5, b"hello")]),
            ("offset without base", vec![entry(6, 0, b"")]),
            ("delta to 16 EiB", vec![[entry(7, 11, b""), vec![0; 20]].concat()]),
        ] {
            assert!(scan_bytes(&pack(&entries)).is_err(), "{what}");
        }
        let mut many = pack(&[]);
        many[8..12].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(scan_bytes(&many).is_err(), "too many objects");
    }

    proptest! {
        #[test]
        fn junk_never_panics(junk in proptest::collection::vec(any::<u8>(), 0..400), count in 0u32..5) {
            let mut bytes = b"PACK\0\0\0\x02".to_vec();
            bytes.extend(count.to_be_bytes());
            bytes.extend(junk);
            let _ = scan_bytes(&bytes);
        }
    }
}
