//! Mounts that end with the server, however it ends.
use std::io;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Gives this process mounts of its own: none made from now on shows outside, and all are gone when it and
/// its children are. Call before the first thread.
/// Errors: as a user without the right (`CAP_SYS_ADMIN`); nothing has changed then.
pub fn own_mounts() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none: Option<&str> = None;
    // Nothing of ours goes back to the host; the process that starts children follows what is mounted here.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
    Ok(mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SHARED, none)?)
}

/// Whether this process has mounts of its own, or is the first of its container, with which they end.
pub fn has_own_mounts() -> bool {
    let parent = nix::unistd::getppid().as_raw();
    let of = |who: &str| std::fs::read_link(format!("/proc/{who}/ns/mnt"));
    match (of("self"), of(&parent.to_string())) {
        _ if parent == 0 => true,
        (Ok(mine), Ok(parents)) => mine != parents,
        _ => false,
    }
}
