//! Each test plays the client and the app by hand, over real sockets, through the real listener code.
use std::sync::atomic::Ordering;

use tokio::io::AsyncWriteExt as _;

use super::*;
use world::{SHORT, patient, read_all, read_to, world};

#[path = "forward_world.rs"]
mod world;

const GET: &str = "GET /a?secret=1 HTTP/1.1\r\nHost: hello.localhost\r\n\r\n";

#[tokio::test]
async fn a_request_goes_through_and_the_connection_stays() {
    let mut world = world(patient()).await;
    let mut client = world.client(GET).await;
    for _ in 0..2 {
        let mut app = world.app().await;
        let head = read_to(&mut app, "\r\n\r\n").await;
        assert!(
            head.starts_with("GET /a?secret=1 HTTP/1.1\r\n") && head.contains("x-forwarded-for: 127.0.0.1\r\n"),
            "{head}"
        );
        app.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: mine\r\n\r\nhello").await.unwrap();
        let answer = read_to(&mut client, "hello").await;
        assert!(answer.contains("server: mine\r\n") && answer.contains("x-request-id: theid\r\n"), "{answer}");
        let line = world.line().await;
        assert_eq!((line.status, line.path.as_str(), line.bytes_out, line.error), (200, "/a", 5, None));
        client.write_all(GET.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn ambiguous_requests_never_reach_an_app() {
    let world = world(patient()).await;
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: 5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET /\r\n\r\n",
        "\0\r\n\r\n",
    ] {
        let mut client = world.client(request).await;
        let answer = read_all(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?} got {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{request:?} got {answer:?}");
    }
    assert_eq!(world.busy.load(Ordering::SeqCst), 0);
    let reached = tokio::time::timeout(Duration::from_millis(50), world.apps.accept()).await;
    assert!(reached.is_err(), "an ambiguous request reached the app");
}

#[tokio::test]
async fn a_bad_chunk_after_a_good_head_is_400() {
    let mut world = world(patient()).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = world.client(&format!("{head}1\r\na\r\nzz\r\n")).await;
    let mut app = world.app().await;
    let seen = read_all(&mut app).await;
    assert!(!seen.contains("0\r\n\r\n"), "the app must not see an end: {seen:?}");
    let answer = read_all(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(world.line().await.error.as_deref(), Some("request body"));
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let mut world = world(patient()).await;
    let mut client = world.client(GET).await;
    let mut app = world.app().await;
    read_to(&mut app, "\r\n\r\n").await;
    app.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    for event in ["data: one\n\n", "data: two\n\n"] {
        app.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await.unwrap();
        read_to(&mut client, event).await; // the next is not sent before this one has arrived
    }
    drop(app);
    assert!(!read_all(&mut client).await.contains("0\r\n\r\n"), "a broken stream must not look whole");
    let line = world.line().await;
    assert_eq!((line.bytes_out, line.error.as_deref()), (22, Some("response body")));
    world.becomes_idle().await;
}

#[tokio::test]
async fn too_large_bodies_are_refused_declared_or_not() {
    let mut world = world(Limits { max_body: 10, ..patient() }).await;
    let mut client = world.client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello worl").await;
    assert!(read_all(&mut client).await.starts_with("HTTP/1.1 413 "));
    assert_eq!(world.busy.load(Ordering::SeqCst), 0, "no app was asked");
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n";
    let mut client = world.client(chunked).await;
    let mut app = world.app().await;
    read_to(&mut app, "hello \r\n").await;
    client.write_all(b"6\r\nworld!\r\n").await.unwrap();
    assert!(read_to(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 413 "));
    assert!(!read_all(&mut app).await.contains("0\r\n\r\n"), "the app must not see an end");
    for _ in 0..2 {
        assert_eq!(world.line().await.status, 413);
    }
    world.becomes_idle().await;
}

#[tokio::test]
async fn silence_ends_on_every_side() {
    let mut world = world(Limits { head_timeout: SHORT, idle_timeout: SHORT, ..patient() }).await;
    // The app gives no head.
    let mut client = world.client(GET).await;
    let app = world.app().await;
    assert!(read_to(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 504 "));
    assert_eq!(world.line().await.error.as_deref(), Some("response head"));
    drop(app);
    // The client sends half a body.
    let mut client = world.client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf").await;
    let _app = world.app().await;
    assert!(read_to(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 408 "));
    assert_eq!(world.line().await.error.as_deref(), Some("request body"));
    // The app sends half a body.
    let mut client = world.client(GET).await;
    let mut app = world.app().await;
    app.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
    assert!(read_all(&mut client).await.ends_with("half"));
    assert_eq!(world.line().await.error.as_deref(), Some("response body: idle"));
    // The client takes nothing.
    let _client = world.client(GET).await;
    let mut app = world.app().await;
    app.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
    let flood = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
    while app.write_all(flood.as_bytes()).await.is_ok() {}
    assert_eq!(world.line().await.error.as_deref(), Some("client left"));
    world.becomes_idle().await;
}

#[tokio::test]
async fn a_long_upload_is_not_a_slow_answer() {
    let world = world(Limits { head_timeout: SHORT, ..patient() }).await;
    let mut client = world.client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n").await;
    let mut app = world.app().await;
    assert!(read_to(&mut app, "\r\n\r\n").await.contains("content-length: 8\r\n"));
    for _ in 0..8 {
        tokio::time::sleep(SHORT / 4).await;
        client.write_all(b"x").await.unwrap();
    }
    read_to(&mut app, "xxxxxxxx").await;
    app.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert!(read_to(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_by_the_app() {
    let mut world = world(patient()).await;
    let client = world.client(GET).await;
    let mut app = world.app().await;
    read_to(&mut app, "\r\n\r\n").await;
    drop(client);
    assert_eq!(read_all(&mut app).await, "");
    let line = world.line().await;
    assert_eq!((line.status, line.error.as_deref()), (499, Some("client left")));
    world.becomes_idle().await;
}

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n";

#[tokio::test]
async fn an_upgraded_connection_carries_any_bytes() {
    let mut world = world(Limits { idle_timeout: SHORT, ..patient() }).await;
    let mut client = world.client(UPGRADE).await;
    let mut app = world.app().await;
    let head = read_to(&mut app, "\r\n\r\n").await;
    assert!(head.contains("upgrade: websocket\r\n") && head.contains("connection: upgrade\r\n"), "{head}");
    app.write_all(SWITCHED).await.unwrap();
    assert!(read_to(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
    tokio::time::sleep(SHORT * 2).await; // such connections may be silent
    client.write_all(b"\n\0 not HTTP at all\n").await.unwrap();
    read_to(&mut app, "\n\0 not HTTP at all\n").await;
    app.write_all(b"\0\nback").await.unwrap();
    read_to(&mut client, "\0\nback").await;
    assert_eq!(world.busy.load(Ordering::SeqCst), 1);
    drop(app);
    assert_eq!(read_all(&mut client).await, "");
    drop(client);
    let line = world.line().await;
    assert_eq!((line.status, line.bytes_in, line.bytes_out, line.error), (101, 19, 6, None));
    world.becomes_idle().await;
}

#[tokio::test]
async fn upgraded_connections_end_when_the_server_stops() {
    let mut world = world(patient()).await;
    let mut client = world.client(UPGRADE).await;
    let mut app = world.app().await;
    app.write_all(SWITCHED).await.unwrap();
    read_to(&mut client, "\r\n\r\n").await;
    world.tasks.stop();
    assert_eq!(read_all(&mut client).await, "");
    assert_eq!(world.line().await.error.as_deref(), Some("server stopping"));
    world.becomes_idle().await;
}

#[tokio::test]
async fn an_app_cannot_switch_by_itself() {
    let world = world(patient()).await;
    for request in [GET, &UPGRADE.replace("websocket", "h2c"), &UPGRADE.replace("websocket", "other")] {
        let mut client = world.client(request).await;
        let mut app = world.app().await;
        read_to(&mut app, "\r\n\r\n").await;
        app.write_all(SWITCHED).await.unwrap();
        let answer = read_to(&mut client, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{request} got {answer}");
    }
}

#[tokio::test]
async fn what_a_broken_app_sends_is_a_page() {
    let world = world(patient()).await;
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(head::MAX_RESPONSE_HEAD));
    for reply in [
        "",
        "SSH-2.0-x\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 2",
        "HTTP/1.1 200 OK\r\nBad Header\r\n\r\n",
        &huge,
    ] {
        let mut client = world.client(GET).await;
        let mut app = world.app().await;
        read_to(&mut app, "\r\n\r\n").await;
        let _ = app.write_all(reply.as_bytes()).await;
        drop(app);
        let answer = read_to(&mut client, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{reply:.40?} got {answer}");
    }
}

#[tokio::test]
async fn head_answers_have_a_length_and_no_body() {
    let mut world = world(patient()).await;
    let mut client = world.client(&GET.replace("GET", "HEAD")).await;
    let mut app = world.app().await;
    assert!(read_to(&mut app, "\r\n\r\n").await.starts_with("HEAD "));
    app.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await.unwrap();
    let answer = read_to(&mut client, "\r\n\r\n").await;
    assert!(answer.contains("content-length: 5\r\n"), "{answer}");
    assert_eq!(world.line().await.error, None);
}

#[tokio::test]
async fn expect_is_answered_when_the_app_reads() {
    let world = world(patient()).await;
    let mut client =
        world.client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n").await;
    let mut app = world.app().await;
    assert!(read_to(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
    client.write_all(b"hi").await.unwrap();
    assert!(!read_to(&mut app, "hi").await.contains("expect"));
    app.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert!(read_to(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn trailers_go_through_without_claims() {
    let world = world(patient()).await;
    let head =
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum, x-real-ip\r\n\r\n";
    let mut client = world.client(&format!("{head}1\r\na\r\n0\r\nX-Sum: 1\r\nX-Real-IP: 6.6.6.6\r\n\r\n")).await;
    let mut app = world.app().await;
    let seen = read_to(&mut app, "0\r\nx-sum: 1\r\n\r\n").await;
    assert!(seen.contains("te: trailers\r\n"), "{seen}");
    app.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-end\r\n\r\n0\r\nX-End: 2\r\n\r\n")
        .await
        .unwrap();
    read_to(&mut client, "0\r\nx-end: 2\r\n\r\n").await;
}
