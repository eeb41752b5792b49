use proptest::prelude::*;

use super::*;

/// A world around the machine: children that live until told or by chance, requests that wait.
struct World {
    machine: Machine,
    now: Millis,
    live: Option<ChildId>,
    told: bool,
    waiting: usize,
    ticks: Vec<Millis>,
    holds: u32,
}

impl World {
    fn new(idle: Option<Millis>) -> Self {
        Self {
            machine: Machine::new(idle, 5_000),
            now: 1_000_000,
            live: None,
            told: false,
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
                    self.told = false;
                }
                Action::Stop(id) | Action::Kill(id) => {
                    assert_eq!(self.live, Some(id), "a stop for a child that is not there");
                    self.told = true;
                }
                Action::Admit(id) => {
                    assert_eq!(self.live, Some(id), "let in to a child that is not there");
                    assert!(!self.machine.paused && self.holds == 0, "let in although closed");
                    self.waiting = 0;
                }
                Action::Refuse(_) => self.waiting = 0,
                Action::TickAt(at) => self.ticks.push(at),
            }
        }
    }

    fn act(&mut self, what: u8) {
        self.now += Millis::from(what) * 7;
        match what % 14 {
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
                    self.send(Event::Exited(id));
                }
            }
            6 => {
                if let Some(id) = self.live {
                    self.send(Event::Quiet(id));
                }
            }
            7 => self.send(Event::Tick { quiet_since: Some(self.now - 10_000) }),
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
            12 => self.send(Event::Replaced { idle: Some(2_000) }),
            _ => {
                if let Some(id) = self.live {
                    self.send(Event::StartTimeout(id));
                }
            }
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
                self.send(Event::Tick { quiet_since: None });
            }
            if let Some(id) = self.live {
                if self.told {
                    self.live = None;
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
    /// Asserted on the way: never two children, nobody let in to a closed or absent one.
    #[test]
    fn every_waiter_is_answered(acts in prop::collection::vec(any::<u8>(), 0..200), always_on: bool) {
        let mut world = World::new((!always_on).then_some(2_000));
        for act in &acts {
            world.act(*act);
        }
        world.settle();
        prop_assert_eq!(world.waiting, 0, "left waiting in {:?}", world.machine);
    }
}

#[test]
fn back_off_grows_and_a_healthy_run_resets_it() {
    let mut machine = Machine::new(Some(60_000), 1_000);
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
    for (idle, expect) in [(None, true), (Some(1_000), false)] {
        let mut machine = Machine::new(idle, 1_000);
        machine.step(Event::Wanted, 0);
        machine.step(Event::Listening(1), 10);
        machine.step(Event::Exited(1), 20);
        let after = machine.step(Event::Tick { quiet_since: None }, 10_000);
        assert_eq!(after == [Action::Start(2)], expect, "{idle:?}: {after:?}");
    }
}

#[test]
fn requests_wait_out_a_short_restart_and_learn_of_a_failed_boot() {
    let mut machine = Machine::new(Some(60_000), 1_000);
    machine.step(Event::Wanted, 0);
    machine.step(Event::Listening(1), 10);
    machine.step(Event::Exited(1), 20);
    assert_eq!(machine.step(Event::Wanted, 30), [Action::TickAt(270)]);
    assert_eq!(machine.step(Event::Tick { quiet_since: None }, 270), [Action::Start(2)]);
    assert_eq!(machine.step(Event::Exited(2), 300), [Action::Refuse(Refusal::Crashed)]);
    assert_eq!(machine.step(Event::Wanted, 310), [Action::Refuse(Refusal::Crashed)]);
}
