//! One child of one app, from spawn to gone, in one task that reports to the app.
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::app::App;
use super::arrival::Arrival;
use super::boots::Boot;
use super::crowd::Crowd;
use super::egress::{Purpose, Session, Subject, Usage};
use super::logs::{Logs, Stream};
use super::process::{Ending, Running, Scratch};
use super::redact::Redactor;
use super::sandbox::cgroup::Group;
use super::supervisor::{ChildId, Event};
use super::upstream::{Line, open_dir};
use super::wire::Wire;
use super::{Crash, LaunchSpec, Limits, Millis, doors, home, launch, pump};
use crate::base::{Clock, Result, ResultExt as _};

/// How often the socket is tried while the child boots, beside whenever its folder changes; slower after the
/// first moments.
/// How often at most it is looked whether nothing is in flight any more: a busy app comes to rest after every request.
const QUIET_EVERY: Duration = Duration::from_millis(10);
const POLL_FAST: Duration = Duration::from_millis(1);
const POLL_SLOW: Duration = Duration::from_millis(10);
/// What appears beside the socket is the child's own doing, and must not keep the server busy.
const MAX_ARRIVALS: u32 = 16;
/// Most listen on the socket: the port is tried more rarely.
const PORT_EVERY: u32 = 16;
/// How long output may still come after the whole group is dead.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Lines kept with a crash.
const CRASH_LINES: usize = 100;

/// What the app wants of its child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    Run,
    Terminate,
    Kill,
}

/// What the rest of the runner sees of a child.
pub struct Child {
    pub id: ChildId,
    pub version: String,
    pub line: Arc<Line>,
    pub started: Millis,
    pub ask: watch::Sender<Ask>,
    pid: AtomicU32,
    boot_us: AtomicU64,
    group: OnceLock<Group>,
    /// Its connections to the world; they end with it.
    outside: Mutex<Option<Session>>,
    socket_dir: PathBuf,
}

impl Child {
    /// Makes its line, and where it has no root of its own the folder of its socket; nothing runs yet.
    pub fn new(id: ChildId, app: &App, spec: &LaunchSpec) -> Result<Self> {
        let socket_dir = app.shared().socket_dir();
        let line = Line::new(launch::port(spec), app.shared().clock.clone(), app.shared().tasks.clone());
        if !app.shared().base.has_root() {
            crate::base::fs::make_dir(&socket_dir, 0o700).internal("while making the socket folder")?;
            line.look_in(open_dir(&socket_dir)?);
        }
        Ok(Self {
            id,
            version: spec.version.clone(),
            line: Arc::new(line),
            started: app.shared().clock.now(),
            ask: watch::Sender::new(Ask::Run),
            pid: AtomicU32::new(0),
            boot_us: AtomicU64::new(0),
            group: OnceLock::new(),
            outside: Mutex::default(),
            socket_dir,
        })
    }

    pub fn pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }
    /// Microseconds from spawn to ready.
    pub fn boot_us(&self) -> u64 {
        self.boot_us.load(Ordering::Relaxed)
    }
    pub fn memory(&self) -> Option<u64> {
        self.group().and_then(Group::memory)
    }
    /// `None` before it started, and where there are no groups.
    pub fn group(&self) -> Option<&Group> {
        self.group.get()
    }
    /// Whether it has connections to the world.
    pub fn is_connected(&self) -> bool {
        self.outbound().is_some_and(|usage| usage.open > 0)
    }
    /// What it has sent and received, and what was refused.
    pub fn outbound(&self) -> Option<Usage> {
        self.outside.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Session::usage)
    }
    fn connect_outside(&self, session: Option<Session>) {
        *self.outside.lock().unwrap_or_else(PoisonError::into_inner) = session;
    }
    /// Raises what is asked of it; never lowers it.
    pub fn demand(&self, ask: Ask) {
        self.ask.send_if_modified(|now| {
            let more = ask > *now;
            *now = (*now).max(ask);
            more
        });
    }
}

/// Runs a child to its end. `None` back from here: it ended because it was told to.
pub async fn run(app: Arc<App>, child: Arc<Child>, spec: LaunchSpec, logs: Logs) {
    let _folder = (!app.shared().base.has_root()).then(|| Scratch(child.socket_dir.clone()));
    let mark = logs.mark();
    let ending = live(&app, &child, &spec, &logs).await;
    let told = *child.ask.borrow() != Ask::Run && !ending.text.starts_with("did not listen");
    let remark = if told { stopped(&ending) } else { said(&ending, child.boot_us() > 0, &spec.limits) };
    logs.remark(&spec.version, &remark);
    let crash = (!told).then(|| {
        let why = if child.boot_us() == 0 && ending.text.starts_with("exit ") {
            format!("{} before it listened", ending.text)
        } else {
            ending.text.clone()
        };
        Crash { at: app.shared().clock.now(), ending: why, tail: logs.since(mark, CRASH_LINES) }
    });
    app.ended(child.id, crash);
}

/// An end Steady asked for; how it ended is only of interest when it is not how such ends look.
fn stopped(ending: &Ending) -> String {
    match ending.text.as_str() {
        "exit 0" | "exit 143" | "signal 15" | "signal 9" => "stopped".to_owned(),
        other => format!("stopped ({other})"),
    }
}

fn said(ending: &Ending, ready: bool, limits: &Limits) -> String {
    let when = if ready { "" } else { " before it listened" };
    match ending.text.split_once(' ') {
        Some(("exit", code)) => format!("exited with {code}{when}"),
        Some(("signal", "9 (out of memory)")) => {
            format!("killed: out of memory; its limit is `memory_mb` {} of steady.json", limits.memory_bytes >> 20)
        }
        Some(("signal", which)) => format!("killed by signal {which}{when}"),
        _ => ending.text.clone(),
    }
}

async fn live(app: &Arc<App>, child: &Child, spec: &LaunchSpec, logs: &Logs) -> Ending {
    let shared = app.shared();
    let fail = |text: String| Ending { success: false, text };
    let begun = Clock::stopwatch();
    let _home = match home::ready(shared, spec, logs).await {
        Ok(ready) => ready,
        Err(why) => return fail(format!("could not start: {why}")),
    };
    // The time to start does not count moving a large home into its image, once.
    let (data, clock) = (begun.elapsed(), Clock::stopwatch());
    let (waited, (mut process, out, err)) = match start(app, child, spec).await {
        Ok(started) => started,
        Err(e) => return fail(format!("could not start: {e}")),
    };
    child.pid.store(process.pid(), Ordering::Relaxed);
    logs.remark(&spec.version, &format!("started {} ({})", spec.version, process.pid()));
    let bundled = spec.bundle.is_some() && shared.base.has_root();
    let boot = Boot { at: 0, waited, bundled, data_us: micros(data), process_us: 0, load_us: 0, answer_us: None };
    let redactor = Redactor::new(&spec.redact, &spec.code);
    let words = [
        shared
            .tasks
            .spawn("log-out", pump::run(out, logs.clone(), Stream::Out, spec.version.clone(), redactor.clone())),
        shared.tasks.spawn("log-err", pump::run(err, logs.clone(), Stream::Err, spec.version.clone(), redactor)),
    ];
    let mut crowd = Crowd::of(child.group(), spec, logs);
    let ended = tokio::select! {
        ending = watch_over(app, child, (spec, logs), &mut process, (clock, boot)) => Ok(ending),
        why = home::until_above(shared, spec) => Err(why),
        never = crowd.watch() => match never {},
    };
    crowd.tell();
    let ending = match ended {
        Ok(ending) => ending,
        Err(why) => {
            process.kill();
            process.wait().await;
            fail(why)
        }
    };
    if !ending.success {
        home::explain(shared, spec, logs).await;
    }
    child.pid.store(0, Ordering::Relaxed);
    child.connect_outside(None);
    process.sweep(&shared.options.instance).await;
    for word in words {
        let abort = word.abort_handle();
        if tokio::time::timeout(LAST_WORDS, word).await.is_err() {
            abort.abort();
        }
    }
    ending
}

type Started = (Running, Receiver, Receiver);

/// In a process that waits, where one may become this app (true); else in a world.
async fn start(app: &App, child: &Child, spec: &LaunchSpec) -> std::io::Result<(bool, Started)> {
    let shared = app.shared();
    if shared.base.may_park(spec)
        && let Some(parked) = shared.pool.take(&spec.limits).await
    {
        let group = parked.world.group().cloned();
        match parked.world.assign(&shared.base.assignment(&shared.options, spec), parked.uid).await {
            Ok(started) => {
                child.line.look_in(parked.run);
                // Set once, here or below.
                group.map(|group| child.group.set(group));
                return Ok((true, started));
            }
            // Nothing of it has run.
            Err(error) => {
                tracing::warn!(app = spec.key.0, %error, "a waiting process did not become an app: started anew")
            }
        }
    }
    let world = shared.spares.take(&spec.limits).await?;
    if let Some(group) = world.group() {
        let _ = child.group.set(group.clone());
    }
    let jail = shared.base.child(&shared.options, spec, &child.socket_dir, world.group());
    Ok((false, world.enter(&jail).await?))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Until the process has ended: readiness, orders, time.
async fn watch_over(
    app: &Arc<App>,
    child: &Child,
    (spec, logs): (&LaunchSpec, &Logs),
    process: &mut Running,
    (clock, mut boot): (std::time::Instant, Boot),
) -> Ending {
    let wire = process.wire().clone();
    child.line.reach(wire.clone());
    let options = &app.shared().options;
    let mut ask = child.ask.subscribe();
    ask.mark_changed();
    let start_by = Instant::from_std(clock) + options.start_timeout;
    let (mut ready, mut entered, mut late) = (false, false, false);
    let (mut polls, mut arrivals, mut arrival) = (0u32, 0u32, Arrival::default());
    let mut asked = Ask::Run;
    let mut kill_at: Option<Instant> = None;
    let mut poll = Instant::now();
    let mut listen_from = poll;
    loop {
        tokio::select! {
            biased;
            ending = process.wait() => {
                if late {
                    let text = format!("did not listen within {} s", options.start_timeout.as_secs_f32());
                    return Ending { success: false, text };
                }
                if !entered && let Err(why) = wire.entered().await {
                    return Ending { success: false, text: format!("could not start: {why}") };
                }
                return ending;
            }
            _ = ask.changed(), if asked != Ask::Kill => {
                asked = *ask.borrow_and_update();
                if asked == Ask::Terminate {
                    process.terminate();
                    kill_at = Some(Instant::now() + options.drain_timeout);
                } else if asked == Ask::Kill {
                    process.kill();
                }
            }
            () = sleep_until(kill_at.unwrap_or(poll)), if kill_at.is_some() => {
                kill_at = None;
                logs.remark(&child.version, &format!("did not stop within {} s: killed", options.drain_timeout.as_secs_f32()));
                process.kill();
            }
            result = wire.entered(), if !entered => {
                entered = true;
                boot.process_us = micros(clock.elapsed());
                if let Some(run) = wire.take_run() {
                    child.line.look_in(run);
                }
                arrival = child.line.dir().map(|dir| Arrival::watch(dir.as_fd())).unwrap_or_default();
                let opened = match result {
                    Ok(_) => connect_outside(app, &wire, spec, logs).await,
                    Err(why) => Err(why),
                };
                if let Ok(session) = opened {
                    child.connect_outside(session);
                } else if let Err(why) = opened {
                    process.kill();
                    process.wait().await;
                    return Ending { success: false, text: format!("could not start: {why}") };
                }
            }
            () = arrival.next(), if !ready => {
                arrivals += 1;
                poll = Instant::now();
                if arrivals == MAX_ARRIVALS {
                    arrival = Arrival::default();
                }
            }
            () = sleep_until(poll), if entered && !ready => {
                let since = clock.elapsed();
                poll = Instant::now() + if since < Duration::from_millis(200) { POLL_FAST } else { POLL_SLOW };
                polls += 1;
                if child.line.listens(polls.is_multiple_of(PORT_EVERY)).await {
                    (ready, arrival) = (true, Arrival::default());
                    let us = micros(clock.elapsed()).max(1);
                    child.boot_us.store(us, Ordering::Relaxed);
                    logs.remark(&child.version, &format!("ready in {} ms", us / 1000));
                    boot.load_us = us.saturating_sub(boot.process_us);
                    app.listening(child, Boot { at: app.shared().clock.now(), ..boot });
                }
            }
            () = sleep_until(start_by), if !ready && !late => {
                late = true;
                app.event(Event::StartTimeout(child.id));
            }
            () = async { sleep_until(listen_from).await; child.line.quiet.notified().await }, if ready => {
                listen_from = Instant::now() + QUIET_EVERY;
                if child.line.in_flight() == 0 {
                    app.event(Event::Quiet(child.id));
                }
            }
            () = app.next_tick(child), if ready => app.tick(),
        }
    }
}

/// From here on what the app tries to connect to is answered. `None`: it ended meanwhile.
async fn connect_outside(
    app: &Arc<App>,
    wire: &Wire,
    spec: &LaunchSpec,
    logs: &Logs,
) -> std::result::Result<Option<Session>, String> {
    let shared = app.shared();
    let failed = |what: &dyn std::fmt::Display| format!("its outbound connections: {what}");
    let Some(doors) = doors::open(wire, shared.base.own_folder(&spec.home)).map_err(|e| failed(&e))? else {
        return Ok(None);
    };
    let subject = Subject {
        key: spec.key.clone(),
        net: spec.net.clone(),
        trusted: Vec::new(),
        purpose: Purpose::App,
        limits: spec.limits,
        budget: app.budget(spec.limits.outbound_bytes),
    };
    let (logs, version) = (logs.clone(), spec.version.clone());
    let log = Arc::new(move |line: String| logs.remark(&version, &line));
    let session = shared.egress.serve(subject, doors, log).await.map_err(|e| failed(&e.public))?;
    Ok(Some(session))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_was_asked_for_is_only_told_when_it_is_odd() {
        let told = |text: &str| stopped(&Ending { success: false, text: text.into() });
        assert_eq!(told("signal 15"), "stopped");
        assert_eq!(told("exit 0"), "stopped");
        assert_eq!(told("exit 3"), "stopped (exit 3)");
        assert_eq!(told("signal 9 (out of memory)"), "stopped (signal 9 (out of memory))");
    }
}
