//! Telling SQLite's files from others, by their first bytes.
use std::fs;
use std::io::Read as _;
use std::path::Path;

/// Whether a regular file begins as SQLite databases do.
pub fn is_database(path: &Path) -> bool {
    let mut magic = [0u8; 16];
    fs::symlink_metadata(path).is_ok_and(|m| m.is_file())
        && fs::File::open(path).and_then(|mut f| f.read_exact(&mut magic)).is_ok()
        && &magic == b"SQLite format 3\0"
}

/// `x-wal`, `x-shm`, `x-journal` next to a database `x`: what is read of the database has them in it.
pub fn is_beside_database(path: &Path) -> bool {
    let name = path.to_string_lossy();
    ["-wal", "-shm", "-journal"]
        .iter()
        .any(|end| name.strip_suffix(end).is_some_and(|base| is_database(Path::new(base))))
}
