//! What an app may hold at once and keep on disk.
use steady::runner::sandbox::disk::Kind;
use steady::runner::{Admission, Limits};

use super::support::{World, eventually, refused, write};

#[tokio::test(flavor = "multi_thread")]
async fn requests_above_the_connection_limit_are_refused_at_once() {
    let world = World::new();
    let mut app = world.app("busy", &[("index.ts", "export default { fetch: () => new Response('x') }")]);
    app.limits = Limits { connections: 2, ..app.limits };
    world.runner.register(app.clone());
    let mut held = Vec::new();
    for _ in 0..2 {
        match world.runner.admit(&app.key).await {
            Admission::Go(upstream) => held.push(upstream),
            other => panic!("{}", refused(&other)),
        }
    }
    for _ in 0..3 {
        assert_eq!(refused(&world.runner.admit(&app.key).await), "crowded at 2");
    }
    held.pop();
    assert_eq!(world.get(&app, "/").await.0, 200, "there is a place again");
    assert_eq!(world.get(&app, "/").await.0, 200, "and it was given back");
    drop(held);
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_at_the_gate_counts_as_a_connection() {
    let world = World::new();
    let code = "await Bun.sleep(2000); export default { fetch: () => new Response('x') }";
    let mut app = world.app("slow", &[("index.ts", code)]);
    app.limits = Limits { connections: 3, ..app.limits };
    world.runner.register(app.clone());
    let all = futures_util::future::join_all((0..6).map(|_| world.runner.admit(&app.key))).await;
    let let_in = all.iter().filter(|admission| matches!(admission, Admission::Go(_))).count();
    let crowded = all.iter().filter(|admission| matches!(admission, Admission::Crowded { limit: 3 })).count();
    assert_eq!((let_in, crowded), (3, 3));
    drop(all);
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_above_its_disk_quota_is_stopped_and_told_why() {
    let world = World::new();
    let code = "import { writeFileSync } from 'node:fs';
        export default { fetch() { try { writeFileSync('big', Buffer.alloc(4 << 20, 1)); return new Response('written') }
        catch (e) { console.error(String(e)); process.exit(3) } } }";
    let mut app = world.app("keeper", &[("index.ts", code)]);
    app.limits = Limits { disk_bytes: 2 << 20, ..app.limits };
    if world.runner.disk().active() != Kind::Accounting {
        // The file system stops it, and the log says what the error code does not.
        world.runner.register(app.clone());
        assert_ne!(world.get(&app, "/").await.1, "written");
        world.logged(&app, "the disk quota of").await;
        return world.down().await;
    }
    write(&app.home.join("old"), &"x".repeat(3 << 20));
    world.runner.register(app.clone());
    // Whether it answers first or not: it is counted as it starts.
    let _ = world.get(&app, "/").await;
    world.logged(&app, "more than its quota of 2 MiB").await;
    let why = || world.runner.status(&app.key).and_then(|status| status.last_crash).map_or(String::new(), |c| c.ending);
    eventually("the crash says why", || why().contains("its quota of 2 MiB")).await;
    let (status, body) = world.get(&app, "/").await;
    assert!(status != 200 && body.contains("its quota of 2 MiB"), "{status} {body}");
    for name in ["old", "big"] {
        let _ = std::fs::remove_file(app.home.join(name));
    }
    world.runner.restart(&app.key).await;
    eventually("it may start again", || {
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let let_in = matches!(world.runner.admit(&app.key).await, Admission::Go(_));
                let_in
            })
        })
    })
    .await;
    world.down().await;
}
