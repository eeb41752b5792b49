//! What is remembered of a database's pages, so that the next snapshot finds those that changed: sixteen bytes a page.
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::ltx;

const MAGIC: &[u8; 8] = b"steadyS1";

/// One page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sum {
    /// Finds a change: fast.
    find: u64,
    /// Its part in the database's checksum: slower, so made of changed pages only.
    pub part: u64,
}

impl Sum {
    /// The same sum when the page has not changed.
    pub fn of(number: u32, data: &[u8], before: Option<Self>) -> Self {
        let find = xxh3_64(data);
        match before {
            Some(before) if before.find == find => before,
            _ => Self { find, part: ltx::page_sum(number, data) },
        }
    }
}

/// All pages of one database at one moment. The page that SQLite never writes counts as nothing.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Sums {
    /// Bytes.
    pub page_size: u32,
    /// The moment they are of.
    pub moment: u64,
    pub pages: Vec<Sum>,
}

impl Sums {
    pub fn database(&self) -> u64 {
        ltx::database_sum(self.pages.iter().map(|page| page.part))
    }

    pub fn save(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(MAGIC)?;
        file.write_all(&self.page_size.to_le_bytes())?;
        file.write_all(&self.moment.to_le_bytes())?;
        for page in &self.pages {
            file.write_all(&page.find.to_le_bytes())?;
            file.write_all(&page.part.to_le_bytes())?;
        }
        file.flush()
    }

    /// `None` when there are none, or none that can be read: then the next snapshot is a whole one.
    pub fn load(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let pages = file.metadata().ok()?.len().checked_sub(20)? / 16;
        let mut file = BufReader::new(file);
        let (mut magic, mut size, mut word) = ([0; 8], [0; 4], [0; 8]);
        file.read_exact(&mut magic).ok()?;
        file.read_exact(&mut size).ok()?;
        file.read_exact(&mut word).ok()?;
        let moment = u64::from_le_bytes(word);
        let mut next = || {
            file.read_exact(&mut word).ok()?;
            Some(u64::from_le_bytes(word))
        };
        let pages = (0..pages).map(|_| Some(Sum { find: next()?, part: next()? })).collect::<Option<_>>()?;
        (&magic == MAGIC).then_some(Self { page_size: u32::from_le_bytes(size), moment, pages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_back_and_broken_ones_do_not() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("sums");
        let pages = (1..=5).map(|n| Sum::of(n, &[n as u8; 512], None)).collect();
        let sums = Sums { page_size: 512, moment: 9, pages };
        sums.save(&path).expect("save");
        assert_eq!(Sums::load(&path), Some(sums.clone()));
        let bytes = std::fs::read(&path).expect("read");
        File::create(&path).and_then(|mut f| f.write_all(&bytes[1..])).expect("write");
        assert_eq!(Sums::load(&path), None);
        assert_eq!(Sums::load(&dir.path().join("none")), None);
    }

    #[test]
    fn a_page_that_stays_keeps_its_sum() {
        let before = Sum::of(3, &[1; 512], None);
        assert_eq!(Sum::of(3, &[1; 512], Some(before)), before);
        assert_ne!(Sum::of(3, &[2; 512], Some(before)), before);
    }
}
