//! Starting, answering, crashing, sleeping.
use std::time::Duration;

use steady::runner::{Admission, Entry, State};

use super::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_wakes_it_idleness_stops_it_and_data_stays() {
    let world = World::new();
    let code = "const n = Bun.file('n'); const v = (await n.exists()) ? +(await n.text()) : 0; await Bun.write('n', String(v + 1));
        await Bun.write(process.env.DATA_DIR + '/x', 'y');
        export default { fetch: async () => new Response(v + await Bun.file('views/a.txt').text()) }";
    let mut app = world.app("sleepy", &[("index.ts", code), ("views/a.txt", "!")]);
    app.idle = Some(Duration::from_millis(300));
    world.runner.register(app.clone());
    assert_eq!(world.runner.status(&app.key).expect("known").state, State::Asleep);
    for starts in 0..3 {
        assert_eq!(world.get(&app, "/").await, (200, format!("{starts}!")));
        eventually("asleep", || world.runner.status(&app.key).expect("known").state == State::Asleep).await;
    }
    let status = world.runner.status(&app.key).expect("known");
    assert_eq!((status.cold_starts, status.crashes, status.boots_ms.len()), (3, 0, 3));
    assert!(app.home.join("data/x").exists() && app.home.join("n").exists());
    world.logged(&app, "stopped").await;
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_start_one_child_and_connections_are_reused() {
    let world = World::new();
    let app = world.app("many", &[("index.ts", "export default { fetch: () => new Response(String(process.pid)) }")]);
    world.runner.register(app.clone());
    let answers = futures_util::future::join_all((0..50).map(|_| world.get(&app, "/"))).await;
    assert!(answers.iter().all(|a| a.0 == 200 && a.1 == answers[0].1), "{answers:?}");
    assert_eq!(world.runner.status(&app.key).expect("known").cold_starts, 1);
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_dies_without_a_word_is_started_again() {
    let world = World::new();
    let code = "export default { fetch: (r) => { if (r.url.endsWith('/die')) process.kill(process.pid, 'SIGKILL'); return new Response('ok'); } }";
    let mut app = world.app("dies", &[("index.ts", code)]);
    world.runner.register(app.clone());
    assert_eq!(world.get(&app, "/").await.0, 200);
    assert_eq!(world.get(&app, "/die").await.0, 502);
    world.logged(&app, "killed by signal 9").await;
    assert_eq!(world.get(&app, "/").await, (200, "ok".into()), "the next request finds a new child");
    assert_eq!(world.runner.status(&app.key).expect("known").crashes, 1);
    // Always on: nobody asks, and it comes back.
    app.idle = None;
    world.runner.register(app.clone());
    assert_eq!(world.get(&app, "/die").await.0, 502);
    eventually("ready again", || world.runner.status(&app.key).expect("known").state == State::Ready).await;
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_start_says_why() {
    let world = World::with(|o| o.start_timeout = patient(2));
    let late = format!("did not listen within {} s", patient(2).as_secs());
    for (name, code, ending, line) in [
        ("syntax", "const = 1", "exit 1 before it listened", "index.ts:1:7"),
        ("throws", "throw new Error('no luck')", "exit 1 before it listened", "no luck"),
        ("ends", "console.log('done')", "exit 0 before it listened", "done"),
        ("waits", "console.log('zzz'); setInterval(() => {}, 1000)", &late, "zzz"),
        ("gone", "import 'nothing-like-it'", "exit 1 before it listened", "nothing-like-it"),
    ] {
        let app = world.app(name, &[("index.ts", code)]);
        world.runner.register(app.clone());
        let (_, why) = world.get(&app, "/").await;
        assert!(why.contains(ending) && why.contains(line), "{name}: {why}");
        let again = world.runner.admit(&app.key).await;
        assert!(
            matches!(again, Admission::Crashed(_)),
            "{name}: told at once during back-off, not {}",
            refused(&again)
        );
    }
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_of_package_json_starts_it() {
    let world = World::new();
    let package = r#"{ "scripts": { "start": "echo built > out.txt && node tool && bun index.ts" } }"#;
    let code = "import { execSync } from 'node:child_process'; console.log(execSync('echo from the shell').toString().trim()); export default { fetch: () => new Response('hi') }";
    let mut app = world.app(
        "script",
        &[("index.ts", code), ("package.json", package), ("tool", "#!/usr/bin/env node\nconsole.log('a tool')")],
    );
    app.entry = Entry::Script { name: "start".into() };
    world.runner.register(app.clone());
    let (status, body) = world.get(&app, "/").await;
    assert_eq!(status, 200, "{body}");
    assert!(app.home.join("out.txt").exists());
    world.logged(&app, "from the shell").await;
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ignores_sigterm_is_killed() {
    let world = World::with(|o| o.drain_timeout = Duration::from_millis(300));
    let app = world.app(
        "stubborn",
        &[(
            "index.ts",
            "process.on('SIGTERM', () => console.log('no')); export default { fetch: () => new Response('x') }",
        )],
    );
    world.runner.register(app.clone());
    assert_eq!(world.get(&app, "/").await.0, 200);
    world.runner.pause(&app.key).await;
    world.logged(&app, "did not stop within 0.3 s: killed").await;
    assert_eq!(world.runner.status(&app.key).expect("known").state, State::Paused);
    assert_eq!(world.get(&app, "/").await.1, "paused");
    world.runner.resume(&app.key).await;
    assert_eq!(world.get(&app, "/").await.0, 200);
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_is_bounded_in_number_and_time() {
    let world = World::with(|o| {
        o.gate_waiters = 2;
        o.gate_timeout = Duration::from_millis(500);
    });
    let app = world
        .app("slow", &[("index.ts", "await Bun.sleep(60_000); export default { fetch: () => new Response('x') }")]);
    world.runner.register(app.clone());
    let mut answers =
        futures_util::future::join_all((0..4).map(|_| async { refused(&world.runner.admit(&app.key).await) })).await;
    answers.sort();
    assert_eq!(answers, ["full", "full", "timed out: boot", "timed out: boot"]);
    world.down().await;
}
