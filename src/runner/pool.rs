//! Processes made ahead: confined Buns that have started and wait to be told whose they are. Each becomes one app's,
//! once; until then it runs nothing but Steady's own `pool.js` and knows nothing of any app.
use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::launch::Base;
use super::process::World;
use super::spares::Spares;
use super::{Limits, Options, POOL_UIDS, upstream};
use crate::base::Tasks;

/// Whoever has just taken one needs the processor more.
const REST: Duration = Duration::from_millis(500);
/// After memory ran short.
const LONG_REST: Duration = Duration::from_secs(60);
/// How long one may take until it waits.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether it listens.
const LOOK: Duration = Duration::from_millis(10);
/// The socket of the one request that goes to nobody.
pub const WARM: &str = "warm.sock";

/// Cheap to clone.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    spares: Spares,
    tasks: Tasks,
    base: Base,
    options: Options,
    most: usize,
    uids: Arc<Mutex<Uids>>,
    held: Mutex<Held>,
    /// Held while one is made.
    making: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    ready: Vec<Parked>,
    /// What the last one was taken for: most apps have the same.
    usual: Limits,
    filling: bool,
    /// Memory ran short.
    starved: bool,
    closed: bool,
}

impl Held {
    fn wants(&self, most: usize) -> bool {
        !self.closed && !self.starved && self.ready.len() < most
    }
}

/// One that waits.
pub struct Parked {
    pub world: World,
    /// The folder where its socket will be.
    pub run: OwnedFd,
    pub uid: Uid,
    /// The limits it was made with.
    limits: Limits,
}

impl Pool {
    /// Keeps as many ready as the options say, from now on. Inside the runtime.
    pub fn new(spares: Spares, tasks: Tasks, base: Base, options: Options) -> Self {
        let most = if base.can_park() { options.warm } else { 0 };
        let (uids, held, making) = Default::default();
        let this = Self(Arc::new(Inner { spares, tasks, base, options, most, uids, held, making }));
        this.fill(REST);
        this
    }

    /// One with these limits; `None` when none is ready.
    pub async fn take(&self, limits: &Limits) -> Option<Parked> {
        loop {
            let ready = {
                let mut held = self.lock();
                held.usual = *limits;
                held.ready.pop()
            };
            self.fill(REST);
            let parked = ready?;
            // First of all: a group that goes last has no weight to change.
            parked.world.go_last(false);
            let fits = parked.limits == *limits || parked.world.limit(limits).is_ok();
            if fits && parked.world.is_alive() {
                return Some(parked);
            }
            parked.world.discard().await;
        }
    }

    /// The uid of the one that is taken next, counted from `uid_base`.
    pub fn next_uid(&self) -> Option<u32> {
        self.lock().ready.last().map(|parked| parked.uid.offset)
    }

    /// Gives the memory of those that wait back, and makes none for a while. False when there were none.
    pub async fn shed(&self) -> bool {
        let left = {
            let mut held = self.lock();
            held.starved = true;
            std::mem::take(&mut held.ready)
        };
        let any = !left.is_empty();
        for parked in left {
            parked.world.discard().await;
        }
        let (this, stop) = (self.clone(), self.0.tasks.stopping());
        self.0.tasks.spawn("pool-rest", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LONG_REST) => {
                    this.lock().starved = false;
                    this.fill(REST);
                }
            }
        });
        any
    }

    /// Ends those that are left, also the one that is being made; none is made any more.
    pub async fn close(&self) {
        let left = {
            let mut held = self.lock();
            held.closed = true;
            std::mem::take(&mut held.ready)
        };
        for parked in left {
            parked.world.discard().await;
        }
        // One that does not come up must not hold up the end.
        let _ = tokio::time::timeout(PATIENCE, self.0.making.lock()).await;
    }

    /// One after another, in a task of its own, until there are enough.
    fn fill(&self, rest: Duration) {
        {
            let mut held = self.lock();
            if held.filling || !held.wants(self.0.most) {
                return;
            }
            held.filling = true;
        }
        let (this, stop) = (self.clone(), self.0.tasks.stopping());
        self.0.tasks.spawn("pool", async move {
            tokio::select! {
                () = stop.cancelled() => this.lock().filling = false,
                () = tokio::time::sleep(rest) => while this.add_one(&stop).await {},
            }
        });
    }

    /// Whether there may be more to add.
    async fn add_one(&self, stop: &CancellationToken) -> bool {
        let _making = self.0.making.lock().await;
        let usual = {
            let mut held = self.lock();
            if stop.is_cancelled() || !held.wants(self.0.most) {
                // In the same breath: whoever takes one from here on has it filled again.
                held.filling = false;
                return false;
            }
            held.usual
        };
        let made = tokio::select! {
            made = self.0.make(&usual) => made,
            () = stop.cancelled() => Err(io::Error::other("the server stops")),
        };
        let parked = match made {
            Ok(parked) => parked,
            Err(error) => {
                // Apps start without it, only not as fast.
                tracing::debug!(%error, "no process could be made ahead");
                self.lock().filling = false;
                return false;
            }
        };
        let too_late = {
            let mut held = self.lock();
            if held.closed || held.starved {
                Some(parked)
            } else {
                held.ready.push(parked);
                None
            }
        };
        if let Some(parked) = too_late {
            parked.world.discard().await;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    async fn make(&self, limits: &Limits) -> io::Result<Parked> {
        let uid = Uids::take(&self.uids).ok_or_else(|| io::Error::other("all its uids are in use"))?;
        let world = self.spares.make(limits).await?;
        // Apps that run go first.
        world.go_last(true);
        let spec = self.base.parked(&self.options, uid.offset, limits, world.group());
        let ready = async {
            let run = world.park(&spec).await?;
            warm(&run).await?;
            Ok(run)
        };
        match tokio::time::timeout(PATIENCE, ready).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(run) => Ok(Parked { world, run, uid, limits: *limits }),
            Err(error) => {
                world.discard().await;
                Err(error)
            }
        }
    }
}

/// The one request, when it listens.
async fn warm(run: &OwnedFd) -> io::Result<()> {
    let mut stream = loop {
        match upstream::dial(run, WARM).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    };
    stream.write_all(b"GET /warm HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let mut answer = [0u8; 512];
    match stream.read(&mut answer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Which uids of the pool's own are in use. No two processes have one at a time.
#[derive(Default)]
struct Uids {
    used: BTreeSet<u32>,
    next: u32,
}

/// Given back when dropped.
pub struct Uid {
    /// Added to `uid_base`.
    pub offset: u32,
    of: Arc<Mutex<Uids>>,
}

impl Uids {
    /// The one that was not used for the longest time. `None`: all are.
    fn take(this: &Arc<Mutex<Self>>) -> Option<Uid> {
        let mut uids = this.lock().unwrap_or_else(PoisonError::into_inner);
        let count = POOL_UIDS.end - POOL_UIDS.start;
        let next = uids.next;
        let offset = (0..count).map(|n| POOL_UIDS.start + (next + n) % count).find(|uid| !uids.used.contains(uid))?;
        uids.next = (offset - POOL_UIDS.start + 1) % count;
        uids.used.insert(offset);
        Some(Uid { offset, of: this.clone() })
    }
}

impl Drop for Uid {
    fn drop(&mut self) {
        self.of.lock().unwrap_or_else(PoisonError::into_inner).used.remove(&self.offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_one_process_s_at_a_time_and_comes_again_as_late_as_can_be() {
        let uids = Arc::new(Mutex::new(Uids::default()));
        let count = POOL_UIDS.end - POOL_UIDS.start;
        let first = Uids::take(&uids).expect("one");
        assert_eq!(first.offset, POOL_UIDS.start);
        let kept: Vec<Uid> = (1..count).map(|_| Uids::take(&uids).expect("one more")).collect();
        assert!(Uids::take(&uids).is_none(), "all are in use");
        drop(first);
        let again = Uids::take(&uids).expect("the one given back");
        assert_eq!(again.offset, POOL_UIDS.start);
        drop((again, kept));
        assert_eq!(Uids::take(&uids).expect("another").offset, POOL_UIDS.start + 1, "not the same at once");
    }
}
