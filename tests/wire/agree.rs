//! Requests bent at random: what Steady's listener takes from them is what the model reads, and so does Bun.
//! `PROPTEST_CASES=100000 cargo test --test wire agree` looks longer.
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use steady::base::Tasks;
use steady::http::serve::{Limits, serve};
use steady::http::wire::Wire;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::model::{self, End, Message};

/// What requests are made of, whole ones and parts that do harm in the wrong place.
const PARTS: &[&str] = &[
    "GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "PUT /d?q HTTP/1.1\r\nhOST:h\r\nTransfer-Encoding:chunked\r\nX: y\r\n\r\n3;e=f\r\nabc\r\n0\r\nT: u\r\n\r\n",
    "GET /e HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "DELETE /f HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
];

const HARM: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    ";",
    ",",
    "0",
    "5",
    "f",
    "+",
    "-",
    "0x",
    "#",
    "\u{b}",
    "\u{c}",
    "\u{7f}",
    "\u{e9}",
    "\r\n ",
    "\r\n\t",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Content-Length : 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding: x, chunked\r\n",
    "Transfer-Encoding:\r\n chunked\r\n",
    "Host: i\r\n",
    "Connection: close\r\n",
    "Expect: 100-continue\r\n",
    "Upgrade: h2c\r\n",
    " HTTP/1.1",
    "HTTP/1.0",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "0\r\n\r\n",
    "\r\n\r\n",
    "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n",
];

#[derive(Clone, Debug)]
enum Bend {
    Insert(usize, usize),
    Remove(usize, usize),
    Replace(usize, u8),
    Repeat(usize, usize),
}

fn bent() -> impl Strategy<Value = Vec<u8>> {
    let parts = proptest::collection::vec(0..PARTS.len(), 1..4);
    let bend = prop_oneof![
        4 => (any::<usize>(), 0..HARM.len()).prop_map(|(at, what)| Bend::Insert(at, what)),
        2 => (any::<usize>(), 1..4usize).prop_map(|(at, n)| Bend::Remove(at, n)),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Bend::Replace(at, byte)),
        1 => (any::<usize>(), 1..40usize).prop_map(|(at, n)| Bend::Repeat(at, n)),
    ];
    (parts, proptest::collection::vec(bend, 0..4)).prop_map(|(parts, bends)| {
        let latin = |text: &str| text.chars().map(|c| c as u32 as u8).collect::<Vec<_>>();
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| latin(PARTS[*part])).collect();
        for bend in bends {
            let place = |at: usize| at % (bytes.len() + 1);
            match bend {
                Bend::Insert(at, what) => {
                    let at = place(at);
                    bytes.splice(at..at, latin(HARM[what]));
                }
                Bend::Remove(at, n) => {
                    let at = place(at);
                    bytes.drain(at..(at + n).min(bytes.len()));
                }
                Bend::Replace(at, byte) => {
                    let at = place(at);
                    if let Some(old) = bytes.get_mut(at) {
                        *old = byte;
                    }
                }
                Bend::Repeat(at, n) => {
                    let at = place(at);
                    let again = bytes[at..(at + n).min(bytes.len())].to_vec();
                    bytes.splice(at..at, again);
                }
            }
        }
        bytes
    })
}

/// Behind every input, so that each ends somewhere.
const LAST: &[u8] = b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

fn runner() -> TestRunner {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(3000);
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// What the real listener takes from these bytes: method, target and body of each whole request.
async fn taken(input: &[u8]) -> Vec<(String, String, Vec<u8>)> {
    let (mut client, server) = tokio::io::duplex(1 << 16);
    let got: Arc<Mutex<Vec<_>>> = Arc::default();
    let all = Arc::clone(&got);
    let answer = move |request: Request<Incoming>| {
        let all = Arc::clone(&all);
        async move {
            let (head, body) = request.into_parts();
            if let Ok(body) = body.collect().await {
                let target = head.uri.path_and_query().map_or(String::new(), |path| path.as_str().to_owned());
                all.lock().unwrap().push((head.method.to_string(), target, body.to_bytes().to_vec()));
            }
            Response::new(Body::empty())
        }
    };
    let tasks = Tasks::new();
    let limits = Limits { head_timeout: Duration::from_secs(20), ..Limits::default() };
    let talk = async {
        client.write_all(input).await.unwrap();
        client.write_all(LAST).await.unwrap();
        client.shutdown().await.unwrap();
        let _ = client.read_to_end(&mut vec![]).await;
    };
    tokio::join!(serve(server, limits, tasks.stopping(), &tasks, answer), talk);
    std::mem::take(&mut *got.lock().unwrap())
}

fn triple(message: &Message) -> (String, String, Vec<u8>) {
    (message.method.clone(), message.target.clone(), message.body.clone())
}

#[test]
fn the_listener_takes_what_the_model_reads() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let both = |input: Vec<u8>| {
        let (read, end) = model::read(&[&input, LAST].concat());
        let taken = runtime.block_on(taken(&input));
        let shown = String::from_utf8_lossy(&input);
        for (n, one) in taken.iter().enumerate() {
            let Some(message) = read.get(n) else {
                return Err(TestCaseError::fail(format!("{shown:?}: took {one:?}, which is none")));
            };
            // Other forms of target are rewritten by the parser.
            if message.target.starts_with('/') {
                prop_assert_eq!(&triple(message), one, "{:?}", shown);
            }
        }
        // Nothing that is right is refused. `Upgrade` and CONNECT end HTTP, and the last one races the end.
        let plain = |message: &Message| message.target.starts_with('/') && message.method != "CONNECT";
        if end == End::Clean && read.iter().all(plain) && !shown.contains("PRI") {
            prop_assert!(taken.len() + 1 >= read.len(), "{:?}: only {:?} of {:?}", shown, taken, read);
        }
        Ok(())
    };
    runner().run(&bent(), both).unwrap();
}

/// The same for what follows connections alone, whatever way the network cuts them.
#[test]
fn wire_refuses_what_the_model_refuses() {
    let both = |(input, size): (Vec<u8>, usize)| {
        let (read, end) = model::read(&input);
        let mut wire = Wire::default();
        let followed = input.chunks(size).try_for_each(|part| wire.follow(part)).is_ok();
        let over = read.last().is_some_and(|message| message.is_last);
        // What stands behind a last message is nobody's request; names and values are the parser's to judge.
        if end == End::Clean && !over {
            prop_assert!(followed, "{:?}", String::from_utf8_lossy(&input));
        }
        Ok(())
    };
    runner().run(&(bent(), 1..50usize), both).unwrap();
}

const BUN: &str = r#"
const server = Bun.serve({ port: 0, hostname: "127.0.0.1", async fetch(request) {
  const body = request.body ? Buffer.from(await request.arrayBuffer()).toString("latin1") : "";
  // Where the host is no name, there is no URL but the target as it came.
  const target = request.url.replace(/^[a-z]+:\/\/[^/]*/, "");
  return new Response(JSON.stringify([request.method, target, body]) + "\n");
} });
console.log(server.port);
"#;

#[test]
fn bun_reads_what_the_model_reads() {
    let bun = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("node_modules/.bin/bun");
    let mut child = Command::new(bun).args(["-e", BUN]).stdout(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let port: u16 = port.trim().parse().unwrap();
    let both = |input: Vec<u8>| {
        let input = [&input, LAST].concat();
        let (read, end) = model::read(&input);
        let known = |message: &Message| {
            // Bun writes paths anew, and does not give the body of a GET.
            let plain = message.target.bytes().all(|b| b.is_ascii_alphanumeric() || b"/?".contains(&b));
            let method = ["GET", "POST", "PUT", "DELETE"].contains(&message.method.as_str());
            plain && method && message.target.starts_with('/') && (message.method != "GET" || message.body.is_empty())
        };
        if end != End::Clean || !read.iter().all(known) {
            return Ok(());
        }
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let _ = stream.write_all(&input);
        let mut heard = vec![];
        let _ = stream.read_to_end(&mut heard);
        let heard = String::from_utf8_lossy(&heard);
        let answers: Vec<(String, String, String)> = heard
            .lines()
            .filter(|line| line.starts_with("[\""))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        for (n, (method, target, body)) in answers.iter().enumerate() {
            let shown = String::from_utf8_lossy(&input);
            let Some(message) = read.get(n) else {
                return Err(TestCaseError::fail(format!("{shown:?}: Bun also read {method} {target}")));
            };
            let target = target.trim_end_matches('?');
            prop_assert_eq!((&message.method, message.target.trim_end_matches('?')), (method, target), "{:?}", shown);
            let expected: String = message.body.iter().map(|b| char::from(*b)).collect();
            prop_assert_eq!(&expected, body, "{:?}", shown);
        }
        Ok(())
    };
    let outcome =
        TestRunner::new(Config { cases: 500, failure_persistence: None, ..Config::default() }).run(&bent(), both);
    child.kill().unwrap();
    child.wait().unwrap();
    outcome.unwrap();
}
