//! Compressed responses, read by programs of other make: curl with its own libraries, and node.
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::support::http::connect;
use crate::support::{Reply, Request, Steady, ok, output_within, text};

const APP: &str = r#"
  let go: (() => void) | undefined;
  const words = "one line of a page that is much like the next\n";
  export default {
    async fetch(request: Request) {
      const { pathname } = new URL(request.url);
      const own = { "content-type": "text/html; charset=utf-8", etag: '"v1"', "accept-ranges": "bytes" };
      if (pathname === "/page") {
        if (request.headers.get("if-none-match")?.includes('"v1"')) return new Response(null, { status: 304, headers: own });
        return new Response(words.repeat(2000), { headers: own });
      }
      if (pathname === "/small") return new Response("small", { headers: own });
      if (pathname === "/own") return new Response(Bun.gzipSync(words.repeat(100)), { headers: { ...own, "content-encoding": "gzip" } });
      if (pathname === "/picture") return new Response(words.repeat(2000), { headers: { "content-type": "image/png" } });
      if (pathname === "/as-it-is") return new Response(words.repeat(2000), { headers: { ...own, "cache-control": "no-transform" } });
      if (pathname === "/go") { go?.(); return new Response("went"); }
      if (pathname === "/slow" || pathname === "/events") {
        const gate = new Promise<void>((resolve) => { go = resolve; });
        const type = pathname === "/slow" ? "application/x-ndjson" : "text/event-stream";
        return new Response(async function* () {
          yield '{"first":1}\n';
          await gate;
          yield '{"second":2}\n';
        }, { headers: { "content-type": type } });
      }
      return new Response("here");
    },
  };"#;

fn get(steady: &Steady, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let request = Request::new(steady.port, method, &steady.app_host("packed"), path);
    headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send()
}

/// node:zlib, which has no line of code in common with what compressed it. Prints all that it can read.
fn node(coding: &str, bytes: &[u8]) -> String {
    let script = r#"
      const zlib = require("node:zlib"), chunks = [];
      const decoder = process.argv[1] === "br" ? zlib.createBrotliDecompress() : zlib.createGunzip();
      decoder.on("data", (chunk) => process.stdout.write(chunk));
      decoder.on("error", () => {});
      process.stdin.pipe(decoder);"#;
    let mut command = Command::new("node");
    let mut child =
        command.args(["-e", script, coding]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node starts");
    child.stdin.take().expect("a pipe").write_all(bytes).expect("node reads");
    text(&child.wait_with_output().expect("node ends").stdout)
}

#[test]
fn other_programs_read_what_was_compressed() {
    let steady = Steady::start();
    steady.push_new("packed", &[("index.ts", APP)]);
    let expected = "one line of a page that is much like the next\n".repeat(2000);
    let url = format!("http://{}/page", steady.app_host("packed"));
    for coding in ["zstd", "br", "gzip"] {
        let reply = get(&steady, "GET", "/page", &[("accept-encoding", coding)]);
        assert_eq!(reply.header("content-encoding"), Some(coding));
        assert_eq!(reply.header("etag"), Some("W/\"v1\""));
        assert_eq!(reply.header("vary"), Some("accept-encoding"));
        assert_eq!((reply.header("content-length"), reply.header("accept-ranges")), (None, None));
        assert!(reply.body.len() * 20 < expected.len(), "{coding}: {}", reply.body.len());
        if coding != "zstd" {
            assert_eq!(node(coding, &reply.body), expected, "{coding}");
        }
        // The same head without a body.
        let head = get(&steady, "HEAD", "/page", &[("accept-encoding", coding)]);
        assert_eq!(head.header("content-encoding"), Some(coding));
        assert_eq!((head.header("content-length"), head.body.len()), (None, 0));
        let accept = format!("accept-encoding: {coding}");
        let curl = ["-sS", "--noproxy", "*", "--compressed", "-H", &accept, &url];
        assert_eq!(ok(&output_within(Command::new("curl").args(curl), None), "curl"), expected, "{coding}");
    }
    let held = get(&steady, "GET", "/page", &[("accept-encoding", "br"), ("if-none-match", "W/\"v1\"")]);
    assert_eq!((held.status, held.header("etag")), (304, Some("W/\"v1\"")));
    for (path, accept) in [("/small", "br"), ("/picture", "br"), ("/as-it-is", "br"), ("/page", "identity")] {
        let reply = get(&steady, "GET", path, &[("accept-encoding", accept)]);
        assert_eq!((reply.status, reply.header("content-encoding")), (200, None), "{path}");
        assert!(reply.header("content-length").is_some(), "{path}");
    }
    let own = get(&steady, "GET", "/own", &[("accept-encoding", "zstd, gzip")]);
    assert_eq!((own.header("content-encoding"), own.header("etag")), (Some("gzip"), Some("\"v1\"")));
}

#[test]
fn what_an_app_has_said_is_there_before_it_goes_on() {
    let steady = Steady::start();
    steady.push_new("packed", &[("index.ts", APP)]);
    for (path, coding) in [("/slow", "br"), ("/slow", "gzip"), ("/events", "")] {
        let mut stream = connect(steady.port).expect("connect");
        let host = steady.app_host("packed");
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\naccept-encoding: {coding}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("send");
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        let read = |seen: &[u8]| {
            let reply = Reply::parse(seen)?;
            assert_eq!(reply.header("content-encoding").unwrap_or_default(), coding, "{path}");
            Some(if coding.is_empty() { reply.text() } else { node(coding, &reply.body) })
        };
        while read(&seen).unwrap_or_default() != "{\"first\":1}\n" {
            let n = stream.read(&mut buffer).expect("the first line");
            assert!(n > 0, "closed before the first line: {}", text(&seen));
            seen.extend_from_slice(&buffer[..n]);
        }
        // The second line is only said once the first has been read.
        assert_eq!(steady.get("packed", "/go").ok(), "went");
        stream.read_to_end(&mut seen).expect("the rest");
        assert_eq!(read(&seen).expect("a reply"), "{\"first\":1}\n{\"second\":2}\n", "{path} {coding}");
    }
}

#[test]
fn an_app_can_say_no() {
    let steady = Steady::start();
    steady.push_new("packed", &[("index.ts", APP), ("steady.json", r#"{ "compress": false }"#)]);
    let reply = get(&steady, "GET", "/page", &[("accept-encoding", "zstd, br, gzip")]);
    assert_eq!((reply.status, reply.header("content-encoding"), reply.header("vary")), (200, None, None));
}
