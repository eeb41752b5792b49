//! One confined process: a world made by the zygote, a program started in it, watched, told to end, and gone with
//! all it started.
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;

use rustix::fs::MemfdFlags;
use rustix::pipe::PipeFlags;
use rustix::process::{Signal, pidfd_send_signal};
use tokio::net::unix::pipe;

use super::Limits;
use super::pool::Uid;
use super::sandbox::JailSpec;
use super::sandbox::cgroup::Group;
use super::sandbox::park::Assignment;
use super::sandbox::wire::{self, Order};
use super::wire::Wire;
use super::zygote::{Spawned, Zygote};
use crate::base::Tasks;

/// Namespaces, a network and a control group whose init waits to be told what to run. Dropping it kills it.
pub struct World {
    process: Process,
    out: pipe::Receiver,
    err: pipe::Receiver,
}

/// A process that was started. Dropping it kills it.
pub struct Running {
    process: Process,
    oom_before: u64,
}

struct Process {
    spawned: Spawned,
    wire: Wire,
    group: Option<Group>,
    /// Its own, where it is none of an app's.
    uid: Option<Uid>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub success: bool,
    /// `exit 1`, `signal 9 (out of memory)`
    pub text: String,
}

impl World {
    /// Has the zygote make it, in `group`. Errors: the zygote cannot; the group is left to the caller.
    pub async fn make(zygote: &Zygote, tasks: &Tasks, group: Option<Group>) -> io::Result<Self> {
        let (mine, theirs) = wire::pair()?;
        let (out, child_out) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let (err, child_err) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let folder: Option<OwnedFd> = group.as_ref().and_then(Group::open_dir);
        // v2 starts it in its group; in v1 it joins by itself.
        let join = group.as_ref().filter(|_| folder.is_none()).map(Group::join_files).unwrap_or_default();
        let mut fds = vec![theirs.as_fd(), child_out.as_fd(), child_err.as_fd()];
        fds.extend(folder.as_ref().map(|fd| fd.as_fd()));
        let spawned = zygote.spawn(&fds, folder.is_some(), join).await?;
        let process = Process { spawned, wire: Wire::new(mine, tasks)?, group, uid: None };
        let receive = |fd: OwnedFd| {
            rustix::io::ioctl_fionbio(&fd, true)?;
            pipe::Receiver::from_owned_fd(fd)
        };
        Ok(Self { process, out: receive(out)?, err: receive(err)? })
    }

    pub fn group(&self) -> Option<&Group> {
        self.process.group.as_ref()
    }

    pub fn limit(&self, limits: &Limits) -> io::Result<()> {
        self.process.group.as_ref().map_or(Ok(()), |group| group.limit(limits))
    }

    pub fn is_alive(&self) -> bool {
        self.process.wire.is_open() && self.process.spawned.ended.borrow().is_none()
    }

    /// Has its init run this. What goes wrong in there shows when waited for: [`Wire::entered`].
    pub async fn enter(self, spec: &JailSpec) -> io::Result<(Running, pipe::Receiver, pipe::Receiver)> {
        let paper = match written(spec) {
            Ok(paper) => paper,
            Err(e) => {
                self.discard().await;
                return Err(e);
            }
        };
        let oom_before = self.process.group.as_ref().map_or(0, Group::oom_kills);
        if let Err(e) = self.process.wire.tell(Order::Enter, paper.as_fd()).await {
            // Its init has said what it could not do, or died; both show when waited for.
            tracing::debug!(error = %e, "a world does not take its spec");
        }
        Ok((Running { process: self.process, oom_before }, self.out, self.err))
    }

    /// Has its init start this and let it wait; the folder for its socket. Errors: the step that failed.
    pub async fn park(&self, spec: &JailSpec) -> io::Result<OwnedFd> {
        let wire = &self.process.wire;
        wire.tell(Order::Park, written(spec)?.as_fd()).await?;
        wire.parked().await.map_err(io::Error::other)?;
        wire.take_run().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Makes what waits in it an app's, as which it runs when this returns. `uid` is given back when it has ended.
    /// Errors: the step that failed; nothing of the app has run, and the world is gone.
    pub async fn assign(
        mut self,
        assignment: &Assignment,
        uid: Uid,
    ) -> io::Result<(Running, pipe::Receiver, pipe::Receiver)> {
        self.process.uid = Some(uid);
        let oom_before = self.process.group.as_ref().map_or(0, Group::oom_kills);
        let wire = self.process.wire.clone();
        let told = async {
            wire.tell(Order::Assign, written(assignment)?.as_fd()).await?;
            wire.entered().await.map_err(io::Error::other)
        };
        match told.await {
            Ok(_) => Ok((Running { process: self.process, oom_before }, self.out, self.err)),
            Err(error) => {
                self.discard().await;
                Err(error)
            }
        }
    }

    /// Whether it runs only when nobody else wants the processor, where the kernel can.
    pub fn go_last(&self, last: bool) {
        if let Some(Err(error)) = self.group().map(|group| group.go_last(last)) {
            tracing::debug!(%error, "a process cannot be sent behind the others");
        }
    }

    /// Ends it, with its group.
    pub async fn discard(self) {
        let group = self.process.group.clone();
        drop(self);
        let _ = tokio::task::spawn_blocking(move || group.map(|group| group.destroy())).await;
    }
}

/// In memory alone: it holds secrets.
fn written(spec: &impl serde::Serialize) -> io::Result<OwnedFd> {
    let paper = rustix::fs::memfd_create("spec", MemfdFlags::CLOEXEC)?;
    io::Write::write_all(&mut std::fs::File::from(paper.try_clone()?), &serde_json::to_vec(spec)?)?;
    Ok(paper)
}

impl Running {
    /// Of its init, as the server sees it.
    pub fn pid(&self) -> u32 {
        self.process.spawned.pid
    }

    pub fn wire(&self) -> &Wire {
        &self.process.wire
    }

    /// Waits for its end; safe to cancel.
    pub async fn wait(&mut self) -> Ending {
        let raw = match self.process.spawned.ended.wait_for(Option::is_some).await {
            Ok(status) => status.unwrap_or_default(),
            Err(_) => return Ending { success: false, text: "lost sight of it".into() },
        };
        let status = ExitStatus::from_raw(self.process.wire.status().await.unwrap_or(raw));
        let oom = self.process.group.as_ref().map_or(0, Group::oom_kills) > self.oom_before;
        describe(status, oom)
    }

    /// The limits of its group that it met, as parts of a sentence.
    pub fn limits_met(&self, limits: &Limits) -> Vec<String> {
        let Some(group) = &self.process.group else { return Vec::new() };
        let memory =
            (group.oom_kills() > self.oom_before).then(|| format!("memory ({} MiB)", limits.memory_bytes >> 20));
        let pids = (group.refused_forks() > 0).then(|| format!("processes and threads ({})", limits.pids));
        memory.into_iter().chain(pids).collect()
    }

    /// Asks it to end, and what it has started in its session with it.
    pub fn terminate(&self) {
        self.process.wire.terminate();
    }

    /// Ends its init, and with it, where it has a world of its own, everything in there.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Ends what is left of its group: daemons, grandchildren.
    pub async fn sweep(self, instance: &str) {
        self.kill();
        let pid = self.process.wire.entered().await.unwrap_or(self.process.spawned.pid);
        let (instance, group) = (instance.to_owned(), self.process.group.clone());
        let work = tokio::task::spawn_blocking(move || match group {
            Some(group) => group.destroy(),
            None => drop(super::sweep::marked(&instance, Some(pid))),
        });
        let _ = work.await;
    }
}

impl Process {
    fn kill(&self) {
        let _ = pidfd_send_signal(&self.spawned.pidfd, Signal::KILL);
        // In v1 what is frozen does not die.
        if let Some(group) = &self.group {
            let _ = group.thaw();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn describe(status: ExitStatus, oom: bool) -> Ending {
    let note = if oom && !status.success() { " (out of memory)" } else { "" };
    let text = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}{note}"),
        (None, Some(signal)) => format!("signal {signal}{note}"),
        (None, None) => "ended".to_owned(),
    };
    Ending { success: status.success(), text }
}

/// A folder for one process, removed when dropped.
pub struct Scratch(pub PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = crate::base::fs::remove_tree(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a scratch folder was left behind");
        }
    }
}
