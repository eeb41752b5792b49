//! An app's home looks as if its code lay in it: every top-level entry of the code that the home does
//! not have is a link. Runs as the app's own user, after confinement, so hostile trees harm nobody else.
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::base::sqlite::is_database;

/// A committed database above this is not copied as a seed but linked.
const MAX_SEED: u64 = 1 << 30;

/// Lays the links, removes those of code that is gone, copies seeds (a committed SQLite file, a
/// committed `data/` folder) where the home has none.
pub(super) fn lay(code: &Path, home: &Path) -> io::Result<()> {
    make_data(&home.join("data"), &code.join("data"))?;
    for entry in fs::read_dir(home)? {
        let path = entry?.path();
        let Ok(target) = fs::read_link(&path) else { continue };
        // One that is right stays: each change to a disk may wait for others' writes.
        let right = Some(&target) == path.file_name().map(|name| code.join(name)).as_ref() && is_linked(&target);
        if !right && is_ours(&path, &target, code) {
            fs::remove_file(&path)?;
        }
    }
    for entry in fs::read_dir(code)? {
        let entry = entry?;
        let (from, to) = (entry.path(), home.join(entry.file_name()));
        if fs::symlink_metadata(&to).is_ok() || entry.file_name() == ".git" {
            continue;
        }
        if is_linked(&from) {
            symlink(&from, &to)?;
        } else {
            copy_tree(&from, &to, 0)?;
        }
    }
    Ok(())
}

/// Whether an entry of the code is linked; else it is a seed, or not there.
fn is_linked(from: &Path) -> bool {
    fs::symlink_metadata(from).is_ok_and(|meta| meta.len() > MAX_SEED || !is_database(from))
}

/// `DATA_DIR`: seeded from the code's `data/` when it is new.
fn make_data(data: &Path, seed: &Path) -> io::Result<()> {
    if fs::symlink_metadata(data).is_ok_and(|m| m.is_dir()) {
        return Ok(());
    }
    // A link here is one we laid before `data` was special, or the app's own mistake.
    let _ = fs::remove_file(data);
    if !fs::symlink_metadata(seed).is_ok_and(|m| m.is_dir()) {
        return fs::create_dir(data);
    }
    // Copied beside and renamed: a start that dies half-way seeds again.
    let part = data.with_file_name(".data.seed");
    let _ = fs::remove_dir_all(&part);
    copy_tree(seed, &part, 0)?;
    #[allow(clippy::disallowed_methods)] // the jail's child process; the seed can be laid again
    fs::rename(part, data)
}

/// A link we laid: same name, pointing into this code folder or into a sibling version of it.
fn is_ours(link: &Path, target: &Path, code: &Path) -> bool {
    let Some(folder) = target.parent() else { return false };
    target.file_name() == link.file_name()
        && (folder == code || folder == Path::new(super::CODE) || {
            folder.parent() == code.parent() && folder.parent() != Some(Path::new("/"))
        })
}

fn copy_tree(from: &Path, to: &Path, depth: u32) -> io::Result<()> {
    if depth > 32 {
        return Err(io::Error::other("the seed is nested too deeply"));
    }
    let meta = fs::symlink_metadata(from)?;
    if meta.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_tree(&entry.path(), &to.join(entry.file_name()), depth + 1)?;
        }
    } else if meta.is_file() {
        // Not `fs::copy`: the code is read-only and its copy must not be.
        io::copy(&mut fs::File::open(from)?, &mut fs::File::create_new(to)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_follow_the_code_and_never_hide_data() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (one, two, home) = (dir.path().join("v/1"), dir.path().join("v/2"), dir.path().join("home"));
        for folder in [&one, &two, &home] {
            fs::create_dir_all(folder).expect("folder");
        }
        fs::create_dir(one.join("data")).expect("folder");
        let put = |p: std::path::PathBuf, b: &[u8]| {
            io::Write::write_all(&mut fs::File::create(p).expect("file"), b).expect("write")
        };
        put(one.join("index.ts"), b"1");
        put(one.join("old.ts"), b"1");
        put(one.join("data/seed.txt"), b"seed");
        put(one.join("app.sqlite"), b"SQLite format 3\0rest");
        put(two.join("index.ts"), b"2");
        put(two.join("mine.txt"), b"code");
        put(home.join("mine.txt"), b"home");
        lay(&one, &home).expect("first");
        assert_eq!(fs::read(home.join("index.ts")).expect("link"), b"1");
        assert_eq!(fs::read(home.join("data/seed.txt")).expect("seed"), b"seed");
        assert!(fs::symlink_metadata(home.join("app.sqlite")).expect("seed").is_file());
        lay(&two, &home).expect("second");
        assert_eq!(fs::read(home.join("index.ts")).expect("link"), b"2");
        assert_eq!(fs::read(home.join("mine.txt")).expect("own file"), b"home");
        assert!(fs::symlink_metadata(home.join("old.ts")).is_err(), "a stale link is gone");
        assert!(home.join("app.sqlite").exists(), "data stays");
        let long_ago = std::time::UNIX_EPOCH;
        fs::File::open(&home).and_then(|home| home.set_modified(long_ago)).expect("a time");
        lay(&two, &home).expect("again");
        assert_eq!(
            fs::metadata(&home).and_then(|home| home.modified()).expect("a time"),
            long_ago,
            "nothing is made anew"
        );
    }
}
