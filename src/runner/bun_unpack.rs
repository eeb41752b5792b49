//! Unpacking the Bun that a release build carries: once per version, and again when it was damaged.
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::base::{Error, Result};

/// The unpacked program, from `packed` (zstd) whose content has this hash. A stamp of size and times
/// beside it makes later starts cheap; where the stamp does not fit, the whole is read again.
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
    (|| {
        crate::base::fs::make_dir(&folder, 0o755)?;
        let temp = folder.join("bun.tmp");
        let mut file = File::create(&temp)?;
        zstd::stream::copy_decode(packed, &mut file)?;
        file.flush()?;
        file.set_permissions(fs::Permissions::from_mode(0o755))?;
        file.sync_all()?;
        drop(file);
        if hash_of(&temp)? != sha256 {
            return Err(io::Error::other("the unpacked file is damaged"));
        }
        crate::base::fs::rename_durable(&temp, &bun)?;
        write_stamp(&bun, &stamp)
    })()
    .map_err(cannot)?;
    Ok(bun)
}

fn write_stamp(bun: &Path, stamp: &Path) -> io::Result<()> {
    crate::base::fs::write_atomic(stamp, stamp_of(bun).unwrap_or_default().as_bytes(), 0o644)
}

/// Size, mode and times of change; `None` when it is no regular file.
fn stamp_of(path: &Path) -> Option<String> {
    let meta = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(format!("{} {:o} {}.{}", meta.size(), meta.mode(), meta.mtime(), meta.mtime_nsec()))
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
    }
}
