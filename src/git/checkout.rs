//! Writing a commit's files into a folder. Trees are hostile: every file is created by descriptor, below a
//! folder this made itself, and links come last so that nothing is ever written through one.
use std::ffi::CString;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::tree::{DEPTH, EXECUTABLE, FOLDER, LINK, SUBMODULE};
use super::{CheckoutLimits, CheckoutReport, Oid, Repo};
use crate::base::{Error, Kind, Result, ResultExt as _};

/// Notes kept at most; the rest is counted.
const NOTES: usize = 50;
/// Longest link target, in bytes.
const TARGET: usize = 1024;

struct Export<'a> {
    repo: &'a Repo,
    odb: git2::Odb<'a>,
    limits: CheckoutLimits,
    report: CheckoutReport,
    links: Vec<Link>,
    /// Files, links and folders met so far.
    entries: u64,
}

struct Link {
    /// Relative to the root.
    folder: PathBuf,
    name: CString,
    target: Vec<u8>,
}

impl Repo {
    /// Writes a commit's files below `into` (which exists and is empty), following no link, running no filter.
    /// Errors: `TooLarge` past a limit. Not synced: a checkout can be made again.
    pub fn checkout(&self, commit: Oid, into: &Path, limits: CheckoutLimits) -> Result<CheckoutReport> {
        let tree = self.tree_of(commit)?;
        let root =
            rustix::fs::open(into, folder_flags(), Mode::empty()).internal("while opening the checkout folder")?;
        let odb = self.git.odb().internal("while checking out")?;
        let mut export =
            Export { repo: self, odb, limits, report: CheckoutReport::default(), links: Vec::new(), entries: 0 };
        export.folder(&root, tree, Path::new(""), 0)?;
        for link in std::mem::take(&mut export.links) {
            let folder = if link.folder.as_os_str().is_empty() { Path::new(".") } else { &link.folder };
            let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            rustix::fs::openat2(&root, folder, folder_flags(), Mode::empty(), inside)
                .and_then(|folder| rustix::fs::symlinkat(&link.target[..], &folder, &link.name))
                .internal("while writing a link")?;
        }
        Ok(export.report)
    }
}

impl Export<'_> {
    fn folder(&mut self, at: &OwnedFd, tree: Oid, path: &Path, depth: usize) -> Result<()> {
        if depth > DEPTH {
            return Err(too_large(format!("folders are nested deeper than {DEPTH} levels")));
        }
        for entry in &self.repo.tree(tree)? {
            let inner = path.join(std::ffi::OsStr::from_bytes(entry.name_bytes()));
            let shown = inner.display().to_string();
            // Packs are checked when they come in; this is the second lock on the same door.
            let plain = super::fsck::name(entry.name_bytes(), entry.filemode() == LINK);
            let Some(name) = CString::new(entry.name_bytes()).ok().filter(|_| plain.is_ok()) else {
                self.note(format!("{} was left out: that name is not allowed", crate::base::name::clip(&shown)));
                continue;
            };
            self.entries += 1;
            self.count(0)?;
            match entry.filemode() {
                FOLDER => {
                    rustix::fs::mkdirat(at, &name, Mode::from_raw_mode(0o755)).internal("while making a folder")?;
                    let inside = rustix::fs::openat(at, &name, folder_flags(), Mode::empty())
                        .internal("while making a folder")?;
                    rustix::fs::fchmod(&inside, Mode::from_raw_mode(0o755)).internal("while making a folder")?;
                    self.folder(&inside, entry.id(), &inner, depth + 1)?;
                }
                LINK => self.link(path, name, entry.id(), &shown, depth)?,
                SUBMODULE => self.note(format!("{shown} is a submodule, which Steady does not fetch: left out")),
                mode => self.file(at.as_fd(), &name, entry.id(), mode == EXECUTABLE)?,
            }
        }
        Ok(())
    }

    fn file(&mut self, at: BorrowedFd<'_>, name: &CString, blob: Oid, executable: bool) -> Result<()> {
        let (size, _) = self.odb.read_header(blob).internal("while reading a file of the commit")?;
        self.report.files += 1;
        self.count(size as u64)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(at, name, flags, Mode::from_raw_mode(0o600)).internal("while writing a file")?;
        let mut file = File::from(fd);
        let blob = self.repo.git.find_blob(blob).internal("while reading a file of the commit")?;
        file.write_all(blob.content()).internal("while writing a file")?;
        let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
        rustix::fs::fchmod(&file, mode).internal("while writing a file")
    }

    fn link(&mut self, folder: &Path, name: CString, blob: Oid, shown: &str, depth: usize) -> Result<()> {
        let (size, _) = self.odb.read_header(blob).internal("while reading a link")?;
        let blob =
            (size <= TARGET).then(|| self.repo.git.find_blob(blob)).transpose().internal("while reading a link")?;
        let target = blob.map(|b| b.content().to_vec()).unwrap_or_default();
        if !stays_inside(&target, depth) {
            self.note(format!("{shown} is a link that leaves the project: left out"));
            return Ok(());
        }
        self.report.files += 1;
        self.count(size as u64)?;
        self.links.push(Link { folder: folder.to_owned(), name, target });
        Ok(())
    }

    /// Adds `bytes` and checks all limits.
    fn count(&mut self, bytes: u64) -> Result<()> {
        self.report.bytes += bytes;
        let CheckoutLimits { files, bytes: most } = self.limits;
        // A tree of empty folders has no files and no end.
        if self.report.files > files || self.entries > files.saturating_mul(2) {
            return Err(too_large(format!("there are more than {files} files")));
        }
        if self.report.bytes > most {
            return Err(too_large(format!("the files are more than {most} bytes")));
        }
        Ok(())
    }

    fn note(&mut self, note: String) {
        if self.report.notes.len() < NOTES {
            self.report.notes.push(note);
        }
    }
}

/// Whether a link `depth` folders below the root stays inside wherever other links lead: `..` only in front
/// (where it climbs real folders), and no more of them than there are folders to climb.
fn stays_inside(target: &[u8], depth: usize) -> bool {
    if target.is_empty() || target.len() > TARGET || target.starts_with(b"/") || target.contains(&0) {
        return false;
    }
    let mut climbed = 0;
    let mut descended = false;
    for part in target.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if descended || climbed == depth => return false,
            b".." => climbed += 1,
            _ => descended = true,
        }
    }
    true
}

fn too_large(why: String) -> Error {
    Error::new(Kind::TooLarge, format!("the commit is too large to run: {why}"))
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_leave() {
        for (target, depth) in
            [("/etc", 0), ("..", 0), ("../x", 0), ("a/../..", 3), ("../../x", 1), ("", 0), ("a/..", 0)]
        {
            assert!(!stays_inside(target.as_bytes(), depth), "{target} at {depth}");
        }
        for (target, depth) in [("a", 0), ("./a/b", 0), ("../a", 1), ("../../a/b", 2), (".", 0), ("..", 1)] {
            assert!(stays_inside(target.as_bytes(), depth), "{target} at {depth}");
        }
    }
}
