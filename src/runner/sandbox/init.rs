//! Process 1 of a child's world: builds it, starts the program, makes sockets in there for the server,
//! passes signals on, reaps, and reports how the program ended. Trusted, unprivileged once the world
//! stands, and invisible to the program.
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use rustix::event::{PollFd, PollFlags, poll};

use super::attach::Unmapped;
use super::jail::{self, Failure, Step as _};
use super::seccomp::Filters;
use super::tier::Tier;
use super::wire::{self, Order, Word};
use super::{JailSpec, memfd, mounts, netns, park};

/// A spec is some kilobytes of environment and paths.
const MAX_SPEC: u64 = 4 << 20;
/// Exit code of a jail that could not be entered.
const FAILED: i32 = 111;

/// What the zygote gives a new process.
pub(super) struct Inherited<'a> {
    pub tier: Tier,
    pub filters: &'a Filters,
    pub maps_owners: bool,
    pub wire: OwnedFd,
    /// `cgroup.procs` files of a v1 group.
    pub join: Vec<PathBuf>,
    pub out: OwnedFd,
    pub err: OwnedFd,
}

/// Never returns to the zygote's code.
pub(super) fn main(inherited: Inherited<'_>) -> ! {
    let code = match run(&inherited) {
        Ok(code) => code,
        Err(Failure(why)) => {
            // Nobody left to tell when this fails: the exit code still speaks.
            let _ = wire::send(&inherited.wire, &Word::Failed { why }, &[]);
            FAILED
        }
    };
    // SAFETY: ends this copy of the zygote without running what was meant for the zygote's own end.
    unsafe { libc::_exit(code) }
}

fn run(inherited: &Inherited<'_>) -> Result<i32, Failure> {
    // Across changes of uid this is set again.
    prctl::set_pdeathsig(Signal::SIGKILL).step("follow the zygote's death")?;
    let children = children()?;
    let owners = make_world(inherited)?;
    let Some((parked, spec)) = await_spec(&inherited.wire)? else { return Ok(0) };
    if parked {
        return park::run(inherited, &spec, owners, &children);
    }
    jail::limit_resources(&spec)?;
    if let Some(root) = &spec.root {
        for folder in &root.own {
            let owner = root.disk.unwrap_or(root.uid);
            mounts::give(folder, owner).step(&format!("give {}", folder.display()))?;
        }
        if let Some(folder) = mounts::enter(root, owners)? {
            wire::send(&inherited.wire, &Word::Run, &[folder.as_fd()]).step("hand out the socket's folder")?;
        }
        jail::lose_privileges((inherited.tier == Tier::Full).then_some(root.uid))?;
    } else {
        nix::sys::prctl::set_child_subreaper(true).step("adopt orphans")?;
        // Root without rights: what it owns it may use, where the other walls let it.
        jail::lose_privileges(None)?;
    }
    prctl::set_no_new_privs().step("no_new_privs")?;
    prctl::set_dumpable(false).step("hide")?;
    prctl::set_pdeathsig(Signal::SIGKILL).step("follow the zygote's death")?;
    let (entered, entering) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).step("make a pipe")?;
    // SAFETY: this process has one thread.
    let program = match unsafe { fork() }.step("fork")? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => jail::main(inherited, &spec, &entering),
    };
    drop(entering);
    close_streams(inherited);
    if let Some(why) = said(&entered) {
        return Err(Failure(why));
    }
    let pid = u32::try_from(program.as_raw()).unwrap_or_default();
    wire::send(&inherited.wire, &Word::Entered { pid }, &[]).step("say that it runs")?;
    Ok(watch(&inherited.wire, &children, program))
}

/// All that is the same whatever will run here. Where folders can be mounted with their owners mapped: what maps them.
fn make_world(inherited: &Inherited<'_>) -> Result<Option<Unmapped>, Failure> {
    let joining = Joining::begin(&inherited.join)?;
    if inherited.tier == Tier::ProcessOnly {
        return joining.end().map(|()| None);
    }
    nix::unistd::sethostname("app").step("set the host name")?;
    if inherited.tier == Tier::Full {
        memfd::forbid_memfd_exec().step("forbid programs in memory")?;
    }
    netns::prepare()?;
    let doors = netns::doors()?;
    let fds: Vec<_> = doors.iter().map(|fd| fd.as_fd()).collect();
    wire::send(&inherited.wire, &Word::Doors, &fds).step("hand out the DNS sockets")?;
    // Its top is the groups this process is in, and making it takes privileges.
    joining.end()?;
    unshare(CloneFlags::CLONE_NEWCGROUP).step("unshare the cgroup namespace")?;
    // After the groups are joined, so that its process is in them too.
    inherited.maps_owners.then(Unmapped::make).transpose().step("make a user namespace for owners")
}

/// `None`: nobody needs this world any more. True: the program is to wait.
fn await_spec(wire: &OwnedFd) -> Result<Option<(bool, JailSpec)>, Failure> {
    match wire::receive::<Order>(wire).step("hear what to run")? {
        Some((order @ (Order::Enter | Order::Park), fds)) => match fds.into_iter().next() {
            Some(fd) => Ok(Some((matches!(order, Order::Park), read_spec(&File::from(fd))?))),
            None => Err(Failure("jail: hear what to run: no spec".into())),
        },
        Some(_) => Err(Failure("jail: hear what to run: another order".into())),
        None => Ok(None),
    }
}

/// This process on its way into its v1 groups. The kernel waits there for a grace period of RCU, many
/// milliseconds, so another process waits for it while this one builds the world.
struct Joining(Option<Pid>);

impl Joining {
    fn begin(files: &[PathBuf]) -> Result<Self, Failure> {
        if files.is_empty() {
            return Ok(Self(None));
        }
        let open = |path: &PathBuf| OpenOptions::new().write(true).open(path).step(&format!("join {}", path.display()));
        // Opened here: where they are changes under the other's feet.
        let files = files.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let me = nix::unistd::getpid().to_string();
        // SAFETY: this process has one thread.
        match unsafe { fork() }.step("fork")? {
            ForkResult::Parent { child } => Ok(Self(Some(child))),
            ForkResult::Child => {
                let joined = files.into_iter().try_for_each(|mut file| file.write_all(me.as_bytes()));
                let errno = joined.err().map_or(0, |e| e.raw_os_error().unwrap_or(libc::EIO));
                // SAFETY: ends this copy without running what was meant for the other's end.
                unsafe { libc::_exit(errno) }
            }
        }
    }

    /// Waits until it is in all of them.
    fn end(self) -> Result<(), Failure> {
        let Some(child) = self.0 else { return Ok(()) };
        loop {
            return match waitpid(child, None) {
                Ok(WaitStatus::Exited(_, 0)) => Ok(()),
                Ok(WaitStatus::Exited(_, errno)) => Err(io::Error::from_raw_os_error(errno)).step("join its groups"),
                Err(nix::Error::EINTR) => continue,
                other => Err(Failure(format!("jail: join its groups: {other:?}"))),
            };
        }
    }
}

pub(super) fn read_spec<T: serde::de::DeserializeOwned>(file: &File) -> Result<T, Failure> {
    let length = file.metadata().step("read the spec")?.len();
    if length > MAX_SPEC {
        return Err(Failure("jail: read the spec: it is too large".into()));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact_at(&mut bytes, 0).step("read the spec")?;
    serde_json::from_slice(&bytes).step("read the spec")
}

fn children() -> Result<SignalFd, Failure> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block().step("wait for children")?;
    SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).step("wait for children")
}

/// The program's streams end with the program, not with this process.
pub(super) fn close_streams(inherited: &Inherited<'_>) {
    for fd in [inherited.out.as_fd(), inherited.err.as_fd()] {
        // SAFETY: `main` ends in `_exit`: the owners never look at these numbers again.
        unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&fd)) };
    }
}

/// What the child says before it becomes the program: nothing, and then the pipe closes by itself.
pub(super) fn said(pipe: &OwnedFd) -> Option<String> {
    let mut text = Vec::new();
    let mut piece = [0u8; 1024];
    while let Ok(read @ 1..) = rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut piece)) {
        text.extend_from_slice(&piece[..read]);
    }
    (!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned())
}

/// What init waits for.
pub(super) enum Heard {
    Order(Order, Vec<OwnedFd>),
    /// The program has ended or the server is gone: init's own exit code. Leaving ends all that is left in this world.
    End(i32),
    Nothing,
}

/// Until the program has ended or the server is gone.
pub(super) fn watch(wire: &OwnedFd, children: &SignalFd, program: Pid) -> i32 {
    loop {
        match hear(wire, children, program) {
            Heard::Order(order, _) => obey(wire, order, program),
            Heard::End(code) => return code,
            Heard::Nothing => {}
        }
    }
}

pub(super) fn hear(wire: &OwnedFd, children: &SignalFd, program: Pid) -> Heard {
    let mut ready = [PollFd::new(wire, PollFlags::IN), PollFd::new(children, PollFlags::IN)];
    if rustix::io::retry_on_intr(|| poll(&mut ready, None)).is_err() {
        return Heard::End(FAILED);
    }
    let (asked, died) = (!ready[0].revents().is_empty(), !ready[1].revents().is_empty());
    if died {
        while let Ok(Some(_)) = children.read_signal() {}
        if let Some(status) = reap(program) {
            // The program's group, where no namespace ends with this process.
            signal(program, libc::SIGKILL);
            let _ = wire::send(wire, &Word::Ended { status }, &[]);
            let exited = libc::WIFEXITED(status);
            return Heard::End(if exited { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) });
        }
    }
    if !asked {
        return Heard::Nothing;
    }
    match wire::receive::<Order>(wire) {
        Ok(Some((order, fds))) => Heard::Order(order, fds),
        // The server is gone, or speaks another language.
        _ => {
            signal(program, libc::SIGKILL);
            Heard::End(FAILED)
        }
    }
}

pub(super) fn obey(wire: &OwnedFd, order: Order, program: Pid) {
    let (id, made) = match order {
        Order::Listen { id, at } => (id, netns::tcp(at)),
        Order::Bind { id, at } => (id, netns::udp(at)),
        Order::Connect { id, to } => (id, netns::connection(to)),
        Order::Terminate => return signal(program, libc::SIGTERM),
        // It runs already.
        Order::Enter | Order::Park | Order::Assign => return,
    };
    // A server that does not listen any more is noticed by the next poll.
    let _ = match made {
        Ok(fd) => wire::send(wire, &Word::Made { id, error: None }, &[fd.as_fd()]),
        Err(e) => {
            let error = Some(e.raw_os_error().unwrap_or(libc::EIO));
            wire::send(wire, &Word::Made { id, error }, &[])
        }
    };
}

/// To the program and what it has started in its session; to itself when it leads no group yet.
fn signal(program: Pid, signal: i32) {
    // SAFETY: plain integers; the program is our child and not reaped, or its group is empty.
    unsafe {
        if libc::kill(-program.as_raw(), signal) != 0 {
            libc::kill(program.as_raw(), signal);
        }
    }
}

/// Reaps all that has ended; how the program did, if it is among them.
fn reap(program: Pid) -> Option<i32> {
    let mut its = None;
    loop {
        let mut status = 0;
        // SAFETY: waits for any child of ours; the pointer is valid for the call.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if pid <= 0 {
            return its;
        }
        if pid == program.as_raw() {
            its = Some(status);
        }
    }
}
