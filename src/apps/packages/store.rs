//! One copy of each installed file for all projects, under the hash of its content. Only the server writes here,
//! and only what hashes to its own name: whatever a build leaves, it adds nothing to anybody else's packages.
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use sha2::{Digest as _, Sha256};

use super::kept;
use crate::base::Millis;
use crate::base::fs::{DataDir, make_dir, remove_tree};
use crate::base::secret::random_token;

/// Files that are added at once, so that a set of a million needs no memory for all of them.
const BATCH: usize = 10_000;
/// Sets that all apps share.
const SETS: usize = 100;
const EVERY_MS: Millis = 3600 * 1000;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    /// Read by all who use files and sets, written by who removes them.
    turn: Arc<RwLock<()>>,
    /// When it was last swept.
    swept: Arc<AtomicI64>,
}

/// Keeps what is there from being removed.
pub struct InUse<'a>(#[allow(dead_code)] RwLockReadGuard<'a, ()>);

impl Store {
    pub fn new(dir: &DataDir) -> Self {
        Self { root: dir.store(), turn: Arc::default(), swept: Arc::default() }
    }

    /// The set of that key, for all apps.
    pub fn set(&self, key: &str) -> PathBuf {
        self.root.join("sets").join(key)
    }

    pub fn hold(&self) -> InUse<'_> {
        InUse(self.turn.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes every regular file below `tree` the shared one of that content. The tree is frozen: it belongs to
    /// the server, and nothing that could write it runs any more. What cannot be linked stays as it is.
    pub fn share(&self, _hold: &InUse<'_>, tree: &Path) -> io::Result<()> {
        if !fs::symlink_metadata(tree).is_ok_and(|meta| meta.is_dir()) || !kept::is_moderate(tree) {
            return Ok(());
        }
        make_dir(&self.root, 0o700)?;
        let mut batch = Vec::new();
        let mut waiting = vec![tree.to_owned()];
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(&folder)? {
                let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
                if kind.is_dir() {
                    waiting.push(path);
                } else if kind.is_file() {
                    batch.push(path);
                }
                if batch.len() >= BATCH {
                    self.share_files(&std::mem::take(&mut batch))?;
                }
            }
        }
        self.share_files(&batch)
    }

    #[allow(clippy::disallowed_methods)] // synced once for all of them
    fn share_files(&self, files: &[PathBuf]) -> io::Result<()> {
        let stage = Stage(self.root.join(format!(".{}", random_token(8))));
        make_dir(&stage.0, 0o700)?;
        let mut names = Vec::with_capacity(files.len());
        let mut new = Vec::new();
        for path in files {
            let mut file = open(path)?;
            let meta = file.metadata()?;
            let runs = meta.mode() & 0o100 != 0;
            let name = name(&copy(&mut file, None)?, runs);
            // One of another size was torn by a crash.
            let known = fs::symlink_metadata(self.file(&name)).is_ok_and(|there| there.len() == meta.len());
            if !known && !stage.0.join(&name).exists() {
                new.push(self.stage(&stage.0, path, runs)?);
            }
            names.push(name);
        }
        if !new.is_empty() {
            // A name must not outlive a crash that its content did not.
            rustix::fs::syncfs(File::open(&stage.0)?)?;
        }
        for name in &new {
            let to = self.file(name);
            make_dir(to.parent().unwrap_or(&to), 0o700)?;
            fs::rename(stage.0.join(name), to)?;
        }
        files.iter().zip(&names).try_for_each(|(path, name)| put(&self.file(name), path))
    }

    /// A copy of its own, that nobody else has open, named by what was really written.
    #[allow(clippy::disallowed_methods)] // synced by whoever gives it its last name
    fn stage(&self, stage: &Path, path: &Path, runs: bool) -> io::Result<String> {
        let temp = stage.join("new");
        let mut to = File::options().write(true).create_new(true).mode(0o600).open(&temp)?;
        let name = name(&copy(&mut open(path)?, Some(&mut to))?, runs);
        to.set_permissions(fs::Permissions::from_mode(if runs { 0o555 } else { 0o444 }))?;
        fs::rename(temp, stage.join(&name))?;
        Ok(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.join("files").join(&name[..2]).join(&name[2..])
    }

    /// Whether it is time to sweep: at the first question, then every hour.
    pub fn is_due(&self, now: Millis) -> bool {
        let last = self.swept.load(Ordering::Relaxed);
        let due = now - last >= EVERY_MS;
        due && self.swept.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Drops sets nobody used for long, then the files that no set and no version has any more. Returns their
    /// number; 0 while something uses the store: there is another time.
    pub fn sweep(&self) -> io::Result<usize> {
        let Ok(_alone) = self.turn.try_write() else { return Ok(0) };
        kept::prune(&self.root.join("sets"), SETS)?;
        let mut gone = 0;
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                remove_tree(&entry.path())?;
            }
        }
        for folder in fs::read_dir(self.root.join("files")).into_iter().flatten().flatten() {
            for entry in fs::read_dir(folder.path())?.flatten() {
                if entry.metadata()?.nlink() == 1 {
                    fs::remove_file(entry.path())?;
                    gone += 1;
                }
            }
        }
        Ok(gone)
    }

    /// Drops sets of one app above `most`; not while something uses any.
    pub fn prune(&self, sets: &Path, most: usize) -> io::Result<()> {
        let Ok(_alone) = self.turn.try_write() else { return Ok(()) };
        kept::prune(sets, most)
    }
}

/// Where new files wait for their names; gone with what is left in it.
struct Stage(PathBuf);

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = remove_tree(&self.0);
    }
}

/// Content and whether it runs: two modes are two files, because links share theirs.
fn name(hash: &Sha256, runs: bool) -> String {
    let hex = hex::encode(hash.clone().finalize());
    if runs { format!("{hex}x") } else { hex }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    File::options().read(true).custom_flags(flags.bits() as i32).open(path)
}

fn copy(from: &mut File, mut to: Option<&mut File>) -> io::Result<Sha256> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; 128 << 10];
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok(hash);
        }
        hash.update(&piece[..read]);
        if let Some(to) = &mut to {
            to.write_all(&piece[..read])?;
        }
    }
}

/// Replaces `path` by a link. A file has only so many (65,000 on ext4): then it stays as it is.
#[allow(clippy::disallowed_methods)] // the same content before and after
fn put(shared: &Path, path: &Path) -> io::Result<()> {
    let temp = path.with_file_name(format!(".{}", random_token(8)));
    if let Err(error) = fs::hard_link(shared, &temp) {
        tracing::debug!(path = %path.display(), %error, "a file is not shared");
        return Ok(());
    }
    // Renaming one name of a file onto another of the same does nothing, and leaves both.
    fs::rename(&temp, path)?;
    if temp.exists() { fs::remove_file(temp) } else { Ok(()) }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // files that may tear
mod tests {
    use super::*;

    struct World {
        dir: tempfile::TempDir,
        store: Store,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("temp dir");
            let store = Store::new(&DataDir::open(&dir.path().join("data")).expect("data"));
            Self { dir, store }
        }
        /// A tree with these files (path, content, mode).
        fn tree(&self, name: &str, files: &[(&str, &str, u32)]) -> PathBuf {
            let tree = self.dir.path().join("data").join(name);
            for (path, content, mode) in files {
                let path = tree.join(path);
                fs::create_dir_all(path.parent().expect("inside")).expect("folder");
                fs::write(&path, content).expect("file");
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).expect("mode");
            }
            tree
        }
        fn share(&self, tree: &Path) {
            self.store.share(&self.store.hold(), tree).expect("shared");
        }
        fn files(&self) -> usize {
            let folders = fs::read_dir(self.store.root.join("files")).into_iter().flatten().flatten();
            folders.map(|folder| fs::read_dir(folder.path()).expect("list").count()).sum()
        }
    }

    fn inode(path: PathBuf) -> (u64, u32) {
        let meta = fs::symlink_metadata(path).expect("meta");
        (meta.ino(), meta.mode() & 0o7777)
    }

    #[test]
    fn the_same_content_lies_on_disk_once() {
        let world = World::new();
        let a = world.tree("a", &[("x/one.js", "1", 0o644), ("two.js", "1", 0o666), ("run", "1", 0o4755)]);
        let b = world.tree("b", &[("other.js", "1", 0o600), ("new.js", "2", 0o644)]);
        std::os::unix::fs::symlink("one.js", a.join("x/link")).expect("link");
        world.share(&a);
        world.share(&b);
        let (one, mode) = inode(a.join("x/one.js"));
        assert_eq!(mode, 0o444);
        assert_eq!(inode(a.join("two.js")).0, one);
        assert_eq!(inode(b.join("other.js")).0, one);
        assert_eq!(fs::read_link(a.join("x/link")).expect("a link"), Path::new("one.js"));
        let (run, mode) = inode(a.join("run"));
        assert!(run != one && mode == 0o555, "it runs, and only that");
        assert_eq!(world.files(), 3);
        let names = fs::read_dir(&a).expect("list").count();
        world.share(&a);
        assert_eq!(fs::read_dir(&a).expect("list").count(), names, "sharing again leaves nothing behind");
    }

    /// What a build leaves may be anything; it reaches nobody else.
    #[test]
    fn what_was_written_beside_the_store_does_not_get_in() {
        let world = World::new();
        let secret = world.dir.path().join("secret");
        fs::write(&secret, "TOPSECRET").expect("file");
        let a = world.tree("a", &[("lib.js", "good", 0o644)]);
        world.share(&a);
        // Another project's build has the file open, has linked it twice, and has put links where files were.
        let b = world.tree("b", &[("lib.js", "good", 0o666)]);
        let mut open = File::options().append(true).open(b.join("lib.js")).expect("open");
        fs::hard_link(b.join("lib.js"), b.join("twin.js")).expect("link");
        std::os::unix::fs::symlink(&secret, b.join("out")).expect("link");
        nix::unistd::mkfifo(&b.join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("pipe");
        world.share(&b);
        open.write_all(b"evil").expect("written to what is nobody's any more");
        for file in [a.join("lib.js"), b.join("lib.js"), b.join("twin.js")] {
            assert_eq!(fs::read_to_string(file).expect("text"), "good");
        }
        assert_eq!(fs::metadata(&secret).expect("meta").nlink(), 1);
        let link = world.dir.path().join("linked");
        std::os::unix::fs::symlink(&a, &link).expect("link");
        world.share(&link);
        assert_eq!(world.files(), 1);
        // Changed content is other content.
        let c = world.tree("c", &[("lib.js", "bad", 0o644)]);
        world.share(&c);
        assert_eq!(fs::read_to_string(a.join("lib.js")).expect("text"), "good");
    }

    #[test]
    fn what_nobody_has_goes_and_what_was_torn_is_made_anew() {
        let world = World::new();
        let a = world.tree("a", &[("one.js", "1", 0o644), ("two.js", "22", 0o644)]);
        world.share(&a);
        fs::create_dir(world.store.root.join(".left")).expect("folder");
        fs::remove_file(a.join("one.js")).expect("remove");
        let busy = world.store.hold();
        assert_eq!(world.store.sweep().expect("swept"), 0, "not while it is used");
        drop(busy);
        assert_eq!(world.store.sweep().expect("swept"), 1);
        assert_eq!(world.files(), 1);
        assert!(!world.store.root.join(".left").exists());
        assert!(world.store.is_due(EVERY_MS) && !world.store.is_due(EVERY_MS + 1) && world.store.is_due(2 * EVERY_MS));
        let folder = fs::read_dir(world.store.root.join("files"))
            .expect("list")
            .flatten()
            .find_map(|folder| fs::read_dir(folder.path()).ok()?.flatten().next().map(|file| file.path()));
        let torn = folder.expect("a file");
        fs::remove_file(&torn).expect("remove");
        fs::write(&torn, "").expect("torn");
        let b = world.tree("b", &[("two.js", "22", 0o644)]);
        world.share(&b);
        assert_eq!(fs::read_to_string(b.join("two.js")).expect("text"), "22");
    }
}
