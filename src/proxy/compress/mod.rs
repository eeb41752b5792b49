//! Responses that an app did not compress, compressed on their way to whoever can read that.
//!
//! A page that holds a secret and repeats what a visitor wrote can be made to give the secret away by its compressed
//! length (BREACH). Steady cannot see which pages those are; `"compress": false` in steady.json is for their apps.
pub mod accept;
pub mod body;
pub mod encode;
pub mod kind;

use axum::body::Body;
use hyper::body::Body as _;
use hyper::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY,
};
use hyper::{Method, Request, Response, StatusCode};

pub use accept::Coding;
use body::{Compressed, Place};
use encode::Encoder;

/// Bytes; smaller bodies hardly shrink, and fit into one packet anyway.
const LEAST: u64 = 1024;

/// Headers that say what the bytes of the body are: they would be wrong about other bytes.
const SUMS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// Whether a client that sends this `Accept-Encoding` line reads any coding that Steady writes. What passes requests on
/// without looking at responses asks this first.
pub fn may_compress(accept_encoding: &[u8]) -> bool {
    accept::best(std::iter::once(accept_encoding), &Coding::FAST).is_some()
}

/// Whether a response with this head is worth compressing, and may be. `headers`: every name, in any case, and value.
pub fn fits<'a>(status: u16, headers: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> bool {
    if matches!(status, 0..=199 | 204 | 205 | 206 | 304) {
        return false;
    }
    let mut shrinks = false;
    for (name, value) in headers {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let never = match name.len() {
            12 if is("content-type") => {
                shrinks = kind::shrinks(value);
                !shrinks
            }
            14 if is("content-length") => number(value).is_none_or(|length| length < LEAST),
            16 if is("content-encoding") => !value.trim_ascii().eq_ignore_ascii_case(b"identity"),
            13 if is("cache-control") => holds(value, "no-transform"),
            13 if is("content-range") => true,
            _ => SUMS.iter().any(|sum| is(sum)),
        };
        if never {
            return false;
        }
    }
    shrinks
}

/// What one request lets be done to its response.
pub struct Wish {
    coding: Coding,
    /// The body is never read.
    head: bool,
    /// The tags of what the client has.
    held: Option<HeaderValue>,
}

impl Wish {
    /// `None` when the response is to pass as it is.
    pub fn of<B>(request: &Request<B>) -> Option<Self> {
        let lines = request.headers().get_all(ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes);
        let coding = accept::best(lines, &Coding::FAST)?;
        let held = request.headers().get(IF_NONE_MATCH).cloned();
        Some(Self { coding, head: request.method() == Method::HEAD, held })
    }

    /// The response, compressed where that is worth it. The answer to `HEAD` has the same headers as to `GET`.
    pub fn grant(self, response: Response<Body>) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        if parts.status == StatusCode::NOT_MODIFIED {
            self.confirm(&mut parts.headers);
            return Response::from_parts(parts, body);
        }
        let headers = parts.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        if !fits(parts.status.as_u16(), headers) {
            return Response::from_parts(parts, body);
        }
        if self.head {
            mark(&mut parts.headers, self.coding);
            return Response::from_parts(parts, body);
        }
        let Some(place) = Place::take() else { return Response::from_parts(parts, body) };
        match Encoder::fast(self.coding, body.size_hint().exact()) {
            Ok(encoder) => {
                mark(&mut parts.headers, self.coding);
                Response::from_parts(parts, Body::new(Compressed::new(body, encoder, place)))
            }
            Err(error) => {
                tracing::error!(%error, coding = self.coding.name(), "a response is sent uncompressed");
                Response::from_parts(parts, body)
            }
        }
    }

    /// What the client has was compressed by us if it has it under the weak form of the tag: it stays that.
    fn confirm(&self, headers: &mut HeaderMap) {
        let Some(tag) = headers.get(ETAG).map(HeaderValue::as_bytes).filter(|tag| !tag.starts_with(b"W/")) else {
            return;
        };
        let held = self.held.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
        let ours = |item: &[u8]| item.trim_ascii().strip_prefix(b"W/") == Some(tag);
        if held.split(|b| *b == b',').any(ours) {
            weaken(headers);
            vary(headers);
        }
    }
}

/// What the head of a compressed response says.
fn mark(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    weaken(headers);
    vary(headers);
}

/// The bytes are no longer those that the app's tag is for, only their meaning is.
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).map(HeaderValue::as_bytes).filter(|tag| !tag.starts_with(b"W/")) else { return };
    match HeaderValue::from_bytes(&[b"W/", tag].concat()) {
        Ok(weak) => headers.insert(ETAG, weak),
        Err(_) => headers.remove(ETAG),
    };
}

fn vary(headers: &mut HeaderMap) {
    let lines = headers.get_all(VARY).iter().map(HeaderValue::as_bytes);
    if !lines.into_iter().any(|line| holds(line, "accept-encoding") || holds(line, "*")) {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// Whether a list has this member.
fn holds(list: &[u8], member: &str) -> bool {
    list.split(|b| *b == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(member.as_bytes()))
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    const TEXT: (&str, &str) = ("content-type", "text/plain");

    fn request(method: &str, accept: &str, held: Option<&str>) -> Request<()> {
        let request = Request::builder().method(method).header("accept-encoding", accept);
        held.map(|held| ("if-none-match", held))
            .into_iter()
            .fold(request, |request, (name, value)| request.header(name, value))
            .body(())
            .unwrap()
    }

    fn response(status: u16, headers: &[(&str, &str)]) -> Response<Body> {
        let response = Response::builder().status(status);
        let response = headers.iter().fold(response, |response, (name, value)| response.header(*name, *value));
        response.body(Body::from("text ".repeat(1000))).unwrap()
    }

    fn header<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn a_compressed_response_says_so() {
        let own = [TEXT, ("content-length", "5000"), ("etag", "\"a\""), ("accept-ranges", "bytes"), ("vary", "origin")];
        for method in ["GET", "HEAD"] {
            let got = Wish::of(&request(method, "gzip, br", None)).unwrap().grant(response(200, &own));
            assert_eq!((header(&got, "content-encoding"), header(&got, "etag")), ("br", "W/\"a\""), "{method}");
            assert_eq!((header(&got, "content-length"), header(&got, "accept-ranges")), ("", ""), "{method}");
            let vary: Vec<_> = got.headers().get_all("vary").iter().collect();
            assert_eq!(vary, ["origin", "accept-encoding"]);
            let body = got.into_body().collect().await.unwrap().to_bytes();
            let plain = if method == "HEAD" { body.to_vec() } else { encode::tests::decode(Coding::Brotli, &body).0 };
            assert_eq!(plain.len(), 5000, "{method}");
        }
    }

    #[test]
    fn what_passes_as_it_is() {
        for (status, headers) in [
            (204, vec![TEXT]),
            (206, vec![TEXT]),
            (304, vec![TEXT]),
            (101, vec![TEXT]),
            (200, vec![]),
            (200, vec![("content-type", "image/png")]),
            (200, vec![("content-type", "text/event-stream")]),
            (200, vec![TEXT, ("content-length", "1023")]),
            (200, vec![TEXT, ("content-length", "x")]),
            (200, vec![TEXT, ("content-encoding", "gzip")]),
            (200, vec![TEXT, ("cache-control", "public, No-Transform")]),
            (200, vec![TEXT, ("content-range", "bytes 0-1/2")]),
            (200, vec![TEXT, ("repr-digest", "sha-256=:x:")]),
        ] {
            let bytes = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            assert!(!fits(status, bytes), "{status} {headers:?}");
            let got = Wish::of(&request("GET", "zstd", None)).unwrap().grant(response(status, &headers));
            assert_eq!(got.headers().len(), headers.len(), "{status} {headers:?}");
        }
        for (status, more) in
            [(200, ("Content-Length", "1024")), (404, ("CONTENT-ENCODING", "identity")), (200, ("vary", "*"))]
        {
            let bytes = [TEXT, more].map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            assert!(fits(status, bytes.into_iter()), "{status} {more:?}");
        }
        assert!(Wish::of(&request("GET", "identity", None)).is_none());
        assert!(may_compress(b"gzip, deflate") && !may_compress(b"deflate"));
    }

    #[test]
    fn what_a_client_has_compressed_stays_weak() {
        let own = [("etag", "\"a\"")];
        for (held, tag) in [("W/\"b\", W/\"a\"", "W/\"a\""), ("\"a\"", "\"a\""), ("*", "\"a\"")] {
            let got = Wish::of(&request("GET", "gzip", Some(held))).unwrap().grant(response(304, &own));
            assert_eq!(header(&got, "etag"), tag, "{held}");
            assert_eq!(header(&got, "vary").is_empty(), !tag.starts_with("W/"), "{held}");
        }
    }
}
