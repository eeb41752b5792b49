//! A program that is confined and has started before anybody knows for which app: it waits, then its app's folders
//! are mounted where it looks, and it is told the rest. Init holds on to where it was born until then, because only
//! there can these folders be named; the program was never there.
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Pid, fork};
use rustix::process::{PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use super::attach::{self, Rights, Unmapped};
use super::init::{self, Heard, Inherited};
use super::jail::{self, Failure, Step as _};
use super::tier::Tier;
use super::wire::{self, Order, Word};
use super::{Bind, JailSpec, Root, links, mounts};

/// What makes a parked program an app's. Holds secrets (`given`): neither printed nor kept.
#[derive(Serialize, Deserialize)]
pub struct Assignment {
    pub open_files: u64,
    pub file_bytes: Option<u64>,
    pub tmp_bytes: u64,
    /// On empty places of the root.
    pub binds: Vec<Bind>,
    /// As in [`Root`].
    pub own: Vec<PathBuf>,
    /// Code folder and home as the program sees them.
    pub links: (PathBuf, PathBuf),
    pub given: Given,
}

/// What the program itself is told.
#[derive(Serialize, Deserialize)]
pub struct Given {
    pub env: Vec<(String, String)>,
    pub cwd: PathBuf,
}

/// Init's whole life with such a program; its exit code.
pub(super) fn run(
    inherited: &Inherited<'_>,
    spec: &JailSpec,
    made: Option<Unmapped>,
    children: &nix::sys::signalfd::SignalFd,
) -> Result<i32, Failure> {
    let root = spec.root.as_ref().ok_or_else(|| Failure("jail: park: there is no root".into()))?;
    // Made now, so that nobody waits for it later.
    let owners = mounts::mapped(root, made)?;
    // Its mounts are taken apart when nobody holds it any more: later than anybody waits for.
    let born = File::open("/proc/self/ns/mnt").step("hold on to where it was born")?;
    jail::limit_resources(spec)?;
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).step("make a pipe");
    let (paper, tell) = pipe()?;
    let (entered, entering) = pipe()?;
    // SAFETY: this process has one thread.
    let program = match unsafe { fork() }.step("fork")? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => jail::park(inherited, spec, &entering, &paper),
    };
    drop((entering, paper));
    init::close_streams(inherited);
    if let Some(why) = init::said(&entered) {
        return Err(Failure(why));
    }
    wire::send(&inherited.wire, &Word::Parked, &[]).step("say that it waits")?;
    let assignment = loop {
        match init::hear(&inherited.wire, children, program) {
            Heard::Order(Order::Assign, fds) => match fds.into_iter().next() {
                Some(fd) => break init::read_spec::<Assignment>(&File::from(fd))?,
                None => return Err(Failure("jail: assign: nothing was given".into())),
            },
            Heard::Order(order, _) => init::obey(&inherited.wire, order, program),
            Heard::End(code) => return Ok(code),
            Heard::Nothing => {}
        }
    };
    assign(inherited.tier, (program, root, owners.as_ref()), &assignment, tell)?;
    let pid = u32::try_from(program.as_raw()).unwrap_or_default();
    wire::send(&inherited.wire, &Word::Entered { pid }, &[]).step("say that it runs")?;
    drop(born);
    Ok(init::watch(&inherited.wire, children, program))
}

fn assign(
    tier: Tier,
    (program, root, owners): (Pid, &Root, Option<&OwnedFd>),
    assignment: &Assignment,
    tell: OwnedFd,
) -> Result<(), Failure> {
    for folder in &assignment.own {
        let owner = root.disk.unwrap_or(root.uid);
        mounts::give(folder, owner).step(&format!("give {}", folder.display()))?;
    }
    let mut trees = Vec::new();
    for bind in &assignment.binds {
        let rights = Rights { write: bind.writable, execute: bind.execute, devices: false };
        let owners = owners.filter(|_| bind.writable).map(|owners| owners.as_fd());
        let tree = attach::detached(&bind.from, rights, owners).step(&format!("mount {}", bind.to.display()))?;
        trees.push((tree, &bind.to));
    }
    // Takes a right that root in a container may lack.
    let limited = limit(program, assignment.open_files, assignment.file_bytes);
    let id = rustix::process::Pid::from_raw(program.as_raw()).ok_or_else(|| Failure("jail: assign: no pid".into()))?;
    let process = pidfd_open(id, PidfdFlags::empty()).step("find the program")?;
    // From here on this process is where the program is.
    setns(&process, CloneFlags::CLONE_NEWNS).step("join the program")?;
    for (tree, to) in &trees {
        attach::put(tree.as_fd(), to).step(&format!("mount {}", to.display()))?;
    }
    if assignment.tmp_bytes != root.tmp_bytes {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(None::<&str>, "/tmp", None::<&str>, flags, Some(&*mounts::tmp_options(assignment.tmp_bytes)))
            .step("size /tmp")?;
    }
    jail::lose_privileges((tier == Tier::Full).then_some(root.uid))?;
    if limited.is_err() {
        // As the same user that needs no right, but raises nothing: then it stays as it is, as for one that starts.
        let files = assignment.open_files.min(ceiling(program));
        limit(program, files, assignment.file_bytes).step("set limits")?;
    }
    prctl::set_no_new_privs().step("no_new_privs")?;
    prctl::set_dumpable(false).step("hide")?;
    prctl::set_pdeathsig(Signal::SIGKILL).step("follow the zygote's death")?;
    // As the app's own user, like its program; which waits.
    let (code, home) = &assignment.links;
    links::lay(code, home).step("link the code into the home folder")?;
    let given = serde_json::to_vec(&assignment.given).step("tell the program")?;
    File::from(tell).write_all(&given).step("tell the program")
}

/// Another process's limits: open files, and bytes of a file.
fn limit(program: Pid, files: u64, bytes: Option<u64>) -> std::io::Result<()> {
    for (resource, value) in [(libc::RLIMIT_NOFILE, Some(files)), (libc::RLIMIT_FSIZE, bytes)] {
        let Some(value) = value else { continue };
        let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
        // SAFETY: the struct outlives the call, which only reads it.
        if unsafe { libc::prlimit(program.as_raw(), resource, &raw const limit, std::ptr::null_mut()) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// How many open files it may be allowed at most.
fn ceiling(program: Pid) -> u64 {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: u64::MAX };
    // SAFETY: the kernel fills the struct, which outlives the call.
    unsafe { libc::prlimit(program.as_raw(), libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut now) };
    now.rlim_max
}

/// The program's side: a mount namespace of its own below init's, and its root in there.
pub(super) fn enter(inherited: &Inherited<'_>, root: &Root) -> Result<(), Failure> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).step("unshare the mount namespace")?;
    if let Some(folder) = mounts::enter(root, None)? {
        wire::send(&inherited.wire, &Word::Run, &[folder.as_fd()]).step("hand out the socket's folder")?;
    }
    jail::lose_privileges((inherited.tier == Tier::Full).then_some(root.uid))?;
    prctl::set_no_new_privs().step("no_new_privs")?;
    prctl::set_dumpable(false).step("hide")?;
    prctl::set_pdeathsig(Signal::SIGKILL).step("follow init's death")
}

/// Where a parked program may look for what is mounted later: a rule on a place itself would be hidden by the mount.
pub const ABOVE_CODE: &str = "/";
/// The same for the home; nothing else is below, and the root is read-only.
pub fn above_home() -> &'static Path {
    Path::new(super::HOME).parent().unwrap_or(Path::new("/"))
}
