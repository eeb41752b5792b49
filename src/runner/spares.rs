//! Worlds made ahead. A child's namespaces, network and control group take longer to make than Bun takes to start,
//! and nothing in them is particular to an app until its spec arrives.
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Limits;
use super::process::World;
use super::sandbox::cgroup::Cgroups;
use super::zygote::Zygote;
use crate::base::Tasks;

/// Whoever has just taken one needs the processor more.
const REST: Duration = Duration::from_millis(500);

/// How long the one that is being made is waited for at the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Cheap to clone. Each world serves one process, once.
#[derive(Clone)]
pub struct Spares(Arc<Inner>);

struct Inner {
    zygote: Zygote,
    tasks: Tasks,
    cgroups: Cgroups,
    most: usize,
    names: AtomicU64,
    held: Mutex<Held>,
    /// Held while one is made ahead.
    making: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    /// With the limits each was made with.
    ready: Vec<(World, Limits)>,
    /// What the last one was taken for: most apps have the same.
    usual: Limits,
    filling: bool,
    closed: bool,
}

impl Held {
    fn wants(&self, most: usize) -> bool {
        !self.closed && self.ready.len() < most
    }
}

impl Spares {
    /// Keeps `most` ready from now on. Inside the runtime.
    pub fn new(zygote: Zygote, tasks: Tasks, cgroups: Cgroups, most: usize) -> Self {
        let (names, held, making) = (AtomicU64::new(0), Mutex::default(), tokio::sync::Mutex::default());
        let this = Self(Arc::new(Inner { zygote, tasks, cgroups, most, names, held, making }));
        this.fill();
        this
    }

    /// A world with these limits: one that is ready, else a new one.
    /// Errors: it cannot be limited or made, or all are closed; nothing is left.
    pub async fn take(&self, limits: &Limits) -> io::Result<World> {
        loop {
            let ready = {
                let mut held = self.lock();
                if held.closed {
                    return Err(io::Error::other("nothing starts any more: the server is shutting down"));
                }
                held.usual = *limits;
                held.ready.pop()
            };
            self.fill();
            let Some((world, made)) = ready else { return self.0.make(limits).await };
            // One that died meanwhile, with its zygote, is of no use.
            if world.is_alive() && (made == *limits || world.limit(limits).is_ok()) {
                return Ok(world);
            }
            world.discard().await;
        }
    }

    /// A new one, whatever is ready. Errors: as of [`Self::take`].
    pub async fn make(&self, limits: &Limits) -> io::Result<World> {
        self.0.make(limits).await
    }

    /// Ends those that are left, also the one that is being made; none is made any more.
    pub async fn close(&self) {
        let left = {
            let mut held = self.lock();
            held.closed = true;
            std::mem::take(&mut held.ready)
        };
        for (world, _) in left {
            world.discard().await;
        }
        // A zygote that does not answer must not hold up the end.
        let _ = tokio::time::timeout(PATIENCE, self.0.making.lock()).await;
    }

    /// One after another, in a task of its own, until there are enough.
    fn fill(&self) {
        {
            let mut held = self.lock();
            if held.filling || !held.wants(self.0.most) {
                return;
            }
            held.filling = true;
        }
        let (this, stop) = (self.clone(), self.0.tasks.stopping());
        self.0.tasks.spawn("spares", async move {
            tokio::select! {
                () = stop.cancelled() => this.lock().filling = false,
                () = tokio::time::sleep(REST) => while this.add_one(&stop).await {},
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
        let world = match self.0.make(&usual).await {
            Ok(world) => world,
            Err(error) => {
                // Whoever needs one next is told why there is none.
                tracing::debug!(%error, "no world could be made ahead");
                self.lock().filling = false;
                return false;
            }
        };
        let closed = {
            let mut held = self.lock();
            if held.closed {
                Some(world)
            } else {
                held.ready.push((world, usual));
                None
            }
        };
        if let Some(world) = closed {
            world.discard().await;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    async fn make(&self, limits: &Limits) -> io::Result<World> {
        let n = self.names.fetch_add(1, Ordering::Relaxed);
        let named = |e: io::Error| io::Error::new(e.kind(), format!("limits: {e}"));
        let group = self.cgroups.create(&format!("child-{n}"), limits).map_err(named)?;
        let left = group.clone();
        let world = World::make(&self.zygote, &self.tasks, group).await;
        if world.is_err() {
            // The first failure is the one to tell.
            let _ = tokio::task::spawn_blocking(move || left.map(|group| group.destroy())).await;
        }
        world
    }
}
