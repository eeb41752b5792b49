//! The shapes of program people write, each with real Bun; packages are installed by a job in the jail.

use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use steady::base::Progress;
use steady::runner::sandbox::landlock::best_abi;
use steady::runner::sandbox::tier::Tier;
use steady::runner::{Admission, JobSpec, LaunchSpec, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn without_packages() {
    let world = World::new();
    let serve = "const s = Bun.serve({ port: 4321, fetch: () => new Response('served') }); console.log(`at ${s.url} ${s.port} ${s.hostname}`)";
    let http = "import http from 'node:http'; const s = http.createServer((q, r) => r.end('node ' + q.url)).listen(3000, '0.0.0.0', () => console.log('at', s.address().port))";
    let net = "import net from 'node:net'; net.createServer(c => c.once('data', () => c.end('HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\nnet'))).listen(3999)";
    let two = "Bun.serve({ port: 1111, fetch: () => new Response('first') }); Bun.serve({ port: 2222, fetch: () => new Response('second') })";
    let class = "class A { #t = 'class'; get fetch() { return () => new Response(this.#t) } } export default new A()";
    let routes = "import page from './page.html'; Bun.serve({ routes: { '/': page, '/a': new Response('a') } })";
    let late = "setTimeout(() => Bun.serve({ fetch: () => new Response('late') }), 200)";
    for (name, code, path, body, logged) in [
        ("serve", serve, "/", "served", "at http://localhost:4321/ 4321 localhost"),
        ("http", http, "/x?y=1", "node /x?y=1", "at 3000"),
        ("net", net, "/", "net", "ready in"),
        ("two", two, "/", "first", "first server alone"),
        ("class", class, "/", "class", "ready in"),
        ("routes", routes, "/a", "a", "ready in"),
        ("late", late, "/", "late", "ready in"),
    ] {
        let app = world.app(name, &[("index.ts", code), ("page.html", "<p>hi</p>")]);
        world.runner.register(app.clone());
        assert_eq!(world.get(&app, path).await, (200, body.to_owned()), "{name}: {:#?}", world.log(&app));
        world.logged(&app, logged).await;
    }
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_packages() {
    let world = World::new();
    let package =
        r#"{ "dependencies": { "hono": "4.13.19", "elysia": "1.4.30", "express": "5.3.0", "fastify": "5.12.8" } }"#;
    let base = world.app("packages", &[("package.json", package)]);
    let job = JobSpec {
        command: ["bun", "install", "--no-progress"].map(str::to_owned).to_vec(),
        cwd: base.code.clone(),
        writable: vec![base.code.clone()],
        readable: Vec::new(),
        env: Vec::new(),
        limits: Limits::default(),
        uid_offset: 900,
        timeout: patient(120),
        hosts: world.runner.registry().await.expect("the registry is found").hosts,
    };
    let report = world.runner.job(job, &Progress::silent()).await.expect("the job runs");
    assert!(report.success, "bun install needs the package registry: {} {:#?}", report.ending, report.tail);
    for (name, code) in [
        (
            "hono",
            "import { Hono } from 'hono'; const a = new Hono(); a.get('/', c => c.text('hello')); export default a",
        ),
        (
            "elysia-listen",
            "import { Elysia } from 'elysia'; const a = new Elysia().get('/', () => 'hello').listen(3000); console.log(`at ${a.server?.hostname}:${a.server?.port}`)",
        ),
        (
            "elysia-both",
            "import { Elysia } from 'elysia'; export default new Elysia().get('/', () => 'hello').listen(3000)",
        ),
        ("elysia-export", "import { Elysia } from 'elysia'; export default new Elysia().get('/', () => 'hello')"),
        (
            "express",
            "import express from 'express'; const a = express(); a.get('/', (q, r) => { r.send('hello') }); a.listen(3000, () => console.log('up'))",
        ),
        (
            "fastify",
            "import Fastify from 'fastify'; const f = Fastify(); f.get('/', async () => 'hello'); await f.listen({ port: 3000, host: '0.0.0.0' })",
        ),
    ] {
        write(&base.code.join(format!("{name}.ts")), code);
        let app = world.app(name, &[("index.ts", "")]);
        let entry = steady::runner::Entry::Module { path: format!("{name}.ts") };
        let app = LaunchSpec { code: base.code.clone(), entry, ..app };
        world.runner.register(app.clone());
        assert_eq!(world.get(&app, "/").await, (200, "hello".to_owned()), "{name}: {:#?}", world.log(&app));
    }
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_be_silent_for_longer_than_bun_s_own_ten_seconds() {
    let world = World::new();
    let code = "export default { fetch: () => new Response(new ReadableStream({ async start(c) { c.enqueue('first '); await Bun.sleep(15_000); c.enqueue('last'); c.close() } })) }";
    let app = world.app("silent", &[("index.ts", code)]);
    world.runner.register(app.clone());
    assert_eq!(world.get(&app, "/").await, (200, "first last".to_owned()), "{:#?}", world.log(&app));
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_stream_and_websockets_talk() {
    let world = World::new();
    let code = "export default {
        fetch(r, server) {
            if (server.upgrade(r)) return;
            let n = 0;
            return new Response(new ReadableStream({ async pull(c) { c.enqueue(`data: ${n++}\\n\\n`); await Bun.sleep(20); if (n > 3) c.close() } }), { headers: { 'content-type': 'text/event-stream' } });
        },
        websocket: { message(ws, m) { ws.send('echo ' + m) } },
    }";
    let app = world.app("live", &[("index.ts", code)]);
    world.runner.register(app.clone());
    let request = || hyper::Request::get("/").header("host", "app.localhost");
    let Admission::Go(upstream) = world.runner.admit(&app.key).await else { panic!("not let in") };
    let (response, lease) =
        upstream.send(request().body(axum::body::Body::empty()).expect("request")).await.expect("head");
    assert_eq!(world.runner.status(&app.key).expect("known").in_flight, 1);
    let chunks: Vec<_> = response.into_body().into_data_stream().map(|c| c.expect("chunk")).collect().await;
    assert!(chunks.len() >= 3, "each event came by itself: {chunks:?}");
    drop(lease);
    assert_eq!(world.runner.status(&app.key).expect("known").in_flight, 0);

    let Admission::Go(upstream) = world.runner.admit(&app.key).await else { panic!("not let in") };
    let upgrade = request()
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let (mut response, _lease) =
        upstream.send(upgrade.body(axum::body::Body::empty()).expect("request")).await.expect("head");
    assert_eq!(response.status(), 101);
    let mut socket = TokioIo::new(hyper::upgrade::on(&mut response).await.expect("upgraded"));
    // A masked text frame `hi`, with a mask of zeros; back comes `echo hi`.
    socket.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.expect("sent");
    let mut frame = [0u8; 9];
    socket.read_exact(&mut frame).await.expect("answered");
    assert_eq!(&frame, b"\x81\x07echo hi");
    drop(socket);
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_listens_by_itself_is_reached_in_its_own_network() {
    let world = World::new();
    if world.runner.confinement().name() == "process-only" {
        return eprintln!("no network of its own here: only the wrapper's socket is served");
    }
    // A grandchild that the wrapper does not reach: as a program that is not Bun would be.
    let server = "const net = process.argv[2]; Bun.serve({ hostname: net, port: +process.env.PORT, fetch: r => new Response('own port ' + r.headers.get('host')) })";
    for (name, host) in [("by-port", "127.0.0.1"), ("by-port6", "::1"), ("by-any", "0.0.0.0")] {
        let code = format!(
            "Bun.spawn([process.execPath, '/app/server.js', '{host}'], {{ stdio: ['ignore', 'inherit', 'inherit'], env: {{ ...process.env, BUN_OPTIONS: '' }} }}); setInterval(() => {{}}, 1e6)"
        );
        let app = world.app(name, &[("index.ts", &code), ("server.js", server)]);
        world.runner.register(app.clone());
        let (status, body) = world.get(&app, "/").await;
        assert_eq!((status, body.as_str()), (200, "own port app.localhost"), "{name}: {:#?}", world.log(&app));
    }
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_weakest_tier_it_starts_programs_and_looks_into_none() {
    if best_abi() < 4 {
        let why =
            World::try_with(|options| options.tier = Some(Tier::ProcessOnly)).err().expect("nothing may run here");
        return assert!(why.public.contains("Landlock ABI"), "{why:?}");
    }
    let world = World::with(|options| options.tier = Some(Tier::ProcessOnly));
    let server = std::process::id();
    let code = format!(
        "import fs from 'node:fs'; const t = f => {{ try {{ f(); return 'read' }} catch (e) {{ return e.code }} }};
        const rights = String(fs.readFileSync('/proc/self/status', 'utf8').match(/Cap(Prm|Eff):\\s*0+\\n/g)?.length);
        const child = Bun.spawnSync([process.execPath, '-e', 'console.log(40 + 2)']);
        const looks = ['environ', 'maps', 'mem', 'root/etc/hosts'].map(name => t(() => fs.readFileSync('/proc/{server}/' + name)));
        export default {{ fetch: () => Response.json([String(child.stdout).trim(), rights, ...looks]) }}"
    );
    let app = world.app("starts", &[("index.ts", &code)]);
    world.runner.register(app.clone());
    let (status, body) = world.get(&app, "/").await;
    assert_eq!(status, 200, "{body}");
    let seen: Vec<String> = serde_json::from_str(&body).expect("JSON");
    assert_eq!(seen, ["42", "2", "EACCES", "EACCES", "EACCES", "EACCES"]);
    world.down().await;
}
