//! What is logged, and what never is.
use super::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_replaced_and_streams_told_apart() {
    let world = World::new();
    let code = "console.log('key is', process.env.API_KEY); console.error('to stderr'); process.stdout.write(new Uint8Array([0xff, 10]));
        console.log(import.meta.path); console.log('x'.repeat(40_000)); export default { fetch: () => new Response(process.env.API_KEY) }";
    let mut app = world.app("secrets", &[("index.ts", code)]);
    app.env = vec![secret("API_KEY", "sk-very-secret-123")];
    app.redact = app.env.clone();
    world.runner.register(app.clone());
    assert_eq!(world.get(&app, "/").await.1, "sk-very-secret-123", "the app itself has it");
    for expected in ["key is [API_KEY]", "to stderr", "\u{fffd}", "/app/index.ts"] {
        world.logged(&app, expected).await;
    }
    assert!(world.log(&app).iter().all(|l| l.len() <= 16 << 10 && !l.contains("very-secret")));
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_bounded_and_does_not_stop_the_app() {
    let world = World::new();
    let code = "export default { fetch: () => { const line = 'y'.repeat(200) + '\\n'; const all = line.repeat(200_000); process.stdout.write(all); return new Response('done') } }";
    let app = world.app("flood", &[("index.ts", code)]);
    world.runner.register(app.clone());
    assert_eq!(world.get(&app, "/").await.1, "done");
    world.logged(&app, "lines dropped").await;
    assert_eq!(world.get(&app, "/").await, (200, "done".to_owned()), "{:#?}", world.runner.status(&app.key));
    assert!(steady::base::fs::tree_size(&app.logs) < (20 << 20));
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_into_the_code_is_refused_with_advice() {
    let world = World::new();
    let code = "import { writeFileSync } from 'node:fs'; try { writeFileSync(import.meta.dir + '/x', 'x'); console.log('written') } catch (e) { console.error(String(e)) }
        export default { fetch: () => new Response('x') }";
    let app = world.app("writes", &[("index.ts", code)]);
    world.runner.register(app.clone());
    world.get(&app, "/").await;
    if world.runner.confinement().name() == "process-only" {
        return eprintln!("needs root: the code folder is only read-only in a built root");
    }
    world.logged(&app, "the code folder is read-only").await;
    world.down().await;
}
