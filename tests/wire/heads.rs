//! Request lines and fields.
use super::world::{Line, World};

#[rustfmt::skip]
const LINES: &[Line] = &[
    // --- request line
    ("9112 3", "the plain form", "GET ~ HTTP/1.1|Host: HOST|Connection: close||", &[200]),
    ("9112 2.2", "an empty line before it", "|GET ~ HTTP/1.1|Host: HOST|Connection: close||", &[200]),
    ("9112 2.2", "bare LF after it", "GET ~ HTTP/1.1\nHost: HOST||", &[400]),
    ("9112 2.2", "bare LF before it", "\nGET ~ HTTP/1.1|Host: HOST||", &[400]),
    ("9112 2.2", "bare CR in it", "GET ~\rX HTTP/1.1|Host: HOST||", &[400]),
    ("9112 2.2", "CR CR LF after it", "GET ~ HTTP/1.1\r|Host: HOST||", &[400]),
    ("9112 2.2", "whitespace before it", " GET ~ HTTP/1.1|Host: HOST||", &[400]),
    ("9112 2.2", "whitespace between it and the fields", "GET ~ HTTP/1.1| X: y|Host: HOST||", &[400]),
    ("9112 3", "two spaces before the target", "GET  ~ HTTP/1.1|Host: HOST||", &[400]),
    ("9112 3", "two spaces after the target", "GET ~  HTTP/1.1|Host: HOST||", &[400]),
    ("9112 3", "a tab for a space", "GET\t~ HTTP/1.1|Host: HOST||", &[400]),
    ("9112 3", "a space at its end", "GET ~ HTTP/1.1 |Host: HOST||", &[400]),
    ("9112 3", "a space in the target", "GET ~ x HTTP/1.1|Host: HOST||", &[400]),
    ("9112 3", "two versions", "GET ~ HTTP/1.1 HTTP/1.1|Host: HOST||", &[400]),
    ("9112 3", "no target", "GET HTTP/1.1|Host: HOST||", &[400]),
    ("9112 3", "nothing but a method", "GET|Host: HOST||", &[400]),
    // --- method
    ("9110 9.1", "a method nobody knows", "BREW ~ HTTP/1.1|Host: HOST|Connection: close||", &[200]),
    ("9110 5.6.2", "every odd character of a token", "M!#$%&'*+-.^_`9 ~ HTTP/1.1|Host: HOST|Connection: close||", &[200]),
    ("9110 9.1", "methods have case", "get ~ HTTP/1.1|Host: HOST|Connection: close||", &[200]),
    ("9110 9.1", "a colon in the method", "G:T ~ HTTP/1.1|Host: HOST||", &[400]),
    ("9110 9.1", "brackets in the method", "G(E)T ~ HTTP/1.1|Host: HOST||", &[400]),
    ("9110 9.1", "NUL in the method", "G\0T ~ HTTP/1.1|Host: HOST||", &[400]),
    ("9110 9.1", "a high byte in the method", "G\u{e9}T ~ HTTP/1.1|Host: HOST||", &[400]),
    ("9110 9.1", "an empty method", " ~ HTTP/1.1|Host: HOST||", &[400]),
    ("9110 9.3.6", "CONNECT to elsewhere", "CONNECT evil.example:443 HTTP/1.1|Host: evil.example:443|Connection: close||", &[404]),
    ("9110 9.3.6", "CONNECT to an app", "CONNECT HOST HTTP/1.1|Host: HOST|X: ~|Connection: close||", &[400]),
    ("9110 9.3.6", "CONNECT with a path", "CONNECT ~ HTTP/1.1|Host: HOST|Connection: close||", &[400]),
    // --- target
    ("9112 3.2.1", "odd characters that browsers send", "GET ~?a=[]{}^\\`'%zz HTTP/1.1|Host: HOST|Connection: close||", &[200]),
    ("9112 3.2.1", "a double slash", "GET /~ HTTP/1.1|Host: HOST|Connection: close||", &[200]),
    ("9112 3.2.1", "an empty query", "GET ~? HTTP/1.1|Host: HOST|Connection: close||", &[200]),
    ("3986 3.5", "a fragment", "GET ~#x HTTP/1.1|Host: HOST||", &[400]),
    ("3986 3.5", "a fragment in a query", "GET ~?a#x HTTP/1.1|Host: HOST||", &[400]),
    ("3986 2", "a raw high byte", "GET ~\u{ff} HTTP/1.1|Host: HOST||", &[400]),
    ("3986 2", "raw UTF-8", "GET ~\u{c3}\u{a9} HTTP/1.1|Host: HOST||", &[400]),
    ("3986 2", "NUL", "GET ~\0 HTTP/1.1|Host: HOST||", &[400]),
    ("3986 2", "DEL", "GET ~\u{7f} HTTP/1.1|Host: HOST||", &[400]),
    ("3986 2", "a vertical tab", "GET ~\u{b} HTTP/1.1|Host: HOST||", &[400]),
    ("9112 3.2.1", "no slash at its begin", "GET x~ HTTP/1.1|Host: HOST||", &[400]),
    ("9112 3.2.1", "a query alone", "GET ?~ HTTP/1.1|Host: HOST||", &[400]),
    ("9112 3.2.2", "absolute form", "GET http://HOST~ HTTP/1.1|Host: HOST|Connection: close||", &[200]),
    ("9112 3.2.2", "absolute form without a path", "GET http://HOST?~ HTTP/1.1|Host: HOST|Connection: close||", &[200]),
    ("9112 3.2.1", "a query without its slash", "GET ?~ HTTP/1.1|Host: HOST|Connection: close||", &[400]),
    ("9112 3.2.2", "absolute form, the host in other case", "GET HTTP://HOST~ HTTP/1.1|Host: HOST|Connection: close||", &[200]),
    ("9112 3.2.2", "absolute form for another host", "GET http://evil.example~ HTTP/1.1|Host: HOST|Connection: close||", &[400]),
    ("9112 3.2.2", "another host in the field", "GET http://HOST~ HTTP/1.1|Host: evil.example|Connection: close||", &[400]),
    ("9112 3.2.2", "absolute form with userinfo", "GET http://me@HOST~ HTTP/1.1|Host: HOST|Connection: close||", &[400]),
    ("9110 4.2.4", "userinfo in both", "GET http://me@HOST~ HTTP/1.1|Host: me@HOST|Connection: close||", &[400]),
    ("9112 3.2.2", "absolute form of another scheme", "GET ftp://HOST~ HTTP/1.1|Host: HOST|Connection: close||", &[400]),
    ("9112 3.2.2", "absolute form without a host", "GET http://~ HTTP/1.1|Host: HOST|Connection: close||", &[400]),
    ("9112 3.2.2", "a scheme without slashes", "GET http:~ HTTP/1.1|Host: HOST|Connection: close||", &[400]),
    ("9112 3.2.3", "authority form, not CONNECT", "GET HOST HTTP/1.1|Host: HOST|X: ~|Connection: close||", &[400]),
    ("9112 3.2.4", "asterisk form", "OPTIONS * HTTP/1.1|Host: HOST|X: ~|Connection: close||", &[200]),
    ("9112 3.2.4", "asterisk form, not OPTIONS", "GET * HTTP/1.1|Host: HOST|X: ~|Connection: close||", &[400]),
    ("9112 3.2.4", "asterisk and more", "OPTIONS *~ HTTP/1.1|Host: HOST|Connection: close||", &[400]),
    // --- version
    ("9112 2.3", "HTTP/0.9", "GET ~||", &[400]),
    ("9112 2.3", "HTTP/1.0", "GET ~ HTTP/1.0|Host: HOST||", &[200]),
    ("9112 2.3", "HTTP/1.0 that stays", "GET ~ HTTP/1.0|Host: HOST|Connection: keep-alive||GET ~ HTTP/1.0|Host: HOST||", &[200, 200]),
    ("9112 2.3", "HTTP/1.0 that does not stay", "GET ~ HTTP/1.0|Host: HOST||GET /b~ HTTP/1.0|Host: HOST||", &[200]),
    ("9110 15.6.6", "HTTP/1.2", "GET ~ HTTP/1.2|Host: HOST||", &[400]),
    ("9110 15.6.6", "HTTP/2.0", "GET ~ HTTP/2.0|Host: HOST||", &[400]),
    ("9112 2.3", "HTTP/1.10", "GET ~ HTTP/1.10|Host: HOST||", &[400]),
    ("9112 2.3", "HTTP/1,1", "GET ~ HTTP/1,1|Host: HOST||", &[400]),
    ("9112 2.3", "http/1.1 in lower case", "GET ~ http/1.1|Host: HOST||", &[400]),
    ("9112 2.3", "HTTP/01.1", "GET ~ HTTP/01.1|Host: HOST||", &[400]),
    ("9112 2.3", "HTTPS/1.1", "GET ~ HTTPS/1.1|Host: HOST||", &[400]),
    ("9113 3.4", "the preface of HTTP/2 and no more of it", "PRI * HTTP/2.0|Host: HOST|X: ~||", &[400]),
    ("9113 3.4", "the preface, after a request", "GET ~ HTTP/1.1|Host: HOST||PRI * HTTP/2.0||SM||", &[200, 400]),
    // --- Host
    ("9112 3.2", "no Host", "GET ~ HTTP/1.1|X: y||", &[400]),
    ("9112 3.2", "no Host in HTTP/1.0", "GET ~ HTTP/1.0|X: y||", &[400]),
    ("9112 3.2", "the same Host twice", "GET ~ HTTP/1.1|Host: HOST|Host: HOST||", &[400]),
    ("9112 3.2", "two Hosts", "GET ~ HTTP/1.1|Host: HOST|Host: evil.example||", &[400]),
    ("9112 3.2", "two Hosts in HTTP/1.0", "GET ~ HTTP/1.0|Host: HOST|hOST: evil.example||", &[400]),
    ("9112 3.2", "an empty Host", "GET ~ HTTP/1.1|Host:|Connection: close||", &[400]),
    ("9112 3.2", "a list", "GET ~ HTTP/1.1|Host: HOST, evil.example|Connection: close||", &[400]),
    ("9110 7.2", "userinfo", "GET ~ HTTP/1.1|Host: me@HOST|Connection: close||", &[400]),
    ("9110 7.2", "a path", "GET ~ HTTP/1.1|Host: HOST/x|Connection: close||", &[400]),
    ("9110 7.2", "a scheme", "GET ~ HTTP/1.1|Host: http://HOST|Connection: close||", &[400]),
    ("9110 7.2", "a port that is none", "GET ~ HTTP/1.1|Host: HOSTx|Connection: close||", &[400]),
    ("9110 7.2", "a port with a sign", "GET ~ HTTP/1.1|Host: wire.localhost:+80|Connection: close||", &[400]),
    ("9110 7.2", "a port out of range", "GET ~ HTTP/1.1|Host: wire.localhost:65536|Connection: close||", &[400]),
    ("9110 7.2", "no port, upper case, final dot", "GET ~ HTTP/1.1|Host: WIRE.localhost.|Connection: close||", &[200]),
    ("9110 7.2", "an empty port", "GET ~ HTTP/1.1|Host: wire.localhost:|Connection: close||", &[200]),
    ("9110 7.2", "a tab inside", "GET ~ HTTP/1.1|Host: wire\t.localhost|Connection: close||", &[400]),
    ("9110 7.2", "NUL inside", "GET ~ HTTP/1.1|Host: wire\0.localhost||", &[400]),
    ("9110 7.2", "a high byte", "GET ~ HTTP/1.1|Host: w\u{ef}re.localhost|Connection: close||", &[400]),
    ("9110 7.2", "percent encoding", "GET ~ HTTP/1.1|Host: wire%2elocalhost|Connection: close||", &[400]),
    ("9110 7.2", "a space before the colon", "GET ~ HTTP/1.1|Host : HOST||", &[400]),
    ("9110 7.2", "spaces around the value", "GET ~ HTTP/1.1|Host: \t HOST \t|Connection: close||", &[200]),
    // --- other fields
    ("9112 5.1", "a space before the colon", "GET ~ HTTP/1.1|Host: HOST|X : y||", &[400]),
    ("9112 5.1", "a tab before the colon", "GET ~ HTTP/1.1|Host: HOST|X\t: y||", &[400]),
    ("9112 5.1", "no space after the colon", "GET ~ HTTP/1.1|Host: HOST|X:y|Connection: close||", &[200]),
    ("9112 5.1", "an empty value", "GET ~ HTTP/1.1|Host: HOST|X:|Connection: close||", &[200]),
    ("9110 5.6.2", "an empty name", "GET ~ HTTP/1.1|Host: HOST|: y||", &[400]),
    ("9110 5.6.2", "no colon", "GET ~ HTTP/1.1|Host: HOST|X y||", &[400]),
    ("9110 5.6.2", "NUL in a name", "GET ~ HTTP/1.1|Host: HOST|X\0Y: z||", &[400]),
    ("9110 5.6.2", "a high byte in a name", "GET ~ HTTP/1.1|Host: HOST|X\u{e9}: z||", &[400]),
    ("9110 5.6.2", "a bracket in a name", "GET ~ HTTP/1.1|Host: HOST|X(): z||", &[400]),
    ("9110 5.6.2", "every odd character of a token", "GET ~ HTTP/1.1|Host: HOST|!#$%&'*+-.^_`9: z|Connection: close||", &[200]),
    ("9110 5.5", "NUL in a value", "GET ~ HTTP/1.1|Host: HOST|X: y\0z||", &[400]),
    ("9110 5.5", "bare CR in a value", "GET ~ HTTP/1.1|Host: HOST|X: y\rz||", &[400]),
    ("9110 5.5", "bare LF in a value", "GET ~ HTTP/1.1|Host: HOST|X: y\nContent-Length: 3||", &[400]),
    ("9110 5.5", "DEL in a value", "GET ~ HTTP/1.1|Host: HOST|X: y\u{7f}||", &[400]),
    ("9110 5.5", "an escape in a value", "GET ~ HTTP/1.1|Host: HOST|X: \u{1b}[2J||", &[400]),
    ("9110 5.5", "a form feed in a value", "GET ~ HTTP/1.1|Host: HOST|X: \u{c}y||", &[400]),
    ("9110 5.5", "high bytes and tabs in a value", "GET ~ HTTP/1.1|Host: HOST|X: \u{c3}\u{a9}\ty|Connection: close||", &[200]),
    ("9112 5.2", "a folded value", "GET ~ HTTP/1.1|Host: HOST|X: y| z||", &[400]),
    ("9112 5.2", "a value folded with a tab", "GET ~ HTTP/1.1|Host: HOST|X: y|\tz||", &[400]),
    ("9112 5.2", "a folded Host", "GET ~ HTTP/1.1|Host:| HOST||", &[400]),
    ("9112 5.2", "a line of spaces", "GET ~ HTTP/1.1|Host: HOST|X: y|  |Connection: close||", &[400]),
    ("9112 2.2", "bare LF after a field", "GET ~ HTTP/1.1|Host: HOST\n||", &[400]),
    ("9112 2.2", "bare LF for the empty line", "GET ~ HTTP/1.1|Host: HOST|\n", &[400]),
    ("9112 2.2", "LF LF at the end", "GET ~ HTTP/1.1|Host: HOST\n\n", &[400]),
    // --- hop by hop
    ("9110 7.6.1", "fields that Connection names", "GET ~ HTTP/1.1|Host: HOST|Connection: close, X-Hop|X-Hop: 1||", &[200]),
    ("9110 7.6.1", "Connection that names Host", "GET ~ HTTP/1.1|Host: HOST|Connection: close, host||", &[200]),
    ("9110 7.6.1", "Connection that names lengths", "POST ~ HTTP/1.1|Host: HOST|Connection: close, content-length|Content-Length: 2||hi", &[200]),
    ("9110 7.6.1", "Connection that is no list", "GET ~ HTTP/1.1|Host: HOST|Connection: close, (,\t,,||", &[200]),
    // --- Expect
    ("9110 10.1.1", "100-continue without waiting", "POST ~ HTTP/1.1|Host: HOST|Expect: 100-continue|Content-Length: 2|Connection: close||hi", &[200]),
    ("9110 10.1.1", "100-continue without a body", "GET ~ HTTP/1.1|Host: HOST|Expect: 100-continue|Connection: close||", &[200]),
    ("9110 10.1.1", "an expectation nobody knows", "GET ~ HTTP/1.1|Host: HOST|Expect: magic|Connection: close||", &[200]),
    ("9110 10.1.1", "100-continue in HTTP/1.0", "POST ~ HTTP/1.0|Host: HOST|Expect: 100-continue|Content-Length: 2||hi", &[200]),
    // --- Upgrade
    ("9113 3.1", "h2c", "GET ~ HTTP/1.1|Host: HOST|Connection: close, Upgrade, HTTP2-Settings|Upgrade: h2c|HTTP2-Settings: AAMAAABk||", &[200]),
    ("9110 7.8", "h2c among others", "GET ~ HTTP/1.1|Host: HOST|Connection: close, Upgrade|Upgrade: websocket, h2c||", &[200]),
    ("9110 7.8", "Upgrade not in Connection", "GET ~ HTTP/1.1|Host: HOST|Connection: close|Upgrade: websocket||", &[200]),
    ("9110 7.8", "Upgrade in HTTP/1.0", "GET ~ HTTP/1.0|Host: HOST|Connection: Upgrade|Upgrade: websocket||", &[200]),
    ("9110 7.8", "Upgrade with a body", "POST ~ HTTP/1.1|Host: HOST|Connection: close, Upgrade|Upgrade: websocket|Content-Length: 2||hi", &[200]),
];

#[test]
fn heads() {
    let world = World::new();
    world.play("head", LINES);

    // What of them the app must not hear, whoever asked.
    for (request, never) in [
        ("GET ~ HTTP/1.1|Host: HOST|Connection: close, X-Hop|X-Hop: 1||", "x-hop"),
        ("GET ~ HTTP/1.1|Host: HOST|Connection: close, Upgrade|Upgrade: h2c|HTTP2-Settings: AAMAAABk||", "h2c"),
        ("GET ~ HTTP/1.1|Host: HOST|Connection: close, Upgrade|HTTP2-Settings: AAMAAABk||", "http2-settings"),
        ("GET ~ HTTP/1.0|Host: HOST|Connection: Upgrade|Upgrade: websocket||", "websocket"),
        ("POST ~ HTTP/1.1|Host: HOST|Connection: close, Upgrade|Upgrade: websocket|Content-Length: 2||hi", "upgrade"),
        ("GET ~ HTTP/1.1|Host: HOST|Expect: magic|Connection: close||", "expect"),
        ("GET ~ HTTP/1.1|Host: HOST|X_Forwarded-For: 6.6.6.6|Connection: close||", "6.6.6.6"),
        ("GET ~ HTTP/1.1|Host: HOST|Steady-User: root|Connection: close||", "steady-user"),
        ("GET http://HOST~ HTTP/1.1|Host: HOST|Connection: close||", "http://"),
    ] {
        let path = format!("/never-{}x", never.replace(|c: char| !c.is_ascii_alphanumeric(), ""));
        assert!(world.talk(&world.bytes(request, &path), false).is_some(), "{request}");
        let got = world.got(&path);
        assert_eq!(got.len(), 1, "{request}");
        assert!(!got[0].to_ascii_lowercase().replace(&path, "").contains(never), "{request} became {:?}", got[0]);
    }
}

#[test]
fn heads_have_an_end() {
    let world = World::new();
    let long = "x".repeat(200_000);
    let many: String = (0..150).map(|n| format!("h{n}: v\r\n")).collect();
    for (what, request, status) in [
        ("an endless target", format!("GET ~{long} HTTP/1.1|Host: HOST||"), [400, 414, 431]),
        ("an endless field", format!("GET ~ HTTP/1.1|Host: HOST|X: {long}||"), [400, 431, 431]),
        ("an endless name", format!("GET ~ HTTP/1.1|Host: HOST|{long}: y||"), [400, 431, 431]),
        ("an endless method", format!("{long} ~ HTTP/1.1|Host: HOST||"), [400, 431, 431]),
        ("many fields", format!("GET ~ HTTP/1.1|Host: HOST|{many}|"), [431, 431, 431]),
    ] {
        let heard = world.talk(&world.bytes(&request, "/endx"), false).unwrap_or_default();
        // A reset may overtake the answer: much of the request was still on its way.
        let seen = super::world::statuses(&heard);
        assert!(seen.is_empty() || (seen.len() == 1 && status.contains(&seen[0])), "{what}: {seen:?}");
    }
    assert!(world.got("/endx").is_empty());
}
