//! One confined process: started by the zygote, watched, told to end, and gone with all it started.
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
use super::sandbox::JailSpec;
use super::sandbox::cgroup::Group;
use super::sandbox::wire;
use super::wire::Wire;
use super::zygote::{Spawned, Zygote};
use crate::base::Tasks;

/// A process that was started. Dropping it kills it.
pub struct Running {
    process: Spawned,
    wire: Wire,
    group: Option<Group>,
    oom_before: u64,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub success: bool,
    /// `exit 1`, `signal 9 (out of memory)`
    pub text: String,
}

impl Running {
    /// Has the zygote start it, and hands it the spec.
    pub async fn start(
        zygote: &Zygote,
        tasks: &Tasks,
        spec: JailSpec,
        group: Option<Group>,
    ) -> io::Result<(Self, pipe::Receiver, pipe::Receiver)> {
        let (mine, theirs) = wire::pair()?;
        let paper = rustix::fs::memfd_create("spec", MemfdFlags::CLOEXEC)?;
        let bytes = serde_json::to_vec(&spec)?;
        io::Write::write_all(&mut std::fs::File::from(paper.try_clone()?), &bytes)?;
        let (out, child_out) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let (err, child_err) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let folder: Option<OwnedFd> = group.as_ref().and_then(Group::open_dir);
        let mut fds = vec![theirs.as_fd(), paper.as_fd(), child_out.as_fd(), child_err.as_fd()];
        fds.extend(folder.as_ref().map(|fd| fd.as_fd()));
        let oom_before = group.as_ref().map_or(0, Group::oom_kills);
        let process = zygote.spawn(&fds, folder.is_some()).await?;
        let running = Self { process, wire: Wire::new(mine, tasks)?, group, oom_before };
        let receive = |fd: OwnedFd| {
            rustix::io::ioctl_fionbio(&fd, true)?;
            pipe::Receiver::from_owned_fd(fd)
        };
        Ok((running, receive(out)?, receive(err)?))
    }

    /// Of its init, as the server sees it.
    pub fn pid(&self) -> u32 {
        self.process.pid
    }

    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Waits for its end; safe to cancel.
    pub async fn wait(&mut self) -> Ending {
        let raw = match self.process.ended.wait_for(Option::is_some).await {
            Ok(status) => status.unwrap_or_default(),
            Err(_) => return Ending { success: false, text: "lost sight of it".into() },
        };
        let status = ExitStatus::from_raw(self.wire.status().await.unwrap_or(raw));
        let oom = self.group.as_ref().map_or(0, Group::oom_kills) > self.oom_before;
        describe(status, oom)
    }

    /// The limits of its group that it met, as parts of a sentence.
    pub fn limits_met(&self, limits: &Limits) -> Vec<String> {
        let Some(group) = &self.group else { return Vec::new() };
        let memory =
            (group.oom_kills() > self.oom_before).then(|| format!("memory ({} MiB)", limits.memory_bytes >> 20));
        let pids = (group.refused_forks() > 0).then(|| format!("processes and threads ({})", limits.pids));
        memory.into_iter().chain(pids).collect()
    }

    /// Asks it to end, and what it has started in its session with it.
    pub fn terminate(&self) {
        self.wire.terminate();
    }

    /// Ends its init, and with it, where it has a world of its own, everything in there.
    pub fn kill(&self) {
        let _ = pidfd_send_signal(&self.process.pidfd, Signal::KILL);
    }

    /// Ends what is left of its group: daemons, grandchildren.
    pub async fn sweep(self, instance: &str) {
        self.kill();
        let pid = self.wire.entered().await.unwrap_or(self.process.pid);
        let (instance, group) = (instance.to_owned(), self.group.clone());
        let work = tokio::task::spawn_blocking(move || match group {
            Some(group) => group.destroy(),
            None => drop(super::sweep::marked(&instance, Some(pid))),
        });
        let _ = work.await;
    }
}

impl Drop for Running {
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
