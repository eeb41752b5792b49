//! What a visitor with curl sees: every shape of app, streams, WebSockets, files, logs.
use std::io::{Read as _, Write as _};
use std::process::Command;

use crate::support::http::connect;
use crate::support::{Reply, Request, Steady, ok, output_within, text, until};

/// Real curl, which resolves `*.localhost` itself.
fn curl(args: &[&str]) -> String {
    let output =
        output_within(Command::new("curl").args(["-sS", "--max-time", "60", "--noproxy", "*"]).args(args), None);
    ok(&output, &format!("curl {}", args.join(" ")))
}

fn bun() -> Command {
    Command::new(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("node_modules/.bin/bun"))
}

/// Name, files, and what curl must print.
type Shape<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

#[test]
fn every_shape_of_app_answers() {
    let steady = Steady::start();
    let node = r#"
        import { createServer } from "node:http";
        createServer((request, response) => response.end("node " + request.method)).listen(process.env.PORT || 3000);"#;
    let start = r#"{ "scripts": { "start": "bun run lib/begin.ts", "build": "bun build.ts" } }"#;
    let begin = r#"import made from "../made.json"; Bun.serve({ port: 3000, fetch: () => new Response(made.text) });"#;
    let build = r#"await Bun.write("made.json", JSON.stringify({ text: "built" }));"#;
    let object = r#"const app = { fetch: (r: Request) => new Response("object " + r.method) }; export default app;"#;
    let shapes: &[Shape<'_>] = &[
        ("shape-fetch", &[("index.ts", r#"export default { fetch: () => new Response("fetch") };"#)], "fetch"),
        ("shape-object", &[("index.tsx", object)], "object GET"),
        ("shape-serve", &[("index.ts", r#"Bun.serve({ port: 3000, fetch: () => new Response("serve") });"#)], "serve"),
        ("shape-node", &[("index.mjs", node)], "node GET"),
        ("shape-start", &[("package.json", start), ("lib/begin.ts", begin), ("build.ts", build)], "built"),
        ("shape-main", &[("package.json", r#"{ "main": "lib/a.ts" }"#), ("lib/a.ts", object)], "object GET"),
        (
            "shape-entry",
            &[("steady.json", r#"{ "entry": "deep/b.ts" }"#), ("deep/b.ts", object), ("index.html", "no")],
            "object GET",
        ),
        ("shape-static", &[("index.html", "<h1>plain</h1>")], "<h1>plain</h1>"),
    ];
    for (name, files, expected) in shapes {
        steady.push_new(name, files);
        let url = format!("http://{}/", steady.app_host(name));
        assert_eq!(curl(&[&url]), *expected, "{name}");
    }
    assert_eq!(steady.status("shape-static")["state"], "static");
}

#[test]
fn requests_arrive_whole_and_forwarded_headers_are_true() {
    let steady = Steady::start();
    let echo = r#"export default {
      async fetch(request: Request) {
        const url = new URL(request.url);
        if (url.pathname === "/size") return Response.json({ size: (await request.arrayBuffer()).byteLength });
        if (url.pathname === "/big") return new Response(new Uint8Array(5_000_000).fill(120));
        if (url.pathname === "/env") {
          const { STEADY_URL, STEADY_PROJECT, STEADY_VERSION, PORT, DATA_DIR, HOME, PATH, STEADY_TOKEN } = process.env;
          return Response.json({ STEADY_URL, STEADY_PROJECT, STEADY_VERSION, PORT, DATA_DIR, leaked: STEADY_TOKEN ?? null });
        }
        return Response.json({ method: request.method, url: request.url, body: await request.text(),
                               headers: Object.fromEntries(request.headers) });
      },
    };"#;
    steady.push_new("echo", &[("index.ts", echo)]);
    let url = format!("http://{}", steady.app_host("echo"));
    let said = curl(&[
        "-X",
        "PUT",
        "-d",
        "some text",
        "-H",
        "x-mine: yes",
        "-H",
        "x-forwarded-for: 6.6.6.6",
        "-H",
        "x-forwarded-proto: https",
        "-H",
        "forwarded: for=6.6.6.6",
        &format!("{url}/a%20b?c=d&c=e"),
    ]);
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&said["method"], &said["body"]), (&"PUT".into(), &"some text".into()));
    assert_eq!(said["url"], format!("{url}/a%20b?c=d&c=e").as_str());
    assert_eq!(said["headers"]["x-mine"], "yes");
    assert_eq!(said["headers"]["x-forwarded-for"], "127.0.0.1", "{said}");
    assert_eq!(said["headers"]["x-forwarded-proto"], "http");
    assert_eq!(said["headers"]["forwarded"], serde_json::Value::Null);

    let env: serde_json::Value = serde_json::from_str(&curl(&[&format!("{url}/env")])).expect("JSON");
    assert_eq!(env["STEADY_URL"], url.as_str());
    assert_eq!((&env["STEADY_PROJECT"], &env["STEADY_VERSION"]), (&"dev/echo".into(), &"v1".into()));
    assert!(env["PORT"].is_string() && env["DATA_DIR"].is_string() && env["leaked"].is_null(), "{env}");

    let file = steady.dir().join("three-megabytes");
    std::fs::File::create(&file).and_then(|f| f.set_len(3_000_000)).expect("a file");
    let sent = curl(&["--data-binary", &format!("@{}", file.display()), &format!("{url}/size")]);
    assert_eq!(sent, r#"{"size":3000000}"#);
    assert_eq!(curl(&[&format!("{url}/big")]).len(), 5_000_000);
    // Two requests on one connection.
    let twice = curl(&["-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} ", &url, &url]);
    assert_eq!(twice, "1 0 ", "the second request reuses the connection");
}

#[test]
fn server_sent_events_come_as_they_are_sent() {
    let steady = Steady::start();
    let code = r#"
      let go: (() => void) | undefined;
      export default {
        fetch(request: Request) {
          const { pathname } = new URL(request.url);
          if (pathname === "/go") { go?.(); return new Response("went"); }
          if (pathname !== "/events") return new Response("here");
          const gate = new Promise<void>((resolve) => { go = resolve; });
          return new Response(async function* () {
            yield "data: first\n\n";
            await gate;
            yield "data: second\n\n";
          }, { headers: { "content-type": "text/event-stream" } });
        },
      };"#;
    steady.push_new("events", &[("index.ts", code)]);
    let mut stream = connect(steady.port).expect("connect");
    write!(stream, "GET /events HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", steady.app_host("events"))
        .expect("send");
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains("data: first") {
        let n = stream.read(&mut buffer).expect("the first event");
        assert!(n > 0, "closed before the first event: {seen}");
        seen.push_str(&text(&buffer[..n]));
    }
    assert!(seen.contains("text/event-stream") && !seen.contains("second"), "{seen}");
    // The second event is only sent once the first has reached us.
    assert_eq!(steady.get("events", "/go").ok(), "went");
    stream.read_to_string(&mut seen).expect("the rest");
    assert!(seen.contains("data: second"), "{seen}");
}

#[test]
fn websockets_talk_both_ways() {
    let steady = Steady::start();
    let template = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/projects/chat");
    let read = |name: &str| std::fs::read_to_string(template.join(name)).expect("the template");
    steady.push_new("chatter", &[("index.ts", &read("index.ts")), ("page.html", &read("page.html"))]);
    assert!(steady.get("chatter", "/").ok().contains("<h1>Chat</h1>"));
    let script = format!(
        r#"
        const open = (name) => new Promise((resolve, reject) => {{
          const socket = new WebSocket("ws://127.0.0.1:{}/room?name=" + name, {{ headers: {{ host: "{}" }} }});
          socket.heard = [];
          socket.onmessage = (event) => socket.heard.push(JSON.parse(event.data));
          socket.onopen = () => resolve(socket);
          socket.onerror = (event) => reject(event);
        }});
        const until = async (check) => {{ for (let i = 0; i < 1200 && !check(); i++) await Bun.sleep(50); if (!check()) throw "waited in vain"; }};
        const ann = await open("ann"), bob = await open("bob");
        ann.send("hello " + "x".repeat(3000));
        await until(() => bob.heard.some((m) => m.from === "ann" && m.text.length === 3006));
        bob.send("bye");
        await until(() => ann.heard.some((m) => m.from === "bob" && m.text === "bye"));
        bob.close();
        await until(() => ann.heard.some((m) => m.note === "bob left"));
        console.log("talked");
        process.exit(0);
        "#,
        steady.port,
        steady.app_host("chatter")
    );
    let output = output_within(bun().args(["-e", &script]), None);
    assert_eq!(ok(&output, "bun -e").trim(), "talked");
    let refused = Request::get(steady.port, &steady.app_host("chatter"), "/room").send();
    assert_eq!(refused.status, 426);
}

#[test]
fn files_are_served_without_a_process() {
    let steady = Steady::start();
    let page = "<!doctype html><title>Here</title><p>plain";
    steady.push_new(
        "pages",
        &[
            ("index.html", page),
            ("style.css", "p { color: red }"),
            ("docs/index.html", "docs"),
            ("steady.json", "{}"),
            (".env", "SECRET=1"),
        ],
    );
    let index = steady.get("pages", "/");
    assert_eq!(index.ok(), page);
    assert!(index.header("content-type").expect("a type").starts_with("text/html"));
    assert!(steady.get("pages", "/style.css").header("content-type").expect("a type").starts_with("text/css"));
    assert_eq!(steady.get("pages", "/docs/").ok(), "docs");
    let tag = index.header("etag").expect("an etag").to_owned();
    let host = steady.app_host("pages");
    let again = Request::get(steady.port, &host, "/").header("if-none-match", &tag).send();
    assert_eq!((again.status, again.body.len()), (304, 0));
    let part = Request::get(steady.port, &host, "/style.css").header("range", "bytes=4-8").send();
    assert_eq!((part.status, part.text().as_str()), (206, "color"));
    for hidden in
        ["/.env", "/.git/config", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/docs/..%2f..%2f.env", "/nothing"]
    {
        let reply = steady.get("pages", hidden);
        assert!((400..=404).contains(&reply.status), "{hidden} gave {}: {}", reply.status, reply.text());
    }
    assert_eq!(Request::new(steady.port, "POST", &host, "/").body("x").send().status, 405);
    let status = steady.status("pages");
    assert_eq!(status["state"], "static");
    assert!(status["process"]["pid"].is_null(), "nothing runs for a static site: {status}");
}

#[test]
fn public_files_of_an_app_come_first() {
    let steady = Steady::start();
    let code = r#"export default { fetch: () => new Response("from the app") };"#;
    steady.push_new("mixed", &[("index.ts", code), ("public/logo.svg", "<svg/>")]);
    assert_eq!(steady.get("mixed", "/logo.svg").ok(), "<svg/>");
    assert_eq!(steady.get("mixed", "/else").ok(), "from the app");
    assert_eq!(steady.get("mixed", "/").ok(), "from the app");
}

#[test]
fn an_idle_app_sleeps_and_a_request_wakes_it() {
    let steady = Steady::start();
    let code = r#"export default { fetch: () => new Response("pid " + process.pid) };"#;
    steady.push_new("sleepy", &[("index.ts", code), ("steady.json", r#"{ "idle_seconds": 1 }"#)]);
    steady.get("sleepy", "/").ok();
    let asleep = until("it sleeps", || Some(steady.status("sleepy")).filter(|s| s["state"] == "asleep"));
    assert!(asleep["process"]["pid"].is_null(), "{asleep}");
    // Many at once wake it once, and all are answered.
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..20).map(|_| scope.spawn(|| steady.get("sleepy", "/"))).collect();
        all.into_iter().map(|one| one.join().expect("answered")).collect()
    });
    let first = replies[0].ok();
    assert!(replies.iter().all(|reply| reply.ok() == first), "one process answers all");
}

#[test]
fn logs_and_requests_are_kept() {
    let mut steady = Steady::start();
    let code = r#"
      console.log("it began");
      export default {
        fetch(request: Request) {
          const { pathname } = new URL(request.url);
          console.error("asked for " + pathname);
          if (pathname === "/die") process.exit(3);
          return new Response("fine");
        },
      };"#;
    steady.push_new("logged", &[("index.ts", code)]);
    steady.get("logged", "/first?secret=hidden").ok();
    until("the line is there", || logs(&steady).contains("asked for /first").then_some(()));
    assert!(logs(&steady).contains("it began"));
    assert_eq!(steady.get("logged", "/die").status, 502);
    until("the crash is noted", || logs(&steady).contains("exited with 3").then_some(()));
    until("it is up again", || (steady.get("logged", "/second").status == 200).then_some(()));
    steady.restart();
    assert!(logs(&steady).contains("asked for /first"), "logs outlive a restart");
    let status = steady.status("logged");
    assert_eq!(status["project"], "dev/logged");
}

fn logs(steady: &Steady) -> String {
    steady.cli_ok(&["logs", "dev/logged", "-n", "100"])
}
