//! One confined process: started through `steady jail`, watched, told to end, and gone with all it started.
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::oneshot;

use super::sandbox::JailSpec;
use super::sandbox::cgroup::Group;

type Work = Box<dyn FnOnce() + Send>;

/// The one thread that forks. Children are killed when the thread that forked them ends, so it must
/// live as long as the server: no worker of a thread pool may do this.
#[derive(Clone)]
pub struct Spawner(std::sync::mpsc::Sender<Work>);

/// A process that was started. Dropping it kills it.
pub struct Running {
    child: Child,
    pid: u32,
    group: Option<Group>,
    oom_before: u64,
}

/// Where the jail says what it could not do.
pub struct Wire {
    stream: UnixStream,
    /// What it has said so far; kept here so that waiting can be cancelled.
    said: Vec<u8>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub success: bool,
    /// `exit 1`, `signal 9 (out of memory)`
    pub text: String,
}

impl Spawner {
    /// Errors: when the thread cannot be started.
    pub fn start() -> io::Result<Self> {
        let (send, receive) = std::sync::mpsc::channel::<Work>();
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new().name("runner-spawn".into()).spawn(move || {
            let _inside = runtime.enter();
            while let Ok(work) = receive.recv() {
                work();
            }
        })?;
        Ok(Self(send))
    }

    async fn spawn(&self, mut command: Command) -> io::Result<Child> {
        let (answer, wait) = oneshot::channel();
        let gone = || io::Error::other("the spawning thread is gone");
        let work: Work = Box::new(move || {
            // Whoever asked may have given up: its child is then killed by being dropped.
            let _ = answer.send(command.spawn());
        });
        self.0.send(work).map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }
}

impl Running {
    /// Starts `steady jail` and hands it the spec.
    pub async fn start(
        spawner: &Spawner,
        steady: &Path,
        spec: JailSpec,
        group: Option<Group>,
    ) -> io::Result<(Self, Wire, ChildStdout, ChildStderr)> {
        let (mine, theirs) = std::os::unix::net::UnixStream::pair()?;
        mine.set_nonblocking(true)?;
        let mut wire = UnixStream::from_std(mine)?;
        let mut command = Command::new(steady);
        command.arg("jail").env_clear().current_dir("/").kill_on_drop(true);
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawner.spawn(command).await?;
        let lost = || io::Error::other("the process ended at once");
        let pid = child.id().ok_or_else(lost)?;
        let (out, err) = (child.stdout.take().ok_or_else(lost)?, child.stderr.take().ok_or_else(lost)?);
        let bytes = serde_json::to_vec(&spec)?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        // A jail that died before reading is told about by `entered`.
        let _ = wire.write_all(&length.to_le_bytes()).await;
        let _ = wire.write_all(&bytes).await;
        let oom_before = group.as_ref().map_or(0, Group::oom_kills);
        let wire = Wire { stream: wire, said: Vec::new() };
        Ok((Self { child, pid, group, oom_before }, wire, out, err))
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for the main process; safe to cancel.
    pub async fn wait(&mut self) -> Ending {
        let status = self.child.wait().await;
        let oom = self.group.as_ref().map_or(0, Group::oom_kills) > self.oom_before;
        match status {
            Ok(status) => describe(status, oom),
            Err(e) => Ending { success: false, text: format!("lost sight of it: {e}") },
        }
    }

    /// Asks it to end, and what it has started in its session with it.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// The pid is ours until `wait` has reaped it, so it cannot be another's.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
            // A jail that is still being entered leads no group yet.
            let _ = kill_process_group(pid, signal).or_else(|_| kill_process(pid, signal));
        }
    }

    /// Ends what is left of its group: daemons, grandchildren.
    pub async fn sweep(self, instance: &str) {
        let (pid, instance) = (self.pid, instance.to_owned());
        let work = tokio::task::spawn_blocking(move || match self.group {
            Some(group) => group.destroy(),
            None => drop(super::sweep::marked(&instance, Some(pid))),
        });
        let _ = work.await;
    }
}

impl Wire {
    /// Waits until the jail has become the program; safe to cancel. Errors: the step that failed.
    pub async fn entered(&mut self) -> Result<(), String> {
        while self.said.len() < 4096 {
            match self.stream.read_buf(&mut self.said).await {
                Ok(0) => break,
                Ok(_) => {}
                // A reset: it died with the spec unread.
                Err(e) => return Err(format!("jail: {e}")),
            }
        }
        if self.said.is_empty() { Ok(()) } else { Err(String::from_utf8_lossy(&self.said).into_owned()) }
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
