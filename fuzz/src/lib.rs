//! What must hold for any bytes, one function a reader. libFuzzer calls them (`./dev fuzz NAME`), and so does
//! `tests/fuzz.rs`, with bent ones, in every run of the tests.
use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr};

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};
use steady::apps::ask::Terms;
use steady::apps::manifest::Manifest;
use steady::git::{pktline, prescan};
use steady::http::host::{self, Domains, Site};
use steady::http::strict;
use steady::http::wire::Wire;
use steady::proxy::head::{self, Visitor};
use steady::runner::egress::dns::{self, Found, Read};

/// In however many pieces bytes arrive, what is refused is the same.
pub fn wire(bytes: &[u8]) {
    let refused = |size: usize| {
        let mut wire = Wire::default();
        bytes.chunks(size.max(1)).any(|piece| wire.follow(piece).inspect_err(|at| assert!(*at < piece.len())).is_err())
    };
    let whole = refused(bytes.len());
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(whole, refused(size), "in pieces of {size}");
    }
}

fn visitor() -> Visitor {
    let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    Visitor { request_id: "id-of-steady".into(), peer, host: "app.example.com".into(), scheme: "https".into() }
}

const NEIGHBOURS_ONLY: [HeaderName; 6] = [
    header::TRANSFER_ENCODING,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

/// A request's head on its way to an app: who the visitor is only Steady says, and nothing of this connection goes on.
pub fn request(bytes: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut read = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(_)) = read.parse(bytes) else { return };
    let mut built = Request::builder().method(read.method.unwrap_or("GET")).uri(read.path.unwrap_or("/"));
    for field in read.headers.iter() {
        built = built.header(field.name, field.value);
    }
    let Ok(request) = built.body(()) else { return };
    let _ = strict::is_plain(Version::HTTP_11, request.uri(), request.headers());
    let _ = strict::is_plain(Version::HTTP_2, request.uri(), request.headers());
    let _ = host::requested(request.uri(), request.headers());
    let (parts, ()) = request.into_parts();
    for has_body in [false, true] {
        let mut parts = parts.clone();
        let Ok(upgrade) = head::to_app(&mut parts, &visitor(), has_body) else { continue };
        let path = parts.uri.path_and_query().map(|path| path.as_str()).unwrap_or_default();
        assert!(path.starts_with('/') || (path == "*" && parts.method == Method::OPTIONS), "{path}");
        let headers = &parts.headers;
        for (name, mine) in [
            ("host", "app.example.com"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-host", "app.example.com"),
            ("x-forwarded-proto", "https"),
            ("x-request-id", "id-of-steady"),
        ] {
            assert_eq!(all(headers, name), [mine.as_bytes()], "{name}");
        }
        NEIGHBOURS_ONLY.iter().for_each(|name| assert!(!headers.contains_key(name), "{name}"));
        for name in headers.keys().map(|name| name.as_str().replace('_', "-")) {
            let ours = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"];
            let claim = name.starts_with("x-forwarded") || ["forwarded", "x-real-ip", "x-request-id"].contains(&&*name);
            assert!(!claim || ours.contains(&&*name), "{name}");
            assert!(!name.starts_with("steady-"), "{name}");
        }
        match (&upgrade, all(headers, "connection").as_slice()) {
            (Some(protocol), [b"upgrade"]) => assert_eq!(all(headers, "upgrade"), [protocol.as_bytes()]),
            (None, [b"te"]) => assert_eq!(all(headers, "te"), [b"trailers".as_slice()]),
            (None, []) => assert!(!headers.contains_key("te") && !headers.contains_key("upgrade")),
            (upgrade, connection) => panic!("{upgrade:?} {connection:?}"),
        }
        let mut again = parts.clone();
        assert_eq!(head::to_app(&mut again, &visitor(), has_body).ok(), Some(upgrade), "asked again");
        assert_eq!(again.headers, parts.headers, "rewritten twice");
    }
}

/// An app's response head on its way to a visitor.
pub fn response(bytes: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut read = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(_)) = read.parse(bytes) else { return };
    let mut built = Response::builder().status(read.code.unwrap_or(200));
    for field in read.headers.iter() {
        built = built.header(field.name, field.value);
    }
    let Ok(response) = built.body(()) else { return };
    let (mut parts, ()) = response.into_parts();
    if head::to_client(&mut parts, &visitor().request_id, Some("example.com")).is_err() {
        return;
    }
    let headers = &parts.headers;
    NEIGHBOURS_ONLY.iter().for_each(|name| assert!(!headers.contains_key(name), "{name}"));
    assert_eq!(all(headers, "x-request-id"), [b"id-of-steady".as_slice()]);
    assert!(!headers.contains_key("alt-svc") && !headers.keys().any(|name| name.as_str().starts_with("steady-")));
    assert_eq!(parts.status == StatusCode::SWITCHING_PROTOCOLS, headers.contains_key("connection"));
    assert!(headers.get_all("content-length").iter().count() <= 1);
    let mut again = parts.clone();
    assert_eq!(
        head::to_client(&mut again, &visitor().request_id, Some("example.com")).ok(),
        Some(0),
        "cookies are dropped at once"
    );
    assert_eq!(again.headers, parts.headers, "rewritten twice");
}

/// The name that decides whose request it is: in one form, and the same when it is read again.
pub fn host(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for (apps, editor) in
        [("example.com", "example.com"), ("apps.example", "steady.example"), ("localhost", "localhost")]
    {
        let domains = Domains { apps: apps.into(), editor: editor.into() };
        match host::classify(text, &domains) {
            Site::App(label) => {
                assert!(!label.is_empty() && !label.contains(['.', ':', '/', '@']), "{label}");
                assert_eq!(label, label.to_ascii_lowercase());
                let again = host::classify(&format!("{label}.{apps}"), &domains);
                assert_eq!(again, Site::App(label));
            }
            Site::Foreign(name) => {
                assert!(!name.is_empty() && name == name.to_ascii_lowercase(), "{name}");
                assert_eq!(host::classify(&name, &domains), Site::Foreign(name));
            }
            Site::Editor | Site::Bad => {}
        }
    }
}

/// Packets of git's protocol: each that is read can be written, and reads the same.
pub fn pktline(bytes: &[u8]) {
    let mut input = bytes;
    for _ in 0..bytes.len() {
        let Ok(packet) = pktline::read(&mut input) else { return };
        let _ = packet.text();
        if let pktline::Packet::Data(data) = &packet {
            let mut written = vec![];
            pktline::write(&mut written, data).expect("what was read fits");
            let again = pktline::read(&mut written.as_slice()).expect("what was written reads");
            assert!(matches!(again, pktline::Packet::Data(other) if other == *data));
        }
    }
}

/// A pack's outline: never more objects than there is room for.
pub fn pack(bytes: &[u8]) {
    if let Ok(objects) = prescan::scan(Cursor::new(bytes), bytes.len() as u64, 1 << 20) {
        // An entry has two bytes or more, and a pack 32 around them.
        assert!(u64::from(objects) * 2 <= bytes.len() as u64, "{objects} in {} bytes", bytes.len());
    }
}

/// steady.json of a stranger's commit. What is wrong is said with its place.
pub fn manifest(bytes: &[u8]) {
    if let Err(error) = Manifest::parse(bytes, &Terms::boundless()) {
        assert!(!error.public.is_empty() && error.public.len() < 4096, "{}", error.public.len());
    }
}

/// A packet from an app's resolver: silence, or a reply to that very question.
pub fn dns(bytes: &[u8]) {
    let reply = |reply: &[u8]| {
        assert_eq!(reply.get(..2), bytes.get(..2), "the question's number");
        assert!(reply.get(2).is_some_and(|flags| flags & 0x80 != 0), "a reply");
        assert!(reply.len() <= 1232, "{} bytes", reply.len());
    };
    match dns::read(bytes) {
        Read::Noise => {}
        Read::Reply(bytes) => reply(&bytes),
        Read::Question(question) => {
            let _ = (question.name(), question.is_for_address(), question.is_for_ipv4());
            question.cut().iter().for_each(|bytes| reply(bytes));
            for found in [Found::Loopback, Found::Empty, Found::Refused, Found::Failed] {
                question.answer(found).iter().for_each(|bytes| reply(bytes));
            }
        }
    }
}
