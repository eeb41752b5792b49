//! The life of one app as a pure function: `step(event, now) -> actions`. No clocks, no processes.
use crate::base::Millis;

/// Back-off after the first crash, and its ceiling; a child that was ready this long clears the count.
const BACKOFF_FIRST: Millis = 250;
const BACKOFF_MAX: Millis = 30_000;
const HEALTHY_AFTER: Millis = 30_000;
/// Requests wait for a restart that is at most this far away; else they are told of the crash.
const WORTH_WAITING: Millis = 2_000;

/// Numbers the children of one app; events of an earlier child are ignored.
pub type ChildId = u64;

/// What happens to a child after how long without requests; `None` = never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idle {
    /// It stands still, where it is.
    pub freeze: Option<Millis>,
    /// Of one that stands still: its memory goes to swap.
    pub reclaim: Option<Millis>,
    /// It ends. `None`: it is always on, and restarted by itself.
    pub stop: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Asleep,
    Starting {
        child: ChildId,
    },
    Ready {
        child: ChildId,
    },
    /// It was ready, and stands still until somebody wants it.
    Frozen {
        child: ChildId,
        /// Its memory was asked back.
        reclaimed: bool,
    },
    /// Its last requests finish, at most until then.
    Draining {
        child: ChildId,
        until: Millis,
    },
    /// It was told to end.
    Stopping {
        child: ChildId,
    },
    /// `boot`: it died before it listened, so the next request would likely meet the same fate.
    Crashed {
        until: Millis,
        boot: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request waits at the gate.
    Wanted,
    Listening(ChildId),
    Exited(ChildId),
    /// No request is in flight any more.
    Quiet(ChildId),
    StartTimeout(ChildId),
    /// Time passed. `quiet_since`: since when the child has had nothing in flight; `outbound`: it has
    /// connections to the world.
    Tick {
        quiet_since: Option<Millis>,
        outbound: bool,
    },
    /// There is nothing to freeze it with.
    Unfreezable(ChildId),
    /// The machine is short of memory, and this app is to go first.
    Shed,
    /// Stop; the next request starts it again (an always-on app starts by itself).
    Stop,
    Pause,
    Resume,
    /// Stop, and let requests wait. Holds nest.
    Hold,
    Release,
    /// Start although held; requests go on waiting.
    StartHeld,
    /// The spec changed: old failures say nothing about it.
    Replaced {
        idle: Idle,
    },
    /// Forgotten: stop and never start again.
    Remove,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Crashed,
    Paused,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Start(ChildId),
    /// SIGTERM, later SIGKILL.
    Stop(ChildId),
    Kill(ChildId),
    /// Lets all who wait in.
    Admit(ChildId),
    /// Answers all who wait.
    Refuse(Refusal),
    Freeze(ChildId),
    /// Before anything else is asked of a frozen one.
    Thaw(ChildId),
    Reclaim(ChildId),
    /// Send a `Tick` then.
    TickAt(Millis),
}

#[derive(Clone, Debug)]
pub struct Machine {
    pub phase: Phase,
    pub paused: bool,
    removed: bool,
    holds: u32,
    /// Somebody waits. Stays set when they give up: the price is one start too many.
    wanted: bool,
    idle: Idle,
    /// Not frozen before then: it was busy, or cannot be.
    awake_until: Millis,
    drain: Millis,
    failures: u32,
    ready_since: Millis,
    next: ChildId,
    /// It took too long and is being killed: that it listens after all is no news.
    late: Option<ChildId>,
}

impl Machine {
    pub fn new(idle: Idle, drain: Millis) -> Self {
        Self {
            phase: Phase::Asleep,
            paused: false,
            removed: false,
            holds: 0,
            wanted: false,
            idle,
            awake_until: Millis::MIN,
            drain,
            failures: 0,
            ready_since: 0,
            next: 1,
            late: None,
        }
    }

    /// The child that takes requests right now.
    pub fn open(&self) -> Option<ChildId> {
        match self.phase {
            Phase::Ready { child } if self.holds == 0 && !self.paused && !self.removed => Some(child),
            _ => None,
        }
    }

    pub fn step(&mut self, event: Event, now: Millis) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::Wanted => self.wanted(now, &mut out),
            Event::Listening(id) if self.phase == (Phase::Starting { child: id }) && self.late != Some(id) => {
                self.phase = Phase::Ready { child: id };
                self.ready_since = now;
                self.admit(&mut out);
            }
            Event::Exited(id) => self.exited(id, now, &mut out),
            Event::StartTimeout(id) if self.phase == (Phase::Starting { child: id }) => {
                self.late = Some(id);
                out.push(Action::Kill(id));
            }
            Event::Quiet(id) => {
                if matches!(self.phase, Phase::Draining { child, .. } if child == id) {
                    self.stop(id, &mut out);
                }
            }
            Event::Tick { quiet_since, outbound } => self.tick(quiet_since, outbound, now, &mut out),
            Event::Unfreezable(id) => {
                self.awake_until = Millis::MAX;
                if matches!(self.phase, Phase::Frozen { child, .. } if child == id) {
                    self.phase = Phase::Ready { child: id };
                }
            }
            Event::Shed if self.may_shed() => self.quit(now, &mut out),
            Event::Stop => {
                self.quit(now, &mut out);
                self.failures = 0;
                self.rest(&mut out);
            }
            Event::Pause => {
                self.paused = true;
                self.refuse(Refusal::Paused, &mut out);
                self.quit(now, &mut out);
            }
            Event::Resume => {
                self.paused = false;
                self.failures = 0;
                self.rest(&mut out);
            }
            Event::Hold => {
                self.holds += 1;
                self.quit(now, &mut out);
            }
            Event::Release => {
                self.holds = self.holds.saturating_sub(1);
                if self.holds == 0 && (self.paused || self.removed) {
                    self.quit(now, &mut out);
                    self.refuse(if self.removed { Refusal::Gone } else { Refusal::Paused }, &mut out);
                }
                self.admit(&mut out);
                self.rest(&mut out);
            }
            Event::StartHeld if self.phase == Phase::Asleep && !self.removed => self.start(&mut out),
            Event::Replaced { idle } => {
                self.idle = idle;
                self.failures = 0;
                if idle.freeze.is_none() {
                    self.thaw(&mut out);
                }
                if matches!(self.phase, Phase::Crashed { .. }) {
                    self.phase = Phase::Asleep;
                }
                self.rest(&mut out);
            }
            Event::Remove => {
                self.removed = true;
                self.refuse(Refusal::Gone, &mut out);
                self.quit(now, &mut out);
            }
            // News of a child that is not the current one, or nothing to do.
            Event::Listening(_) | Event::StartTimeout(_) | Event::StartHeld | Event::Shed => {}
        }
        out
    }

    fn wanted(&mut self, now: Millis, out: &mut Vec<Action>) {
        self.wanted = true;
        if self.removed {
            return self.refuse(Refusal::Gone, out);
        }
        if self.paused {
            return self.refuse(Refusal::Paused, out);
        }
        if let Phase::Crashed { until, boot } = self.phase
            && now < until
            && self.holds == 0
        {
            if boot || until - now > WORTH_WAITING {
                return self.refuse(Refusal::Crashed, out);
            }
            return out.push(Action::TickAt(until));
        }
        if matches!(self.phase, Phase::Crashed { .. }) {
            self.phase = Phase::Asleep;
        }
        self.thaw(out);
        self.admit(out);
        self.rest(out);
    }

    fn exited(&mut self, id: ChildId, now: Millis, out: &mut Vec<Action>) {
        let boot = match self.phase {
            Phase::Starting { child } if child == id => true,
            Phase::Ready { child } | Phase::Frozen { child, .. } if child == id => false,
            Phase::Draining { child, .. } | Phase::Stopping { child } if child == id => {
                self.phase = Phase::Asleep;
                return self.rest(out);
            }
            _ => return,
        };
        if self.holds > 0 {
            // Whoever holds is watching, and decides.
            self.phase = Phase::Asleep;
            return;
        }
        if !boot && now - self.ready_since >= HEALTHY_AFTER {
            self.failures = 0;
        }
        let wait = (BACKOFF_FIRST << self.failures.min(16)).min(BACKOFF_MAX);
        self.failures += 1;
        let until = now + wait;
        self.phase = Phase::Crashed { until, boot };
        if boot {
            self.refuse(Refusal::Crashed, out);
        }
        if self.wanted || self.idle.stop.is_none() {
            out.push(Action::TickAt(until));
        }
    }

    fn tick(&mut self, quiet_since: Option<Millis>, outbound: bool, now: Millis, out: &mut Vec<Action>) {
        match self.phase {
            Phase::Draining { child, until } if now >= until => self.stop(child, out),
            Phase::Draining { until, .. } => out.push(Action::TickAt(until)),
            Phase::Ready { child } | Phase::Frozen { child, .. } if self.holds == 0 => {
                if let Some(since) = quiet_since {
                    self.idled(child, since, outbound, now, out);
                }
            }
            Phase::Crashed { until, .. } if self.holds == 0 && (self.wanted || self.idle.stop.is_none()) => {
                if now >= until {
                    self.phase = Phase::Asleep;
                    self.rest(out);
                } else {
                    out.push(Action::TickAt(until));
                }
            }
            _ => {}
        }
    }

    /// Nothing was in flight since then.
    fn idled(&mut self, child: ChildId, since: Millis, outbound: bool, now: Millis, out: &mut Vec<Action>) {
        let over = |limit: Option<Millis>| limit.is_some_and(|limit| now - since >= limit);
        if over(self.idle.stop) {
            self.thaw(out);
            return self.stop(child, out);
        }
        match self.phase {
            Phase::Ready { .. } if over(self.idle.freeze) && now >= self.awake_until => {
                if outbound {
                    // Somebody out there expects an answer; nobody tells when that is over.
                    self.awake_until = now + self.idle.freeze.unwrap_or_default();
                } else {
                    self.phase = Phase::Frozen { child, reclaimed: false };
                    out.push(Action::Freeze(child));
                }
            }
            Phase::Frozen { reclaimed: false, .. } if over(self.idle.reclaim) => {
                self.phase = Phase::Frozen { child, reclaimed: true };
                out.push(Action::Reclaim(child));
            }
            _ => {}
        }
    }

    /// When a tick would change something, for a child that is quiet since then.
    pub fn due(&self, since: Millis) -> Option<Millis> {
        let after = |limit: Option<Millis>| limit.map(|limit| since.saturating_add(limit));
        let next = match self.phase {
            _ if self.holds > 0 => return None,
            Phase::Ready { .. } => after(self.idle.freeze).map(|at| at.max(self.awake_until)),
            Phase::Frozen { reclaimed: false, .. } => after(self.idle.reclaim),
            Phase::Frozen { .. } => None,
            _ => return None,
        };
        next.into_iter().chain(after(self.idle.stop)).min()
    }

    /// Whether stopping it gives memory back for good: see [`Event::Shed`].
    pub fn may_shed(&self) -> bool {
        let awake = matches!(self.phase, Phase::Ready { .. } | Phase::Frozen { .. });
        // What is held is being changed by somebody, and what is always on would be back at once.
        awake && self.holds == 0 && self.idle.stop.is_some()
    }

    fn thaw(&mut self, out: &mut Vec<Action>) {
        if let Phase::Frozen { child, .. } = self.phase {
            self.phase = Phase::Ready { child };
            out.push(Action::Thaw(child));
        }
    }

    /// From asleep: starts what should run.
    fn rest(&mut self, out: &mut Vec<Action>) {
        let may = self.phase == Phase::Asleep && self.holds == 0 && !self.paused && !self.removed;
        if may && (self.wanted || self.idle.stop.is_none()) {
            self.start(out);
        }
    }

    fn start(&mut self, out: &mut Vec<Action>) {
        let child = self.next;
        self.next += 1;
        self.awake_until = Millis::MIN;
        self.phase = Phase::Starting { child };
        out.push(Action::Start(child));
    }

    fn admit(&mut self, out: &mut Vec<Action>) {
        if let Some(child) = self.open() {
            self.wanted = false;
            out.push(Action::Admit(child));
        }
    }

    fn refuse(&mut self, why: Refusal, out: &mut Vec<Action>) {
        self.wanted = false;
        out.push(Action::Refuse(why));
    }

    fn stop(&mut self, child: ChildId, out: &mut Vec<Action>) {
        self.phase = Phase::Stopping { child };
        out.push(Action::Stop(child));
    }

    /// Towards asleep, politely. The child's task reports `Quiet` at once if nothing is in flight.
    fn quit(&mut self, now: Millis, out: &mut Vec<Action>) {
        self.thaw(out);
        match self.phase {
            Phase::Starting { child } => self.stop(child, out),
            Phase::Ready { child } => {
                let until = now + self.drain;
                self.phase = Phase::Draining { child, until };
                out.push(Action::TickAt(until));
            }
            Phase::Crashed { .. } => self.phase = Phase::Asleep,
            Phase::Asleep | Phase::Frozen { .. } | Phase::Draining { .. } | Phase::Stopping { .. } => {}
        }
    }
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
