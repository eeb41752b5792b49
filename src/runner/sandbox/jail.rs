//! The last steps before a child becomes its program: streams, identity, walls.
use std::ffi::CString;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::{Gid, Uid, chdir, execve, setgroups, setresgid, setresuid, setsid};

use super::init::Inherited;
use super::wire::{self, Word};
use super::{JailSpec, landlock, links, park};

/// Which step failed, and why.
pub struct Failure(pub String);

pub trait Step<T> {
    /// Names the step in case of failure.
    fn step(self, name: &str) -> Result<T, Failure>;
}

impl<T, E: std::fmt::Display> Step<T> for Result<T, E> {
    fn step(self, name: &str) -> Result<T, Failure> {
        self.map_err(|e| Failure(format!("jail: {name}: {e}")))
    }
}

/// Becomes the program; or says why not on `pipe` and ends.
pub(super) fn main(inherited: &Inherited<'_>, spec: &JailSpec, pipe: &OwnedFd) -> ! {
    let Err(Failure(why)) = enter(inherited, spec, None);
    fail(pipe, &why)
}

/// Becomes a program that waits at `paper`, whose number it finds in `STEADY_PAPER`; else as [`main`].
pub(super) fn park(inherited: &Inherited<'_>, spec: &JailSpec, pipe: &OwnedFd, paper: &OwnedFd) -> ! {
    let rooted = spec.root.as_ref().map_or(Ok(()), |root| park::enter(inherited, root));
    let Err(Failure(why)) = rooted.and_then(|()| enter(inherited, spec, Some(paper)));
    fail(pipe, &why)
}

fn fail(pipe: &OwnedFd, why: &str) -> ! {
    // When nobody listens any more, the end of this process still says that it failed.
    let _ = rustix::io::write(pipe, why.as_bytes());
    // SAFETY: ends this copy of the zygote without running what was meant for the zygote's own end.
    unsafe { libc::_exit(111) }
}

fn enter(
    inherited: &Inherited<'_>,
    spec: &JailSpec,
    paper: Option<&OwnedFd>,
) -> Result<std::convert::Infallible, Failure> {
    setsid().step("setsid")?;
    if spec.root.is_none() {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).step("follow init's death")?;
    }
    streams(inherited)?;
    if let Some((code, home)) = &spec.links {
        links::lay(code, home).step("link the code into the home folder")?;
    }
    chdir(&spec.cwd).step(&format!("enter {}", spec.cwd.display()))?;
    let c = |s: &str| CString::new(s).step("read the command");
    let program = c(spec.argv.first().map_or("", String::as_str))?;
    let argv = spec.argv.iter().map(|a| c(a)).collect::<Result<Vec<_>, _>>()?;
    let mut env = spec.env.iter().map(|(k, v)| c(&format!("{k}={v}"))).collect::<Result<Vec<_>, _>>()?;
    if let Some(paper) = paper {
        rustix::io::fcntl_setfd(paper, rustix::io::FdFlags::empty()).step("keep the paper")?;
        env.push(c(&format!("STEADY_PAPER={}", std::os::fd::AsRawFd::as_raw_fd(paper)))?);
    }
    // Blocked and ignored signals would be inherited.
    SigSet::empty().thread_set_mask().step("unblock signals")?;
    // SAFETY: the default action; no handler of this program is involved.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.step("reset SIGPIPE")?;
    landlock::restrict(&spec.walls).step("put up the file walls")?;
    let watch = inherited.filters.listen().step("watch connections")?;
    wire::send(&inherited.wire, &Word::Watch, &[watch.as_fd()]).step("hand out the watch on connections")?;
    drop(watch);
    inherited.filters.install().step("filter system calls")?;
    execve(&program, &argv, &env).step(&format!("run {}", spec.argv.first().map_or("", String::as_str)))
}

/// Standard input becomes `/dev/null`; everything above standard error closes when the program starts.
fn streams(inherited: &Inherited<'_>) -> Result<(), Failure> {
    let null = File::open("/dev/null").step("open /dev/null")?;
    rustix::stdio::dup2_stdin(null.as_fd()).step("close stdin")?;
    rustix::stdio::dup2_stdout(&inherited.out).step("give it stdout")?;
    rustix::stdio::dup2_stderr(&inherited.err).step("give it stderr")?;
    // SAFETY: only marks descriptors close-on-exec; all stay valid until then.
    let marked = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if marked == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()).step("close descriptors") }
}

/// No limit on address space: Bun reserves gigabytes it never touches.
pub(super) fn limit_resources(spec: &JailSpec) -> Result<(), Failure> {
    let (_, ceiling) = getrlimit(Resource::RLIMIT_NOFILE).step("limit open files")?;
    // Raising the ceiling takes a right that root in a container may lack; less is no reason not to run.
    let allowed = spec.open_files.min(ceiling);
    setrlimit(Resource::RLIMIT_NOFILE, spec.open_files, spec.open_files)
        .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, allowed, allowed))
        .step("limit open files")?;
    // Never more memory than can be unlocked, no message queues of the kernel's, no core dumps.
    for resource in [Resource::RLIMIT_CORE, Resource::RLIMIT_MSGQUEUE, Resource::RLIMIT_RTPRIO, Resource::RLIMIT_NICE] {
        setrlimit(resource, 0, 0).step("set limits")?;
    }
    if let Some(bytes) = spec.file_bytes {
        setrlimit(Resource::RLIMIT_FSIZE, bytes, bytes).step("limit file sizes")?;
    }
    Ok(())
}

/// Own uid and gid where `uid` says so, no groups, and not one capability, now or after any exec.
pub(super) fn lose_privileges(uid: Option<u32>) -> Result<(), Failure> {
    for capability in 0..64 {
        // SAFETY: prctl with plain integers; unknown capabilities answer EINVAL, which ends the list.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            break;
        }
    }
    if let Some(uid) = uid {
        setgroups(&[]).step("drop groups")?;
        let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
        setresgid(group, group, group).step("set gid")?;
        setresuid(user, user, user).step("set uid")?;
        if nix::unistd::setuid(Uid::from_raw(0)).is_ok() {
            return Err(Failure("jail: set uid: root could be taken back".into()));
        }
    }
    no_capabilities().step("drop capabilities")
}

/// In a user namespace no change of uid clears them.
fn no_capabilities() -> std::io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0u32];
    let none = [0u32; 6];
    // SAFETY: header and data have the layout and size of version 3.
    let done = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// One `write` to a kernel file.
pub(super) fn write_plain(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::OpenOptions::new().write(true).open(path)?.write_all(bytes)
}
