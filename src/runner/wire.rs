//! The server's end of one child's wire: hears from init, and asks it for sockets inside.
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{oneshot, watch};

use super::sandbox::wire::{self, Order, Word};
use crate::base::Tasks;

/// Init answers at once, or its world is ending.
const ANSWER: Duration = Duration::from_secs(10);

/// Cheap to clone. Closed when the last is dropped, and init then ends.
#[derive(Clone)]
pub struct Wire(Arc<Inner>);

struct Inner {
    socket: AsyncFd<OwnedFd>,
    heard: Mutex<Heard>,
    /// Counts what was heard.
    changed: watch::Sender<u64>,
    ids: AtomicU32,
}

#[derive(Default)]
struct Heard {
    doors: Vec<OwnedFd>,
    watch: Option<OwnedFd>,
    run: Option<OwnedFd>,
    entered: Option<Result<u32, String>>,
    status: Option<i32>,
    parked: bool,
    waiting: HashMap<u32, oneshot::Sender<io::Result<OwnedFd>>>,
    closed: bool,
}

impl Wire {
    /// Listens in a task of its own until init is gone.
    pub fn new(socket: OwnedFd, tasks: &Tasks) -> io::Result<Self> {
        let inner = Inner {
            socket: wire::register(socket)?,
            heard: Mutex::default(),
            changed: watch::Sender::new(0),
            ids: AtomicU32::new(1),
        };
        let this = Self(Arc::new(inner));
        let listener = this.clone();
        tasks.spawn("wire", async move { listener.0.listen().await });
        Ok(this)
    }

    /// Waits until the program runs; safe to cancel. Its process id, as init sees it.
    /// Errors: the step that failed.
    pub async fn entered(&self) -> Result<u32, String> {
        self.0
            .heard_when(|heard| heard.entered.clone())
            .await
            .unwrap_or_else(|| Err("jail: it died while entering".into()))
    }

    /// The program's own end, when init lived to tell. Waits until init is gone.
    pub async fn status(&self) -> Option<i32> {
        self.0.heard_when(|heard| heard.status).await
    }

    /// Tells init what to run, with what is written there. Errors: init is gone.
    pub async fn tell(&self, order: Order, paper: BorrowedFd<'_>) -> io::Result<()> {
        self.0.socket.async_io(Interest::WRITABLE, |fd| wire::send(fd, &order, &[paper])).await
    }

    /// Waits until the program has begun that is to wait for its app. Errors: the step that failed.
    pub async fn parked(&self) -> Result<(), String> {
        let heard = self.0.heard_when(|heard| match &heard.entered {
            Some(Err(why)) => Some(Err(why.clone())),
            _ => heard.parked.then_some(Ok(())),
        });
        heard.await.unwrap_or_else(|| Err("jail: it died while entering".into()))
    }

    /// Whether init is there and nothing has gone wrong with it.
    pub fn is_open(&self) -> bool {
        let heard = self.0.lock();
        !heard.closed && heard.entered.is_none()
    }

    /// The DNS sockets and the connect notifications, once each.
    pub fn take_doors(&self) -> (Vec<OwnedFd>, Option<OwnedFd>) {
        let mut heard = self.0.lock();
        (std::mem::take(&mut heard.doors), heard.watch.take())
    }

    /// The folder of the program's socket, once; there since before it entered, in a root of its own.
    pub fn take_run(&self) -> Option<OwnedFd> {
        self.0.lock().run.take()
    }

    /// A listening TCP socket at an address of the child's network.
    pub async fn listen(&self, at: SocketAddr) -> io::Result<OwnedFd> {
        self.order(|id| Order::Listen { id, at }).await
    }

    /// A UDP socket at an address of the child's network.
    pub async fn bind(&self, at: SocketAddr) -> io::Result<OwnedFd> {
        self.order(|id| Order::Bind { id, at }).await
    }

    /// A TCP connection to what listens in the child's network; may still be in progress.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<OwnedFd> {
        self.order(|id| Order::Connect { id, to }).await
    }

    /// SIGTERM to the program.
    pub fn terminate(&self) {
        // A full or closed socket: its end is near anyway, or the kill that follows brings it.
        let _ = self.0.socket.try_io(Interest::WRITABLE, |fd| wire::send(fd, &Order::Terminate, &[]));
    }

    async fn order(&self, order: impl FnOnce(u32) -> Order) -> io::Result<OwnedFd> {
        let id = self.0.ids.fetch_add(1, Ordering::Relaxed);
        let (answer, wait) = oneshot::channel();
        {
            let mut heard = self.0.lock();
            if heard.closed {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            heard.waiting.insert(id, answer);
        }
        let order = order(id);
        let sent = self.0.socket.async_io(Interest::WRITABLE, |fd| wire::send(fd, &order, &[])).await;
        let answered = match sent {
            Ok(()) => tokio::time::timeout(ANSWER, wait).await,
            Err(e) => Ok(Ok(Err(e))),
        };
        self.0.lock().waiting.remove(&id);
        match answered {
            Ok(Ok(made)) => made,
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // One is the listening task's own.
        if Arc::strong_count(&self.0) == 2 {
            let _ = rustix::net::shutdown(&self.0.socket, rustix::net::Shutdown::Both);
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn listen(&self) {
        while let Ok(Some((word, fds))) = self.socket.async_io(Interest::READABLE, |fd| wire::receive::<Word>(fd)).await
        {
            self.hear(word, fds);
        }
        let mut heard = self.lock();
        heard.closed = true;
        heard.waiting.clear();
        drop(heard);
        self.changed.send_modify(|n| *n += 1);
    }

    fn hear(&self, word: Word, fds: Vec<OwnedFd>) {
        let mut heard = self.lock();
        match word {
            Word::Doors => heard.doors = fds,
            Word::Run => heard.run = fds.into_iter().next(),
            Word::Watch => heard.watch = fds.into_iter().next(),
            Word::Parked => heard.parked = true,
            Word::Entered { pid } => heard.entered = Some(Ok(pid)),
            Word::Failed { why } => heard.entered = Some(Err(why)),
            Word::Ended { status } => heard.status = Some(status),
            Word::Made { id, error } => {
                let made = match (error, fds.into_iter().next()) {
                    (None, Some(fd)) => Ok(fd),
                    (error, _) => Err(error.map_or(io::ErrorKind::InvalidData.into(), io::Error::from_raw_os_error)),
                };
                if let Some(answer) = heard.waiting.remove(&id) {
                    // Whoever asked may have given up.
                    let _ = answer.send(made);
                }
            }
        }
        drop(heard);
        self.changed.send_modify(|n| *n += 1);
    }

    /// `None` when init is gone and it was never heard.
    async fn heard_when<T>(&self, pick: impl Fn(&Heard) -> Option<T>) -> Option<T> {
        let mut changed = self.changed.subscribe();
        loop {
            {
                let heard = self.lock();
                if let Some(found) = pick(&heard) {
                    return Some(found);
                }
                if heard.closed {
                    return None;
                }
            }
            if changed.changed().await.is_err() {
                return None;
            }
        }
    }
}
