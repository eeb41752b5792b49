//! One server per data folder.
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

use rustix::fs::{FlockOperation, flock};

use crate::base::{DataDir, Error, Result};

/// Held by an open file: the kernel lets go of it when the last process that has this file open ends, however it does.
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Errors: `Conflict` naming the process that has it.
    pub(super) fn take(dir: &DataDir) -> Result<Self> {
        let path = dir.lock_file();
        // Nobody else's to open: whoever can, can hold it.
        let mut file = File::options()
            .mode(0o600)
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|e| {
                Error::bad_input(format!("cannot write in the data folder {}", dir.root().display()))
                    .because(e)
                    .hint("Run Steady as the user who owns the folder, on a file system that can be written, or give another with --data.")
            })?;
        let _ = file.set_permissions(std::fs::Permissions::from_mode(0o600)); // one that was made before
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = holder.trim();
            let who = if holder.is_empty() { String::new() } else { format!(" (process {holder})") };
            return Err(Error::conflict(format!("a Steady server{who} already runs on {}", dir.root().display()))
                .hint("Stop it first, or choose another folder with --data."));
        }
        Ok(Self { file })
    }

    /// From the server before, which has it no longer than this process.
    pub(super) fn inherit(file: OwnedFd) -> Self {
        Self { file: file.into() }
    }

    /// Whether it is that folder's: another could be named by settings that have changed.
    pub(super) fn is_of(&self, dir: &DataDir) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        match (self.file.metadata(), std::fs::metadata(dir.lock_file())) {
            (Ok(mine), Ok(there)) => (mine.dev(), mine.ino()) == (there.dev(), there.ino()),
            _ => false,
        }
    }

    /// Writes down who has it, for the message above: a torn write harms nothing.
    pub(super) fn sign(&mut self) {
        let file = &mut self.file;
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
