use super::*;
use hyper::{Request, Response};
use proptest::prelude::*;

fn visitor() -> Visitor {
    Visitor {
        request_id: "theid".into(),
        peer: "192.0.2.7".parse().unwrap(),
        host: "hello.localhost:8080".into(),
        scheme: "http".into(),
    }
}

fn rewritten(method: &str, uri: &str, headers: &[(&str, &str)]) -> (request::Parts, Option<HeaderValue>) {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut parts = request.body(()).unwrap().into_parts().0;
    let upgrade = to_app(&mut parts, &visitor(), false).unwrap();
    (parts, upgrade)
}

fn lines(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> = headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
    lines.sort();
    lines
}

#[test]
fn an_app_hears_what_is_true() {
    let (parts, upgrade) = rewritten(
        "POST",
        "http://hello.localhost:8080/a?b=c",
        &[
            ("host", "hello.localhost:8080"),
            ("connection", "close, X-Secret, x-forwarded-for"),
            ("connection", "keep-alive"),
            ("x-secret", "hop"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic x"),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("x-forwarded-for", "6.6.6.6"),
            ("X_Forwarded_Host", "evil"),
            ("forwarded", "for=6.6.6.6"),
            ("x-real-ip", "6.6.6.6"),
            ("x-request-id", "mine"),
            ("steady-user", "root"),
            ("expect", "100-continue"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("accept", "*/*"),
        ],
    );
    assert_eq!(upgrade, None);
    assert_eq!(parts.uri, "/a?b=c");
    assert_eq!(
        lines(&parts.headers),
        [
            "accept: */*",
            "connection: te",
            "cookie: a=1; b=2",
            "host: hello.localhost:8080",
            "te: trailers",
            "x-forwarded-for: 192.0.2.7",
            "x-forwarded-host: hello.localhost:8080",
            "x-forwarded-proto: http",
            "x-request-id: theid",
        ]
    );
}

#[test]
fn only_honest_upgrades_are_passed_on() {
    let asks = |upgrade: &str, method: &str| {
        rewritten(method, "/", &[("connection", "keep-alive, Upgrade"), ("upgrade", upgrade)]).1
    };
    assert_eq!(asks("WebSocket", "GET").unwrap(), "WebSocket");
    assert_eq!(asks("my-protocol/1", "GET").unwrap(), "my-protocol/1");
    for (upgrade, method) in [
        ("h2c", "GET"),
        ("H2C", "GET"),
        ("HTTP/2.0", "GET"),
        ("TLS/1.2", "GET"),
        ("websocket, h2c", "GET"),
        ("websocket", "POST"),
    ] {
        assert_eq!(asks(upgrade, method), None, "{upgrade} {method}");
    }
    assert_eq!(rewritten("GET", "/", &[("upgrade", "websocket")]).1, None, "not named in Connection");
}

#[test]
fn targets_that_are_no_path() {
    let target = |method: &str, uri: &str| {
        let mut parts = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0;
        to_app(&mut parts, &visitor(), false).map(|_| parts.uri.to_string())
    };
    assert_eq!(target("OPTIONS", "*").unwrap(), "*");
    assert!(target("GET", "*").is_err());
    assert!(target("CONNECT", "evil.example:443").is_err());
    assert_eq!(target("GET", "http://x.localhost").unwrap(), "/");
    assert_eq!(target("GET", "http://x.localhost?a=b").unwrap(), "/?a=b");
}

#[test]
fn a_client_hears_what_the_app_said() {
    let mut parts = Response::builder()
        .status(200)
        .header("date", "Sun, 06 Nov 1994 08:49:37 GMT")
        .header("server", "Bun")
        .header("connection", "close, x-hop")
        .header("x-hop", "1")
        .header("transfer-encoding", "chunked")
        .header("alt-svc", "h3=\":443\"")
        .header("steady-secret", "1")
        .header("x-request-id", "app's")
        .header("set-cookie", "a=1")
        .header("set-cookie", "b=2; Domain=localhost")
        .header("trailer", "x-sum")
        .body(())
        .unwrap()
        .into_parts()
        .0;
    assert_eq!(to_client(&mut parts, &visitor().request_id, Some("localhost:8080")).unwrap(), 1);
    assert_eq!(
        lines(&parts.headers),
        [
            "date: Sun, 06 Nov 1994 08:49:37 GMT",
            "server: Bun",
            "set-cookie: a=1",
            "trailer: x-sum",
            "x-request-id: theid"
        ]
    );
}

#[test]
fn an_app_clears_nobody_elses_cookies() {
    for (said, heard) in [
        ("\"cookies\"", None),
        ("\"cache\", \"cookies\"", Some("\"cache\"")),
        ("\"*\"", Some("\"cache\", \"storage\", \"executionContexts\"")),
        ("\"storage\"", Some("\"storage\"")),
    ] {
        let mut parts = Response::builder().header("clear-site-data", said).body(()).unwrap().into_parts().0;
        to_client(&mut parts, &visitor().request_id, Some("localhost")).unwrap();
        assert_eq!(parts.headers.get("clear-site-data").map(|v| v.to_str().unwrap()), heard, "{said}");
    }
}

#[test]
fn a_length_is_only_said_by_who_knows_it() {
    let length = |has_body| {
        let mut parts = Request::post("/").header("content-length", "5").body(()).unwrap().into_parts().0;
        to_app(&mut parts, &visitor(), has_body).unwrap();
        parts.headers.get(CONTENT_LENGTH).map(|v| v.to_str().unwrap().to_owned())
    };
    assert_eq!((length(true), length(false)), (None, Some("0".into())));
}

#[test]
fn a_response_has_one_length() {
    for (headers, clear) in [
        (&[("content-length", "5")][..], true),
        (&[("transfer-encoding", "Chunked")], true),
        (&[("transfer-encoding", "chunked"), ("content-length", "5")], false),
        (&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], false),
        (&[("transfer-encoding", "gzip, chunked")], false),
        (&[("transfer-encoding", "identity")], false),
    ] {
        let mut response = Response::builder();
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let mut parts = response.body(()).unwrap().into_parts().0;
        assert_eq!(to_client(&mut parts, &visitor().request_id, None).is_ok(), clear, "{headers:?}");
    }
}

#[test]
fn a_huge_response_head_is_refused() {
    let mut parts = Response::builder().header("x", "y".repeat(MAX_RESPONSE_HEAD)).body(()).unwrap().into_parts().0;
    assert!(to_client(&mut parts, &visitor().request_id, None).is_err());
}

/// Names an attacker would try, and any others.
fn name() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "connection",
        "Keep-Alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "proxy-authorization",
        "x-forwarded-for",
        "X-Forwarded-Proto",
        "x-forwarded-anything",
        "x_forwarded_for",
        "x-forwarded_host",
        "forwarded",
        "x-real-ip",
        "x_real_ip",
        "x-request-id",
        "steady-user",
        "host",
        "x-mine",
        "cookie",
        "content-length",
    ];
    prop_oneof![4 => proptest::sample::select(KNOWN).prop_map(str::to_owned), 1 => "[a-zA-Z0-9_-]{1,12}"]
}

fn header() -> impl Strategy<Value = (String, String)> {
    let list = proptest::collection::vec(name(), 0..5).prop_map(|names| names.join(", "));
    (name(), prop_oneof![list, "[ -~]{0,20}", Just("evil".to_owned())])
}

proptest! {
    #[test]
    fn no_hop_and_no_claim_survives(headers in proptest::collection::vec(header(), 0..14), get in any::<bool>()) {
        let mut request = Request::builder().method(if get { "GET" } else { "POST" }).uri("/");
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        let named: Vec<_> = values(&parts.headers, &CONNECTION).map(<[u8]>::to_ascii_lowercase).collect();
        let upgrade = to_app(&mut parts, &visitor(), false).unwrap();
        let ours = ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"];
        for name in parts.headers.keys() {
            let text = name.as_str();
            let folded = text.replace('_', "-");
            let changed = matches!(text, "connection" | "upgrade" | "te");
            let ours = ours.contains(&text);
            prop_assert!(changed || !HOP_BY_HOP.contains(name), "{text} survived");
            prop_assert!(ours || changed || !named.contains(&text.as_bytes().to_vec()), "{text} was named in Connection");
            prop_assert!(ours || !folded.starts_with("x-forwarded"), "{text} survived");
            prop_assert!(ours || !["forwarded", "x-real-ip", "x-request-id"].contains(&&*folded), "{text} survived");
            prop_assert!(!folded.starts_with("steady-"), "{text} survived");
        }
        for name in ours {
            prop_assert_eq!(parts.headers.get_all(name).iter().count(), 1);
        }
        prop_assert_eq!(&parts.headers["x-forwarded-for"], "192.0.2.7");
        prop_assert_eq!(&parts.headers["host"], "hello.localhost:8080");
        let connection = parts.headers.get("connection").map(|v| v.to_str().unwrap());
        prop_assert_eq!(connection == Some("upgrade"), upgrade.is_some());
        prop_assert_eq!(parts.headers.contains_key("upgrade"), upgrade.is_some());
    }

    #[test]
    fn no_hop_survives_on_the_way_back(headers in proptest::collection::vec(header(), 0..14)) {
        let mut response = Response::builder();
        for (name, value) in &headers {
            response = response.header(name, value);
        }
        let mut parts = response.body(()).unwrap().into_parts().0;
        let clear = one_length(&parts);
        prop_assert_eq!(to_client(&mut parts, &visitor().request_id, Some("localhost:8080")).is_ok(), clear);
        if !clear {
            return Ok(());
        }
        for name in parts.headers.keys() {
            prop_assert!(!HOP_BY_HOP.contains(name), "{name} survived");
            prop_assert!(!name.as_str().starts_with("steady-"));
        }
        prop_assert_eq!(&parts.headers["x-request-id"], "theid");
    }
}
