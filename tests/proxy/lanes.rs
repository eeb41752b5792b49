//! The two lanes are one proxy: the same bytes, from a client and from an app, come to the same on either, but for ids
//! and dates.
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::{World, world};

/// Answers with the bytes of the request, in hexadecimal.
const ECHO: &str = r#"
Bun.listen({ hostname: "0.0.0.0", port: Number(process.env.PORT), socket: {
  open(socket) { socket.data = ""; },
  data(socket, bytes) {
    socket.data += bytes.toString("latin1");
    for (;;) {
      const end = socket.data.indexOf("\r\n\r\n") + 4;
      if (end < 4) return;
      const length = Number(/\r\ncontent-length: (\d+)/.exec(socket.data.slice(0, end))?.[1] ?? 0);
      if (socket.data.length < end + length) return;
      const body = Buffer.from(socket.data.slice(0, end + length), "latin1").toString("hex");
      socket.data = socket.data.slice(end + length);
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    }
  },
} });"#;

/// The fields of a head in an order of their own, without ids and dates; then the body.
fn plainly(message: &[u8]) -> Vec<String> {
    let text: String = message.iter().map(|b| char::from(*b)).collect();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines: Vec<String> = head
        .split("\r\n")
        .map(str::to_owned)
        .filter(|line| !line.starts_with("x-request-id: ") && !line.starts_with("date: "))
        .collect();
    lines[1..].sort();
    lines.push(body.to_owned());
    lines
}

/// A message that ends before its end. How much of it has been sent by then is a matter of time, on either lane.
fn is_cut(lines: &[String], is_head: bool) -> bool {
    let Some((body, head)) = lines.split_last() else { return true };
    let status = head.first().map(String::as_str).unwrap_or_default();
    if is_head || [" 204", " 304"].iter().any(|code| status.contains(code)) {
        return status.is_empty();
    }
    let field =
        |name: &str| head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix(name).map(str::to_owned));
    match (field("transfer-encoding: "), field("content-length: ")) {
        (Some(_), _) => !body.ends_with("0\r\n\r\n"),
        (None, Some(length)) => length.parse().is_ok_and(|length: usize| body.len() < length),
        (None, None) => status.is_empty(),
    }
}

/// Everything that comes back on a connection of its own.
async fn talk(world: &World, express: bool, bytes: &[u8]) -> Vec<u8> {
    let front = if express { world.front } else { world.slow };
    let mut client = TcpStream::connect(front).await.unwrap();
    client.write_all(bytes).await.unwrap();
    let mut heard = vec![];
    let _ = client.read_to_end(&mut heard).await; // a reset is an end too
    heard
}

fn compare(
    runtime: &tokio::runtime::Runtime,
    world: &World,
    request: &[u8],
    read: impl Fn(&[u8]) -> Vec<String>,
) -> Result<(), TestCaseError> {
    let fast = runtime.block_on(talk(world, true, request));
    let slow = runtime.block_on(talk(world, false, request));
    prop_assert_eq!(read(&fast), read(&slow), "{:?}", String::from_utf8_lossy(request));
    Ok(())
}

fn run<V: std::fmt::Debug>(
    cases: u32,
    inputs: impl Strategy<Value = V>,
    check: impl Fn(V) -> Result<(), TestCaseError>,
) {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(cases);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    // The same cases each time, so that what passed here passes there; PROPTEST_CASES goes further.
    let chance = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, chance).run(&inputs, check).unwrap();
}

fn request() -> impl Strategy<Value = String> {
    let field = prop_oneof![
        6 => "(X|Accept|User-Agent|Referer|sec-ch-ua)[a-zA-Z-]{0,6}: ?[ -~]{0,14}",
        2 => "(X-Forwarded-For|x-forwarded-host|X-Real-IP|Forwarded|X-Request-Id|Steady-User|X_Forwarded_For): [a-z1.]{1,9}",
        2 => "(Cookie: a=[a-z]{1,3}|Keep-Alive: 5|Proxy-Connection: x|TE: trailers|Trailer: X|Accept-Encoding: gzip)",
        1 => "(Connection: (keep-alive|x-one|Keep-Alive, X)|X-One: y|Upgrade: h2c|Expect: 100-continue)",
        1 => "X: \u{e9}?y",
    ];
    let target = "/[a-z0-9/._~!$&'()*+,;=:@%-]{0,10}(\\?[a-z0-9/?=&%]{0,8})?";
    let method = "(GET|POST|PUT|HEAD|DELETE|OPTIONS|PATCH|BREW)";
    let body = prop_oneof![3 => Just(None), 2 => "[a-z\r\n]{0,20}".prop_map(Some)];
    (method, target, proptest::collection::vec(field, 0..6), body, any::<bool>()).prop_map(
        |(method, target, mut fields, body, low)| {
            if let Some(body) = &body {
                fields.push(format!("Content-Length: {:02}", body.len()));
            }
            fields.insert(
                fields.len() / 2,
                if low { "host: echo.localhost:80" } else { "Host:  Echo.LocalHost " }.into(),
            );
            fields.push("Connection: close".into());
            format!("{method} {target} HTTP/1.1\r\n{}\r\n\r\n{}", fields.join("\r\n"), body.unwrap_or_default())
        },
    )
}

#[test]
fn an_app_gets_the_same_request() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let world = runtime.block_on(world());
    world.app("echo", &[("index.ts", ECHO)], false);
    runtime.block_on(world.get("echo", "/", ""));
    run(400, request(), |request| {
        compare(&runtime, &world, request.as_bytes(), |heard| {
            let mut lines = plainly(heard);
            let body = lines.pop().unwrap_or_default();
            let length = body.len().to_string();
            // The id in it is as long on either lane.
            lines.extend(hex::decode(body).map(|seen| plainly(&seen)).unwrap_or_default());
            lines.push(length);
            lines
        })
    });
}

fn response() -> impl Strategy<Value = (String, String)> {
    let status =
        "(HTTP/1\\.1 (200 OK|200 |200|201 Made|404 Not Found|500 Oh|204 No|304 Not|999 x|103 Early)|HTTP/1\\.0 200 OK)";
    let field = prop_oneof![
        4 => "(X|Server|ETag|Cache-Control|Vary)[a-zA-Z-]{0,6}: ?[ -~]{0,14}",
        2 => "Set-Cookie: [a-z]=[a-z](; (Path=/|Domain=localhost|domain=a\\.localhost|HttpOnly)){0,2}",
        2 => "(Alt-Svc: x|X-Request-Id: y|Steady-X: y|Keep-Alive: 5|Upgrade: h2c|Date: Mon|Trailer: X|Proxy-Authenticate: x)",
        1 => "(Connection: (close|keep-alive|x-one)|X-One: y|Clear-Site-Data: \"\\*\"|X: \u{e9})",
    ];
    let body = prop_oneof![
        4 => "[a-z\r\n]{0,30}".prop_map(|body| (format!("Content-Length: {}", body.len()), body)),
        1 => "[a-z]{0,9}".prop_map(|body| ("Content-Length: 7".to_owned(), body)),
        3 => proptest::collection::vec("[a-z]{1,9}", 0..4).prop_map(|parts| {
            let chunks = parts.iter().map(|part| format!("{:x}\r\n{part}\r\n", part.len()));
            ("Transfer-Encoding: chunked".to_owned(), format!("{}0\r\n\r\n", chunks.collect::<String>()))
        }),
        1 => "[0-9a-f]\r\n[a-z]{0,4}\r\n".prop_map(|body| ("transfer-encoding: Chunked".to_owned(), body)),
        2 => "[a-z]{0,9}".prop_map(|body| ("X-Y: z".to_owned(), body)),
        1 => Just(("Content-Length: 3\r\nContent-Length: 4".to_owned(), "abc".to_owned())),
        1 => Just(("Content-Length: 3\r\nTransfer-Encoding: chunked".to_owned(), "abc".to_owned())),
    ];
    let method = "(GET|GET|GET|HEAD|POST)";
    (method, status, proptest::collection::vec(field, 0..5), body).prop_map(
        |(method, status, mut fields, (sized, body))| {
            fields.insert(fields.len() / 2, sized);
            (method, format!("{status}\r\n{}\r\n\r\n{body}", fields.join("\r\n")))
        },
    )
}

#[test]
fn a_client_gets_the_same_response() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let world = runtime.block_on(world());
    world.app("raw", &[("index.ts", include_str!("../it/upstream/app.ts"))], false);
    runtime.block_on(world.get("raw", "/", ""));
    run(300, response(), |(method, say)| {
        // A length said twice in an answer that has no body: hyper ends such a connection without a word.
        if method == "HEAD" && say.matches("Content-Length").count() + say.matches("Transfer-Encoding").count() > 1 {
            return Ok(());
        }
        let script = format!(r#"{{"say":{},"then":"end"}}"#, serde_json::to_string(&say).unwrap());
        let target = format!("/?{}", hex::encode(script));
        let request = format!("{method} {target} HTTP/1.1\r\nHost: raw.localhost\r\nConnection: close\r\n\r\n");
        compare(&runtime, &world, request.as_bytes(), |heard| {
            let mut lines = plainly(heard);
            if is_cut(&lines, method == "HEAD") {
                return vec!["broken off".to_owned()];
            }
            // Where there is no body, how long it would be says nothing; one lane leaves it out.
            if method == "HEAD" || [" 204", " 304"].iter().any(|code| lines[0].contains(code)) {
                lines.retain(|line| !line.starts_with("content-length: "));
            }
            if let Some(at) = lines.last().and_then(|body| body.find("\nrequest: ")) {
                lines.last_mut().unwrap().truncate(at); // a page with its id
            }
            lines
        })
    });
}
