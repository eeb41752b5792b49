//! Which loader and libraries a program needs: enough of ELF to ask the file itself.
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// What programs we run and native packages ask for; those that exist are made visible.
const LIBRARIES: &[&str] = &[
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libgcc_s.so.1",
    "libstdc++.so.6",
    "libresolv.so.2",
];

/// The dynamic loader named by a 64-bit little-endian ELF file.
/// Errors: `InvalidData` when it is not one, or is statically linked.
pub fn interpreter(program: &Path) -> io::Result<PathBuf> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("{} is not a program", program.display()));
    let mut file = File::open(program)?;
    let mut head = [0u8; 64];
    file.read_exact(&mut head)?;
    if &head[..6] != b"\x7fELF\x02\x01" {
        return Err(bad());
    }
    let u16_at = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    let (size, count) = (usize::from(u16_at(54)), usize::from(u16_at(56)));
    file.seek(SeekFrom::Start(u64_at(&head, 32)))?;
    if size < 56 || count > 256 {
        return Err(bad());
    }
    let mut table = vec![0u8; size * count];
    file.read_exact(&mut table)?;
    let entry = table.chunks_exact(size).find(|e| e[..4] == 3u32.to_le_bytes()).ok_or_else(bad)?;
    let (offset, length) = (u64_at(entry, 8), u64_at(entry, 32).min(4096));
    file.seek(SeekFrom::Start(offset))?;
    let mut name = Vec::new();
    file.take(length).read_to_end(&mut name)?;
    name.retain(|b| *b != 0);
    String::from_utf8(name).map(PathBuf::from).map_err(|_| bad())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |n, b| (n << 8) | u64::from(*b))
}

/// The libraries above, from the folder where this process found its own C library.
pub fn libraries() -> io::Result<Vec<PathBuf>> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let folder = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .map(Path::new)
        .find(|path| path.file_name().is_some_and(|n| n == "libc.so.6"))
        .and_then(Path::parent)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the C library was not found"))?;
    Ok(LIBRARIES.iter().map(|name| folder.join(name)).filter(|path| path.exists()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_names_its_loader() {
        let me = std::env::current_exe().expect("own path");
        let loader = interpreter(&me).expect("an interpreter");
        assert!(loader.exists(), "{} exists", loader.display());
        assert!(libraries().expect("libraries").iter().any(|p| p.ends_with("libc.so.6")));
        assert!(interpreter(Path::new("/proc/self/status")).is_err());
    }
}
