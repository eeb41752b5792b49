//! Hand-over, trial, work on a stopped app.
use std::time::Duration;

use steady::base::Error;
use steady::runner::{LaunchSpec, State};

use super::support::*;

fn says(text: &str) -> String {
    format!("export default {{ fetch: () => new Response('{text}') }}")
}

fn next(world: &World, old: &LaunchSpec, name: &str, code: &str) -> LaunchSpec {
    let new = world.app(name, &[("index.ts", code)]);
    LaunchSpec { code: new.code, version: name.into(), ..old.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_takes_over_and_no_request_sees_it() {
    let world = World::new();
    let one = world.app("one", &[("index.ts", &says("one"))]);
    world.runner.hand_over(one.clone(), Box::new(|| Ok(()))).await.expect("the first version");
    assert_eq!(world.get(&one, "/").await.1, "one");
    let two = next(&world, &one, "v2", &says("two"));
    let asking = async {
        let mut seen = Vec::new();
        while seen.last().map(String::as_str) != Some("two") {
            let (status, body) = world.get(&one, "/").await;
            assert_eq!(status, 200, "{body}");
            seen.push(body);
        }
        seen
    };
    let (handed, seen) = tokio::join!(world.runner.hand_over(two.clone(), Box::new(|| Ok(()))), asking);
    handed.expect("handed over");
    assert!(seen.windows(2).all(|w| w[0] <= w[1]), "one, then two: {seen:?}");
    assert_eq!(world.runner.status(&one.key).expect("known").version, "v2");
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_leaves_the_old_version() {
    let world = World::new();
    let one = world.app("old", &[("index.ts", &says("one"))]);
    world.runner.register(one.clone());
    assert_eq!(world.get(&one, "/").await.1, "one");
    let broken = next(&world, &one, "v2", "throw new Error('broken on purpose')");
    let failed = world.runner.hand_over(broken, Box::new(|| Ok(()))).await.expect_err("it throws");
    assert_eq!(failed.why, "exited with 1 before it listened");
    assert!(failed.tail.iter().any(|l| l.contains("broken on purpose")), "{failed:?}");
    let state = world.runner.status(&one.key).expect("known");
    assert_eq!((state.state, state.version.as_str()), (State::Ready, "v1"), "it ran before, so it runs");
    assert_eq!(world.get(&one, "/").await.1, "one");
    let fine = next(&world, &one, "v3", &says("three"));
    let refused = Box::new(|| Err(Error::conflict("somebody else deployed")));
    let failed = world.runner.hand_over(fine.clone(), refused).await.expect_err("not committed");
    assert_eq!(failed.why, "somebody else deployed");
    assert_eq!(world.get(&one, "/").await.1, "one");
    // Given up half-way: the caller's future is dropped.
    let slow = next(&world, &one, "v4", "await Bun.sleep(30_000)");
    let given_up =
        tokio::time::timeout(Duration::from_millis(300), world.runner.hand_over(slow, Box::new(|| Ok(())))).await;
    assert!(given_up.is_err());
    assert_eq!(world.get(&one, "/").await.1, "one");
    // One that never was registered is not, after it failed.
    let fresh = world.app("fresh", &[("index.ts", "process.exit(3)")]);
    world.runner.hand_over(fresh.clone(), Box::new(|| Ok(()))).await.expect_err("it exits");
    assert!(world.runner.status(&fresh.key).is_none());
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_tells_health_from_illness() {
    let world = World::new();
    let code = "export default { fetch: (r) => { if (new URL(r.url).pathname === '/ill') { console.error('feeling ill'); return new Response('', { status: 503 }); }
        return new Response('', { status: 404 }); } }";
    let app = world.app("trial", &[("index.ts", code)]);
    world.runner.trial(app.clone(), "/").await.expect("404 is an answer");
    let ill = world.runner.trial(app.clone(), "/ill").await.expect_err("503");
    assert_eq!(ill.why, "GET /ill → 503");
    assert!(ill.tail.iter().any(|l| l.contains("feeling ill")), "{ill:?}");
    let dead = LaunchSpec { ..next(&world, &app, "dead", "console.log('bye'); process.exit(7)") };
    let dead = world.runner.trial(dead, "/").await.expect_err("exits");
    assert_eq!(
        (dead.why.as_str(), dead.tail.last().map(String::as_str)),
        ("exited with 7 before it listened", Some("bye"))
    );
    assert!(world.runner.status(&app.key).is_none(), "a trial is in no table");
    assert_eq!(marked(&world.options.instance), Vec::<u32>::new(), "and leaves no process");
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_on_a_stopped_app_holds_its_requests() {
    let world = World::new();
    let app = world.app("held", &[("index.ts", "const t = await Bun.file('note').text().catch(() => 'none'); export default { fetch: () => new Response(t) }")]);
    world.runner.register(app.clone());
    assert_eq!(world.get(&app, "/").await.1, "none");
    let note = app.home.join("note");
    let work = async {
        assert_eq!(world.runner.status(&app.key).expect("known").pid, None);
        tokio::time::sleep(Duration::from_millis(100)).await;
        write(&note, "swapped");
    };
    let asking = async {
        tokio::task::yield_now().await;
        world.get(&app, "/").await.1
    };
    let ((), answer) = tokio::join!(world.runner.while_stopped(&app.key, work), asking);
    assert!(answer == "swapped" || answer == "none", "{answer}");
    assert_eq!(world.get(&app, "/").await.1, "swapped");
    world.runner.remove(&app.key).await;
    assert_eq!(world.get(&app, "/").await.1, "gone");
    world.down().await;
}
