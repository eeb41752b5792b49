//! Every path on disk is built here, and every durable write happens here.
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};

use super::error::{Error, Kind, Result, ResultExt as _};
use super::secret::random_token;

/// The data folder. Numeric ids make every path: no name a user chose is ever part of one.
#[derive(Clone, Debug)]
pub struct DataDir {
    root: PathBuf,
}

impl DataDir {
    /// Creates the folder and its parts where missing, and makes the path absolute.
    /// Errors: `BadInput` naming the folder when it cannot be created or resolved.
    pub fn open(root: &Path) -> Result<Self> {
        let cannot = |e: io::Error| {
            Error::bad_input(format!("cannot use {} as the data folder", root.display()))
                .because(e)
                .hint("Give a folder this user may create and write, with --data DIR.")
        };
        make_dir(root, 0o711).map_err(cannot)?;
        let root = root.canonicalize().map_err(cannot)?;
        let dir = Self { root };
        for (part, mode) in
            [("repos", 0o700), ("apps", 0o711), ("drafts", 0o711), ("tmp", 0o711), ("bun", 0o755), ("store", 0o700)]
        {
            make_dir(&dir.root.join(part), mode).map_err(cannot)?;
        }
        Ok(dir)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
    /// Steady's own database.
    pub fn database(&self) -> PathBuf {
        self.root.join("steady.db")
    }
    /// Copies of the database taken before each migration.
    pub fn database_backups(&self) -> PathBuf {
        self.root.join("backups")
    }
    /// The key that seals secrets at rest, mode 0600.
    pub fn key_file(&self) -> PathBuf {
        self.root.join("secret.key")
    }
    /// Locked while a server runs on this folder.
    pub fn lock_file(&self) -> PathBuf {
        self.root.join("lock")
    }
    /// What TLS keeps in files: the root of the local certificate authority.
    pub fn tls(&self) -> PathBuf {
        self.root.join("tls")
    }
    pub fn bun(&self) -> PathBuf {
        self.root.join("bun")
    }
    /// The bare repository of a project.
    pub fn repo(&self, project: i64) -> PathBuf {
        self.root.join("repos").join((project / 1000).to_string()).join(format!("{project}.git"))
    }
    /// All an app has: `home/`, `versions/`, `packed/`, `deps/`, `logs/`.
    pub fn app(&self, app: i64) -> PathBuf {
        self.root.join("apps").join(app.to_string())
    }
    /// The app's working folder: all it writes; `home/data` is its `DATA_DIR`.
    pub fn app_home(&self, app: i64) -> PathBuf {
        self.app(app).join("home")
    }
    /// The checked-out code of one version.
    pub fn version(&self, app: i64, version: i64) -> PathBuf {
        self.app(app).join("versions").join(version.to_string())
    }
    /// The compressed forms of the files that one version serves as they are.
    pub fn packed(&self, app: i64, version: i64) -> PathBuf {
        self.app(app).join("packed").join(version.to_string())
    }
    /// What is started in its place: all its code in one file, with bytecode.
    pub fn bundle(&self, app: i64, version: i64) -> PathBuf {
        self.app(app).join("bundles").join(version.to_string())
    }
    /// Installed packages, by hash of what was asked for.
    pub fn deps(&self, app: i64) -> PathBuf {
        self.app(app).join("deps")
    }
    /// Installed packages of all apps: `files/` by hash of their content, `sets/` by hash of what was asked for.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }
    pub fn snapshots(&self, app: i64) -> PathBuf {
        self.app(app).join("snapshots")
    }
    pub fn app_logs(&self, app: i64) -> PathBuf {
        self.app(app).join("logs")
    }
    /// A draft: `code/`, `home/`, `logs/`.
    pub fn draft(&self, draft: i64) -> PathBuf {
        self.root.join("drafts").join(draft.to_string())
    }
    /// Cleared at every start.
    pub fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }
    /// Marks that a server runs here; true when an earlier one did not come to [`DataDir::end`].
    pub fn begin(&self) -> Result<bool> {
        let mark = self.running();
        let crashed = mark.exists();
        write_atomic(&mark, b"", 0o644).internal("while marking that a server runs")?;
        Ok(crashed)
    }
    /// The server ended in order: nothing half done is left.
    pub fn end(&self) -> Result<()> {
        fs::remove_file(self.running()).internal("while marking that no server runs")
    }
    fn running(&self) -> PathBuf {
        self.root.join("running")
    }
    /// Removes what an earlier run left there. Before any engine starts: they keep things of their own there.
    pub fn clear_tmp(&self) -> Result<()> {
        for entry in fs::read_dir(self.tmp()).internal("while clearing tmp")?.flatten() {
            if let Err(error) = remove_tree(&entry.path()) {
                // What cannot be removed costs room; a server that does not start costs everything.
                tracing::error!(path = %entry.path().display(), %error, "a temporary folder stays");
            }
        }
        Ok(())
    }
    /// A fresh folder under `tmp/`, removed when dropped unless [`TempDir::keep`] was called.
    pub fn temp_dir(&self) -> Result<TempDir> {
        let path = self.tmp().join(random_token(12));
        make_dir(&path, 0o711).internal("while making a temporary folder")?;
        Ok(TempDir { path: Some(path) })
    }
}

/// A folder removed on drop.
#[derive(Debug)]
pub struct TempDir {
    path: Option<PathBuf>,
}

impl TempDir {
    pub fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }
    /// Gives the folder up: the caller now owns it.
    pub fn keep(mut self) -> PathBuf {
        self.path.take().unwrap_or_default()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && let Err(error) = remove_tree(&path)
        {
            tracing::warn!(path = %path.display(), %error, "temporary folder left behind");
        }
    }
}

/// Creates a folder and its parents; an existing one is left as it is.
pub fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)?;
    Ok(())
}

/// Removes a file or folder tree without following links; nothing there is success. However deep hostile code
/// has nested it: see `base::remove`. A large one takes minutes; the runtime is told.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    super::task::blocking(|| super::remove::tree(path))
}

/// Replaces `path` whole or not at all: temp file beside it, fsync, rename, fsync of the folder.
#[allow(clippy::disallowed_methods)]
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let temp = parent.join(format!(".{}.tmp", random_token(8)));
    let result = (|| {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temp)?;
        file.write_all(bytes)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&temp, path)?;
        sync_dir(parent)
    })();
    if result.is_err() {
        let _ = fs::remove_file(&temp);
    }
    result
}

/// Renames durably: both folders are synced afterwards.
#[allow(clippy::disallowed_methods)]
pub fn rename_durable(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    if let Some(parent) = from.parent() {
        sync_dir(parent)?;
    }
    to.parent().map_or(Ok(()), sync_dir)
}

pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A relative path from outside, checked by component: no root, no `..`, no `.git`, nothing empty,
/// no control characters, at most 4,096 bytes and 32 levels.
/// Errors: `BadInput` naming the path.
pub fn confine(path: &str) -> Result<PathBuf> {
    let bad =
        |why: &str| Error::bad_input(format!("`{}` is not a path inside the project: {why}", super::name::clip(path)));
    if path.is_empty() || path.len() > 4096 {
        return Err(bad("it is empty or too long"));
    }
    if path.chars().any(|c| c.is_control() || c == '\\') {
        return Err(bad("it has control characters or backslashes"));
    }
    if path.split('/').any(|part| part.is_empty() || part == "." || part == ".." || part.len() > 255) {
        return Err(bad("every part must be a plain name"));
    }
    let parsed = PathBuf::from(path);
    let mut levels = 0;
    for component in parsed.components() {
        levels += 1;
        let Component::Normal(name) = component else { return Err(bad("it leaves the project")) };
        let plain = gix_validate::path::component(
            name.as_encoded_bytes().into(),
            None,
            gix_validate::path::component::Options { protect_windows: false, protect_hfs: true, protect_ntfs: true },
        );
        if plain.is_err() {
            return Err(bad("that name is reserved by git"));
        }
    }
    if levels > 32 {
        return Err(bad("it is deeper than 32 folders"));
    }
    Ok(parsed)
}

/// Opens `relative` for reading below `root` without following any link that leaves it.
/// Errors: `NotFound` for anything that is not a regular file inside.
pub fn open_beneath(root: &Path, relative: &Path) -> Result<File> {
    let missing = || Error::not_found(format!("there is no file {}", relative.display()));
    let base = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|_| missing())?;
    let fd = rustix::fs::openat2(
        &base,
        relative,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    )
    .map_err(|_| missing())?;
    let file = File::from(fd);
    let meta = file.metadata().or_error(Kind::NotFound, "the file cannot be read")?;
    if meta.is_file() { Ok(file) } else { Err(missing()) }
}

/// A regular file where strangers write: what they put in its place, a link or a pipe, is neither followed nor waited for.
pub fn open_plain(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// `length` bytes of a file below `root` from `start` on, if the system has its name and its bytes in memory: never waits
/// for a disk. `None` when not, or when anything else is unusual: then [`open_beneath`] tells more.
pub fn read_cached(root: &Path, relative: &Path, start: u64, length: u64) -> Option<Vec<u8>> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let cached = ResolveFlags::CACHED;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let base = rustix::fs::openat2(rustix::fs::CWD, root, flags, Mode::empty(), cached).ok()?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let inside = cached | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = rustix::fs::openat2(&base, relative, flags, Mode::empty(), inside).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    let read = preadv2(&file, &mut [io::IoSliceMut::new(&mut bytes)], start, ReadWriteFlags::NOWAIT).ok()?;
    (read == bytes.len()).then_some(bytes)
}

/// Folders nested deeper are not looked into, because each holds descriptors open.
const DEEPEST: u32 = 128;
/// What such a folder counts as where nothing may hide in it: more than any disk has.
const TOO_DEEP: u64 = 1 << 50;

/// Bytes of all regular files below `path`, without following links, whatever a program that writes there puts in
/// their place meanwhile; what cannot be read counts as 0, and so does what lies deeper than 128 levels. A large
/// tree takes seconds; the runtime is told.
pub fn tree_size(path: &Path) -> u64 {
    size(path, 0)
}

/// The same for who may hide something: a folder that is too deep counts as a pebibyte, the most there is.
pub fn tree_size_at_worst(path: &Path) -> u64 {
    size(path, TOO_DEEP)
}

fn size(path: &Path, too_deep: u64) -> u64 {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let count = || rustix::fs::open(path, flags, Mode::empty()).map_or(0, |top| size_below(&top, DEEPEST, too_deep));
    super::task::blocking(count)
}

fn size_below(folder: &OwnedFd, deeper: u32, too_deep: u64) -> u64 {
    let mut total = 0u64;
    let Ok(entries) = rustix::fs::Dir::read_from(folder) else { return 0 };
    for entry in entries {
        let Ok(entry) = entry else { break };
        let name = entry.file_name();
        let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if matches!(name.to_bytes(), b"." | b"..") => {}
            FileType::Directory if deeper == 0 => total = total.saturating_add(too_deep),
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let inner = rustix::fs::openat(folder, name, flags, Mode::empty());
                total = total.saturating_add(inner.map_or(0, |inner| size_below(&inner, deeper - 1, too_deep)));
            }
            FileType::RegularFile => {
                total = total.saturating_add(u64::try_from(stat.st_blocks).unwrap_or_default() * 512);
            }
            _ => {}
        }
    }
    total.min(TOO_DEEP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tree_is_counted_without_what_its_links_lead_to() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
        for folder in [&tree.join("a/b"), &outside] {
            fs::create_dir_all(folder).expect("folder");
            write_atomic(&folder.join("file"), &[1; 10_000], 0o600).expect("file");
        }
        std::os::unix::fs::symlink(&outside, tree.join("a/link")).expect("link");
        std::os::unix::fs::symlink(outside.join("file"), tree.join("link")).expect("link");
        let size = tree_size(&tree);
        assert!((10_000..20_000).contains(&size), "{size}");
        // Deeper than a path can be long, and than descriptors go.
        let mut at = rustix::fs::open(&tree, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).expect("open");
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).expect("folder");
            at = rustix::fs::openat(&at, "d", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).expect("open");
        }
        assert_eq!(tree_size(&tree), size);
        assert_eq!(tree_size_at_worst(&tree), TOO_DEEP, "something may be in there");
        remove_tree(&tree).expect("removed");
    }

    #[test]
    fn paths_that_leave_or_hide() {
        for bad in
            ["", "/etc", "../x", "a/../b", "a//b", "./a", "a/", ".git/config", "a/.GIT/x", "git~1", "a\\b", "a\nb"]
        {
            assert!(confine(bad).is_err(), "{bad:?} must be refused");
        }
        for good in ["index.ts", "src/a.b/c-d.tsx", ".gitignore", ".env.example", "public/ü.txt"] {
            assert!(confine(good).is_ok(), "{good:?} must be accepted");
        }
    }

    #[test]
    fn what_is_in_memory_is_read_at_once_and_nothing_outside() {
        let dir = tempfile::tempdir().expect("temp dir");
        let root = dir.path().join("root");
        make_dir(&root.join("folder"), 0o700).expect("folder");
        write_atomic(&dir.path().join("outside"), b"secret", 0o600).expect("file");
        write_atomic(&root.join("file"), b"0123456789", 0o600).expect("file");
        std::os::unix::fs::symlink("../outside", root.join("link")).expect("link");
        // Where the kernel or the file system cannot say what is in memory, nothing is ever at hand.
        let part = read_cached(&root, Path::new("file"), 2, 3);
        assert!(part.is_none_or(|part| part == b"234"));
        for name in ["link", "../outside", "/etc/passwd", "folder", "none"] {
            assert_eq!(read_cached(&root, Path::new(name), 0, 1), None, "{name}");
        }
        assert_eq!(read_cached(&root, Path::new("file"), 8, 3), None, "it is shorter");
    }

    proptest! {
        #[test]
        fn a_confined_path_stays_inside(path in ".{0,60}") {
            if let Ok(inside) = confine(&path) {
                prop_assert!(inside.components().all(|c| matches!(c, Component::Normal(_))));
            }
        }
    }

    #[test]
    fn a_link_out_is_not_followed() {
        let dir = tempfile::tempdir().expect("temp dir");
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("out")).expect("link");
        assert!(open_beneath(dir.path(), Path::new("out")).is_err());
    }
}
