//! Processes that wait for their app: what an app finds in one is what it finds in a process of its own.
use std::sync::Arc;

use serde_json::Value;
use steady::runner::pressure::{Gauge, Room};
use steady::runner::{LaunchSpec, POOL_UIDS};

use super::support::*;

/// Tells all that a program can see of how it was started.
const TELLS: &str = r#"
const fs = require("fs");
const read = (path) => { try { return fs.readFileSync(path, "utf8") } catch (error) { return error.code } };
const fds = () => fs.readdirSync("/proc/self/fd").map((fd) => { try { return fs.readlinkSync("/proc/self/fd/" + fd) } catch { return "" } });
const spawned = (command) => Bun.spawnSync(command).stdout.toString().split("\n").filter((line) => !/^(_|STEADY_SOCKET|STEADY_ENTRY|BUN_FEATURE_FLAG_DISABLE_ASYNC_TRANSPILER)=/.test(line)).sort();
module.exports = { default: { fetch: async (request) => {
  if (new URL(request.url).pathname === "/exit") setTimeout(() => process.exit(7), 20);
  if (new URL(request.url).pathname === "/throw") setTimeout(() => { throw new Error("nobody catches this") }, 20);
  const shell = (await Bun.$`echo $GREETING`.text()).trim();
  return Response.json({
    main: require.main === module, bunMain: Bun.main, argv: process.argv, cwd: process.cwd(), title: process.title,
    env: Object.entries(process.env).sort(), uid: process.getuid(), groups: process.getgroups(),
    environ: read("/proc/self/environ").split("\0"), limits: read("/proc/self/limits").split("\n").filter((line) => /open files|file size|core/.test(line)),
    status: read("/proc/self/status").split("\n").filter((line) => /^(Cap|NoNewPrivs|Seccomp|Uid|Gid|Groups|NSpid)/.test(line) && !/^(Uid|Gid)/.test(line)),
    home: fs.statSync(".").uid === process.getuid(), wrote: (fs.writeFileSync("w", "x"), fs.statSync("w").uid === process.getuid()),
    code: read("/app/index.ts"), link: read("index.ts"), readOnly: (() => { try { fs.writeFileSync("/app/x", "") } catch (error) { return error.code } })(),
    tmp: fs.statfsSync("/tmp").blocks * fs.statfsSync("/tmp").bsize, passwd: read("/etc/passwd").replaceAll(String(process.getuid()), "UID"),
    mounts: read("/proc/self/mountinfo").split("\n").map((line) => line.split(" ").slice(4, 6).join(" ")).sort(),
    sockets: fds().filter((fd) => fd.startsWith("pipe:")).length, child: spawned(["/usr/bin/env"]), shell, root: (() => { try { return fs.readdirSync("/") } catch (error) { return error.code } })(),
    one: read("/proc/1/environ"), pids: fs.readdirSync("/proc").filter((name) => Number(name) > 0).length,
  });
} }, __esModule: true };
"#;

/// The same program with a bundle, as `apps` would make it.
fn bundled(world: &World, name: &str, program: &str) -> LaunchSpec {
    let mut app = world.app(name, &[("index.ts", "// the source")]);
    let folder = world.dir.path().join(name).join("bundle");
    write(
        &folder.join("index.js"),
        &format!("// @bun @bun-cjs\n(function(exports, require, module, __filename, __dirname) {{{program}\n}})"),
    );
    app.bundle = Some(folder);
    app.pooled = true;
    app.env = vec![secret("GREETING", "hello"), secret("SECRET", "s3cr3t")];
    app.limits.open_files = 1234;
    app.limits.tmp_bytes = 8 << 20;
    app
}

async fn waits(world: &World) {
    eventually("a process waits", || world.runner.waiting().is_some()).await;
}

fn is_pooled(world: &World, answer: &Value) -> bool {
    let uid = u32::try_from(answer["uid"].as_u64().expect("a uid")).expect("a uid");
    POOL_UIDS.contains(&uid.saturating_sub(world.options.uid_base))
}

async fn tell(world: &World, app: &LaunchSpec) -> Value {
    world.runner.register(app.clone());
    let (status, body) = world.get(app, "/").await;
    assert_eq!(status, 200, "{body} {:#?}", world.log(app));
    serde_json::from_str(&body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_finds_the_same_in_a_process_that_waited() {
    let (cold, warm) = (World::new(), World::with(|options| options.warm = 1));
    waits(&warm).await;
    let program = TELLS;
    let mut own = tell(&cold, &bundled(&cold, "app", program)).await;
    let mut other = tell(&warm, &bundled(&warm, "app", program)).await;
    for (world, waited) in [(&cold, false), (&warm, true)] {
        let status = world.runner.status(&steady::runner::AppKey("app".into())).expect("known");
        let boot = status.boots.last().expect("its start");
        assert_eq!((boot.waited, boot.bundled, status.boots.len()), (waited, true, 1));
        assert!(boot.load_us > 0 && boot.process_us > 0 && boot.answer_us.is_some(), "{boot:?}");
        assert_eq!(status.boots_ms, vec![boot.total_us() / 1000]);
    }
    assert!(is_pooled(&warm, &other) && !is_pooled(&cold, &own), "{other:#}");
    // What the process was started with says nothing of its app, and stays what it is.
    let environ = other["environ"].to_string();
    assert!(!environ.contains("s3cr3t") && !environ.contains("GREETING"), "{environ}");
    let instance = |world: &World| world.options.instance.clone();
    let (mine, theirs) = (instance(&cold), instance(&warm));
    for told in [&mut own, &mut other] {
        let told = told.as_object_mut().expect("an object");
        told.remove("environ");
        told.remove("uid");
    }
    let other: Value = serde_json::from_str(&other.to_string().replace(&theirs, &mine)).expect("JSON");
    for (name, value) in own.as_object().expect("an object") {
        assert_eq!(&other[name], value, "{name}");
    }
    cold.down().await;
    warm.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn none_serves_twice_and_an_empty_pool_keeps_nobody_waiting() {
    let world = World::with(|options| options.warm = 1);
    let apps: Vec<LaunchSpec> = (0..3).map(|n| bundled(&world, &format!("app{n}"), TELLS)).collect();
    let mut uids = std::collections::BTreeSet::new();
    for app in &apps {
        waits(&world).await;
        let answer = tell(&world, app).await;
        assert!(is_pooled(&world, &answer), "{answer:#}");
        assert!(uids.insert(answer["uid"].to_string()), "{uids:?}");
    }
    waits(&world).await;
    world.runner.restart(&apps[0].key).await;
    let again = tell(&world, &apps[0]).await;
    assert!(uids.insert(again["uid"].to_string()), "another process for the same app too");
    // Nobody waits now, or not yet: it starts all the same.
    let late = bundled(&world, "late", TELLS);
    tell(&world, &late).await;
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_are_found_where_there_were_none_when_it_started() {
    let world = World::with(|options| options.warm = 1);
    let program = r#"
        const name = "oth" + "er";
        module.exports = { __esModule: true, default: { fetch: async () => Response.json({
            uid: process.getuid(), one: require("one"), other: (await import(name)).default }) } };
    "#;
    let app = bundled(&world, "app", program);
    write(&app.code.join("node_modules/one/index.js"), "module.exports = 'one'");
    write(&app.code.join("node_modules/other/package.json"), r#"{ "name": "other", "exports": "./m.mjs" }"#);
    write(&app.code.join("node_modules/other/m.mjs"), "export default 'other'");
    let link = app.bundle.as_ref().expect("a bundle").join("node_modules");
    std::os::unix::fs::symlink("/app/node_modules", link).expect("a link");
    waits(&world).await;
    let answer = tell(&world, &app).await;
    assert!(is_pooled(&world, &answer), "{answer:#}");
    assert_eq!((&answer["one"], &answer["other"]), (&"one".into(), &"other".into()));
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_told_as_of_any_other() {
    let world = World::with(|options| options.warm = 1);
    for (path, ending, line) in [("/exit", "exit 7", "exited with 7"), ("/throw", "exit 1", "nobody catches this")] {
        let app = bundled(&world, &path[1..], TELLS);
        world.runner.register(app.clone());
        waits(&world).await;
        assert_eq!(world.get(&app, path).await.0, 200);
        eventually(ending, || {
            let status = world.runner.status(&app.key).expect("known");
            status.last_crash.is_some_and(|crash| crash.ending == ending)
        })
        .await;
        world.logged(&app, line).await;
    }
    let silent = bundled(&world, "silent", "console.log('nothing to serve')");
    world.runner.register(silent.clone());
    waits(&world).await;
    let (status, why) = world.get(&silent, "/").await;
    assert!(status == 503 && why.contains("exit 0 before it listened"), "{status} {why}");
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_start_can_give_is_started() {
    let world = World::with(|options| options.warm = 1);
    let mut named = bundled(&world, "named", TELLS);
    named.env.push(secret("NODE_OPTIONS", "--max-http-header-size=9000"));
    let own_file = bundled(&world, "file", TELLS);
    write(&own_file.home.join(".env"), "FROM_FILE=1\n");
    let mut never = bundled(&world, "never", TELLS);
    never.pooled = false;
    for app in [&named, &own_file, &never] {
        waits(&world).await;
        let answer = tell(&world, app).await;
        assert!(!is_pooled(&world, &answer), "{}: {answer:#}", app.key.0);
    }
    world.down().await;
}

/// No memory at all, and always a reason to look.
struct Short;

impl Gauge for Short {
    fn sign(&self) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            true
        })
    }
    fn room(&self) -> Option<Room> {
        Some(Room { total: 1000, free: 50 })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_memory_is_short_those_that_wait_go_first() {
    let world = World::with(|options| options.warm = 2);
    let app = bundled(&world, "app", TELLS);
    waits(&world).await;
    world.runner.watch_memory(Arc::new(Short));
    eventually("none waits", || world.runner.waiting().is_none()).await;
    tell(&world, &app).await;
    assert!(world.runner.waiting().is_none(), "and none is made for a while");
    world.down().await;
}
