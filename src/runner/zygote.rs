//! The server's end of the zygote: asks it for processes, hears of their ends, starts another when it dies.
use std::collections::HashMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::sandbox::wire::{self, Ask, Told};
use super::sandbox::zygote::Setup;
use crate::base::Tasks;

/// The status of a process whose zygote died: killed with it.
const LOST: i32 = 9;
/// How long it may take to build the root that children share.
const READY: Duration = Duration::from_secs(20);
/// How long it may take to end once nobody needs it.
const ENDS: Duration = Duration::from_secs(5);

/// Cheap to clone.
#[derive(Clone)]
pub struct Zygote(Arc<Inner>);

struct Inner {
    steady: PathBuf,
    setup: Setup,
    tasks: Tasks,
    /// `None` until the first, and after one has died.
    alive: Mutex<Option<Arc<Alive>>>,
    ids: AtomicU64,
}

/// One zygote process.
struct Alive {
    control: AsyncFd<OwnedFd>,
    known: Mutex<Known>,
    maps_owners: bool,
    /// Killed when dropped.
    process: Mutex<Option<tokio::process::Child>>,
}

#[derive(Default)]
struct Known {
    dead: bool,
    asked: HashMap<u64, oneshot::Sender<Result<Spawned, String>>>,
    running: HashMap<u32, watch::Sender<Option<i32>>>,
}

/// A process that was started.
pub struct Spawned {
    pub pid: u32,
    pub pidfd: OwnedFd,
    /// Its status as `wait` gives it, once it has ended.
    pub ended: watch::Receiver<Option<i32>>,
}

impl Zygote {
    /// Blocks until it is ready. Inside the runtime.
    /// Errors: what the zygote cannot build, named by step.
    pub fn start(steady: PathBuf, setup: Setup, tasks: Tasks) -> io::Result<Self> {
        let ids = AtomicU64::new(1);
        let this = Self(Arc::new(Inner { steady, setup, tasks, alive: Mutex::default(), ids }));
        this.alive()?;
        Ok(this)
    }

    /// A process that waits for its spec. `fds`: wire, out, err, and a v2 group's folder when `grouped`; `join`:
    /// the `cgroup.procs` files of a v1 group.
    pub async fn spawn(&self, fds: &[BorrowedFd<'_>], grouped: bool, join: Vec<PathBuf>) -> io::Result<Spawned> {
        let alive = self.alive()?;
        let id = self.0.ids.fetch_add(1, Ordering::Relaxed);
        let (answer, wait) = oneshot::channel();
        alive.lock().asked.insert(id, answer);
        let ask = Ask::Spawn { id, grouped, join };
        if let Err(e) = alive.control.async_io(Interest::WRITABLE, |fd| wire::send(fd, &ask, fds)).await {
            alive.lock().asked.remove(&id);
            return Err(e);
        }
        wait.await.map_err(|_| io::Error::other("the zygote died"))?.map_err(io::Error::other)
    }

    /// Whether writable folders can be mounted with their owners mapped.
    pub fn maps_owners(&self) -> bool {
        self.alive().is_ok_and(|alive| alive.maps_owners)
    }

    /// The one that lives, or a new one: no app of a dead one lives either.
    fn alive(&self) -> io::Result<Arc<Alive>> {
        let mut slot = self.0.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(alive) = slot.as_ref().filter(|a| !a.lock().dead) {
            return Ok(alive.clone());
        }
        let alive = Arc::new(crate::base::task::blocking(|| self.launch())?);
        *slot = Some(alive.clone());
        let (listener, stop) = (alive.clone(), self.0.tasks.stopping());
        self.0.tasks.spawn("zygote", async move { listener.listen(stop).await });
        Ok(alive)
    }

    fn launch(&self) -> io::Result<Alive> {
        let (mine, theirs) = wire::pair()?;
        let mut command = tokio::process::Command::new(&self.0.steady);
        command.arg("zygote").env_clear().current_dir("/").kill_on_drop(true);
        let process = command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).spawn()?;
        wire::send(&mine, &self.0.setup, &[])?;
        rustix::net::sockopt::set_socket_timeout(&mine, rustix::net::sockopt::Timeout::Recv, Some(READY))?;
        let told = wire::receive::<Told>(&mine);
        match told? {
            Some((Told::Ready { maps_owners }, _)) => Ok(Alive {
                control: wire::register(mine)?,
                known: Mutex::default(),
                maps_owners,
                process: Mutex::new(Some(process)),
            }),
            Some((Told::Unable { why }, _)) => Err(io::Error::other(why)),
            _ => Err(io::Error::other("the zygote ended before it was ready")),
        }
    }
}

impl Alive {
    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until it dies, or the server stops and no child is left.
    async fn listen(&self, stop: CancellationToken) {
        let mut stopping = false;
        while !(stopping && self.is_idle()) {
            tokio::select! {
                told = self.control.async_io(Interest::READABLE, |fd| wire::receive::<Told>(fd)) => match told {
                    Ok(Some((told, fds))) => self.hear(told, fds),
                    _ => break,
                },
                () = stop.cancelled(), if !stopping => stopping = true,
            }
        }
        // It ends when this closes, if it has not.
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut process) = process
            && tokio::time::timeout(ENDS, process.wait()).await.is_err()
        {
            tracing::warn!("the process that starts children had to be killed");
        }
        let mut known = self.lock();
        if !stopping {
            tracing::error!("the process that starts children has ended, and all of them with it");
        }
        known.dead = true;
        known.asked.clear();
        for (_, ended) in known.running.drain() {
            ended.send_replace(Some(LOST));
        }
    }

    fn is_idle(&self) -> bool {
        let known = self.lock();
        known.asked.is_empty() && known.running.is_empty()
    }

    fn hear(&self, told: Told, fds: Vec<OwnedFd>) {
        let mut known = self.lock();
        match told {
            Told::Spawned { id, pid } => {
                let (tell, ended) = watch::channel(None);
                known.running.insert(pid, tell);
                if let (Some(answer), Some(pidfd)) = (known.asked.remove(&id), fds.into_iter().next()) {
                    // Whoever asked may have given up: its wire closes, and init ends.
                    let _ = answer.send(Ok(Spawned { pid, pidfd, ended }));
                }
            }
            Told::NotSpawned { id, why } => {
                if let Some(answer) = known.asked.remove(&id) {
                    let _ = answer.send(Err(why));
                }
            }
            Told::Ended { pid, status } => {
                if let Some(ended) = known.running.remove(&pid) {
                    ended.send_replace(Some(status));
                }
            }
            Told::Ready { .. } | Told::Unable { .. } => {}
        }
    }
}
