//! A small HTTP/1.1 client that says exactly what it is told to: tests need wrong requests too.
use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::PATIENCE;

pub struct Request {
    port: u16,
    head: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(port: u16, method: &str, host: &str, path: &str) -> Self {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
        Self { port, head, headers: vec![], body: None }
    }
    pub fn get(port: u16, host: &str, path: &str) -> Self {
        Self::new(port, "GET", host, path)
    }
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }
    pub fn json(self, value: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(value.to_string())
    }

    pub fn send(self) -> Reply {
        let what = self.head.lines().next().unwrap_or_default().to_owned();
        self.try_send().unwrap_or_else(|e| panic!("{what}: {e}"))
    }

    /// One request on a connection of its own.
    pub fn try_send(self) -> io::Result<Reply> {
        let mut bytes = self.head.into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if let Some(body) = &self.body {
            bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"connection: close\r\n\r\n");
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        let answer = raw(self.port, &bytes)?;
        Reply::parse(&answer).ok_or_else(|| io::Error::other(format!("not HTTP: {:?}", super::text(&answer))))
    }
}

impl Reply {
    pub fn text(&self) -> String {
        super::text(&self.body)
    }
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON: {e}\n{}", self.text()))
    }
    /// Asserts 200 and gives back the text.
    pub fn ok(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        self.text()
    }

    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
        let headers: Vec<_> =
            lines.filter_map(|l| l.split_once(':').map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned()))).collect();
        let rest = &bytes[end + 4..];
        let chunked = headers.iter().any(|(n, v)| n.eq_ignore_ascii_case("transfer-encoding") && v.contains("chunked"));
        let body = if chunked { unchunk(rest) } else { rest.to_vec() };
        Some(Self { status, headers, body })
    }
}

/// What arrived in whole or part of a chunk.
fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|s| usize::from_str_radix(s.trim(), 16).ok());
        let Some(size) = size.filter(|&s| s > 0) else { break };
        let from = end + 2;
        let to = (from + size).min(rest.len());
        out.extend_from_slice(&rest[from..to]);
        rest = rest.get(to + 2..).unwrap_or_default();
    }
    out
}

pub fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends these bytes and reads until the other side closes. A reset after an answer is an answer.
pub fn raw(port: u16, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(port)?;
    let sent = stream.write_all(bytes);
    let mut answer = vec![];
    let mut buffer = [0; 16 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&buffer[..n]),
            Err(e) if answer.is_empty() => return Err(sent.err().unwrap_or(e)),
            Err(_) => break,
        }
    }
    Ok(answer)
}
