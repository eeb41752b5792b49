//! Starting, answering, crashing, stopping.
use super::support::*;

const HELLO: &str = "console.log('hello from', process.env.DATA_DIR); export default { fetch: () => new Response('hi ' + process.cwd()) }";

#[tokio::test(flavor = "multi_thread")]
async fn hello() {
    let world = World::new();
    let app = world.app("hello", &[("index.ts", HELLO)]);
    world.runner.register(app.clone());
    let (status, body) = world.get(&app, "/").await;
    println!("{status} {body} {:#?} {:?}", world.log(&app), world.runner.confinement());
    assert_eq!(status, 200, "{body}");
    assert!(body.starts_with("hi /"), "{body}");
    world.logged(&app, "hello from").await;
    world.runner.stop_all().await;
    assert_eq!(marked(&world.options.instance), Vec::<u32>::new());
}
