//! Who is slow or silent, on either side, and how it ends: an app is not held by a slow client, nor a client by a
//! stuck app.
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use steady::http::serve::Limits;
use steady::runner::LaunchSpec;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::sleep;

use super::runner_world::eventually;
use super::support::{Client, World, status, world_with};

/// What is too long here. Long enough for a busy machine to answer in, where that is expected.
const SHORT: Duration = Duration::from_secs(1);

fn limits() -> Limits {
    Limits { head_timeout: SHORT, write_timeout: SHORT, ..Limits::default() }
}

/// Speaks by hand; what it says after a head depends on the path.
const STUCK: &str = r#"
const say = { "/head": "", "/part": "HTTP/1.1 200 OK\r\nX-", "/body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
  "/chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n" };
const again = { "/flood": "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", "/trickle": "HTTP/1.1 200 OK\r\nX-Y: z\r\n" };
Bun.listen({ hostname: "0.0.0.0", port: Number(process.env.PORT), socket: {
  data(socket, bytes) {
    const path = bytes.toString().split(" ")[1];
    if (path in say) return void socket.write(say[path]);
    if (!(path in again)) return void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    // The trickle is one line of a head that never ends.
    socket.write(again[path]);
    const timer = setInterval(() => socket.write(path == "/flood" ? again[path].repeat(50) : "x"), 20);
    socket.data = timer;
  },
  close(socket) { clearInterval(socket.data); },
} });"#;

/// Reads to the end, or answers at once.
const OPEN: &str = r#"
export default { async fetch(req: Request) {
  if (new URL(req.url).pathname == "/read") for await (const part of req.body!) {}
  return new Response("ok");
} };"#;

/// Sends for ever, as fast as it is taken, and says how much was.
const FLOOD: &str = r#"
let made = 0;
const part = Buffer.from("10000\r\n" + "x".repeat(65536) + "\r\n");
const pour = (socket) => { while (socket.data.on) {
  const from = socket.data.at, n = socket.write(part.subarray(from));
  if (n <= 0) return;
  made += n;
  socket.data.at = (from + n) % part.length;
  if (socket.data.at) return;
} };
Bun.listen({ hostname: "0.0.0.0", port: Number(process.env.PORT), socket: {
  open(socket) { socket.data = { on: false, at: 0 }; },
  data(socket, bytes) {
    const path = bytes.toString().split(" ")[1];
    const body = path == "/made" ? String(made) : "ok";
    if (path != "/flood") return void socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    socket.data.on = true;
    pour(socket);
  },
  drain: pour,
  close(socket) { socket.data.on = false; },
} });"#;

async fn idle(world: &World, spec: &LaunchSpec) {
    eventually("nothing in flight", || world.base.runner.status(&spec.key).unwrap().in_flight == 0).await;
}

#[tokio::test]
async fn an_app_that_hangs_gets_its_page_or_is_cut() {
    let world = world_with(SHORT, Limits::default()).await;
    let spec = world.app("stuck", &[("index.ts", STUCK)], false);
    assert!(world.get("stuck", "/", "").await.ends_with("ok"));
    let mut count = 1;
    for path in ["/head", "/part", "/flood", "/trickle"] {
        let answer = world.get("stuck", path, "").await;
        count += 1;
        let line = world.recorded(&spec, count).await;
        let page = format!(
            "error: the app did not answer within 1 s\nhint: It may be busy or stuck; its log may tell.\n\
             The app's page, for its owner: http://localhost:8080/dev/stuck\nstage: response head\n\
             project: dev/stuck\nrequest: {}\n",
            line.id
        );
        let last = answer.rsplit("\r\n\r\n").next().unwrap();
        assert!(answer.contains("HTTP/1.1 504 ") && last == page, "{path}: {answer}");
        assert_eq!((line.status, line.error.as_deref()), (504, Some("response head")), "{path}");
    }
    for path in ["/body", "/chunks"] {
        let answer = world.get("stuck", path, "").await;
        count += 1;
        let line = world.recorded(&spec, count).await;
        assert!(status(&answer) == 200 && answer.contains("half") && !answer.contains("\r\n0\r\n"), "{path}: {answer}");
        assert_eq!((line.status, line.error.as_deref()), (200, Some("response body: idle")), "{path}");
    }
    idle(&world, &spec).await;
    assert!(world.get("stuck", "/", "").await.ends_with("ok"), "it is asked again all the same");
}

#[tokio::test]
async fn a_slow_head_reaches_no_app() {
    let world = world_with(Duration::from_secs(30), limits()).await;
    let spec = world.app("slow", &[("index.ts", OPEN)], false);
    let head = "GET / HTTP/1.1\r\nHost: slow.localhost\r\nX: ";
    for (what, first, drip) in
        [("nothing", "", None), ("half a line", "GET /", None), ("a head", head, None), ("a drip", head, Some("x"))]
    {
        let mut client = world.client().await;
        client.say(first).await;
        let (mut reader, mut writer) = client.0.split();
        let mut rest = vec![];
        let dripping = async {
            // Until the server has had enough.
            while let Some(drip) = drip {
                if writer.write_all(drip.as_bytes()).await.is_err() {
                    break;
                }
                sleep(SHORT / 20).await;
            }
            std::future::pending::<()>().await;
        };
        let closed = async { reader.read_to_end(&mut rest).await };
        let ended = tokio::time::timeout(Duration::from_secs(30), async {
            tokio::select! { _ = closed => (), () = dripping => () }
        });
        assert!(ended.await.is_ok(), "{what}: the connection stays open");
        assert!(!String::from_utf8_lossy(&rest).contains(" 200 "), "{what}");
    }
    assert_eq!(world.base.runner.status(&spec.key).unwrap().cold_starts, 0);
}

#[tokio::test]
async fn a_body_that_stops_lets_go_of_the_app() {
    let world = world_with(SHORT, Limits::default()).await;
    let spec = world.app("body", &[("index.ts", OPEN)], false);
    assert!(world.get("body", "/", "").await.ends_with("ok"));
    for (n, framing) in
        ["Content-Length: 1000\r\n\r\nx", "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"].iter().enumerate()
    {
        let mut client = world.client().await;
        client.say(&format!("POST /read HTTP/1.1\r\nHost: body.localhost\r\n{framing}")).await;
        let answer = client.hear_all().await;
        assert!(status(&answer) == 408 && answer.contains("stage: request body"), "{answer}");
        assert_eq!(world.recorded(&spec, n + 2).await.error.as_deref(), Some("request body"));
        idle(&world, &spec).await;
    }
    // The same over HTTP/2.
    let mut sender = http2(&world, 65_535).await;
    let (send, receive) = tokio::sync::mpsc::channel::<Result<bytes::Bytes, std::io::Error>>(1);
    send.send(Ok(bytes::Bytes::from_static(b"x"))).await.unwrap();
    let parts = futures_util::stream::unfold(receive, |mut r| async { r.recv().await.map(|item| (item, r)) });
    let request = Request::post("http://body.localhost:8080/read").body(Body::from_stream(parts)).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 408);
    idle(&world, &spec).await;
    drop(send);
}

#[tokio::test]
async fn a_reader_who_stops_lets_go_of_the_app() {
    let world = world_with(Duration::from_secs(60), limits()).await;
    let spec = world.app("reader", &[("index.ts", FLOOD)], false);
    let mut client = world.client().await;
    client.say("GET /flood HTTP/1.1\r\nHost: reader.localhost\r\n\r\n").await;
    eventually("it is asked", || world.base.runner.status(&spec.key).unwrap().in_flight == 1).await;
    idle(&world, &spec).await;
    drop(client);
    bounded(&world).await;
}

/// Flow control lets a client of HTTP/2 stop one answer while its connection is alive.
#[tokio::test]
async fn a_reader_of_http_2_who_stops_lets_go_of_the_app() {
    let world = world_with(Duration::from_secs(60), limits()).await;
    let spec = world.app("reader", &[("index.ts", FLOOD)], false);
    let mut sender = http2(&world, 1000).await;
    let ask = |path: &str| Request::get(format!("http://reader.localhost:8080{path}")).body(Body::empty()).unwrap();
    let mut stopped: Response<_> = sender.send_request(ask("/flood")).await.unwrap();
    assert!(stopped.body_mut().frame().await.unwrap().is_ok());
    // Others of the same connection are not concerned.
    for _ in 0..5 {
        sleep(SHORT / 2).await;
        let answer = sender.send_request(ask("/")).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(answer.to_bytes(), "ok");
    }
    idle(&world, &spec).await;
    drop(stopped);
    bounded(&world).await;
}

/// What nobody read was not all made: the app was held back.
async fn bounded(world: &World) {
    let answer = world.get("reader", "/made", "").await;
    let made: u64 = answer.rsplit("\r\n\r\n").next().unwrap().parse().unwrap();
    assert!(made > 0 && made < 64 << 20, "{made} bytes were made for nobody");
}

async fn http2(world: &World, window: u32) -> hyper::client::conn::http2::SendRequest<Body> {
    let Client(socket) = world.client().await;
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window);
    let (sender, connection) = builder.handshake(TokioIo::new(socket)).await.unwrap();
    world.base.tasks.spawn("client", connection);
    sender
}
