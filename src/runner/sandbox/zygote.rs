//! `steady zygote`: the one process that starts children. It has a single thread, so it may clone into
//! namespaces, and its memory (the compiled filters) is inherited for nothing. It ends with the server:
//! the control socket closes, and every child follows its death.
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Gid, Uid};
use rustix::event::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};

use super::jail::{Failure, Step as _};
use super::seccomp::{Filters, Variant};
use super::tier::Tier;
use super::wire::{self, Ask, Told};
use super::{Bind, attach, base, clone, init};

/// Who a program is inside a user namespace.
pub const ROOTLESS_UID: u32 = 1000;

/// The first message to a zygote.
#[derive(Serialize, Deserialize)]
pub struct Setup {
    pub tier: Tier,
    /// An empty folder for the root that all children share.
    pub at: PathBuf,
    /// What is read-only in it: Bun, libraries, certificates.
    pub binds: Vec<Bind>,
    /// A folder on the file system where homes are.
    pub data: PathBuf,
}

/// Reads the set-up and orders from descriptor 0 until it closes.
pub fn main() -> ExitCode {
    let Ok(control) = io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    let prepared = match wire::receive::<Setup>(&control) {
        Ok(Some((setup, _))) => prepare(&setup).map(|filters| (setup, filters)),
        _ => return ExitCode::FAILURE,
    };
    match prepared {
        Ok((setup, filters)) => {
            let maps_owners = setup.tier == Tier::Full && attach::can_map_owners(&setup.data);
            let ready = wire::send(&control, &Told::Ready { maps_owners }, &[]);
            let served = ready.and_then(|()| serve(&control, (setup.tier, &filters, maps_owners)));
            if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(Failure(why)) => {
            // Whoever would read this may be gone.
            let _ = wire::send(&control, &Told::Unable { why }, &[]);
            ExitCode::FAILURE
        }
    }
}

fn prepare(setup: &Setup) -> Result<Filters, Failure> {
    let null = File::open("/dev/null").step("open /dev/null")?;
    rustix::stdio::dup2_stdin(&null).step("close stdin")?;
    let variant = if setup.tier == Tier::ProcessOnly { Variant::ProcessOnly } else { Variant::Namespaced };
    let filters = Filters::compile(variant).step("compile the system call filters")?;
    if setup.tier == Tier::ProcessOnly {
        return super::probe::walls_without_namespaces().step("put up walls without namespaces").map(|()| filters);
    }
    if setup.tier == Tier::Rootless {
        let (uid, gid) = (Uid::current(), Gid::current());
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).step("unshare a user namespace")?;
        let put = |file: &str, text: String| super::jail::write_plain(file.as_ref(), text.as_bytes());
        put("/proc/self/setgroups", "deny".into()).step("deny setgroups")?;
        put("/proc/self/uid_map", format!("{ROOTLESS_UID} {uid} 1")).step("map the user id")?;
        put("/proc/self/gid_map", format!("{ROOTLESS_UID} {gid} 1")).step("map the group id")?;
    } else {
        unshare(CloneFlags::CLONE_NEWNS).step("unshare a mount namespace")?;
    }
    base::build(&setup.at, &setup.binds).map(|()| filters)
}

/// What all children have in common.
type Common<'a> = (Tier, &'a Filters, bool);

fn serve(control: &OwnedFd, common: Common<'_>) -> io::Result<()> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block()?;
    let children = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    loop {
        let mut ready = [PollFd::new(control, PollFlags::IN), PollFd::new(&children, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut ready, None))?;
        let (asked, died) = (!ready[0].revents().is_empty(), !ready[1].revents().is_empty());
        if died {
            while let Ok(Some(_)) = children.read_signal() {}
            reap(control)?;
        }
        if asked {
            let Some((Ask::Spawn { id, grouped, join }, fds)) = wire::receive::<Ask>(control)? else { return Ok(()) };
            match start(common, fds, grouped, join, (control, &children)) {
                Ok(child) => {
                    let pid = u32::try_from(child.pid).unwrap_or_default();
                    wire::send(control, &Told::Spawned { id, pid }, &[child.pidfd.as_fd()])?;
                }
                Err(e) => wire::send(control, &Told::NotSpawned { id, why: format!("jail: clone: {e}") }, &[])?,
            }
        }
    }
}

fn start(
    (tier, filters, maps_owners): Common<'_>,
    fds: Vec<OwnedFd>,
    grouped: bool,
    join: Vec<PathBuf>,
    (control, children): (&OwnedFd, &SignalFd),
) -> io::Result<clone::Cloned> {
    let mut fds = fds.into_iter();
    let (Some(wire), Some(out), Some(err)) = (fds.next(), fds.next(), fds.next()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let group = fds.next().filter(|_| grouped);
    let namespaces = match tier {
        Tier::ProcessOnly => CloneFlags::empty(),
        Tier::Full | Tier::Rootless => {
            CloneFlags::CLONE_NEWNS
                | CloneFlags::CLONE_NEWPID
                | CloneFlags::CLONE_NEWIPC
                | CloneFlags::CLONE_NEWUTS
                | CloneFlags::CLONE_NEWNET
        }
    };
    let flags = u64::try_from(namespaces.bits()).unwrap_or_default();
    // SAFETY: this process has one thread; the new one goes on with copies of all it needs.
    if let Some(child) = unsafe { clone::clone(flags, group.as_ref().map(OwnedFd::as_fd))? } {
        return Ok(child);
    }
    // The new process. Were the control socket open here, the server's end would not be noticed.
    for fd in [control.as_fd(), children.as_fd()] {
        close(fd);
    }
    init::main(init::Inherited { tier, filters, maps_owners, wire, join, out, err })
}

/// Closes a descriptor that a function further up still owns but, in this copy of the process, never uses.
fn close(fd: BorrowedFd<'_>) {
    // SAFETY: this copy of the process never returns to the owner.
    unsafe { libc::close(fd.as_raw_fd()) };
}

fn reap(control: &OwnedFd) -> io::Result<()> {
    loop {
        let mut status = 0;
        // SAFETY: waits for any child of ours; the pointer is valid for the call.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        match u32::try_from(pid) {
            Ok(pid) if pid > 0 => wire::send(control, &Told::Ended { pid, status }, &[])?,
            _ => return Ok(()),
        }
    }
}
