//! The LTX files of one database, and the way through them to a moment: a whole database and what changed since.
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::ltx::{self, Header, Reader, Writer};
use crate::base::fs::{rename_durable, sync_dir};

/// One file, by its name and its two ends.
#[derive(Clone, Debug)]
pub struct Link {
    pub path: PathBuf,
    pub header: Header,
    /// Checksum of the database with it.
    pub post: u64,
}

/// `0000000000000007-0000000000000009.ltx`
pub fn file_name(min: u64, max: u64) -> String {
    format!("{min:016x}-{max:016x}.ltx")
}

/// All links in a folder; what cannot be read is none.
pub fn links(folder: &Path) -> io::Result<Vec<Link>> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut links = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "ltx") {
            links.push(ends(path)?);
        }
    }
    links.sort_by_key(|link| (link.header.max, link.header.min));
    Ok(links)
}

fn ends(path: PathBuf) -> io::Result<Link> {
    let mut file = File::open(&path)?;
    let header = Reader::open(&mut file)?.header;
    let mut post = [0; 8];
    file.seek(SeekFrom::End(-16))?;
    file.read_exact(&mut post)?;
    Ok(Link { path, header, post: u64::from_be_bytes(post) })
}

/// The way to `moment`, a whole database first: each next link begins where the one before it ended.
/// `None` when there is none.
pub fn way(links: &[Link], moment: u64) -> Option<Vec<&Link>> {
    let mut at = links.iter().rev().filter(|link| link.header.max == moment).min_by_key(|link| link.header.min)?;
    let mut way = vec![at];
    while !at.header.is_whole() {
        let fits = |link: &&Link| link.header.max < at.header.min && link.post == at.header.pre;
        at = links.iter().rev().filter(fits).max_by_key(|link| link.header.max)?;
        way.push(at);
    }
    way.reverse();
    Some(way)
}

/// Lays a database out from the links of its way, and holds it against the checksum they end with.
/// Errors: a link is not as it was written, or the whole is not.
pub fn lay(way: &[&Link], to: &Path) -> io::Result<()> {
    let file = File::options().read(true).write(true).create_new(true).open(to)?;
    let mut last = None;
    for link in way {
        let mut reader = Reader::open(BufReader::new(File::open(&link.path)?))?;
        let (header, mut page) = (reader.header, Vec::new());
        let size = u64::from(header.page_size);
        while let Some(number) = reader.next(&mut page)? {
            file.write_all_at(&page, u64::from(number - 1) * size)?;
        }
        file.set_len(u64::from(header.commit) * size)?;
        last = Some((header, reader.finish()?));
    }
    let Some((header, post)) = last else { return Err(io::Error::other("there is nothing to lay out")) };
    if sum_of(&file, header.page_size, header.commit)? != post {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the database laid out has another checksum"));
    }
    file.sync_all()
}

/// The checksum of a database file.
pub fn sum_of(file: &File, page_size: u32, pages: u32) -> io::Result<u64> {
    let mut from = BufReader::with_capacity(1 << 20, file);
    from.rewind()?;
    let (mut page, locks) = (vec![0; page_size as usize], ltx::lock_page(page_size));
    let mut sums = Vec::with_capacity(pages as usize);
    for number in 1..=pages {
        from.read_exact(&mut page)?;
        sums.push(if number == locks { 0 } else { ltx::page_sum(number, &page) });
    }
    Ok(ltx::database_sum(sums))
}

/// Removes what leads to none of the `wanted` moments. A link that only leads on to the next is merged into that one,
/// written whole before the two it replaces go.
pub fn prune(folder: &Path, wanted: &BTreeSet<u64>) -> io::Result<()> {
    loop {
        let all = links(folder)?;
        let ways: Vec<Vec<&Link>> = wanted.iter().filter_map(|moment| way(&all, *moment)).collect();
        let needed: BTreeSet<&Path> = ways.iter().flatten().map(|link| link.path.as_path()).collect();
        for link in &all {
            if !needed.contains(link.path.as_path()) {
                fs::remove_file(&link.path)?;
            }
        }
        let next = ways.iter().find_map(|way| {
            way.windows(2).find_map(|pair| {
                let [first, second] = *pair else { return None };
                let mut others = ways.iter().filter_map(|other| after(other, first));
                let alone = !wanted.contains(&first.header.max) && others.all(|next| next.path == second.path);
                alone.then(|| (first.clone(), second.clone()))
            })
        });
        let Some((first, second)) = next else { return sync_dir(folder) };
        merge(folder, &first, &second)?;
    }
}

/// What comes after `link` on a way that leads over it.
fn after<'a>(way: &[&'a Link], link: &Link) -> Option<&'a Link> {
    let at = way.iter().position(|other| other.path == link.path)?;
    way.get(at + 1).copied()
}

fn merge(folder: &Path, first: &Link, second: &Link) -> io::Result<()> {
    let header = Header { min: first.header.min, pre: first.header.pre, ..second.header };
    let part = folder.join("merging.part");
    let mut writer = Writer::new(BufWriter::new(File::create(&part)?), header)?;
    let open = |link: &Link| Reader::open(BufReader::new(File::open(&link.path)?));
    let (mut old, mut new) = (open(first)?, open(second)?);
    let (mut old_page, mut new_page) = (Vec::new(), Vec::new());
    let (mut old_at, mut new_at) = (old.next(&mut old_page)?, new.next(&mut new_page)?);
    loop {
        match (old_at, new_at) {
            // Newer pages win; those the database has lost since are left out.
            (Some(old_number), new_number) if new_number.is_none_or(|new_number| old_number < new_number) => {
                if old_number <= header.commit {
                    writer.page(old_number, &old_page)?;
                }
                old_at = old.next(&mut old_page)?;
            }
            (old_number, Some(new_number)) => {
                writer.page(new_number, &new_page)?;
                if old_number == Some(new_number) {
                    old_at = old.next(&mut old_page)?;
                }
                new_at = new.next(&mut new_page)?;
            }
            (_, None) => break,
        }
    }
    old.finish()?;
    let post = new.finish()?;
    let mut file = writer.finish(post)?;
    file.flush()?;
    file.get_ref().sync_all()?;
    rename_durable(&part, &folder.join(file_name(header.min, header.max)))?;
    for link in [first, second] {
        if link.path != folder.join(file_name(header.min, header.max)) {
            fs::remove_file(&link.path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::snapshots::sums::{Sum, Sums};

    /// Writes the state as the next link of the chain, as a scan would.
    fn add(folder: &Path, before: &Sums, state: &[u8], moment: u64, whole: bool) -> Sums {
        let pages: Vec<[u8; 512]> = state.iter().map(|fill| [*fill; 512]).collect();
        let sums = Sums {
            page_size: 512,
            moment,
            pages: pages.iter().zip(1u32..).map(|(page, n)| Sum::of(n, page, None)).collect(),
        };
        let (min, pre) = if whole { (1, 0) } else { (moment, before.database()) };
        let header = Header { page_size: 512, commit: state.len() as u32, min, max: moment, time: 0, pre, node: 1 };
        let file = File::create(folder.join(file_name(min, moment))).expect("file");
        let mut writer = Writer::new(file, header).expect("begins");
        for (page, number) in pages.iter().zip(1u32..) {
            if whole || before.pages.get(number as usize - 1) != Some(&sums.pages[number as usize - 1]) {
                writer.page(number, page).expect("page");
            }
        }
        writer.finish(sums.database()).expect("ends");
        sums
    }

    fn laid(folder: &Path, moment: u64) -> Option<Vec<u8>> {
        let all = links(folder).expect("links");
        let to = folder.join("laid");
        let _ = fs::remove_file(&to);
        lay(&way(&all, moment)?, &to).expect("lays");
        Some(fs::read(&to).expect("read").chunks(512).map(|page| page[0]).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever is dropped in whatever order, the moments that are kept come back as they were.
        #[test]
        fn kept_moments_come_back(
            states in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 1..12), any::<bool>()), 1..10),
            drops in proptest::collection::vec(0usize..10, 0..8),
        ) {
            let dir = tempfile::tempdir().expect("temp dir");
            let mut before = Sums::default();
            let mut wanted = BTreeSet::new();
            for ((state, whole), moment) in states.iter().zip(1u64..) {
                before = add(dir.path(), &before, state, moment, moment == 1 || *whole);
                wanted.insert(moment);
            }
            for drop in drops {
                wanted.remove(&(drop as u64 + 1));
                prune(dir.path(), &wanted).expect("prunes");
                for moment in &wanted {
                    let state = laid(dir.path(), *moment);
                    prop_assert_eq!(state.as_ref(), Some(&states[*moment as usize - 1].0));
                }
                prop_assert!(links(dir.path()).expect("links").len() <= wanted.len());
            }
        }
    }

    #[test]
    fn a_changed_file_is_refused() {
        let dir = tempfile::tempdir().expect("temp dir");
        let first = add(dir.path(), &Sums::default(), &[1, 2, 3], 1, true);
        add(dir.path(), &first, &[1, 9, 3], 2, false);
        let path = dir.path().join(file_name(2, 2));
        let mut bytes = fs::read(&path).expect("read");
        let middle = bytes.len() / 3;
        bytes[middle] ^= 1;
        File::create(&path).and_then(|mut file| file.write_all(&bytes)).expect("write");
        let all = links(dir.path()).expect("links");
        assert!(lay(&way(&all, 2).expect("a way"), &dir.path().join("laid")).is_err());
        assert!(lay(&way(&all, 1).expect("a way"), &dir.path().join("first")).is_ok());
    }
}
