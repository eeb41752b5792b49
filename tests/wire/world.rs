//! One Steady for all lines of a table, and what its app says it got.
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Reply, Request, Steady, text};

/// RFC and section; what it is; the request; the statuses of all answers on that connection, and every 200 of them
/// is one request that reached the app whole. In the request `|` is CRLF, `~` a path of its own for every line,
/// `HOST` the app's host, and characters up to U+00FF are bytes.
pub type Line = (&'static str, &'static str, &'static str, &'static [u16]);

pub struct World {
    pub steady: Steady,
}

/// How long an answer may take before it counts as none.
const ANSWER: Duration = Duration::from_secs(30);

impl World {
    pub fn new() -> Self {
        let steady = Steady::start();
        steady.push_new("wire", &[("index.ts", include_str!("app.ts"))]);
        steady.get("wire", "/awake").ok();
        Self { steady }
    }

    pub fn host(&self) -> String {
        self.steady.app_host("wire")
    }

    /// The bytes that a line's request means.
    pub fn bytes(&self, request: &str, path: &str) -> Vec<u8> {
        let spelled = request.replace('|', "\r\n").replace('~', path).replace("HOST", &self.host());
        spelled.chars().map(|c| u8::try_from(u32::from(c)).expect("characters up to U+00FF")).collect()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.steady.port)).expect("connect");
        stream.set_read_timeout(Some(ANSWER)).expect("timeout");
        stream.set_nodelay(true).expect("nodelay");
        stream
    }

    /// Sends, in one piece or byte by byte, and hears all until the other side closes. `None` when it does not.
    pub fn talk(&self, request: &[u8], in_pieces: bool) -> Option<Vec<u8>> {
        let mut stream = self.connect();
        let pieces: Vec<&[u8]> = if in_pieces { request.chunks(1).collect() } else { vec![request] };
        for piece in pieces {
            // A server that has refused may have closed already.
            if stream.write_all(piece).is_err() {
                break;
            }
        }
        let (mut heard, mut buffer) = (vec![], [0; 4096]);
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Some(heard),
                Ok(n) => heard.extend_from_slice(&buffer[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                Err(_) => return Some(heard), // reset
            }
        }
    }

    /// The whole messages that came to the app for this path, or with it inside.
    pub fn got(&self, path: &str) -> Vec<String> {
        let reply = Request::get(self.steady.port, &self.host(), &format!("/seen{path}")).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let all: Vec<serde_json::Value> = serde_json::from_str(&reply.text()).expect("JSON");
        let whole = all.iter().filter(|one| one["whole"] == true);
        whole.map(|one| one["bytes"].as_str().expect("text").to_owned()).collect()
    }

    /// Plays a whole table; says of all that went wrong, not just of the first.
    pub fn play(&self, name: &str, table: &[Line]) {
        let mut wrong = vec![];
        for in_pieces in [false, true] {
            for (n, (rfc, what, request, answers)) in table.iter().enumerate() {
                let path = format!("/{name}{}{n}x", if in_pieces { "p" } else { "w" });
                // Thousands of pieces say nothing that tens do not.
                let bytes = self.bytes(request, &path);
                if in_pieces && bytes.len() > 2000 {
                    continue;
                }
                let heard = self.talk(&bytes, in_pieces);
                let statuses = heard.as_deref().map(statuses);
                let told = || format!("RFC {rfc}: {what}{}", if in_pieces { ", byte by byte" } else { "" });
                let heard = || text(heard.as_deref().unwrap_or_default());
                match statuses {
                    None => wrong.push(format!("{}: the connection stays open", told())),
                    Some(statuses) if statuses != *answers => {
                        wrong.push(format!("{}: {statuses:?}, not {answers:?}: {:.300?}", told(), heard()));
                    }
                    Some(_) => {}
                }
            }
        }
        // A second look, when all that could have been forwarded has been.
        for in_pieces in ["w", "p"] {
            for (n, (rfc, what, request, answers)) in table.iter().enumerate() {
                let path = format!("/{name}{in_pieces}{n}x");
                if in_pieces == "p" && self.bytes(request, &path).len() > 2000 {
                    continue;
                }
                let got = self.got(&path);
                let expected = answers.iter().filter(|status| **status == 200).count();
                if got.len() != expected {
                    wrong.push(format!("RFC {rfc}: {what}: reached the app, not {expected} times: {got:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), table.len() * 2, wrong.join("\n"));
    }
}

/// The statuses of all answers in `heard`, interim ones left out.
pub fn statuses(mut heard: &[u8]) -> Vec<u16> {
    let mut found = vec![];
    while let Some(end) = heard.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = text(&heard[..end]);
        let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|s| s.parse().ok());
        let Some(status) = status else { return [found, vec![0]].concat() };
        let Some(reply) = Reply::parse(&heard[..end + 4]) else { return [found, vec![0]].concat() };
        let length: usize = reply.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        let bodiless = (100..200).contains(&status) || status == 204 || status == 304;
        heard = heard.get(end + 4 + if bodiless { 0 } else { length }..).unwrap_or_default();
        if !(100..200).contains(&status) || status == 101 {
            found.push(status);
        }
    }
    if !heard.is_empty() {
        found.push(0); // what is left is no answer
    }
    found
}

#[test]
fn answers_are_counted_by_their_lengths() {
    let two = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nHTTP/1.1 4\r\n\
                HTTP/1.0 404 No\r\n\r\nrest";
    assert_eq!(statuses(two), [200, 404, 0]);
}
