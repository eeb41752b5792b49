//! Entering the jail: the ordered steps, in a process with one thread. A failure is sent to the server
//! as `jail: <step>: <cause>` over the socket the spec came by; silence there means Bun runs.
use std::ffi::CString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::ExitCode;

use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, chdir, execve, getppid, setgroups, setresgid, setresuid, setsid};

use super::{JailSpec, links, mounts};

/// A spec is some kilobytes of environment and paths.
const MAX_SPEC: u64 = 4 << 20;
/// Exit code of a jail that could not be entered.
const FAILED: u8 = 111;

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

/// Reads the spec from descriptor 0 and becomes the child. Returns only on failure.
pub fn main() -> ExitCode {
    let Ok(wire) = std::io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::from(FAILED) };
    let mut wire = File::from(wire);
    match enter(&mut wire) {
        Ok(never) => match never {},
        Err(Failure(why)) => {
            // Nobody left to tell when this fails: the exit code still speaks.
            let _ = wire.write_all(why.as_bytes());
            ExitCode::from(FAILED)
        }
    }
}

fn enter(wire: &mut File) -> Result<std::convert::Infallible, Failure> {
    let spec = read_spec(wire)?;
    follow_parent_death(&spec)?;
    limit_resources(&spec)?;
    for file in &spec.join {
        write_plain(file, b"0").step(&format!("join {}", file.display()))?;
    }
    if let Some(root) = &spec.root {
        for folder in &root.own {
            mounts::give(folder, root.uid).step(&format!("give {}", folder.display()))?;
        }
        mounts::build(root)?;
    }
    detach_descriptors()?;
    setsid().step("setsid")?;
    if let Some(root) = &spec.root {
        become_user(root.uid)?;
    }
    // Changing the uid cleared it.
    follow_parent_death(&spec)?;
    prctl::set_no_new_privs().step("no_new_privs")?;
    if let Some((code, home)) = &spec.links {
        links::lay(code, home).step("link the code into the home folder")?;
    }
    chdir(&spec.cwd).step(&format!("enter {}", spec.cwd.display()))?;
    let c = |s: &str| CString::new(s).step("read the command");
    let program = c(spec.argv.first().map_or("", String::as_str))?;
    let argv = spec.argv.iter().map(|a| c(a)).collect::<Result<Vec<_>, _>>()?;
    let env = spec.env.iter().map(|(k, v)| c(&format!("{k}={v}"))).collect::<Result<Vec<_>, _>>()?;
    execve(&program, &argv, &env).step(&format!("run {}", spec.argv.first().map_or("", String::as_str)))
}

fn read_spec(wire: &mut File) -> Result<JailSpec, Failure> {
    let mut length = [0u8; 4];
    wire.read_exact(&mut length).step("read the spec")?;
    let length = u64::from(u32::from_le_bytes(length));
    if length > MAX_SPEC {
        return Err(Failure("jail: read the spec: it is too large".into()));
    }
    let mut bytes = Vec::new();
    wire.take(length).read_to_end(&mut bytes).step("read the spec")?;
    serde_json::from_slice(&bytes).step("read the spec")
}

/// The kernel kills this process when the thread that started it ends: no orphan survives `kill -9` of
/// the server.
fn follow_parent_death(spec: &JailSpec) -> Result<(), Failure> {
    prctl::set_pdeathsig(Signal::SIGKILL).step("follow the server's death")?;
    if u32::try_from(getppid().as_raw()) != Ok(spec.parent) {
        return Err(Failure("jail: the server is gone".into()));
    }
    Ok(())
}

/// No limit on address space: Bun reserves gigabytes it never touches.
fn limit_resources(spec: &JailSpec) -> Result<(), Failure> {
    let (_, ceiling) = getrlimit(Resource::RLIMIT_NOFILE).step("limit open files")?;
    // Raising the ceiling takes a right that root in a container may lack; less is no reason not to run.
    let allowed = spec.open_files.min(ceiling);
    setrlimit(Resource::RLIMIT_NOFILE, spec.open_files, spec.open_files)
        .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, allowed, allowed))
        .step("limit open files")?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).step("forbid core dumps")
}

/// Standard input becomes `/dev/null`; everything above standard error closes when Bun starts.
fn detach_descriptors() -> Result<(), Failure> {
    let null = File::open("/dev/null").step("open /dev/null")?;
    // SAFETY: dup2 onto descriptor 0, which this process owns; both numbers are valid open descriptors.
    if unsafe { libc::dup2(null.as_raw_fd(), 0) } < 0 {
        return Err(Failure(format!("jail: close stdin: {}", std::io::Error::last_os_error())));
    }
    // SAFETY: only marks descriptors close-on-exec; all stay valid until then.
    let marked = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if marked != 0 {
        mark_one_by_one().step("close descriptors")?;
    }
    Ok(())
}

/// Kernels before 5.11 know no `CLOSE_RANGE_CLOEXEC`.
fn mark_one_by_one() -> std::io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        if let Some(fd) = entry?.file_name().to_str().and_then(|n| n.parse::<i32>().ok())
            && fd > 2
        {
            // SAFETY: setting a flag on a descriptor number; one that has closed meanwhile fails harmlessly.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// Own uid and gid, no groups, and not one capability, now or after any exec.
fn become_user(uid: u32) -> Result<(), Failure> {
    for capability in 0..64 {
        // SAFETY: prctl with plain integers; unknown capabilities answer EINVAL, which ends the list.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            break;
        }
    }
    setgroups(&[]).step("drop groups")?;
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    setresgid(group, group, group).step("set gid")?;
    setresuid(user, user, user).step("set uid")?;
    if nix::unistd::setuid(Uid::from_raw(0)).is_ok() {
        return Err(Failure("jail: set uid: root could be taken back".into()));
    }
    Ok(())
}

/// One `write` to a kernel file.
fn write_plain(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::OpenOptions::new().write(true).open(path)?.write_all(bytes)
}
