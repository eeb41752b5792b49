use proptest::prelude::*;

use super::*;

const SLEEPY: Idle = Idle { freeze: Some(500), reclaim: Some(1_000), stop: Some(2_000) };
const ALWAYS_ON: Idle = Idle { freeze: None, reclaim: None, stop: None };

fn sleepy(stop: Millis) -> Idle {
    Idle { stop: Some(stop), ..Idle::default() }
}

/// A world around the machine: children that live until told or by chance, requests that wait.
struct World {
    machine: Machine,
    now: Millis,
    live: Option<ChildId>,
    told: bool,
    frozen: bool,
    /// Requests it is at work on, and since when there are none.
    busy: usize,
    quiet_since: Millis,
    waiting: usize,
    ticks: Vec<Millis>,
    holds: u32,
}

impl World {
    fn new(idle: Idle) -> Self {
        Self {
            machine: Machine::new(idle, 5_000),
            now: 1_000_000,
            live: None,
            told: false,
            frozen: false,
            busy: 0,
            quiet_since: 0,
            waiting: 0,
            ticks: Vec::new(),
            holds: 0,
        }
    }

    fn send(&mut self, event: Event) {
        for action in self.machine.step(event, self.now) {
            match action {
                Action::Start(id) => {
                    assert_eq!(self.live, None, "two children");
                    self.live = Some(id);
                    (self.told, self.frozen, self.busy, self.quiet_since) = (false, false, 0, self.now);
                }
                Action::Stop(id) | Action::Kill(id) => {
                    assert_eq!(self.live, Some(id), "a stop for a child that is not there");
                    assert!(!self.frozen, "v1 does not end what stands still");
                    self.told = true;
                }
                Action::Admit(id) => {
                    assert_eq!(self.live, Some(id), "let in to a child that is not there");
                    assert!(!self.machine.paused && self.holds == 0, "let in although closed");
                    assert!(!self.frozen, "let in to one that stands still");
                    self.busy += std::mem::take(&mut self.waiting);
                }
                Action::Refuse(_) => self.waiting = 0,
                Action::Freeze(id) => {
                    assert_eq!((self.live, self.frozen, self.busy), (Some(id), false, 0), "frozen at work");
                    assert!(!self.told, "frozen on its way out");
                    self.frozen = true;
                }
                Action::Thaw(id) => {
                    assert_eq!((self.live, self.frozen), (Some(id), true), "a thaw for nothing");
                    self.frozen = false;
                }
                Action::Reclaim(id) => assert_eq!((self.live, self.frozen), (Some(id), true), "taken from one awake"),
                Action::TickAt(at) => self.ticks.push(at),
            }
        }
        let frozen = matches!(self.machine.phase, Phase::Frozen { .. });
        assert_eq!(frozen, self.frozen && self.live.is_some(), "{:?}", self.machine.phase);
        assert!(!frozen || self.machine.open().is_none(), "open and standing still");
    }

    fn tick(&mut self, outbound: bool) {
        let quiet_since = (self.live.is_some() && self.busy == 0).then_some(self.quiet_since);
        self.send(Event::Tick { quiet_since, outbound });
    }

    /// Time goes on until just after the machine said that something is due.
    fn idle_away(&mut self) {
        if let Some(due) = self.machine.due(self.quiet_since).filter(|_| self.busy == 0) {
            self.now = self.now.max(due);
            self.tick(false);
        }
    }

    fn act(&mut self, what: u8) {
        self.now += Millis::from(what) * 7;
        match what % 20 {
            0..=2 => {
                self.waiting += 1;
                self.send(Event::Wanted);
            }
            3 | 4 => {
                if let Some(id) = self.live {
                    self.send(Event::Listening(id));
                }
            }
            5 => {
                if let Some(id) = self.live.take() {
                    self.frozen = false;
                    self.busy = 0;
                    self.send(Event::Exited(id));
                }
            }
            6 => {
                self.finish();
                if let Some(id) = self.live {
                    self.send(Event::Quiet(id));
                }
            }
            7 => self.tick(what > 128),
            8 => self.send(Event::Stop),
            9 => self.send(Event::Pause),
            10 => self.send(Event::Resume),
            11 => {
                self.holds += 1;
                self.send(Event::Hold);
            }
            12 if self.holds > 0 => {
                self.holds -= 1;
                self.send(Event::Release);
            }
            12 => self.send(Event::Replaced { idle: if what > 128 { SLEEPY } else { sleepy(2_000) } }),
            13..=15 => self.finish(),
            16 | 17 => self.idle_away(),
            18 => self.send(Event::Shed),
            19 if self.frozen => {
                let id = self.live.expect("something stands still");
                self.frozen = false;
                self.send(Event::Unfreezable(id));
            }
            _ => {
                if let Some(id) = self.live {
                    self.send(Event::StartTimeout(id));
                }
            }
        }
    }

    /// The requests it works on end.
    fn finish(&mut self) {
        if std::mem::take(&mut self.busy) > 0 {
            self.quiet_since = self.now;
        }
    }

    /// Lets go of everything and gives each part its fair turn.
    fn settle(&mut self) {
        while self.holds > 0 {
            self.holds -= 1;
            self.send(Event::Release);
        }
        self.send(Event::Resume);
        for _ in 0..40 {
            self.now += 1_000;
            for at in std::mem::take(&mut self.ticks) {
                self.now = self.now.max(at);
                self.tick(false);
            }
            self.finish();
            if let Some(id) = self.live {
                if self.told {
                    self.live = None;
                    self.frozen = false;
                    self.send(Event::Exited(id));
                } else {
                    self.send(Event::Quiet(id));
                    self.send(Event::Listening(id));
                }
            }
        }
    }
}

proptest! {
    /// Asserted on the way: never two children, nobody let in to a closed or absent one or to one that stands
    /// still, none told to end that stands still, none made to at work.
    #[test]
    fn every_waiter_is_answered(acts in prop::collection::vec(any::<u8>(), 0..200), kind in 0usize..3) {
        let mut world = World::new([SLEEPY, sleepy(2_000), ALWAYS_ON][kind]);
        for act in &acts {
            world.act(*act);
        }
        world.settle();
        prop_assert_eq!(world.waiting, 0, "left waiting in {:?}", world.machine);
    }
}

#[test]
fn back_off_grows_and_a_healthy_run_resets_it() {
    let mut machine = Machine::new(sleepy(60_000), 1_000);
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..10 {
        let Some(Action::Start(id)) = machine.step(Event::Wanted, now).first().copied() else { panic!("no start") };
        machine.step(Event::Exited(id), now);
        let Phase::Crashed { until, boot: true } = machine.phase else { panic!("{:?}", machine.phase) };
        waits.push(until - now);
        now = until;
    }
    assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
    let Some(Action::Start(id)) = machine.step(Event::Wanted, now).first().copied() else { panic!("no start") };
    machine.step(Event::Listening(id), now);
    now += HEALTHY_AFTER;
    machine.step(Event::Exited(id), now);
    assert_eq!(machine.phase, Phase::Crashed { until: now + 250, boot: false });
}

#[test]
fn an_always_on_app_comes_back_and_a_sleepy_one_waits_to_be_asked() {
    for (idle, expect) in [(ALWAYS_ON, true), (sleepy(1_000), false)] {
        let mut machine = Machine::new(idle, 1_000);
        machine.step(Event::Wanted, 0);
        machine.step(Event::Listening(1), 10);
        machine.step(Event::Exited(1), 20);
        let after = machine.step(Event::Tick { quiet_since: None, outbound: false }, 10_000);
        assert_eq!(after == [Action::Start(2)], expect, "{idle:?}: {after:?}");
    }
}

#[test]
fn requests_wait_out_a_short_restart_and_learn_of_a_failed_boot() {
    let mut machine = Machine::new(sleepy(60_000), 1_000);
    machine.step(Event::Wanted, 0);
    machine.step(Event::Listening(1), 10);
    machine.step(Event::Exited(1), 20);
    assert_eq!(machine.step(Event::Wanted, 30), [Action::TickAt(270)]);
    assert_eq!(machine.step(Event::Tick { quiet_since: None, outbound: false }, 270), [Action::Start(2)]);
    assert_eq!(machine.step(Event::Exited(2), 300), [Action::Refuse(Refusal::Crashed)]);
    assert_eq!(machine.step(Event::Wanted, 310), [Action::Refuse(Refusal::Crashed)]);
}

/// One that is ready and quiet since 0.
fn ready(idle: Idle) -> Machine {
    let mut machine = Machine::new(idle, 1_000);
    assert_eq!(machine.step(Event::Wanted, 0), [Action::Start(1)]);
    assert_eq!(machine.step(Event::Listening(1), 0), [Action::Admit(1)]);
    machine
}

fn tick(outbound: bool) -> Event {
    Event::Tick { quiet_since: Some(0), outbound }
}

#[test]
fn an_idle_app_is_frozen_then_reclaimed_then_stopped() {
    let mut machine = ready(SLEEPY);
    assert_eq!(machine.due(0), Some(500));
    assert_eq!(machine.step(tick(false), 499), []);
    assert_eq!(machine.step(tick(false), 500), [Action::Freeze(1)]);
    assert_eq!((machine.open(), machine.due(0)), (None, Some(1_000)));
    assert_eq!(machine.step(tick(false), 1_000), [Action::Reclaim(1)]);
    assert_eq!((machine.phase, machine.due(0)), (Phase::Frozen { child: 1, reclaimed: true }, Some(2_000)));
    assert_eq!(machine.step(tick(false), 1_500), []);
    assert_eq!(machine.step(tick(false), 2_000), [Action::Thaw(1), Action::Stop(1)]);
    assert_eq!((machine.phase, machine.due(0)), (Phase::Stopping { child: 1 }, None));
}

#[test]
fn a_request_thaws_before_it_is_let_in_and_only_the_first() {
    let mut machine = ready(SLEEPY);
    machine.step(tick(false), 500);
    assert_eq!(machine.step(Event::Wanted, 600), [Action::Thaw(1), Action::Admit(1)]);
    assert_eq!(machine.step(Event::Wanted, 600), [Action::Admit(1)]);
    assert_eq!(machine.open(), Some(1));
}

#[test]
fn whatever_ends_a_frozen_app_thaws_it_first() {
    for event in [Event::Stop, Event::Pause, Event::Hold, Event::Remove, Event::Shed] {
        let mut machine = ready(SLEEPY);
        machine.step(tick(false), 500);
        let told = machine.step(event, 600);
        assert!(told.contains(&Action::Thaw(1)), "{event:?}: {told:?}");
        assert_eq!(machine.phase, Phase::Draining { child: 1, until: 1_600 }, "{event:?}");
        assert_eq!(machine.step(Event::Quiet(1), 600), [Action::Stop(1)], "{event:?}");
    }
}

#[test]
fn connections_to_the_world_keep_it_from_standing_still_but_not_from_being_stopped() {
    let mut machine = ready(SLEEPY);
    assert_eq!(machine.step(tick(true), 500), []);
    assert_eq!(machine.due(0), Some(1_000), "looked at again after as long");
    assert_eq!(machine.step(tick(false), 700), [], "not before");
    assert_eq!(machine.step(tick(false), 1_000), [Action::Freeze(1)]);
    let mut machine = ready(SLEEPY);
    assert_eq!(machine.step(tick(true), 2_000), [Action::Stop(1)]);
}

#[test]
fn what_works_in_the_background_or_cannot_be_frozen_is_not() {
    let mut machine = ready(sleepy(2_000));
    assert_eq!((machine.step(tick(false), 1_999), machine.due(0)), (vec![], Some(2_000)));
    let mut machine = ready(SLEEPY);
    assert_eq!(machine.step(tick(false), 500), [Action::Freeze(1)]);
    assert_eq!(machine.step(Event::Unfreezable(1), 500), []);
    assert_eq!((machine.open(), machine.due(0)), (Some(1), Some(2_000)), "not tried again with this child");
    assert_eq!(machine.step(tick(false), 1_000), []);
    // A version that says so wakes the one that stands still.
    let mut machine = ready(SLEEPY);
    machine.step(tick(false), 500);
    assert_eq!(machine.step(Event::Replaced { idle: sleepy(2_000) }, 600), [Action::Thaw(1)]);
}

#[test]
fn memory_pressure_spares_what_is_always_on_held_or_not_there() {
    assert_eq!(ready(ALWAYS_ON).step(Event::Shed, 10), []);
    assert_eq!(Machine::new(SLEEPY, 1_000).step(Event::Shed, 10), []);
    let mut machine = Machine::new(SLEEPY, 1_000);
    machine.step(Event::Hold, 0);
    machine.step(Event::StartHeld, 0);
    machine.step(Event::Listening(1), 0);
    assert_eq!(machine.step(Event::Shed, 10), [], "somebody is changing it");
    let mut machine = ready(SLEEPY);
    assert_eq!(machine.step(Event::Shed, 10), [Action::TickAt(1_010)]);
    assert_eq!(machine.step(Event::Quiet(1), 10), [Action::Stop(1)]);
    machine.step(Event::Wanted, 20);
    assert_eq!(machine.step(Event::Exited(1), 30), [Action::Start(2)], "who asks gets it back");
}

#[test]
fn a_child_that_listens_while_it_is_killed_for_being_late_takes_no_request() {
    let mut machine = Machine::new(SLEEPY, 5_000);
    machine.step(Event::Wanted, 0);
    assert_eq!(machine.step(Event::StartTimeout(1), 30_000), [Action::Kill(1)]);
    assert_eq!(machine.step(Event::Listening(1), 30_000), []);
    assert_eq!(machine.step(Event::Exited(1), 30_001)[0], Action::Refuse(Refusal::Crashed));
}
