//! Wrong input at every door: it is refused with a status and a sentence, and the server lives on.
use std::io::Write as _;

use crate::support::http::{connect, raw};
use crate::support::{PASSWORD, Reply, Request, Steady, text};

const HELLO: &str = r#"export default { fetch: (r: Request) => new Response("hello " + new URL(r.url).pathname) };"#;

fn hello() -> Steady {
    let steady = Steady::start();
    steady.push_new("hello", &[("index.ts", HELLO)]);
    steady
}

fn lives(steady: &Steady, after: &str) {
    assert_eq!(steady.get("hello", "/lives").ok(), "hello /lives", "after {after}");
}

#[test]
fn host_names_that_are_nobodys() {
    let steady = hello();
    let port = steady.port;
    for (host, statuses) in [
        ("nobody-here.localhost", &[404][..]),
        ("localhost.evil.example", &[400, 404, 421]),
        ("evil.example", &[400, 404, 421]),
        ("hello.localhost.evil.example", &[400, 404, 421]),
        ("a.b.localhost", &[400, 404, 421]),
        ("hello--nodraft.localhost", &[404]),
        ("HELLO.localhost", &[200]),
        ("hello.localhost.", &[200, 400, 404]),
        ("-.localhost", &[400, 404, 421]),
        ("..localhost", &[400, 404, 421]),
        ("hello%2elocalhost", &[400, 404, 421]),
        // This machine itself, like 127.0.0.1.
        ("[::1]", &[200]),
        ("", &[400, 404, 421]),
        ("hello.localhost@evil.example", &[400, 404, 421]),
    ] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            let reply = Request::get(port, &host, "/").try_send();
            let reply = reply.unwrap_or_else(|e| panic!("host {host:?}: {e}"));
            assert!(statuses.contains(&reply.status), "host {host:?} gave {}: {}", reply.status, reply.text());
        }
    }
    let page = Request::get(port, "nobody-here.localhost", "/").header("accept", "text/html").send();
    assert!(page.header("content-type").is_some_and(|t| t.starts_with("text/html")), "people get a page");
    lives(&steady, "wrong hosts");
}

#[test]
fn malformed_http_is_refused() {
    let steady = hello();
    let host = steady.app_host("hello");
    let long = "x".repeat(200_000);
    let many: String = (0..2000).map(|n| format!("h{n}: v\r\n")).collect();
    let requests: Vec<(&str, Vec<u8>)> = vec![
        ("no HTTP at all", b"hello there\r\n\r\n".to_vec()),
        ("TLS on a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20)),
        ("no host", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("two hosts", format!("GET / HTTP/1.1\r\nhost: {host}\r\nhost: evil.example\r\n\r\n").into_bytes()),
        ("two lengths", format!("POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd").into_bytes()),
        ("length and chunks", format!("POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n").into_bytes()),
        ("a negative length", format!("POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: -1\r\n\r\n").into_bytes()),
        ("a wrong chunk", format!("POST / HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\nzz\r\nabc\r\n").into_bytes()),
        ("an endless head", format!("GET /{long} HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes()),
        ("a huge header", format!("GET / HTTP/1.1\r\nhost: {host}\r\nx: {long}\r\n\r\n").into_bytes()),
        ("too many headers", format!("GET / HTTP/1.1\r\nhost: {host}\r\n{many}\r\n").into_bytes()),
        ("a NUL in a header", format!("GET / HTTP/1.1\r\nhost: {host}\r\nx: a\0b\r\n\r\n").into_bytes()),
        ("a space before the colon", format!("GET / HTTP/1.1\r\nhost: {host}\r\nx : b\r\n\r\n").into_bytes()),
        ("an unknown version", format!("GET / HTTP/9.9\r\nhost: {host}\r\n\r\n").into_bytes()),
    ];
    for (what, bytes) in requests {
        // A closed connection is as good an answer as a status; a success is not.
        if let Ok(answer) = raw_closing(steady.port, &bytes)
            && let Some(reply) = Reply::parse(&answer)
        {
            assert!(reply.status >= 400, "{what} gave {}: {}", reply.status, reply.text());
        }
        lives(&steady, what);
    }
}

/// Sends, closes the sending half, and reads to the end.
fn raw_closing(port: u16, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut stream = connect(port)?;
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = vec![];
    match stream.read_to_end(&mut answer) {
        Err(e) if answer.is_empty() => Err(e),
        _ => Ok(answer),
    }
}

#[test]
fn a_client_that_hangs_up_harms_nobody() {
    let steady = hello();
    for cut in [1, 10, 40] {
        let request =
            format!("POST / HTTP/1.1\r\nhost: {}\r\ncontent-length: 1000\r\n\r\nabc", steady.app_host("hello"));
        let mut stream = connect(steady.port).expect("connect");
        stream.write_all(&request.as_bytes()[..request.len().min(cut)]).expect("send");
        drop(stream);
    }
    lives(&steady, "clients that hang up");
}

#[test]
fn bodies_over_the_limit_are_refused() {
    let mut steady = Steady::prepare(&[]);
    steady.env("STEADY_MAX_BODY_MB", "1");
    steady.add_user("dev", true);
    steady.token = steady.new_token("dev");
    steady.launch();
    steady.push_new("hello", &[("index.ts", HELLO)]);
    let reply = Request::new(steady.port, "POST", &steady.app_host("hello"), "/").body(vec![b'x'; 3 << 20]).try_send();
    if let Ok(reply) = reply {
        assert_eq!(reply.status, 413, "{}", reply.text());
    }
    let chunked = format!(
        "POST / HTTP/1.1\r\nhost: {}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        steady.app_host("hello")
    );
    let mut bytes = chunked.into_bytes();
    for _ in 0..48 {
        bytes.extend_from_slice(b"10000\r\n");
        bytes.extend_from_slice(&[b'x'; 0x10000]);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    if let Ok(answer) = raw(steady.port, &bytes)
        && let Some(reply) = Reply::parse(&answer)
    {
        // The app may have answered before it read the body; it must not have been given all of it.
        assert!(reply.status == 413 || reply.status == 200 || reply.status == 502, "{}", reply.status);
    }
    lives(&steady, "bodies over the limit");
}

#[test]
fn paths_that_try_to_leave() {
    let steady = hello();
    for path in [
        "/../../../../etc/passwd",
        "/static/../../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/Cargo.toml",
        "/dev/hello.git/../../../steady.db",
        "/dev/hello.git/objects/../../../secret.key",
        "/dev/hello.git/HEAD",
        "/dev/hello.git/config",
        "/dev/hello/raw/..%2f..%2fsecret.key",
        "/%00",
        "/dev/%2e%2e",
        "/dev/hello.git/info/refs?service=git-evil-pack",
        "/api/v1/nothing",
    ] {
        for authorised in [false, true] {
            let mut request = Request::get(steady.port, &steady.host(), path);
            if authorised {
                request = request.header("authorization", &format!("Bearer {}", steady.token));
            }
            let reply = request.send();
            assert!(
                reply.status >= 300 && reply.status < 500,
                "{path} (signed in: {authorised}) gave {}: {}",
                reply.status,
                reply.text()
            );
            assert!(!reply.text().contains("root:") && !reply.text().contains("[core]"), "{path} gave a file");
        }
    }
    lives(&steady, "wrong paths");
}

#[test]
fn wrong_tokens_open_nothing() {
    let steady = hello();
    let long = "x".repeat(4000);
    for credentials in [
        String::new(),
        "Bearer".into(),
        "Bearer ".into(),
        format!("Bearer steady_{}", "x".repeat(43)),
        format!("Bearer {}x", steady.token),
        format!("Bearer {}", &steady.token[..steady.token.len() - 1]),
        format!("Bearer {PASSWORD}"),
        format!("Bearer {long}"),
        "Basic !!!".into(),
        "Negotiate abc".into(),
    ] {
        let request = Request::get(steady.port, &steady.host(), "/api/v1/projects");
        let reply = request.header("authorization", &credentials).send();
        assert_eq!(reply.status, 401, "{credentials:.60} gave {}: {}", reply.status, reply.text());
    }
    let output = {
        let mut command = steady.client(steady.dir());
        command.env("STEADY_TOKEN", "steady_wrong").args(["status", "dev/hello"]);
        crate::support::output_within(&mut command, None)
    };
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains("error:") && said.contains("hint:"), "{said}");
    lives(&steady, "wrong tokens");
}

#[test]
fn names_that_are_refused_everywhere() {
    let steady = hello();
    for name in ["", "-x", "x-", "a--b", "UPPER", "a_b", "ä", "a.b", "..", "a/b/c", "x'; DROP TABLE users;--"] {
        let output = steady.cli(&["status", &format!("dev/{name}")]);
        assert!(!output.status.success(), "{name:?} was taken as a project");
        let output = steady.local(&["user", "add", name, "--password-stdin"], &format!("{PASSWORD}\n"));
        assert!(!output.status.success(), "{name:?} was taken as a user");
    }
    for name in ["admin", "api", "login", "static", "steady"] {
        let output = steady.local(&["user", "add", name, "--password-stdin"], &format!("{PASSWORD}\n"));
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains("reserved"), "{name}: {said}");
    }
    lives(&steady, "wrong names");
}
