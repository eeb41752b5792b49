//! Unpacking the Bun that a release build carries: once per version, and again when it was damaged.
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::base::{Error, Result};

/// The unpacked program, from `packed` (zstd, part of this very program or not) whose content has this hash. A stamp of size and times
/// beside it makes later starts cheap; where the stamp does not fit, the whole is read again. What other
/// versions unpacked goes: a Steady that still wants its own unpacks it anew.
/// Errors: `BadInput` naming the folder when it cannot be written.
pub fn unpack(packed: &[u8], sha256: &str, dir: &Path) -> Result<PathBuf> {
    let folder = dir.join(&sha256[..16.min(sha256.len())]);
    let (bun, stamp) = (folder.join("bun"), folder.join("stamp"));
    let cannot = |e: io::Error| {
        Error::bad_input(format!("cannot unpack Bun into {}", folder.display()))
            .because(e)
            .hint("Check the space and the permissions of the data folder.")
    };
    let now = stamp_of(&bun);
    if now.is_some() && fs::read_to_string(&stamp).ok() == now {
        return Ok(bun);
    }
    if now.is_some() && hash_of(&bun).is_ok_and(|hash| hash == sha256) {
        write_stamp(&bun, &stamp).map_err(cannot)?;
        return Ok(bun);
    }
    tracing::info!(to = %bun.display(), "unpacking Bun, once");
    let temp = folder.join("bun.tmp");
    let done = crate::base::fs::make_dir(&folder, 0o755)
        .and_then(|()| write(packed, sha256, &temp))
        .and_then(|()| crate::base::fs::rename_durable(&temp, &bun))
        .and_then(|()| write_stamp(&bun, &stamp));
    if let Err(error) = done {
        // A part of it must not go on filling a full disk.
        let _ = crate::base::fs::remove_tree(&temp);
        return Err(cannot(error));
    }
    remove_others(dir, &folder);
    Ok(bun)
}

/// Bytes that are part of this program, read from its file: through memory they would stay resident, forty
/// megabytes for as long as the server runs. Others are read where they are.
fn reader(bytes: &[u8]) -> Box<dyn io::Read + '_> {
    let own = || {
        let maps = fs::read_to_string("/proc/self/maps").ok()?;
        let offset = offset_in_file(&maps, bytes.as_ptr().addr() as u64, bytes.len() as u64)?;
        let mut file = File::open("/proc/self/exe").ok()?;
        let mut first = [0; 64];
        let first = &mut first[..bytes.len().min(64)];
        file.seek(io::SeekFrom::Start(offset)).and_then(|_| file.read_exact(first)).ok()?;
        (*first == bytes[..first.len()]).then_some(())?;
        file.seek(io::SeekFrom::Start(offset)).ok()?;
        Some(file.take(bytes.len() as u64))
    };
    own().map_or_else(|| Box::new(bytes) as Box<dyn io::Read>, |file| Box::new(file))
}

/// Where in its file the mapping that holds `length` bytes at `address` has them, by `/proc/self/maps`.
fn offset_in_file(maps: &str, address: u64, length: u64) -> Option<u64> {
    maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let (start, end, offset) = (hex(start)?, hex(end)?, hex(fields.nth(1)?)?);
        let is_file = fields.nth(2)?.starts_with('/');
        (is_file && start <= address && address + length <= end).then(|| address - start + offset)
    })
}

fn write(packed: &[u8], sha256: &str, temp: &Path) -> io::Result<()> {
    // A new file: where a link stands, or one that is open elsewhere, nothing is written through it.
    crate::base::fs::remove_tree(temp)?;
    let mut file = File::create_new(temp)?;
    zstd::stream::copy_decode(reader(packed), &mut file)?;
    file.flush()?;
    file.set_permissions(fs::Permissions::from_mode(0o755))?;
    file.sync_all()?;
    drop(file);
    if hash_of(temp)? == sha256 { Ok(()) } else { Err(io::Error::other("the unpacked file is damaged")) }
}

/// About 100 MB each. One that cannot be removed harms nothing.
fn remove_others(dir: &Path, keep: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path != keep
            && let Err(error) = crate::base::fs::remove_tree(&path)
        {
            tracing::warn!(path = %path.display(), %error, "an older Bun was left behind");
        }
    }
}

fn write_stamp(bun: &Path, stamp: &Path) -> io::Result<()> {
    crate::base::fs::write_atomic(stamp, stamp_of(bun).unwrap_or_default().as_bytes(), 0o644)
}

/// What changes with any write to it, even one that sets its time back; `None` when it is no regular file.
fn stamp_of(path: &Path) -> Option<String> {
    let meta = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    let times = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
    Some(format!("{} {} {:o} {times:?}", meta.ino(), meta.size(), meta.mode()))
}

fn hash_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_replaced() {
        let dir = tempfile::tempdir().expect("temp dir");
        let content = b"not really bun".repeat(1000);
        let packed = zstd::encode_all(content.as_slice(), 1).expect("pack");
        let hash = crate::base::secret::sha256_hex(&content);
        let path = unpack(&packed, &hash, dir.path()).expect("first");
        assert_eq!(fs::read(&path).expect("read"), content);
        let before = fs::metadata(&path).expect("meta").ino();
        unpack(&packed, &hash, dir.path()).expect("second");
        assert_eq!(fs::metadata(&path).expect("meta").ino(), before, "not unpacked twice");
        File::create(&path).expect("open").write_all(b"broken").expect("damage");
        unpack(&packed, &hash, dir.path()).expect("third");
        assert_eq!(fs::read(&path).expect("read"), content);
        // Of the same length, and with its old time of change.
        let time = fs::metadata(&path).expect("meta").modified().expect("time");
        let mut file = File::options().write(true).open(&path).expect("open");
        file.write_all(b"NOT").and_then(|()| file.set_modified(time)).expect("damage");
        drop(file);
        unpack(&packed, &hash, dir.path()).expect("fourth");
        assert_eq!(fs::read(&path).expect("read"), content);
    }

    #[test]
    fn a_part_of_this_program_is_read_from_its_file() {
        static PART: [u8; 40] = *b"forty bytes that are in this program too";
        let read = |bytes: &[u8]| {
            let mut out = Vec::new();
            reader(bytes).read_to_end(&mut out).expect("read");
            out
        };
        assert_eq!(read(&PART), PART);
        let elsewhere = b"on the heap".to_vec();
        assert_eq!(read(&elsewhere), elsewhere);
        let maps = "1000-3000 r--p 00000200 fe:01 12  /bin/a b\n3000-4000 rw-p 00000000 00:00 0 \n";
        assert_eq!(offset_in_file(maps, 0x1010, 0x20), Some(0x210));
        for (address, length) in [(0x1010, 0x3000), (0x3010, 1), (0x10, 1)] {
            assert_eq!(offset_in_file(maps, address, length), None, "{address:x}");
        }
    }

    #[test]
    fn another_version_takes_its_place_and_a_failure_leaves_nothing() {
        let dir = tempfile::tempdir().expect("temp dir");
        let pack =
            |content: &[u8]| (zstd::encode_all(content, 1).expect("pack"), crate::base::secret::sha256_hex(content));
        let ((old, old_hash), (new, new_hash)) = (pack(b"old"), pack(b"new"));
        let first = unpack(&old, &old_hash, dir.path()).expect("old");
        let error = unpack(&new[..new.len() - 1], &new_hash, dir.path()).expect_err("cut short");
        assert!(error.public.contains("cannot unpack") && error.hint.is_some(), "{error:?}");
        let error = unpack(&old, &new_hash, dir.path()).expect_err("another content");
        assert!(format!("{error:?}").contains("damaged"), "{error:?}");
        assert!(first.exists() && !dir.path().join(&new_hash[..16]).join("bun.tmp").exists());
        let second = unpack(&new, &new_hash, dir.path()).expect("new");
        assert!(second.exists() && !first.exists());
    }
}
