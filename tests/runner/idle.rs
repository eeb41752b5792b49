//! Standing still, giving memory back, and who goes first when memory is short.
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use futures_util::future::join_all;
use hyper::Request;
use steady::runner::idle::Rest;
use steady::runner::pressure::{Gauge, Room};
use steady::runner::{Admission, LaunchSpec, State};
use tokio::sync::{Notify, mpsc};

use super::support::*;

const HELLO: &str = "export default { fetch: () => new Response(String(process.pid)) }";
/// Counts by itself, and says how far it is.
const COUNTS: &str = "let n = 0; setInterval(() => n++, 5); export default { fetch: () => new Response(String(n)) }";
/// Answers with a stream that never ends.
const STREAMS: &str =
    "export default { fetch: () => new Response(new ReadableStream({ start(c) { c.enqueue('first'); } })) }";

fn restful(spec: &mut LaunchSpec, freeze_ms: u64, stop: Duration) {
    spec.rest.freeze = Some(Duration::from_millis(freeze_ms));
    spec.idle = Some(stop);
}

fn state(world: &World, spec: &LaunchSpec) -> State {
    world.runner.status(&spec.key).expect("known").state
}

/// Whether anything can be frozen here; what says so is also what `steady doctor` shows.
fn can_freeze(world: &World) -> bool {
    world.runner.confinement().checks.iter().any(|check| check.name == "cgroup freezer" && check.ok)
}

/// The state that an idle app comes to here before it is stopped.
fn still(world: &World) -> State {
    if can_freeze(world) { State::Frozen } else { State::Ready }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_at_once_start_one_child_and_thaw_it_once() {
    let world = World::with(|o| o.gate_waiters = 512);
    let mut app = world.app("herd", &[("index.ts", HELLO)]);
    restful(&mut app, 300, patient(600));
    world.runner.register(app.clone());
    // An emulated machine does not send so many before Bun gives up on silent connections (10 s).
    let many = 500 / patient(1).as_secs();
    let all = |what: &'static str| {
        let (world, app) = (&world, &app);
        async move {
            let answers = join_all((0..many).map(|_| world.get(app, "/"))).await;
            let wrong: Vec<_> = answers.iter().filter(|answer| **answer != answers[0] || answer.0 != 200).collect();
            assert!(wrong.is_empty(), "{what}: {} wrong, first {:?} against {:?}", wrong.len(), wrong[0], answers[0]);
            answers[0].1.clone()
        }
    };
    let first = all("asleep").await;
    let status = world.runner.status(&app.key).expect("known");
    assert_eq!((status.cold_starts, status.boots_ms.len(), status.crashes), (1, 1, 0));
    let before = status.thaws;
    eventually("stands still", || state(&world, &app) == still(&world)).await;
    assert_eq!(all("frozen").await, first, "the same process");
    let status = world.runner.status(&app.key).expect("known");
    assert_eq!((status.cold_starts, status.boots_ms.len(), status.crashes), (1, 1, 0));
    assert_eq!(status.thaws, before + u64::from(can_freeze(&world)));
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_app_stands_still_goes_on_and_ends() {
    let world = World::new();
    let mut app = world.app("still", &[("index.ts", COUNTS)]);
    restful(&mut app, 300, patient(600));
    world.runner.register(app.clone());
    assert_eq!(world.get(&app, "/").await.0, 200);
    if !can_freeze(&world) {
        // What cannot be frozen goes on, and is stopped as ever.
        app.idle = Some(Duration::from_millis(500));
        world.runner.register(app.clone());
        eventually("stopped", || state(&world, &app) == State::Asleep).await;
        return world.down().await;
    }
    eventually("frozen", || state(&world, &app) == State::Frozen).await;
    let status = world.runner.status(&app.key).expect("known");
    assert!(status.pid.is_some() && status.memory.is_some_and(|bytes| bytes > 1 << 20), "{status:?}");
    // Its timer is due two hundred times a second.
    let count = async || world.get(&app, "/").await.1.parse::<u64>().expect("a number");
    let before = count().await;
    eventually("frozen again", || state(&world, &app) == State::Frozen).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let stood = count().await;
    assert!(stood - before < 400, "it went on counting: {before}, then {stood}");
    eventually("goes on", || world.runner.status(&app.key).expect("known").thaws >= 2).await;
    // Each way of ending one that stands still.
    eventually("frozen for pausing", || state(&world, &app) == State::Frozen).await;
    world.runner.pause(&app.key).await;
    assert_eq!((state(&world, &app), world.get(&app, "/").await.1), (State::Paused, "paused".into()));
    world.runner.resume(&app.key).await;
    assert_eq!(world.get(&app, "/").await.0, 200);
    eventually("frozen for a restart", || state(&world, &app) == State::Frozen).await;
    world.runner.restart(&app.key).await;
    assert_eq!(state(&world, &app), State::Asleep);
    assert_eq!(world.get(&app, "/").await.0, 200);
    eventually("frozen for removal", || state(&world, &app) == State::Frozen).await;
    world.runner.remove(&app.key).await;
    assert_eq!(world.get(&app, "/").await.1, "gone");
    // And one that is frozen when the server ends.
    world.runner.register(app.clone());
    assert_eq!(world.get(&app, "/").await.0, 200);
    eventually("frozen at the end", || state(&world, &app) == State::Frozen).await;
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idleness_freezes_and_then_stops_but_never_what_has_a_stream_open() {
    let world = World::new();
    let mut quiet = world.app("quiet", &[("index.ts", HELLO)]);
    let mut busy = world.app("busy", &[("index.ts", STREAMS)]);
    let mut background = world.app("background", &[("index.ts", HELLO)]);
    for app in [&mut quiet, &mut busy] {
        restful(app, 200, Duration::from_millis(1500));
    }
    background.rest = Rest::default();
    for app in [&quiet, &busy, &background] {
        world.runner.register(app.clone());
    }
    let Admission::Go(upstream) = world.runner.admit(&busy.key).await else { panic!("not let in") };
    let request = Request::get("/").header("host", "app.localhost").body(Body::empty()).expect("request");
    let stream = upstream.send(request).await.expect("an endless answer");
    assert_eq!((world.get(&background, "/").await.0, world.get(&quiet, "/").await.0), (200, 200));
    let frozen = eventually("frozen", || state(&world, &quiet) == still(&world));
    frozen.await;
    eventually("stopped", || state(&world, &quiet) == State::Asleep).await;
    // As long without a word, the same times, and yet:
    assert_eq!((state(&world, &busy), state(&world, &background)), (State::Ready, State::Ready));
    assert_eq!(world.runner.status(&busy.key).expect("known").thaws, 0);
    drop(stream);
    eventually("its turn to sleep", || state(&world, &busy) == State::Asleep).await;
    world.down().await;
}

/// A machine whose memory is what the test says.
struct Fake {
    total: u64,
    /// Free bytes of the next looks; the last goes on.
    rooms: Mutex<Vec<u64>>,
    stalled: bool,
    signs: tokio::sync::Mutex<mpsc::UnboundedReceiver<()>>,
    looks: AtomicU64,
    looked: Notify,
}

impl Fake {
    fn new(stalled: bool, rooms: &[u64]) -> (Arc<Self>, mpsc::UnboundedSender<()>) {
        let (tell, signs) = mpsc::unbounded_channel();
        let rooms = Mutex::new(rooms.iter().rev().copied().collect());
        let (signs, looks, looked) = (tokio::sync::Mutex::new(signs), AtomicU64::new(0), Notify::new());
        (Arc::new(Self { total: 1000, rooms, stalled, signs, looks, looked }), tell)
    }

    async fn looked(&self, times: u64) {
        while self.looks.load(SeqCst) < times {
            let _ = tokio::time::timeout(Duration::from_millis(20), self.looked.notified()).await;
        }
    }
}

impl Gauge for Fake {
    fn sign(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async {
            if self.signs.lock().await.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
            self.stalled
        })
    }
    fn room(&self) -> Option<Room> {
        let mut rooms = self.rooms.lock().expect("rooms");
        let free = if rooms.len() > 1 { rooms.pop() } else { rooms.last().copied() }.expect("a room");
        self.looks.fetch_add(1, SeqCst);
        self.looked.notify_one();
        Some(Room { total: self.total, free })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn short_memory_stops_the_least_recently_used_and_spares_those_in_use() {
    let world = World::new();
    // Enough, then short for two looks, then enough; then dire for one.
    let (gauge, tell) = Fake::new(true, &[500, 60, 60, 500, 10, 500]);
    let app = |name: &str, code: &str| {
        let app = world.app(name, &[("index.ts", code)]);
        world.runner.register(app.clone());
        app
    };
    let (oldest, older, newest, busy) = (app("a", HELLO), app("b", HELLO), app("c", HELLO), app("d", STREAMS));
    let mut always = world.app("e", &[("index.ts", HELLO)]);
    always.idle = None;
    world.runner.register(always.clone());
    eventually("always on", || state(&world, &always) == State::Ready).await;
    let Admission::Go(upstream) = world.runner.admit(&busy.key).await else { panic!("not let in") };
    let request = Request::get("/").header("host", "app.localhost").body(Body::empty()).expect("request");
    let stream = upstream.send(request).await.expect("an endless answer");
    for app in [&oldest, &older, &newest] {
        assert_eq!(world.get(app, "/").await.0, 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let states = || [&oldest, &older, &newest, &busy, &always].map(|app| state(&world, app));
    use State::{Asleep, Ready};
    world.runner.watch_memory(gauge.clone());
    tell.send(()).expect("told");
    gauge.looked(1).await;
    assert_eq!(states(), [Ready; 5], "there is enough");
    tell.send(()).expect("told");
    gauge.looked(4).await;
    assert_eq!(states(), [Asleep, Asleep, Ready, Ready, Ready]);
    world.logged(&oldest, "short of memory").await;
    assert!(!world.log(&newest).iter().any(|line| line.contains("short of memory")));
    assert_eq!(world.get(&older, "/").await.0, 200, "who is asked comes back");
    // The one that is asked least goes, though it is dire: another can.
    tell.send(()).expect("told");
    gauge.looked(6).await;
    assert_eq!(states(), [Asleep, Ready, Asleep, Ready, Ready]);
    drop(stream);
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_use_goes_only_when_it_is_dire_and_nobody_else_can() {
    let world = World::with(|o| o.drain_timeout = Duration::from_millis(300));
    let (gauge, tell) = Fake::new(false, &[35, 35, 35, 10, 500]);
    let app = world.app("only", &[("index.ts", STREAMS)]);
    world.runner.register(app.clone());
    let Admission::Go(upstream) = world.runner.admit(&app.key).await else { panic!("not let in") };
    let request = Request::get("/").header("host", "app.localhost").body(Body::empty()).expect("request");
    let stream = upstream.send(request).await.expect("an endless answer");
    world.runner.watch_memory(gauge.clone());
    for look in 1..=3 {
        tell.send(()).expect("told");
        gauge.looked(look).await;
        assert_eq!(state(&world, &app), State::Ready, "short, not dire");
    }
    tell.send(()).expect("told");
    gauge.looked(5).await;
    assert_eq!(state(&world, &app), State::Asleep);
    drop(stream);
    world.down().await;
}
