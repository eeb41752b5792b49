//! Every way in which an app fails to answer: the page a visitor sees, or the connection that is cut, and the line
//! in the request log. The app speaks raw bytes.
use std::io::{Read as _, Write as _};

use serde_json::{Value, json};

use crate::support::http::connect;
use crate::support::{Reply, Request, Steady, text, until};

/// What a visitor gets.
enum Seen {
    /// A page of Steady's: 502, the message, and the stage.
    Page(&'static str, &'static str),
    /// The app's answer, whole: status and body.
    Whole(u16, &'static str),
    /// The app's answer, cut: status and what had come.
    Cut(u16, &'static str),
}

use Seen::{Cut, Page, Whole};

const GONE: Seen = Page("response head: the app closed the connection without answering", "app");

/// What it is; what the app sends (`|` is CRLF, characters up to U+00FF are bytes) and does then; what comes of it.
type Line = (&'static str, &'static str, &'static str, Seen);

#[rustfmt::skip]
const LINES: &[Line] = &[
    // --- no head
    ("closes at once", "", "end", GONE),
    ("resets at once", "", "reset", GONE),
    ("dies in its head", "HTTP/1.1 200 OK|X-", "end", GONE),
    ("resets in its head", "HTTP/1.1 200 OK|X-", "reset", GONE),
    ("dies after a status line", "HTTP/1.1 200 OK|", "end", GONE),
    ("speaks another protocol", "SSH-2.0-OpenSSH_9.6|", "stay", GONE),
    ("speaks HTTP/0.9", "<h1>hello</h1>|", "end", GONE),
    ("speaks HTTP/2", "HTTP/2.0 200 OK|Content-Length: 2||ok", "stay", GONE),
    // --- status lines
    ("status 000", "HTTP/1.1 000 No|Content-Length: 2||ok", "stay", GONE),
    ("status 099", "HTTP/1.1 099 No|Content-Length: 2||ok", "stay", GONE),
    ("status 999", "HTTP/1.1 999 Odd|Content-Length: 2||ok", "stay", Whole(999, "ok")),
    ("status 1000", "HTTP/1.1 1000 No|Content-Length: 2||ok", "stay", GONE),
    ("status of two digits", "HTTP/1.1 20 OK|Content-Length: 2||ok", "stay", GONE),
    ("status that is no number", "HTTP/1.1 2x0 OK|Content-Length: 2||ok", "stay", GONE),
    ("status without a reason", "HTTP/1.1 200|Content-Length: 2||ok", "stay", Whole(200, "ok")),
    ("a reason with high bytes", "HTTP/1.1 200 \u{e9}|Content-Length: 2||ok", "stay", Whole(200, "ok")),
    // --- fields
    ("a name with a space", "HTTP/1.1 200 OK|Bad Name: x|Content-Length: 2||ok", "stay", GONE),
    ("a name with NUL", "HTTP/1.1 200 OK|X\0: y|Content-Length: 2||ok", "stay", GONE),
    ("a name with a bracket", "HTTP/1.1 200 OK|X(: y|Content-Length: 2||ok", "stay", GONE),
    ("a name with a high byte", "HTTP/1.1 200 OK|X\u{e9}: y|Content-Length: 2||ok", "stay", GONE),
    ("an empty name", "HTTP/1.1 200 OK|: y|Content-Length: 2||ok", "stay", GONE),
    ("no colon", "HTTP/1.1 200 OK|X y|Content-Length: 2||ok", "stay", GONE),
    ("a value with NUL", "HTTP/1.1 200 OK|X: y\0|Content-Length: 2||ok", "stay", GONE),
    ("a value with a bare CR", "HTTP/1.1 200 OK|X: y\rSet-Cookie: a=b|Content-Length: 2||ok", "stay", GONE),
    ("a folded value", "HTTP/1.1 200 OK|X: y| z|Content-Length: 2||ok", "stay", GONE),
    ("a head without end", "HTTP/1.1 200 OK|X: MEGABYTE||", "stay", GONE),
    ("a head of too many fields", "HTTP/1.1 200 OK|MANY|Content-Length: 2||ok", "stay", GONE),
    // --- lengths
    ("a length", "HTTP/1.1 200 OK|Content-Length: 5||hello", "stay", Whole(200, "hello")),
    ("no length, and an end", "HTTP/1.1 200 OK||hello", "end", Whole(200, "hello")),
    ("no length in HTTP/1.0", "HTTP/1.0 200 OK||hello", "end", Whole(200, "hello")),
    ("chunks", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|hello|0||", "stay", Whole(200, "hello")),
    ("two lengths", "HTTP/1.1 200 OK|Content-Length: 5|Content-Length: 6||hello!", "stay", GONE),
    ("a list of two lengths", "HTTP/1.1 200 OK|Content-Length: 5, 6||hello!", "stay", GONE),
    ("a length with a plus", "HTTP/1.1 200 OK|Content-Length: +5||hello", "stay", GONE),
    ("a negative length", "HTTP/1.1 200 OK|Content-Length: -5||hello", "stay", GONE),
    ("a length in letters", "HTTP/1.1 200 OK|Content-Length: five||hello", "stay", GONE),
    ("a length and chunks", "HTTP/1.1 200 OK|Content-Length: 5|Transfer-Encoding: chunked||5|hello|0||", "stay", FRAMED),
    ("chunks and a length", "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Content-Length: 5||5|hello|0||", "stay", FRAMED),
    ("a coding nobody asked for", "HTTP/1.1 200 OK|Transfer-Encoding: gzip, chunked||5|hello|0||", "stay", FRAMED),
    ("a coding nobody knows", "HTTP/1.1 200 OK|Transfer-Encoding: cow||hello", "end", FRAMED),
    ("chunked twice", "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Transfer-Encoding: chunked||0||", "stay", FRAMED),
    // --- bodies that end too soon, or do not
    ("dies in a body", "HTTP/1.1 200 OK|Content-Length: 10||hello", "end", Cut(200, "hello")),
    ("dies before a body", "HTTP/1.1 200 OK|Content-Length: 10||", "end", Cut(200, "")),
    ("dies in a chunk", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||a|hello", "end", Cut(200, "hello")),
    ("dies between chunks", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|hello|", "end", Cut(200, "hello")),
    ("dies before the last line", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|hello|0|", "end", Cut(200, "hello")),
    ("a chunk size in other letters", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|hello|zz|", "stay", Cut(200, "hello")),
    ("a chunk size with a minus", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|hello|-1|", "stay", Cut(200, "hello")),
    ("a chunk size without end", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|hello|fffffffffffffffff|", "stay", Cut(200, "hello")),
    ("a chunk longer than its size", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|hello!!|0||", "stay", Cut(200, "hello")),
    ("more than its length", "HTTP/1.1 200 OK|Content-Length: 5||hello, and HTTP/1.1 200 OK|Content-Length: 4||evil", "stay", Whole(200, "hello")),
    ("more than its chunks", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|hello|0||HTTP/1.1 200 OK|Content-Length: 4||evil", "stay", Whole(200, "hello")),
    ("a body where none may be: 204", "HTTP/1.1 204 No|||HTTP/1.1 200 OK|Content-Length: 4||evil", "stay", Whole(204, "")),
    ("a length where none may be: 204", "HTTP/1.1 204 No|Content-Length: 4||evil", "stay", Whole(204, "")),
    ("a body where none may be: 304", "HTTP/1.1 304 No|Content-Length: 5||hello", "stay", Whole(304, "")),
    ("chunks where none may be: 304", "HTTP/1.1 304 No|Transfer-Encoding: chunked||5|hello|0||", "stay", Whole(304, "")),
    // --- interim answers
    ("100 before the answer", "HTTP/1.1 100 Continue||HTTP/1.1 200 OK|Content-Length: 2||ok", "stay", Whole(200, "ok")),
    ("three 103 before the answer", "HTTP/1.1 103 Hints||HTTP/1.1 103 Hints||HTTP/1.1 103 Hints||HTTP/1.1 200 OK|Content-Length: 2||ok", "stay", Whole(200, "ok")),
    ("nothing after a 100", "HTTP/1.1 100 Continue||", "end", GONE),
    ("101 unasked", "HTTP/1.1 101 Switching|Connection: upgrade|Upgrade: websocket||", "stay", Page("the app changed to a protocol nobody asked for", "upgrade")),
];

const FRAMED: Seen = Page("the app's response says its length in two ways", "response head");

struct World(Steady);

impl World {
    fn new() -> Self {
        let steady = Steady::start();
        steady.push_new("raw", &[("index.ts", include_str!("upstream/app.ts"))]);
        steady.get("raw", "/awake").ok();
        Self(steady)
    }

    fn path(&self, name: &str, say: &str, then: &str) -> String {
        let many: Vec<String> = (0..300).map(|n| format!("X-{n}: y")).collect();
        let say = say.replace("MANY", &many.join("|")).replace('|', "\r\n");
        let script = json!({ "say": say, "then": then }).to_string();
        format!("/{name}?{}", hex::encode(script))
    }

    /// Head and body as they came, until the connection was closed.
    fn ask(&self, method: &str, path: &str) -> Vec<u8> {
        let mut stream = connect(self.0.port).expect("connect");
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.0.app_host("raw"));
        stream.write_all(head.as_bytes()).expect("send");
        let mut heard = vec![];
        let _ = stream.read_to_end(&mut heard); // a reset is an end too
        heard
    }

    /// The log's line of this path, once it is there.
    fn line(&self, path: &str) -> Value {
        let url = "/api/v1/projects/dev/raw/requests?n=5";
        until(&format!("the log has {path}"), || {
            let request = Request::get(self.0.port, &self.0.host(), url);
            let reply = request.header("authorization", &format!("Bearer {}", self.0.token)).send();
            assert_eq!(reply.status, 200, "{}", reply.text());
            reply.json().as_array().and_then(|lines| lines.iter().find(|line| line["path"] == path).cloned())
        })
    }

    fn check(&self, n: usize, (what, say, then, seen): &Line) -> Result<(), String> {
        let name = format!("case{n}");
        let heard = self.ask("GET", &self.path(&name, say, then));
        let line = self.line(&format!("/{name}"));
        if heard.is_empty() && matches!(seen, Cut(_, "")) {
            // Nothing of the body ever came: the head may not have gone out before that was known.
            return match (&line["status"], &line["error"]) {
                (Value::Number(_), Value::String(error)) if error == "response body" => Ok(()),
                _ => Err(format!("{what}: logged as {line}")),
            };
        }
        let reply = Reply::parse(&heard).ok_or_else(|| format!("{what}: no answer: {:.300?}", text(&heard)))?;
        let (is_whole, body) = whole(&heard);
        let logged = (line["status"].clone(), line["error"].clone(), line["id"].clone());
        let id = reply.header("x-request-id").ok_or_else(|| format!("{what}: no request id"))?;
        let (status, error) = match seen {
            Page(message, stage) => {
                let page = page(&self.0, message, stage, id);
                if (reply.status, is_whole, body.as_str()) != (502, true, page.as_str()) {
                    return Err(format!("{what}: {}: {body:?}\n  not {page:?}", reply.status));
                }
                (502, json!(stage))
            }
            Whole(status, expected) => {
                if (reply.status, is_whole, body.as_str()) != (*status, true, *expected) {
                    return Err(format!("{what}: {:?} is not {status} {expected:?}, whole", text(&heard)));
                }
                (*status, Value::Null)
            }
            Cut(status, expected) => {
                if (reply.status, is_whole, body.as_str()) != (*status, false, *expected) {
                    return Err(format!("{what}: {:?} is not {status} {expected:?}, cut", text(&heard)));
                }
                (*status, json!("response body"))
            }
        };
        if logged != (json!(status), error.clone(), json!(id)) {
            return Err(format!("{what}: logged as {logged:?}, not {:?}", (status, error, id)));
        }
        if text(&heard).contains("evil") {
            return Err(format!("{what}: bytes of no answer came through: {:?}", text(&heard)));
        }
        // The next visitor has nothing to do with it.
        match self.ask("GET", "/next") {
            next if whole(&next) == (true, "ok".into()) => Ok(()),
            next => Err(format!("{what}: the next visitor got {:?}", text(&next))),
        }
    }
}

/// The page as plain text, exactly.
fn page(steady: &Steady, message: &str, stage: &str, id: &str) -> String {
    format!(
        "error: {message}\nThe app's page, for its owner: {}/dev/raw\nstage: {stage}\nproject: dev/raw\nrequest: {id}\n",
        steady.url()
    )
}

/// Whether the body came whole by what its head says, and the body.
fn whole(heard: &[u8]) -> (bool, String) {
    let Some(end) = heard.windows(4).position(|four| four == b"\r\n\r\n") else { return (false, String::new()) };
    let head = text(&heard[..end]);
    if head.starts_with("HTTP/1.1 1") {
        return whole(&heard[end + 4..]);
    }
    let reply = Reply::parse(heard).expect("a head");
    let body = reply.text();
    let length = reply.header("content-length").and_then(|length| length.parse::<usize>().ok());
    let is_whole = match (reply.header("transfer-encoding"), length) {
        (Some(_), _) => heard.ends_with(b"0\r\n\r\n"),
        (None, _) if [204, 304].contains(&reply.status) => body.is_empty(),
        (None, Some(length)) => body.len() == length,
        (None, None) => true,
    };
    (is_whole, body)
}

#[test]
fn every_failure_has_its_page_and_its_line() {
    let world = World::new();
    let wrong: Vec<String> = LINES.iter().enumerate().filter_map(|(n, line)| world.check(n, line).err()).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), LINES.len(), wrong.join("\n"));
}

#[test]
fn a_body_after_head_is_not_the_next_answer() {
    let world = World::new();
    for n in 0..10 {
        let say = "HTTP/1.1 200 OK|Content-Length: 38||HTTP/1.1 200 OK|Content-Length: 4||evil";
        let heard = text(&world.ask("HEAD", &world.path(&format!("head{n}"), say, "stay")));
        assert!(heard.starts_with("HTTP/1.1 200 OK\r\n") && heard.ends_with("\r\n\r\n"), "{heard}");
        assert!(!heard.contains("evil"), "{heard}");
        assert_eq!(whole(&world.ask("GET", "/next")), (true, "ok".into()));
    }
}

#[test]
fn an_app_that_dies_while_it_answers_is_told_of() {
    let world = World::new();
    let heard = world.ask("POST", &world.path("dying", "", "exit"));
    let reply = Reply::parse(&heard).expect("a page");
    let id = reply.header("x-request-id").expect("an id");
    let message = "response head: the app closed the connection without answering";
    assert_eq!((reply.status, reply.text()), (502, page(&world.0, message, "app", id)));
    assert_eq!(world.line("/dying")["error"], "app");
    until("it is up again", || (whole(&world.ask("GET", "/next")) == (true, "ok".into())).then_some(()));
    let heard = world.ask("GET", &world.path("half", "HTTP/1.1 200 OK|Content-Length: 10||hello", "exit"));
    assert_eq!(whole(&heard), (false, "hello".into()));
    assert_eq!(world.line("/half")["error"], "response body");
    until("it is up again", || (whole(&world.ask("GET", "/next")) == (true, "ok".into())).then_some(()));
}

#[test]
fn an_app_that_no_longer_listens_is_told_of() {
    let world = World::new();
    let heard = world.ask("GET", &world.path("stop", "HTTP/1.1 200 OK|Content-Length: 2||ok", "stop"));
    assert_eq!(whole(&heard), (true, "ok".into()));
    let refused = || {
        let heard = world.ask("GET", "/refused");
        (whole(&heard) != (true, "ok".into())).then_some(heard)
    };
    let reply = Reply::parse(&until("it refuses", refused)).expect("a page");
    let id = reply.header("x-request-id").expect("an id");
    let message = "connect: the app does not accept connections";
    assert_eq!((reply.status, reply.text()), (502, page(&world.0, message, "app", id)));
}

#[test]
fn trailers_make_no_claims() {
    let world = World::new();
    let say = "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Trailer: x-end||5|hello|0|X-End: 1|Content-Length: 9|Set-Cookie: a=b||";
    let heard = text(&world.ask("GET", &world.path("trailers", say, "stay")));
    assert!(heard.contains("hello") && heard.ends_with("\r\n\r\n"), "{heard}");
    assert!(!heard.to_ascii_lowercase().contains("set-cookie") && !heard.contains("content-length: 9"), "{heard}");
}
