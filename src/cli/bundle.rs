//! A folder as one tar.gz for `deploy`: what .gitignore leaves, without git's and packages' folders.
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use ignore::WalkBuilder;

use super::fail::{Done, FAILED, Fail};
use crate::api::wire::{MAX_FILES, MAX_UNPACKED, MAX_UPLOAD};
use crate::base::fs;

/// Never sent: history, installed packages, this folder's link.
const LEFT_OUT: [&str; 3] = [".git", "node_modules", ".steady"];

pub struct Bundle {
    pub archive: Vec<u8>,
    pub files: usize,
    /// Unpacked.
    pub bytes: u64,
    /// What a person should know of, one sentence each.
    pub notes: Vec<String>,
}

/// Errors name the file that cannot be sent.
pub fn pack(dir: &Path) -> Done<Bundle> {
    if !dir.is_dir() {
        return Err(Fail::usage(format!("{} is not a folder", dir.display())));
    }
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let (mut files, mut bytes, mut notes) = (0, 0u64, Vec::new());
    for (inside, path) in listed(dir, &mut notes)? {
        let file = std::fs::File::open(&path).map_err(Fail::io(path.display()))?;
        let meta = file.metadata().map_err(Fail::io(path.display()))?;
        files += 1;
        bytes = bytes.saturating_add(meta.len());
        if files > MAX_FILES || bytes > MAX_UNPACKED {
            return Err(too_large(dir));
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(meta.len());
        header.set_mode(if meta.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 });
        header.set_mtime(0);
        // A file that shrinks while it is read would shift all that follows.
        let body = Exact { input: io::Read::take(file, meta.len()), left: meta.len() };
        builder.append_data(&mut header, &inside, body).map_err(Fail::io(path.display()))?;
        if builder.get_ref().get_ref().len() as u64 > MAX_UPLOAD {
            return Err(too_large(dir));
        }
    }
    if files == 0 {
        return Err(Fail::new(FAILED, format!("there is nothing to deploy in {}", dir.display()))
            .hint("What .gitignore names, .git, .steady and node_modules are left out."));
    }
    let archive = builder.into_inner().and_then(GzEncoder::finish).map_err(Fail::io("the archive"))?;
    if archive.len() as u64 > MAX_UPLOAD {
        return Err(too_large(dir));
    }
    Ok(Bundle { archive, files, bytes, notes })
}

fn too_large(dir: &Path) -> Fail {
    Fail::new(FAILED, format!("{} is too large to deploy", dir.display())).hint(format!(
        "At most {MAX_FILES} files, {} MiB, {} MiB compressed. Name what is not code in .gitignore.",
        MAX_UNPACKED >> 20,
        MAX_UPLOAD >> 20
    ))
}

/// Path in the archive and on disk, sorted.
fn listed(dir: &Path, notes: &mut Vec<String>) -> Done<Vec<(PathBuf, PathBuf)>> {
    let walk = WalkBuilder::new(dir)
        .standard_filters(false)
        .parents(true)
        .git_ignore(true)
        .git_exclude(true)
        .require_git(false)
        .sort_by_file_name(std::ffi::OsStr::cmp)
        .filter_entry(|entry| entry.depth() == 0 || LEFT_OUT.iter().all(|name| entry.file_name() != *name))
        .build();
    let mut all = Vec::new();
    for entry in walk {
        let entry = entry.map_err(|e| Fail::new(FAILED, e.to_string()))?;
        let Ok(inside) = entry.path().strip_prefix(dir) else { continue };
        let Some(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            continue;
        }
        let shown = inside.display();
        if !kind.is_file() {
            notes.push(format!("{shown} is not a plain file and is left out"));
            continue;
        }
        let text = inside.to_str().ok_or_else(|| Fail::new(FAILED, format!("the name of {shown} is not UTF-8")))?;
        fs::confine(text)?;
        if entry.file_name() == ".env" {
            notes.push(format!(
                "{shown} is sent and becomes part of the code; `steady env set` keeps secrets out of it"
            ));
        }
        all.push((inside.to_owned(), entry.into_path()));
        if all.len() > MAX_FILES {
            return Err(too_large(dir));
        }
    }
    Ok(all)
}

/// Fails when the input ends before `left` bytes.
struct Exact<R> {
    input: R,
    left: u64,
}

impl<R: io::Read> io::Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buffer)?;
        if n == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::other("it changed while it was read"));
        }
        self.left = self.left.saturating_sub(n as u64);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn put(root: &Path, path: &str, text: &str, mode: u32) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write_atomic(&path, text.as_bytes(), mode).unwrap();
    }

    fn names(bundle: &Bundle) -> Vec<(String, u32, String)> {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&bundle.archive[..]));
        let mut out = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let path = entry.path().unwrap().display().to_string();
            out.push((path, entry.header().mode().unwrap(), text));
        }
        out
    }

    #[test]
    fn gitignore_is_honoured_with_or_without_a_repository() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        put(root, ".gitignore", "*.log\n/dist\n!keep.log\n", 0o644);
        put(root, "index.ts", "1", 0o644);
        put(root, "bin/run", "2", 0o755);
        put(root, "keep.log", "3", 0o600);
        put(root, ".config/x", "4", 0o644);
        put(root, "sub/.gitignore", "secret\n", 0o644);
        for gone in ["a.log", "dist/x", "sub/secret", "node_modules/x/index.js", "sub/node_modules/y", ".git/config"] {
            put(root, gone, "no", 0o644);
        }
        put(root, ".steady/project.json", "{}", 0o644);
        std::os::unix::fs::symlink("/etc/passwd", root.join("link")).unwrap();
        let bundle = pack(root).unwrap();
        let all = names(&bundle);
        let paths: Vec<&str> = all.iter().map(|(path, ..)| path.as_str()).collect();
        assert_eq!(paths, [".config/x", ".gitignore", "bin/run", "index.ts", "keep.log", "sub/.gitignore"]);
        assert_eq!(all[2], ("bin/run".into(), 0o755, "2".into()));
        assert_eq!(all[4].1, 0o644);
        assert_eq!(bundle.files, 6);
        assert_eq!(bundle.notes, ["link is not a plain file and is left out"]);
    }

    #[test]
    fn nothing_or_no_folder_is_said() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(pack(dir.path()).err().unwrap().code, FAILED);
        assert_eq!(pack(&dir.path().join("no")).err().unwrap().code, super::super::fail::USAGE);
    }

    #[test]
    fn what_is_packed_twice_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "a", "1", 0o644);
        put(dir.path(), ".env", "KEY=1", 0o644);
        let (one, two) = (pack(dir.path()).unwrap(), pack(dir.path()).unwrap());
        assert_eq!(one.archive, two.archive);
        assert!(one.notes[0].starts_with(".env is sent"), "{:?}", one.notes);
    }
}
