//! What a running app and its visitors may expect of the way between them.
use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::runner_world::eventually;
use super::support::{Client, MAX_BODY, status, world};

const APP: &str = r#"
let go: () => void;
const told = new Promise<void>(resolve => (go = resolve));
const stream = (start: (c: ReadableStreamDefaultController) => void | Promise<void>, type: string) =>
  new Response(new ReadableStream({ start }), { headers: { "content-type": type } });
export default {
  async fetch(req: Request, server: any) {
    const path = new URL(req.url).pathname;
    if (path == "/ws") return server.upgrade(req) ? undefined : new Response("no", { status: 400 });
    if (path == "/headers") return Response.json(Object.fromEntries(req.headers));
    if (path == "/cookies") return new Response("ok", { headers: [["set-cookie", "a=1"], ["set-cookie", "b=2; Domain=localhost"]] });
    if (path == "/upload") {
      let n = 0;
      for await (const chunk of req.body!) n += chunk.length;
      return new Response("got " + n);
    }
    if (path == "/events") return stream(async c => {
      c.enqueue("data: one\n\n");
      await told;
      c.enqueue("data: two\n\n");
      c.close();
    }, "text/event-stream");
    if (path == "/go") { go(); return new Response("went"); }
    if (path == "/die") return stream(async c => {
      c.enqueue("last words");
      await new Promise(r => setTimeout(r, 100));
      process.exit(3);
    }, "text/plain");
    if (path == "/range") return new Response("234", { status: 206, headers: { "content-range": "bytes 2-4/10", "x-asked": req.headers.get("range")! } });
    return new Response("hello " + path);
  },
  websocket: { maxPayloadLength: 1 << 20, message(ws: any, text: any) { ws.send(text); } },
};
"#;

#[tokio::test]
async fn requests_share_a_connection_and_are_recorded() {
    let world = world().await;
    let spec = world.app("hello", &[("index.ts", APP)], false);
    let mut client = world.client().await;
    for (n, path) in ["/one", "/two"].iter().enumerate() {
        client.say(&format!("GET {path}?secret=1 HTTP/1.1\r\nHost: hello.localhost:8080\r\n\r\n")).await;
        let answer = client.hear(&format!("hello {path}")).await;
        assert_eq!(status(&answer), 200, "{answer}");
        let line = world.recorded(&spec, n + 1).await;
        assert!(answer.contains(&format!("x-request-id: {}\r\n", line.id)), "{answer}");
        assert_eq!((line.path.as_str(), line.status, line.bytes_out, &line.error), (*path, 200, 10, &None));
        assert_eq!((line.version.as_str(), line.boot_us > 0), ("v1", n == 0), "only the first one waits for a boot");
    }
    let answer =
        world.get("hello", "/headers", "X-Forwarded-For: 6.6.6.6\r\nConnection: x-mine\r\nX-Mine: 1\r\n").await;
    assert!(answer.contains(r#""x-forwarded-for":"127.0.0.1""#), "{answer}");
    assert!(answer.contains(r#""host":"hello.localhost:8080""#) && !answer.contains("x-mine"), "{answer}");
    let answer = world.get("hello", "/range", "Range: bytes=2-4\r\n").await;
    assert!(status(&answer) == 206 && answer.contains("x-asked: bytes=2-4\r\n"), "{answer}");
    client.say("HEAD /x HTTP/1.1\r\nHost: hello.localhost\r\n\r\n").await;
    assert!(client.hear("\r\n\r\n").await.contains("content-length: 8\r\n"));
    client.say("GET /after HTTP/1.1\r\nHost: hello.localhost\r\n\r\n").await;
    assert_eq!(status(&client.hear("hello /after").await), 200, "nothing of a body followed the HEAD");
}

#[tokio::test]
async fn a_cookie_for_all_apps_is_dropped_with_a_remark() {
    let world = world().await;
    let spec = world.app("cookies", &[("index.ts", APP)], false);
    for _ in 0..3 {
        let answer = world.get("cookies", "/cookies", "").await;
        assert!(answer.contains("set-cookie: a=1\r\n") && !answer.contains("b=2"), "{answer}");
    }
    world.base.logged(&spec, "a cookie was dropped").await;
    let remarks = world.base.log(&spec).iter().filter(|line| line.contains("a cookie was dropped")).count();
    assert_eq!(remarks, 1, "once a minute");
}

/// A masked text frame, as clients send them.
fn frame(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([1, 2, 3, 4]);
    frame.extend(text.iter().enumerate().map(|(at, byte)| byte ^ [1, 2, 3, 4][at % 4]));
    frame
}

/// The next frame's payload.
async fn heard(client: &mut Client) -> Vec<u8> {
    let head = client.0.read_u16().await.unwrap();
    let length = match head & 0x7f {
        126 => u64::from(client.0.read_u16().await.unwrap()),
        127 => client.0.read_u64().await.unwrap(),
        length => u64::from(length),
    };
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    client.0.read_exact(&mut payload).await.unwrap();
    payload
}

#[tokio::test]
async fn a_websocket_echoes_and_counts_as_in_flight() {
    let world = world().await;
    let spec = world.app("chat", &[("index.ts", APP)], false);
    let mut client = world.client().await;
    client
        .say("GET /ws HTTP/1.1\r\nHost: chat.localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n")
        .await;
    client.say("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").await;
    let answer = client.hear("\r\n\r\n").await;
    assert!(status(&answer) == 101 && answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    for text in ["hi", &"long ".repeat(100_000)] {
        client.0.write_all(&frame(text.as_bytes())).await.unwrap();
        assert!(heard(&mut client).await == text.as_bytes(), "the echo differs");
    }
    let in_flight = || world.base.runner.status(&spec.key).unwrap().in_flight;
    assert_eq!(in_flight(), 1);
    drop(client);
    eventually("nothing in flight", || in_flight() == 0).await;
    let line = world.recorded(&spec, 1).await;
    assert_eq!((line.status, line.bytes_in > 500_000, line.bytes_out > 500_000), (101, true, true));
}

#[tokio::test]
async fn events_come_before_their_stream_ends() {
    let world = world().await;
    world.app("events", &[("index.ts", APP)], false);
    let mut client = world.client().await;
    client.say("GET /events HTTP/1.1\r\nHost: events.localhost\r\nAccept: text/event-stream\r\n\r\n").await;
    let first = client.hear("data: one\n\n").await;
    assert!(!first.contains("two"), "{first}");
    assert_eq!(status(&world.get("events", "/go", "").await), 200);
    client.hear("data: two\n\n").await;
    client.hear("0\r\n\r\n").await;
}

#[tokio::test]
async fn large_uploads_are_streamed_and_too_large_ones_refused() {
    let world = world().await;
    let spec = world.app("upload", &[("index.ts", APP)], false);
    let too_large = MAX_BODY + 1;
    let mut client = world.client().await;
    client
        .say(&format!("POST /upload HTTP/1.1\r\nHost: upload.localhost\r\nContent-Length: {too_large}\r\n\r\nabc"))
        .await;
    let answer = client.hear_all().await;
    assert!(status(&answer) == 413 && answer.contains("stage: request body"), "{answer}");
    assert_eq!(world.base.runner.status(&spec.key).unwrap().cold_starts, 0, "nobody was woken for it");

    let megabyte = "x".repeat(1 << 20);
    let mut client = world.client().await;
    client
        .say(&format!("POST /upload HTTP/1.1\r\nHost: upload.localhost\r\nContent-Length: {}\r\n\r\n", 50 << 20))
        .await;
    for _ in 0..50 {
        client.say(&megabyte).await;
    }
    client.hear(&format!("got {}", 50 << 20)).await;
    assert_eq!(world.recorded(&spec, 2).await.bytes_in, 50 << 20);

    // Without a declared length, it is refused when it has become too large; the answer still arrives.
    let mut client = world.client().await;
    client.say("POST /upload HTTP/1.1\r\nHost: upload.localhost\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..(MAX_BODY >> 20) + 1 {
        let chunk = format!("100000\r\n{megabyte}\r\n");
        if client.0.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    assert_eq!(status(&client.hear("\r\n\r\n").await), 413);
    let answer = world.get("upload", "/still-there", "").await;
    assert!(answer.ends_with("hello /still-there"), "{answer}");
}

#[tokio::test]
async fn an_app_that_dies_cuts_its_answer_and_comes_back() {
    let world = world().await;
    let spec = world.app("dying", &[("index.ts", APP)], false);
    let answer = world.get("dying", "/die", "").await;
    assert!(status(&answer) == 200 && answer.contains("last words"), "{answer}");
    assert!(!answer.contains("\r\n0\r\n\r\n"), "it must not look whole: {answer}");
    assert_eq!(world.recorded(&spec, 1).await.error.as_deref(), Some("response body"));
    let mut tries = 0;
    while status(&world.get("dying", "/again", "").await) != 200 {
        tries += 1;
        assert!(tries < 200, "it never came back");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn http_2_clients_are_served_the_same() {
    let world = world().await;
    world.app("two", &[("index.ts", APP)], false);
    let socket = tokio::net::TcpStream::connect(world.front).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    world.base.tasks.spawn("client", connection);
    let ask = |path: &str, body: Body| {
        let request = hyper::Request::post(format!("http://two.localhost:8080{path}")).body(body).unwrap();
        let mut sender = sender.clone();
        async move {
            let response = sender.send_request(request).await.unwrap();
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        }
    };
    let pieces = (0..5).map(|_| Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"piece"))));
    let body = Body::new(http_body_util::StreamBody::new(futures_util::stream::iter(pieces)));
    assert_eq!(ask("/upload", body).await, (200, "got 25".to_owned()));
    let (code, headers) = ask("/headers", Body::empty()).await;
    assert!(code == 200 && headers.contains(r#""host":"two.localhost:8080""#), "{headers}");
    let many =
        futures_util::future::join_all((0..50).map(|n| ask(if n % 2 == 0 { "/even" } else { "/odd" }, Body::empty())))
            .await;
    for (n, answer) in many.into_iter().enumerate() {
        assert_eq!(answer, (200, format!("hello /{}", if n % 2 == 0 { "even" } else { "odd" })));
    }
}
