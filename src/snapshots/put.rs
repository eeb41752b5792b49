//! The job that brings data back: `steady snapshot-put FROM HOME`, run in a jail as the app's own user while the app stands
//! still. What the home held goes; what was laid out in FROM comes in its place.
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use crate::base::fs::{remove_tree, sync_dir};

/// Prints why it failed on standard error: a job's lines are shown to a person.
#[allow(clippy::print_stderr)]
pub fn main(args: &[String]) -> ExitCode {
    let [from, home] = args else {
        eprintln!("usage: steady snapshot-put FROM HOME");
        return ExitCode::from(2);
    };
    match put(Path::new(from), Path::new(home)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("the data cannot be put back: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Can be done again from the start when it broke off. Links to the code are laid anew at the app's next start.
pub fn put(from: &Path, home: &Path) -> io::Result<()> {
    for entry in fs::read_dir(home)? {
        let path = entry?.path();
        match fs::symlink_metadata(&path)?.is_dir() {
            true => remove_tree(&path)?,
            false => fs::remove_file(&path)?,
        }
    }
    copy_folder(from, home)
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (meta, target) = (entry.metadata()?, to.join(entry.file_name()));
        if meta.is_dir() {
            fs::create_dir(&target)?;
            copy_folder(&entry.path(), &target)?;
        } else {
            let (mut source, mut copy) = (File::open(entry.path())?, File::create_new(&target)?);
            io::copy(&mut source, &mut copy)?;
            copy.sync_all()?;
        }
        fs::set_permissions(&target, fs::Permissions::from_mode(meta.permissions().mode() & 0o777))?;
    }
    sync_dir(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_goes_and_it_can_be_done_twice() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (from, home) = (dir.path().join("from"), dir.path().join("home"));
        let write = |path: std::path::PathBuf, text: &str| {
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            io::Write::write_all(&mut File::create(path).expect("file"), text.as_bytes()).expect("write");
        };
        write(from.join("data/a.txt"), "old");
        write(home.join("data/a.txt"), "new");
        write(home.join("deep/er/b.txt"), "new");
        std::os::unix::fs::symlink("/etc", home.join("link")).expect("link");
        for _ in 0..2 {
            put(&from, &home).expect("put");
            assert_eq!(fs::read(home.join("data/a.txt")).expect("read"), b"old");
            assert!(!home.join("deep").exists() && fs::symlink_metadata(home.join("link")).is_err());
        }
        assert!(Path::new("/etc").is_dir());
    }
}
