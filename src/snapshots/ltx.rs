//! LTX, version 3: the pages of a database that changed between two moments, in one file that other tools read too
//! (`ltx`, Litestream). A header, pages in order and compressed each by itself, an index of them, checksums.
use std::io::{self, Read, Write};

use crc::{CRC_64_GO_ISO, Crc, Digest, Table};

use crate::base::Millis;

const MAGIC: &[u8; 4] = b"LTX1";
const HEADER: usize = 100;
const TRAILER: usize = 16;
/// A page's frame has its compressed length behind its header.
const SIZED: u16 = 1;
/// Set in every checksum, so that none is zero.
const FLAG: u64 = 1 << 63;
/// SQLite keeps the page that holds this byte for locks and never writes it.
const LOCK_BYTE: u64 = 1 << 30;

static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_GO_ISO);

/// What a file says of itself before its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes: a power of two from 512 to 65536.
    pub page_size: u32,
    /// Pages the database has afterwards.
    pub commit: u32,
    /// The first and last of the moments it spans. From 1 on it is a whole database.
    pub min: u64,
    pub max: u64,
    pub time: Millis,
    /// Checksum of the database before; 0 where it is whole.
    pub pre: u64,
    /// Who wrote it: the app's epoch.
    pub node: u64,
}

impl Header {
    pub fn is_whole(&self) -> bool {
        self.min == 1
    }

    fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, MAGIC);
        put(8, &self.page_size.to_be_bytes());
        put(12, &self.commit.to_be_bytes());
        put(16, &self.min.to_be_bytes());
        put(24, &self.max.to_be_bytes());
        put(32, &self.time.to_be_bytes());
        put(40, &self.pre.to_be_bytes());
        put(72, &self.node.to_be_bytes());
        bytes
    }

    fn parse(bytes: &[u8; HEADER]) -> io::Result<Self> {
        let u32_at = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) << 32 | u64::from(u32_at(at + 4));
        let header = Self {
            page_size: u32_at(8),
            commit: u32_at(12),
            min: u64_at(16),
            max: u64_at(24),
            time: u64_at(32).cast_signed(),
            pre: u64_at(40),
            node: u64_at(72),
        };
        if &bytes[..4] != MAGIC || u32_at(4) != 0 {
            return Err(wrong("it does not begin as an LTX file"));
        }
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> io::Result<()> {
        let sized = self.page_size.is_power_of_two() && (512..=65536).contains(&self.page_size);
        let ordered = 0 < self.min && self.min <= self.max;
        let based = if self.is_whole() { self.pre == 0 } else { self.pre & FLAG != 0 };
        if sized && ordered && based { Ok(()) } else { Err(wrong("its header contradicts itself")) }
    }
}

/// The page that SQLite never writes, counted from 1.
pub fn lock_page(page_size: u32) -> u32 {
    u32::try_from(LOCK_BYTE / u64::from(page_size)).unwrap_or(u32::MAX - 1) + 1
}

/// What one page adds to its database's checksum.
pub fn page_sum(number: u32, data: &[u8]) -> u64 {
    let mut digest = CRC.digest();
    digest.update(&number.to_be_bytes());
    digest.update(data);
    digest.finalize() | FLAG
}

/// A database's checksum from those of its pages, in any order.
pub fn database_sum(pages: impl IntoIterator<Item = u64>) -> u64 {
    pages.into_iter().fold(0, |sum, page| sum ^ page) | FLAG
}

/// Writes one file, pages in ascending order.
pub struct Writer<W> {
    to: W,
    header: Header,
    digest: Digest<'static, u64, Table<16>>,
    index: Vec<(u32, u64, u64)>,
    at: u64,
    packed: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Errors: the header contradicts itself, or it cannot be written.
    pub fn new(to: W, header: Header) -> io::Result<Self> {
        header.check()?;
        let packed = vec![0; lz4_flex::block::get_maximum_output_size(header.page_size as usize)];
        let mut this = Self { to, header, digest: CRC.digest(), index: Vec::new(), at: 0, packed };
        this.put(&header.bytes())?;
        Ok(this)
    }

    /// Errors: out of order or bounds, of another size, or it cannot be written.
    pub fn page(&mut self, number: u32, data: &[u8]) -> io::Result<()> {
        let last = self.index.last().map_or(0, |(number, ..)| *number);
        if number <= last || number > self.header.commit || data.len() != self.header.page_size as usize {
            return Err(wrong(format!("page {number} does not belong there")));
        }
        let began = self.at;
        let length = lz4_flex::block::compress_into(data, &mut self.packed).map_err(io::Error::other)?;
        let mut frame = [0; 10];
        frame[..4].copy_from_slice(&number.to_be_bytes());
        frame[4..6].copy_from_slice(&SIZED.to_be_bytes());
        frame[6..].copy_from_slice(&u32::try_from(length).map_err(io::Error::other)?.to_be_bytes());
        self.put(&frame)?;
        self.to.write_all(&self.packed[..length])?;
        self.digest.update(data);
        self.at += length as u64;
        self.index.push((number, began, self.at - began));
        Ok(())
    }

    /// `post` is the database's checksum with these pages in it.
    pub fn finish(mut self, post: u64) -> io::Result<W> {
        self.put(&[0; 6])?;
        let began = self.at;
        let mut index = Vec::with_capacity(self.index.len() * 8 + 1);
        for (number, at, length) in std::mem::take(&mut self.index) {
            for value in [u64::from(number), at, length] {
                varint(&mut index, value);
            }
        }
        index.push(0);
        self.put(&index)?;
        let length = self.at - began;
        self.put(&length.to_be_bytes())?;
        self.put(&post.to_be_bytes())?;
        let sum = self.digest.clone().finalize() | FLAG;
        self.to.write_all(&sum.to_be_bytes())?;
        Ok(self.to)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)?;
        self.digest.update(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// Reads one file from front to back. Whoever wrote it is not trusted: nothing is taken in that is longer than a page.
pub struct Reader<R> {
    from: R,
    pub header: Header,
    digest: Digest<'static, u64, Table<16>>,
    last: u32,
    packed: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Errors: it is no LTX file, or cannot be read.
    pub fn open(mut from: R) -> io::Result<Self> {
        let mut bytes = [0; HEADER];
        from.read_exact(&mut bytes)?;
        let header = Header::parse(&bytes)?;
        let mut digest = CRC.digest();
        digest.update(&bytes);
        Ok(Self { from, header, digest, last: 0, packed: Vec::new() })
    }

    /// The next page's number, its content in `page`; `None` after the last.
    pub fn next(&mut self, page: &mut Vec<u8>) -> io::Result<Option<u32>> {
        let mut frame = [0; 6];
        self.from.read_exact(&mut frame)?;
        self.digest.update(&frame);
        let number = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
        let flags = u16::from_be_bytes([frame[4], frame[5]]);
        if number == 0 && flags == 0 {
            return Ok(None);
        }
        let skipped = u32::from(self.last + 1 == lock_page(self.header.page_size));
        let follows = !self.header.is_whole() || number == self.last + 1 + skipped;
        if flags != SIZED || number <= self.last || number > self.header.commit || !follows {
            return Err(wrong(format!("page {number} does not belong there")));
        }
        let mut size = [0; 4];
        self.from.read_exact(&mut size)?;
        self.digest.update(&size);
        let (size, page_size) = (u32::from_be_bytes(size) as usize, self.header.page_size as usize);
        if size > lz4_flex::block::get_maximum_output_size(page_size) {
            return Err(wrong(format!("page {number} is larger than a page")));
        }
        self.packed.resize(size, 0);
        self.from.read_exact(&mut self.packed)?;
        page.resize(page_size, 0);
        match lz4_flex::block::decompress_into(&self.packed, page) {
            Ok(length) if length == page_size => {}
            _ => return Err(wrong(format!("page {number} cannot be unpacked"))),
        }
        self.digest.update(page);
        self.last = number;
        Ok(Some(number))
    }

    /// After the last page: the database's checksum afterwards.
    /// Errors: the file is not as it was written.
    pub fn finish(mut self) -> io::Result<u64> {
        // A whole database has all of its pages, but for the one that holds locks.
        let missing = u32::from(self.header.commit == lock_page(self.header.page_size));
        if self.header.is_whole() && self.last + missing < self.header.commit {
            return Err(wrong("pages are missing"));
        }
        let mut rest = Vec::new();
        // A page's entry is at most 5 + 10 + 10 bytes.
        let most = u64::from(self.header.commit) * 25 + 64;
        (&mut self.from).take(most).read_to_end(&mut rest)?;
        let Some(end) = rest.len().checked_sub(TRAILER) else { return Err(wrong("its end is missing")) };
        let (index, trailer) = rest.split_at(end);
        self.digest.update(index);
        self.digest.update(&trailer[..8]);
        let number = |at: usize| trailer[at..at + 8].iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        if self.digest.finalize() | FLAG != number(8) {
            return Err(wrong("its checksum is another"));
        }
        Ok(number(0))
    }
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn wrong(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(min: u64, max: u64, commit: u32) -> Header {
        let pre = if min == 1 { 0 } else { FLAG | 5 };
        Header { page_size: 512, commit, min, max, time: 7, pre, node: 3 }
    }

    fn file(header: Header, pages: &[(u32, u8)]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), header).expect("begins");
        for (number, fill) in pages {
            writer.page(*number, &[*fill; 512]).expect("page");
        }
        writer.finish(FLAG | 9).expect("ends")
    }

    /// Header, pages with the byte that fills each, and the last checksum.
    type Read = (Header, Vec<(u32, u8)>, u64);

    fn read(bytes: &[u8]) -> io::Result<Read> {
        let mut reader = Reader::open(bytes)?;
        let (mut page, mut pages) = (Vec::new(), Vec::new());
        while let Some(number) = reader.next(&mut page)? {
            pages.push((number, page[0]));
        }
        let header = reader.header;
        Ok((header, pages, reader.finish()?))
    }

    #[test]
    fn the_checksum_is_the_one_others_use() {
        // Go's crc64.Checksum([]byte("123456789"), ISO), also the catalogue's check value of CRC-64/GO-ISO.
        assert_eq!(CRC.checksum(b"123456789"), 0xb909_56c7_75a4_1001);
        assert_eq!(lock_page(4096), 262_145);
        assert_eq!(lock_page(65536), 16_385);
    }

    #[test]
    fn pages_have_their_order_and_place() {
        let mut writer = Writer::new(Vec::new(), header(2, 2, 3)).expect("begins");
        writer.page(2, &[0; 512]).expect("page");
        assert!(writer.page(2, &[0; 512]).is_err() && writer.page(4, &[0; 512]).is_err());
        assert!(writer.page(3, &[0; 511]).is_err());
        let gap = file(header(1, 1, 3), &[(1, 1), (3, 3)]);
        assert!(read(&gap).is_err(), "a whole database lacks a page");
        let short = file(header(1, 1, 3), &[(1, 1), (2, 3)]);
        assert!(read(&short).is_err(), "a whole database lacks its last page");
        assert!(Writer::new(Vec::new(), Header { page_size: 1000, ..header(1, 1, 1) }).is_err());
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(numbers in proptest::collection::btree_set(1u32..60, 0..40), fill: u8) {
            let pages: Vec<_> = numbers.into_iter().map(|n| (n, fill)).collect();
            let (head, got, post) = read(&file(header(4, 6, 60), &pages)).expect("reads");
            prop_assert_eq!((head, got, post), (header(4, 6, 60), pages, FLAG | 9));
        }

        #[test]
        fn a_changed_byte_is_noticed(at in 0usize..700, bit in 0u8..8) {
            let mut bytes = file(header(1, 1, 3), &[(1, 1), (2, 2), (3, 3)]);
            let at = at % bytes.len();
            let old = bytes.clone();
            bytes[at] ^= 1 << bit;
            if let Ok(got) = read(&bytes) {
                // Some bytes mean nothing (reserved), and other packings of the same page are as good.
                prop_assert_eq!(got, read(&old).expect("reads"));
            }
        }

        #[test]
        fn any_bytes_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = read(&bytes);
            let mut begun = header(1, 9, 1 << 30).bytes().to_vec();
            begun.extend(bytes);
            let _ = read(&begun);
        }
    }
}
