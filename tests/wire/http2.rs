//! HTTP/2 with prior knowledge: what must not become an HTTP/1.1 request.
use super::frames::{self, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Http2, Outcome};
use super::world::World;

/// RFC and section; what it is; fields as `name=value`, between `|`; the body, and trailers behind a `|`; whether it
/// passes. `~` is a path of its own for every line, `HOST` the app's host, characters up to U+00FF are bytes, and `^`
/// stands for the four pseudo-header fields of a plain request without its method.
type Line = (&'static str, &'static str, &'static str, &'static str, bool);

#[rustfmt::skip]
const LINES: &[Line] = &[
    ("9113 8.3.1", "a plain request", ":method=GET|^", "", true),
    ("9113 8.3.1", "with a body", ":method=POST|^", "hello", true),
    ("9113 8.3.1", "pseudo-header fields in another order", ":path=~|:authority=HOST|:scheme=http|:method=GET|x=y", "", true),
    ("9113 8.3.1", "Host in place of :authority", ":method=GET|:scheme=http|:path=~|host=HOST", "", true),
    ("9113 8.3.1", "Host beside :authority, the same", ":method=GET|^|host=HOST", "", true),
    ("9113 8.3.1", "OPTIONS *", ":method=OPTIONS|:scheme=http|:path=*|:authority=HOST|x=~", "", true),
    ("9113 8.2.3", "a cookie in crumbs", ":method=GET|^|cookie=a=1|cookie=b=2", "", true),
    ("9113 8.2.2", "te: trailers", ":method=GET|^|te=trailers", "", true),
    ("9113 8.1", "trailers", ":method=POST|^", "hello|x-sum=1", true),
    ("9113 8.1.1", "a true content-length", ":method=POST|^|content-length=5", "hello", true),
    ("9113 8.2.1", "high bytes in a value", ":method=GET|^|x=\u{c3}\u{a9}", "", true),
    // The parser drops these before anybody can see them: they pass, and the app does not hear of them (see below).
    ("9113 8.3", "a pseudo-header field in trailers", ":method=POST|^", "hello|:path=/dropped", true),
    ("3986 3.5", ":path with a fragment", ":method=GET|:scheme=http|:path=~#dropped|:authority=HOST", "", true),
    // --- pseudo-header fields
    ("9113 8.3.1", "no :method", ":scheme=http|:path=~|:authority=HOST", "", false),
    ("9113 8.3.1", "no :scheme", ":method=GET|:path=~|:authority=HOST", "", false),
    ("9113 8.3.1", "no :path", ":method=GET|:scheme=http|:authority=HOST|x=~", "", false),
    ("9113 8.3.1", "an empty :path", ":method=GET|:scheme=http|:path=|:authority=HOST|x=~", "", false),
    ("9113 8.3.1", "two :method", ":method=GET|:method=POST|^", "", false),
    ("9113 8.3.1", "two :path", ":method=GET|^|:path=~", "", false),
    ("9113 8.3.1", "two :authority", ":method=GET|^|:authority=evil.example", "", false),
    ("9113 8.3.1", "two :scheme", ":method=GET|^|:scheme=https", "", false),
    ("9113 8.3", "one of responses", ":method=GET|^|:status=200", "", false),
    ("9113 8.3", "one that nobody knows", ":method=GET|^|:evil=1", "", false),
    ("9113 8.3", "one behind a field", ":method=GET|:scheme=http|:authority=HOST|x=y|:path=~", "", false),
    ("9113 8.3.1", ":path without its slash", ":method=GET|:scheme=http|:path=x~|:authority=HOST", "", false),
    ("9113 8.3.1", ":path that is a query", ":method=GET|:scheme=http|:path=?~|:authority=HOST", "", false),
    ("9113 8.3.1", ":path with a whole URL", ":method=GET|:scheme=http|:path=http://evil.example~|:authority=HOST", "", false),
    ("9113 8.3.1", ":path * of a GET", ":method=GET|:scheme=http|:path=*|:authority=HOST|x=~", "", false),
    ("9113 8.3.1", ":path that ends the request line", ":method=GET|:scheme=http|:path=~ HTTP/1.1\r\nX: y|:authority=HOST", "", false),
    ("9113 8.3.1", ":path with a space", ":method=GET|:scheme=http|:path=~ x|:authority=HOST", "", false),
    ("9113 8.3.1", ":path with LF", ":method=GET|:scheme=http|:path=~\nx|:authority=HOST", "", false),
    ("9113 8.3.1", ":path with NUL", ":method=GET|:scheme=http|:path=~\0|:authority=HOST", "", false),
    ("3986 2", ":path with UTF-8", ":method=GET|:scheme=http|:path=~\u{c3}\u{a9}|:authority=HOST", "", false),
    ("3986 2", ":path with a high byte", ":method=GET|:scheme=http|:path=~\u{ff}|:authority=HOST", "", false),
    ("9113 8.3.1", ":method that is a whole request", ":method=GET ~ HTTP/1.1\r\nHost: HOST\r\n\r\nGET|^", "", false),
    ("9113 8.3.1", ":method with a space", ":method=GET ~|^", "", false),
    ("9113 8.3.1", "an empty :method", ":method=|^", "", false),
    ("9113 8.3.1", ":method with a high byte", ":method=G\u{e9}T|^", "", false),
    ("9113 8.3.1", "no host at all", ":method=GET|:scheme=http|:path=~", "", false),
    ("9113 8.3.1", "an empty :authority", ":method=GET|:scheme=http|:path=~|:authority=", "", false),
    ("9113 8.3.1", "an empty Host", ":method=GET|:scheme=http|:path=~|host=", "", false),
    ("9113 8.3.1", ":authority and another Host", ":method=GET|^|host=evil.example", "", false),
    ("9113 8.3.1", "another :authority than Host", ":method=GET|:scheme=http|:path=~|:authority=evil.example|host=HOST", "", false),
    ("9113 8.3.1", "two Hosts", ":method=GET|:scheme=http|:path=~|host=HOST|host=HOST", "", false),
    ("9113 8.3.1", ":authority with userinfo", ":method=GET|:scheme=http|:path=~|:authority=me@HOST", "", false),
    ("9113 8.3.1", ":authority with a path", ":method=GET|:scheme=http|:path=~|:authority=HOST/x", "", false),
    ("9113 8.3.1", ":authority with CRLF", ":method=GET|:scheme=http|:path=~|:authority=HOST\r\nX: y", "", false),
    ("9113 8.3.1", ":authority with a list", ":method=GET|:scheme=http|:path=~|:authority=HOST,evil.example", "", false),
    ("9113 8.3.1", ":scheme with CRLF", ":method=GET|:scheme=http\r\nX: y|:path=~|:authority=HOST", "", false),
    ("9113 8.3.1", ":scheme that is a URL", ":method=GET|:scheme=http://evil.example|:path=~|:authority=HOST", "", false),
    ("9113 8.3.1", ":scheme that is not HTTP's", ":method=GET|:scheme=ftp|:path=~|:authority=HOST", "", false),
    ("9113 8.5", "CONNECT to an app", ":method=CONNECT|:authority=HOST|x=~", "", false),
    ("9113 8.5", "CONNECT with a path", ":method=CONNECT|^", "", false),
    ("8441 4", "CONNECT with a protocol nobody speaks", ":method=CONNECT|:protocol=evil|^", "", false),
    ("8441 4", ":protocol of a GET", ":method=GET|:protocol=websocket|^", "", false),
    // --- names and values
    ("9113 8.2.1", "a name in upper case", ":method=GET|^|X=y", "", false),
    ("9113 8.2.1", "an empty name", ":method=GET|^|=y", "", false),
    ("9113 8.2.1", "a name with a space", ":method=GET|^|x y=z", "", false),
    ("9113 8.2.1", "a name with a colon", ":method=GET|^|x:y=z", "", false),
    ("9113 8.2.1", "a name with CRLF", ":method=GET|^|x\r\ny=z", "", false),
    ("9113 8.2.1", "a name with NUL", ":method=GET|^|x\0=z", "", false),
    ("9113 8.2.1", "a name with a high byte", ":method=GET|^|x\u{e9}=z", "", false),
    ("9113 8.2.1", "a value with CRLF", ":method=GET|^|x=y\r\nz: 1", "", false),
    ("9113 8.2.1", "a value with a whole request", ":method=GET|^|x=y\r\n\r\nGET ~ HTTP/1.1\r\nHost: HOST", "", false),
    ("9113 8.2.1", "a value with LF", ":method=GET|^|x=y\nz: 1", "", false),
    ("9113 8.2.1", "a value with CR", ":method=GET|^|x=y\rz", "", false),
    ("9113 8.2.1", "a value with NUL", ":method=GET|^|x=y\0", "", false),
    ("9113 8.2.1", "a value with a space before it", ":method=GET|^|x= y", "", false),
    ("9113 8.2.1", "a value with a space behind it", ":method=GET|^|x=y ", "", false),
    ("9113 8.2.1", "a value with a tab before it", ":method=GET|^|x=\ty", "", false),
    // --- fields of one connection
    ("9113 8.2.2", "connection", ":method=GET|^|connection=close", "", false),
    ("9113 8.2.2", "keep-alive", ":method=GET|^|keep-alive=timeout:5", "", false),
    ("9113 8.2.2", "proxy-connection", ":method=GET|^|proxy-connection=close", "", false),
    ("9113 8.2.2", "transfer-encoding", ":method=POST|^|transfer-encoding=chunked", "0\r\n\r\nGET ~ HTTP/1.1", false),
    ("9113 8.2.2", "upgrade", ":method=GET|^|upgrade=websocket", "", false),
    ("9113 8.2.2", "te with another coding", ":method=GET|^|te=gzip", "", false),
    ("9113 8.2.2", "te with trailers and another coding", ":method=GET|^|te=trailers, gzip", "", false),
    ("9113 8.2.2", "transfer-encoding in trailers", ":method=POST|^", "hello|transfer-encoding=chunked", false),
    // --- lengths
    ("9113 8.1.1", "a length and no body", ":method=POST|^|content-length=5", "", false),
    ("9113 8.1.1", "a length of zero and a body", ":method=POST|^|content-length=0", "GET ~ HTTP/1.1\r\nHost: HOST\r\n\r\n", false),
    ("9113 8.1.1", "a body shorter than its length", ":method=POST|^|content-length=6", "hello", false),
    ("9113 8.1.1", "a body longer than its length", ":method=POST|^|content-length=4", "hello", false),
    ("9113 8.1.1", "a short body with trailers", ":method=POST|^|content-length=6", "hello|x-sum=1", false),
    ("9113 8.1.1", "two lengths", ":method=POST|^|content-length=5|content-length=6", "hello", false),
    ("9110 8.6", "the same length twice", ":method=POST|^|content-length=5|content-length=5", "hello", false),
    ("9110 8.6", "a list of lengths", ":method=POST|^|content-length=5, 5", "hello", false),
    ("9110 8.6", "a length with a plus", ":method=POST|^|content-length=+5", "hello", false),
    ("9110 8.6", "an empty length", ":method=POST|^|content-length=", "hello", false),
];

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("characters up to U+00FF")).collect()
}

fn fields(world: &World, text: &str, path: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let spelled = text.replace('^', ":scheme=http|:path=~|:authority=HOST");
    let spelled = spelled.replace('~', path).replace("HOST", &world.host());
    let pairs = spelled.split('|').map(|field| match field.strip_prefix(':') {
        Some(pseudo) => {
            let (name, value) = pseudo.split_once('=').expect("name=value");
            (bytes(&format!(":{name}")), bytes(value))
        }
        None => {
            let (name, value) = field.split_once('=').expect("name=value");
            (bytes(name), bytes(value))
        }
    });
    pairs.collect()
}

fn send(world: &World, (_, _, head, body, _): &Line, path: &str) -> Outcome {
    let mut connection = Http2::new(world.connect());
    let end = if body.is_empty() { END_STREAM } else { 0 };
    connection.frame(HEADERS, END_HEADERS | end, 1, &frames::block(&fields(world, head, path)));
    if !body.is_empty() {
        let (data, trailers) = body.split_once('|').map_or((*body, None), |(data, rest)| (data, Some(rest)));
        let data = data.replace('~', path).replace("HOST", &world.host());
        connection.frame(DATA, if trailers.is_some() { 0 } else { END_STREAM }, 1, &bytes(&data));
        if let Some(trailers) = trailers {
            let trailers = frames::block(&fields(world, trailers, path));
            connection.frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers);
        }
    }
    connection.outcome()
}

#[test]
fn requests_of_http_2() {
    let world = World::new();
    let mut wrong = vec![];
    for (n, line) in LINES.iter().enumerate() {
        let outcome = send(&world, line, &format!("/two{n}x"));
        let right = if line.4 { outcome == Outcome::Status(200) } else { outcome.is_refusal() };
        if !right {
            wrong.push(format!("RFC {}: {}: {outcome:?}", line.0, line.1));
        }
    }
    for (n, (rfc, what, .., passes)) in LINES.iter().enumerate() {
        let got = world.got(&format!("/two{n}x"));
        if got.len() != usize::from(*passes) || got.concat().contains("dropped") {
            wrong.push(format!("RFC {rfc}: {what}: reached the app as {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), LINES.len(), wrong.join("\n"));

    let crumbs = LINES.iter().position(|line| line.1.contains("crumbs")).unwrap();
    let got = world.got(&format!("/two{crumbs}x"));
    assert!(got[0].contains("\r\ncookie: a=1; b=2\r\n"), "{got:?}");
}

/// Streams that are wrong as frames, not as requests.
#[test]
fn frames_of_http_2() {
    let world = World::new();
    let head = |path: &str| frames::block(&fields(&world, ":method=POST|^", path));
    let (mut ended, mut cut, mut between) =
        (Http2::new(world.connect()), Http2::new(world.connect()), Http2::new(world.connect()));

    // RFC 9113 section 6.10: a block may come in parts.
    let block = head("/partsx");
    let mut parts = Http2::new(world.connect());
    parts.frame(HEADERS, END_STREAM, 1, &block[..10]);
    parts.frame(CONTINUATION, END_HEADERS, 1, &block[10..]);
    assert_eq!(parts.outcome(), Outcome::Status(200));
    assert_eq!(world.got("/partsx").len(), 1);

    // Section 6.10: nothing may come between these parts.
    let block = head("/betweenx");
    between.frame(HEADERS, END_STREAM, 1, &block[..10]);
    between.frame(DATA, END_STREAM, 1, b"hello");
    between.frame(CONTINUATION, END_HEADERS, 1, &block[10..]);
    assert!(matches!(between.outcome(), Outcome::GoAway(_) | Outcome::Closed));

    // Section 5.1: data after the end of a stream.
    ended.frame(HEADERS, END_HEADERS | END_STREAM, 1, &head("/endedx"));
    ended.frame(DATA, END_STREAM, 1, b"GET /smuggledx HTTP/1.1\r\n\r\n");
    ended.outcome();

    // Section 8.1: a body that is cut off is not a whole one.
    cut.frame(HEADERS, END_HEADERS, 1, &head("/cutx"));
    cut.frame(DATA, 0, 1, b"hello");
    cut.frame(3, 0, 1, &8u32.to_be_bytes());
    drop(cut);

    // Section 6.10: parts without end.
    let mut flood = Http2::new(world.connect());
    flood.frame(HEADERS, END_STREAM, 1, &head("/floodx"));
    for _ in 0..100 {
        flood.frame(CONTINUATION, 0, 1, &frames::block(&[(b"x".to_vec(), vec![b'y'; 10_000])]));
    }
    assert!(flood.outcome().is_refusal());

    world.steady.get("wire", "/after").ok();
    for path in ["/betweenx", "/smuggledx", "/cutx", "/floodx"] {
        let got = world.got(path);
        assert!(got.is_empty(), "{path} reached the app: {got:?}");
    }
}
