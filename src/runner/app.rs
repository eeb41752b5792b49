//! One registered app: the state machine in its lock, the gate, and what the machine's answers do.
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::boots::{Boot, Boots};
use super::child::{self, Ask, Child};
use super::egress::{Budget, Egress};
use super::gate::Gate;
use super::launch::Base;
use super::logs::Logs;
use super::pool::Pool;
use super::pressure::Standing;
use super::registry::Registry;
use super::sandbox::cgroup::{Cgroups, Group};
use super::sandbox::disk::Disk;
use super::spares::Spares;
use super::supervisor::{Action, ChildId, Event, Machine, Phase, Refusal};
use super::upstream::{Lease, Upstream};
use super::{Admission, Crash, LaunchSpec, Options, State, Status, idle};
use crate::base::{Clock, Millis, Tasks};

/// Milliseconds; then it is looked again what is due.
const LONGEST_SLEEP: Millis = 3_600_000;

/// What all apps of a runner share.
pub struct Common {
    pub options: Options,
    pub clock: Clock,
    pub tasks: Tasks,
    pub cgroups: Cgroups,
    pub disk: Disk,
    pub spares: Spares,
    pub pool: Pool,
    pub egress: Egress,
    pub base: Base,
    /// Stronger tiers, and why they cannot be had here.
    pub weaker: super::table::Tried,
    pub counter: AtomicU64,
    pub registry: tokio::sync::OnceCell<Registry>,
    /// This machine has somewhere to put the memory of frozen apps.
    pub swaps: bool,
    /// Whose turn it is to give memory back.
    pub reclaims: tokio::sync::Semaphore,
}

impl Common {
    /// A path for the next child's socket folder. A socket's path is at most 107 bytes; inside a built
    /// root it is short anyway, else it moves to the temporary folder when it would be longer.
    pub fn socket_dir(&self) -> PathBuf {
        let n = self.counter.fetch_add(1, Ordering::Relaxed);
        let name = format!("c{n}");
        let usual = self.options.scratch.join(&name);
        if self.base.has_root() || usual.as_os_str().len() < 90 {
            return usual;
        }
        std::env::temp_dir().join(format!("steady-{}-{name}", crate::base::secret::random_token(6)))
    }
}

pub struct App {
    common: Arc<Common>,
    logs: Logs,
    /// What it may move to and from the world today.
    budget: Arc<Budget>,
    inner: Mutex<Inner>,
    /// Changes with every event; for those who wait for a phase.
    changed: watch::Sender<u64>,
}

struct Inner {
    machine: Machine,
    /// What the next start runs.
    spec: LaunchSpec,
    child: Option<Arc<Child>>,
    gate: Gate<Result<(Arc<Child>, Lease), Refusal>>,
    boots: Boots,
    crashes: u64,
    /// The last child crashed: the next start is a restart.
    crashed: bool,
    last_crash: Option<Crash>,
    cold_starts: u64,
    thaws: u64,
    requests: u64,
}

impl Inner {
    /// Whether as many requests are in progress or wait as its limit of connections allows.
    fn is_crowded(&self) -> bool {
        let held = self.child.as_ref().map_or(0, |child| child.line.in_flight()) + self.gate.waiting() as u64;
        held >= self.spec.limits.connections
    }
}

impl App {
    pub fn new(common: Arc<Common>, spec: LaunchSpec, logs: Logs) -> Arc<Self> {
        let drain = millis(common.options.drain_timeout);
        let inner = Inner {
            machine: Machine::new(idle::times(&spec, common.swaps), drain),
            gate: Gate::new(common.options.gate_waiters),
            spec,
            child: None,
            boots: Boots::default(),
            crashes: 0,
            crashed: false,
            last_crash: None,
            cold_starts: 0,
            thaws: 0,
            requests: 0,
        };
        let budget = Arc::new(Budget::new(common.clock.clone()));
        Arc::new(Self { common, logs, budget, inner: Mutex::new(inner), changed: watch::Sender::new(0) })
    }

    pub fn shared(&self) -> &Common {
        &self.common
    }
    pub fn logs(&self) -> &Logs {
        &self.logs
    }
    /// Bytes a day to and from the world; 0 = no limit.
    pub fn budget(&self, most: u64) -> Arc<Budget> {
        self.budget.limit(most);
        self.budget.clone()
    }

    pub fn spec(&self) -> LaunchSpec {
        self.lock().spec.clone()
    }
    pub fn phase(&self) -> Phase {
        self.lock().machine.phase
    }
    /// The one that runs, or is about to.
    pub fn child(&self) -> Option<Arc<Child>> {
        self.lock().child.clone()
    }
    pub fn last_crash(&self) -> Option<Crash> {
        self.lock().last_crash.clone()
    }
    pub fn forget_crash(&self) {
        self.lock().last_crash = None;
    }

    /// Changes what the next start runs, without telling the machine.
    pub fn set_spec(&self, spec: LaunchSpec) {
        self.lock().spec = spec;
    }

    pub fn replace(self: &Arc<Self>, spec: LaunchSpec) {
        self.set_spec(spec);
        self.settled();
    }

    /// The spec is what counts from here on: its times of rest too.
    pub fn settled(self: &Arc<Self>) {
        let mut inner = self.lock();
        let idle = idle::times(&inner.spec, self.common.swaps);
        self.step(&mut inner, Event::Replaced { idle });
    }

    pub fn event(self: &Arc<Self>, event: Event) {
        let mut inner = self.lock();
        self.step(&mut inner, event);
    }

    /// The child is ready.
    pub fn listening(self: &Arc<Self>, child: &Child, boot: Boot) {
        let (mut inner, id) = (self.lock(), child.id);
        inner.boots.add(boot, child.line.first_answer());
        self.step(&mut inner, Event::Listening(id));
    }

    /// The child and all it started are gone; `crash` unless it was told to end.
    pub fn ended(self: &Arc<Self>, id: ChildId, crash: Option<Crash>) {
        let mut inner = self.lock();
        if let Some(crash) = crash {
            inner.crashes += 1;
            inner.crashed = true;
            inner.last_crash = Some(crash);
        }
        inner.child = None;
        self.step(&mut inner, Event::Exited(id));
    }

    /// Waits at the gate until the app is ready, starting it if it sleeps.
    pub async fn admit(self: &Arc<Self>) -> Admission {
        let clock = Clock::stopwatch();
        let (ticket, wait) = {
            let mut inner = self.lock();
            if let Some(upstream) = self.let_in(&mut inner) {
                return Admission::Go(upstream);
            }
            inner.requests += 1;
            if inner.is_crowded() {
                return Admission::Crowded { limit: inner.spec.limits.connections };
            }
            let Some(place) = inner.gate.enter() else { return Admission::Full };
            if inner.machine.phase == Phase::Asleep {
                inner.cold_starts += 1;
            }
            self.step(&mut inner, Event::Wanted);
            place
        };
        let place = Place { app: self, ticket };
        let answer = tokio::time::timeout(self.common.options.gate_timeout, wait).await;
        drop(place);
        match answer {
            Ok(Ok(Ok((child, lease)))) => {
                let gate_us = u64::try_from(clock.elapsed().as_micros()).unwrap_or(u64::MAX);
                let boot_us = child.boot_us().min(gate_us);
                Admission::Go(Upstream::new(self, &child, lease, gate_us, boot_us))
            }
            Ok(Ok(Err(Refusal::Crashed))) => self.crashed(),
            Ok(Ok(Err(Refusal::Paused))) => Admission::Paused,
            Ok(Ok(Err(Refusal::Gone)) | Err(_)) => Admission::Gone,
            Err(_) => Admission::TimedOut { stage: stage(self.phase()) },
        }
    }

    /// Lets a request in if the app is ready for it now.
    pub fn admit_now(self: &Arc<Self>) -> Option<Upstream> {
        self.let_in(&mut self.lock())
    }

    fn let_in(self: &Arc<Self>, inner: &mut Inner) -> Option<Upstream> {
        if inner.machine.open().is_none() || inner.is_crowded() {
            return None;
        }
        let child = inner.child.as_ref()?;
        inner.requests += 1;
        Some(Upstream::new(self, child, Lease::new(&child.line), 0, 0))
    }

    fn crashed(&self) -> Admission {
        let unknown = || Crash { at: self.common.clock.now(), ending: "did not start".into(), tail: Vec::new() };
        Admission::Crashed(self.last_crash().unwrap_or_else(unknown))
    }

    pub fn status(&self) -> Status {
        let inner = self.lock();
        let child = inner.child.as_ref();
        let state = match inner.machine.phase {
            Phase::Asleep if inner.machine.paused => State::Paused,
            Phase::Asleep => State::Asleep,
            Phase::Starting { .. } => State::Starting,
            Phase::Ready { .. } => State::Ready,
            Phase::Frozen { reclaimed: false, .. } => State::Frozen,
            Phase::Frozen { reclaimed: true, .. } => State::Reclaimed,
            Phase::Draining { .. } | Phase::Stopping { .. } => State::Draining,
            Phase::Crashed { .. } => State::Crashed,
        };
        let boots = inner.boots.all();
        Status {
            state,
            version: child.map_or(&inner.spec.version, |c| &c.version).clone(),
            pid: child.and_then(|c| c.pid()),
            memory: child.and_then(|c| c.memory()),
            swapped: child.and_then(|c| c.group()).and_then(Group::swapped),
            outbound: child.and_then(|c| c.outbound()),
            in_flight: child.map_or(0, |c| c.line.in_flight()),
            started: child.map(|c| c.started),
            boots_ms: boots.iter().map(|boot| boot.total_us() / 1000).collect(),
            boots,
            crashes: inner.crashes,
            last_crash: inner.last_crash.clone(),
            cold_starts: inner.cold_starts,
            thaws: inner.thaws,
            requests: inner.requests,
        }
    }

    /// `None`: stopping it would give no memory back.
    pub fn standing(&self) -> Option<Standing> {
        let inner = self.lock();
        let child = inner.child.clone().filter(|_| inner.machine.may_shed())?;
        let background = inner.spec.rest.freeze.is_none();
        drop(inner);
        Some(Standing {
            quiet_since: child.line.quiet_since(),
            engaged: background || child.is_connected(),
            memory: child.memory().unwrap_or(0),
        })
    }

    /// Waits until the phase is one that `is` accepts; false after `limit`.
    pub async fn until(&self, limit: Duration, is: impl Fn(Phase) -> bool) -> bool {
        let mut changes = self.changed.subscribe();
        let reached = async {
            while !is(self.phase()) {
                // The sender lives in `self`, so this cannot fail.
                let _ = changes.changed().await;
            }
        };
        tokio::time::timeout(limit, reached).await.is_ok()
    }

    /// Waits until no child is left. Bounded by draining, SIGTERM and the last sweep.
    pub async fn until_down(&self) -> bool {
        let limit = self.common.options.drain_timeout * 2 + Duration::from_secs(10);
        self.until(limit, |phase| matches!(phase, Phase::Asleep | Phase::Crashed { .. })).await
    }

    /// A lease on the ready child, held or not: for a health check before the gate opens.
    pub fn lease_anyway(self: &Arc<Self>) -> Option<Upstream> {
        let inner = self.lock();
        let child = inner.child.as_ref()?;
        matches!(inner.machine.phase, Phase::Ready { .. })
            .then(|| Upstream::new(self, child, Lease::new(&child.line), 0, child.boot_us()))
    }

    /// Ends when a child without requests has been idle long enough for something to happen to it; never for
    /// one that is always on.
    pub async fn next_tick(&self, child: &Child) {
        let mut changes = self.changed.subscribe();
        loop {
            let due = child.line.quiet_since().and_then(|since| self.lock().machine.due(since));
            let left = due.map(|at| at.saturating_sub(self.common.clock.now()).clamp(10, LONGEST_SLEEP));
            let over = async {
                match left {
                    Some(left) => tokio::time::sleep(Duration::from_millis(left.unsigned_abs())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => return,
                // The sender lives in `self`, so this cannot fail.
                _ = changes.changed() => {}
            }
        }
    }

    /// Time passed. Whether anything is in flight is seen under the lock that lets requests in.
    pub fn tick(self: &Arc<Self>) {
        let mut inner = self.lock();
        let quiet_since = inner.child.as_ref().and_then(|child| child.line.quiet_since());
        let outbound = inner.child.as_ref().is_some_and(|child| child.is_connected());
        self.step(&mut inner, Event::Tick { quiet_since, outbound });
    }

    fn step(self: &Arc<Self>, inner: &mut MutexGuard<'_, Inner>, event: Event) {
        let actions = inner.machine.step(event, self.common.clock.now());
        for action in actions {
            match action {
                Action::Start(id) => self.start(inner, id),
                Action::Stop(_) => {
                    if let Some(child) = &inner.child {
                        child.demand(Ask::Terminate);
                    }
                }
                Action::Kill(_) => {
                    if let Some(child) = &inner.child {
                        child.demand(Ask::Kill);
                    }
                }
                Action::Admit(_) => {
                    if let Some(child) = inner.child.clone() {
                        inner.gate.answer(|| Ok((child.clone(), Lease::new(&child.line))));
                    }
                }
                Action::Refuse(why) => inner.gate.answer(|| Err(why)),
                Action::Freeze(id) => {
                    if let Some(child) = inner.child.clone()
                        && let Err(error) = idle::freeze(&child)
                    {
                        tracing::debug!(app = %inner.spec.key.0, %error, "cannot be frozen");
                        self.step(inner, Event::Unfreezable(id));
                    }
                }
                Action::Thaw(_) => {
                    inner.thaws += 1;
                    if let Some(child) = &inner.child {
                        idle::thaw(child);
                    }
                }
                Action::Reclaim(_) => {
                    if let Some(child) = inner.child.clone() {
                        self.common.tasks.spawn("reclaim", idle::reclaim(self.clone(), child));
                    }
                }
                Action::TickAt(at) => self.tick_at(at),
            }
        }
        if let (Phase::Draining { .. }, Some(child)) = (inner.machine.phase, &inner.child) {
            // Its task looks whether anything is in flight at all.
            child.line.quiet.notify_one();
        }
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    fn start(self: &Arc<Self>, inner: &mut MutexGuard<'_, Inner>, id: ChildId) {
        let spec = inner.spec.clone();
        match Child::new(id, self, &spec) {
            Ok(child) => {
                let child = Arc::new(child);
                inner.child = Some(child.clone());
                if std::mem::take(&mut inner.crashed) {
                    self.logs.remark(&spec.version, "restarting after it ended by itself");
                }
                self.common.tasks.spawn("child", child::run(self.clone(), child, spec, self.logs.clone()));
            }
            Err(error) => {
                tracing::error!(app = %spec.key.0, ?error, "a child could not be prepared");
                let crash = Crash { at: self.common.clock.now(), ending: error.public, tail: Vec::new() };
                let app = self.clone();
                self.common.tasks.spawn("child", async move { app.ended(id, Some(crash)) });
            }
        }
    }

    fn tick_at(self: &Arc<Self>, at: Millis) {
        let wait = (at - self.common.clock.now()).clamp(0, 60_000).unsigned_abs();
        let (app, stop) = (Arc::downgrade(self), self.common.tasks.stopping());
        self.common.tasks.spawn("app-tick", async move {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(wait)) => {}
                () = stop.cancelled() => {}
            }
            if let Some(app) = app.upgrade() {
                app.tick();
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place at the gate, given up when dropped.
struct Place<'a> {
    app: &'a App,
    ticket: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.app.lock().gate.leave(self.ticket);
    }
}

fn stage(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting { .. } => "boot",
        Phase::Draining { .. } | Phase::Stopping { .. } => "stop",
        Phase::Crashed { .. } => "back-off",
        Phase::Asleep | Phase::Ready { .. } | Phase::Frozen { .. } => "gate",
    }
}

pub fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
