//! A server that ends: what runs is finished, each client hears in its own protocol that this was all, and a body that
//! nobody reads yet waits with its sender, not in the server's memory.
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::http::connect;
use crate::support::{Steady, text, until};

const SLOW: &str = r#"export default {
  async fetch(request: Request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/events") {
      const events = new ReadableStream({ start: (stream) => stream.enqueue("data: first\n\n") });
      return new Response(events, { headers: { "content-type": "text/event-stream" } });
    }
    if (pathname === "/slow") await Bun.sleep(1500);
    return new Response("whole");
  },
};"#;

fn world() -> (Steady, String) {
    let steady = Steady::start();
    steady.push_new("slow", &[("index.ts", SLOW)]);
    let host = steady.app_host("slow");
    (steady, host)
}

fn asked(steady: &Steady, host: &str, path: &str) -> TcpStream {
    let mut stream = connect(steady.port).expect("connect");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").expect("send");
    stream
}

fn running(steady: &Steady, number: u64) {
    until("the requests have arrived", || (steady.status("slow")["process"]["in_flight"] == number).then_some(()));
}

#[test]
fn the_last_answer_on_a_connection_says_so_and_events_end() {
    let (mut steady, host) = world();
    let mut slow = asked(&steady, &host, "/slow");
    let mut events = asked(&steady, &host, "/events");
    running(&steady, 2);
    assert!(steady.terminate());
    let mut said = String::new();
    slow.read_to_string(&mut said).expect("an answer, then the end");
    assert!(said.to_ascii_lowercase().contains("\r\nconnection: close\r\n") && said.ends_with("whole"), "{said}");
    said.clear();
    events.read_to_string(&mut said).expect("events, then the end");
    assert!(said.contains("data: first") && said.ends_with("\r\n0\r\n\r\n"), "a whole message: {said}");
}

/// HTTP/2 by hand: preface, settings, one request.
fn asked2(steady: &Steady, host: &str, path: &str) -> TcpStream {
    let mut stream = connect(steady.port).expect("connect");
    // :method GET, :scheme http, :path and :authority as literals.
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).expect("short")];
    block.extend_from_slice(path.as_bytes());
    block.extend([0x01, u8::try_from(host.len()).expect("short")]);
    block.extend_from_slice(host.as_bytes());
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    bytes.extend([0, 0, u8::try_from(block.len()).expect("short"), 1, 0x05, 0, 0, 0, 1]);
    bytes.extend(block);
    stream.write_all(&bytes).expect("send");
    stream
}

/// Kind, flags, stream, payload; `None` at the end.
fn frame(stream: &mut TcpStream) -> Option<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).ok()?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).ok()?;
    Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
}

#[test]
fn http_2_is_told_to_go_away_and_gets_what_it_asked_for() {
    const DATA: u8 = 0;
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;
    let (mut steady, host) = world();
    let mut stream = asked2(&steady, &host, "/slow");
    running(&steady, 1);
    let listening = std::thread::spawn(move || {
        let (mut body, mut gone) = (String::new(), vec![]);
        while let Some((kind, flags, _, payload)) = frame(&mut stream) {
            match kind {
                DATA => body.push_str(&text(&payload)),
                // The way for the server to know that its farewell was heard.
                PING if flags == 0 => {
                    let _ = stream.write_all(&[&[0, 0, 8, PING, 1, 0, 0, 0, 0], payload.as_slice()].concat());
                }
                GOAWAY => gone.push((payload[..4].to_vec(), payload[4..8].to_vec())),
                _ => {}
            }
        }
        (body, gone)
    });
    assert!(steady.terminate());
    let (body, gone) = listening.join().expect("no panic");
    assert_eq!(body, "whole");
    let last = gone.last().expect("a farewell");
    assert_eq!(last, &(vec![0, 0, 0, 1], vec![0; 4]), "the request was the last, and nothing is wrong: {gone:?}");
}

/// Reads a body only when it is told to.
const LAZY: &str = r#"
import { createServer, type Socket } from "node:net";
const held: Socket[] = [];
const answer = (socket: Socket, text: string) =>
  socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`);
createServer((socket) => {
  let head = "", size = 0;
  socket.on("error", () => {});
  socket.on("data", (bytes) => {
    if (size) {
      size += bytes.length;
    } else {
      head += bytes.toString("latin1");
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) return;
      if (head.startsWith("GET /go ")) held.forEach((one) => one.resume());
      if (!head.startsWith("POST")) return answer(socket, "here");
      size = head.length - end - 4 || 0;
      if (!size) size = Number.EPSILON;
      socket.pause();
      held.push(socket);
    }
    if (size >= SIZE) answer(socket, "all of it");
  });
}).listen(Number(process.env.PORT), "0.0.0.0");"#;

#[test]
fn an_upload_that_the_app_does_not_read_waits_with_its_sender() {
    const SIZE: usize = 96 << 20;
    const MOST: usize = 24 << 20;
    let steady = Steady::start();
    steady.push_new("lazy", &[("index.ts", &LAZY.replace("SIZE", &SIZE.to_string()))]);
    assert_eq!(steady.get("lazy", "/").ok(), "here");
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", steady.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory").to_owned();
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
    };
    let before = memory();
    let mut stream = connect(steady.port).expect("connect");
    let host = steady.app_host("lazy");
    write!(stream, "POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: {SIZE}\r\n\r\n").expect("send");
    // Until nothing is taken any more.
    stream.set_write_timeout(Some(Duration::from_secs(2))).expect("a limit");
    let part = vec![b'x'; 64 << 10];
    let mut sent = 0;
    while sent < SIZE {
        match stream.write(&part[..part.len().min(SIZE - sent)]) {
            Ok(n) => sent += n,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(e) => panic!("after {sent} bytes: {e}"),
        }
    }
    assert!(sent < MOST, "{} MiB were taken that nobody reads", sent >> 20);
    let grown = memory().saturating_sub(before);
    assert!(grown < MOST, "the server grew by {} MiB", grown >> 20);
    // It goes on where it stood.
    assert_eq!(steady.get("lazy", "/go").ok(), "here");
    stream.set_write_timeout(Some(Duration::from_secs(90))).expect("a limit");
    while sent < SIZE {
        sent += stream.write(&part[..part.len().min(SIZE - sent)]).expect("it is taken now");
    }
    let mut said = [0; 4096];
    let n = stream.read(&mut said).expect("an answer");
    let said = text(&said[..n]);
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("all of it"), "{said}");
    let grown = memory().saturating_sub(before);
    assert!(grown < MOST, "the server grew by {} MiB", grown >> 20);
}
