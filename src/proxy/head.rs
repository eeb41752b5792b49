//! What becomes of the heads of a request and of its response on their way through. Pure.
use std::borrow::Cow;
use std::net::IpAddr;

use hyper::header::{
    self, ALT_SVC, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
    UPGRADE,
};
use hyper::http::{request, response};
use hyper::{Method, StatusCode, Uri, Version};

use super::{cookie, door};
use crate::base::{Error, Result};

/// What an app is told about its visitor. Nothing in it comes from headers but the host.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub request_id: String,
    pub peer: IpAddr,
    /// As the client named it, with its port.
    pub host: String,
    /// `http` or `https`
    pub scheme: String,
}

/// The name of one request, said to the app and to the client.
pub const REQUEST_ID: &str = "x-request-id";

/// Bytes of names and values a response head may have.
pub const MAX_RESPONSE_HEAD: usize = 64 << 10;

/// Valid between two neighbours only (RFC 9110 section 7.6.1). `Trailer` stays: trailers are passed on.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What becomes of a field on its way through, by its name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on as it is.
    Pass,
    /// It does not go on.
    Drop,
    /// It means something to Steady: what becomes of it, other parts of the head decide too.
    Judge,
}

/// A request's field on its way to the app. The name is in lower case.
pub fn request_fate(name: &[u8]) -> Fate {
    match name {
        b"host" | b"content-length" | b"expect" | b"cookie" => Fate::Judge,
        _ if is_hop(name) => Fate::Judge,
        _ => std::str::from_utf8(name).map_or(Fate::Judge, |name| if is_claim(name) { Fate::Drop } else { Fate::Pass }),
    }
}

/// A response's field on its way to the client. The name is in lower case.
pub fn response_fate(name: &[u8]) -> Fate {
    match name {
        b"content-length" | b"transfer-encoding" | b"connection" | b"trailer" => Fate::Judge,
        b"set-cookie" | b"clear-site-data" | b"strict-transport-security" => Fate::Judge,
        _ if is_hop(name) => Fate::Drop,
        _ => std::str::from_utf8(name).map_or(Fate::Judge, |name| if is_ours(name) { Fate::Drop } else { Fate::Pass }),
    }
}

/// What every app is told of the client, but the request's id.
pub fn told<'a>(peer: IpAddr, host: &'a str, scheme: &'a str) -> [(&'static str, Cow<'a, str>); 4] {
    [
        ("host", host.into()),
        ("x-forwarded-for", peer.to_canonical().to_string().into()),
        ("x-forwarded-host", host.into()),
        ("x-forwarded-proto", scheme.into()),
    ]
}

/// Rewrites a request's head for the app. Returns the protocol to upgrade to, if the client asked for one.
/// Errors: `BadInput` when the target is not something an app can be asked for.
pub fn to_app(parts: &mut request::Parts, visitor: &Visitor, has_body: bool) -> Result<Option<HeaderValue>> {
    let target = match parts.uri.path_and_query() {
        _ if parts.method == Method::CONNECT => None,
        Some(path) if path.as_str().starts_with('/') => Some(Uri::from(path.clone())),
        // `http://host?query`, as only HTTP/1 may write it: the path is empty, which means the slash.
        Some(path) if path.as_str().starts_with('?') && parts.uri.authority().is_some() => {
            format!("/{}", path.as_str()).parse().ok().filter(|_| parts.version < Version::HTTP_2)
        }
        Some(path) if path.as_str() == "*" && parts.method == Method::OPTIONS => Some(Uri::from_static("*")),
        _ => None,
    };
    parts.uri = target.ok_or_else(|| {
        Error::bad_input("this kind of request cannot be sent to an app")
            .hint("Ask for a path that begins with a slash, with any method but CONNECT.")
    })?;
    let upgrade = if has_body { None } else { upgrade(parts) };
    let trailers = values(&parts.headers, &TE).any(|token| token.eq_ignore_ascii_case(b"trailers"));
    strip_hops(&mut parts.headers);
    strip_claims(&mut parts.headers);
    parts.headers.remove(header::EXPECT); // answered by Steady when the app begins to read
    // How long the body is, only the body knows: the client of the app's side writes what is true.
    if parts.headers.remove(CONTENT_LENGTH).is_some() && !has_body {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    join_cookies(&mut parts.headers);
    door::cookie::strip(&mut parts.headers);
    parts.version = Version::HTTP_11;

    let headers = &mut parts.headers;
    for (name, said) in told(visitor.peer, &visitor.host, &visitor.scheme) {
        headers.insert(name, value(&said)?);
    }
    headers.insert(REQUEST_ID, value(&visitor.request_id)?);
    if let Some(door::User(name)) = parts.extensions.get() {
        headers.insert("x-steady-user", value(name)?);
    }
    if let Some(protocol) = &upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    } else if trailers {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    Ok(upgrade)
}

/// Rewrites a response's head for the client. `parent` is what stands after the app's label in its host.
/// Returns how many cookies were removed because they were meant for other apps too.
/// Errors: `App` when the head is larger than [`MAX_RESPONSE_HEAD`], or not clear about where the body ends.
pub fn to_client(parts: &mut response::Parts, request_id: &str, parent: Option<&str>) -> Result<usize> {
    let size: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if size > MAX_RESPONSE_HEAD {
        return Err(Error::app("the app's response headers are too large")
            .hint(format!("They may have {} KiB together.", MAX_RESPONSE_HEAD >> 10)));
    }
    if !one_length(parts) {
        return Err(Error::app("the app's response says its length in two ways"));
    }
    let upgrade = parts.headers.get(UPGRADE).cloned();
    strip_hops(&mut parts.headers);
    remove_where(&mut parts.headers, |name| is_ours(name.as_str()));
    parts.headers.insert(REQUEST_ID, value(request_id)?);
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.extend(upgrade.map(|protocol| (UPGRADE, protocol)));
    }
    parts.version = Version::HTTP_11;
    let Some(parent) = parent else { return Ok(0) };
    keep_cookies_of_others(&mut parts.headers);
    Ok(cookie::drop_shared(&mut parts.headers, parent))
}

/// Whether there is one way to read where the body ends: `chunked` or a length, not both and nothing else. Anything
/// else is how responses are split (RFC 9112 section 6.1).
fn one_length(parts: &response::Parts) -> bool {
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    match codings.next() {
        None => true,
        Some(coding) => {
            let only = codings.next().is_none() && !parts.headers.contains_key(CONTENT_LENGTH);
            only && coding.as_bytes().eq_ignore_ascii_case(b"chunked") && parts.version == Version::HTTP_11
        }
    }
}

/// `Clear-Site-Data: "cookies"` clears those of the whole registrable domain: other apps' and the editor's.
fn keep_cookies_of_others(headers: &mut HeaderMap) {
    let name = HeaderName::from_static("clear-site-data");
    if values(headers, &name).any(|kind| matches!(kind, b"\"cookies\"" | b"\"*\"")) {
        let rest: Vec<&[u8]> = [b"\"cache\"".as_slice(), b"\"storage\"", b"\"executionContexts\""]
            .into_iter()
            .filter(|kind| values(headers, &name).any(|asked| asked == *kind || asked == b"\"*\""))
            .collect();
        let rest = HeaderValue::from_bytes(&rest.join(b", ".as_slice())).ok().filter(|rest| !rest.is_empty());
        headers.remove(&name);
        headers.extend(rest.map(|rest| (name, rest)));
    }
}

/// The protocol a client wants to change to. Those that would carry more HTTP past the proxy are not offered.
fn upgrade(parts: &request::Parts) -> Option<HeaderValue> {
    let asked = values(&parts.headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case(b"upgrade"));
    let mut protocols = parts.headers.get_all(UPGRADE).iter();
    let protocol = protocols.next()?;
    let single = protocols.next().is_none() && !protocol.as_bytes().contains(&b',');
    let name = protocol.as_bytes().to_ascii_lowercase();
    let is_http = [b"h2".as_slice(), b"http", b"tls"].iter().any(|prefix| name.starts_with(prefix));
    let right = asked && single && !is_http && parts.version == Version::HTTP_11 && parts.method == Method::GET;
    right.then(|| protocol.clone())
}

/// Removes hop-by-hop headers and whatever `Connection` names.
fn strip_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> =
        values(headers, &CONNECTION).filter_map(|token| HeaderName::from_bytes(token).ok()).collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Trailers arrive when the head has long been judged: they may say no more than it.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    strip_hops(trailers);
    strip_claims(trailers);
    for name in [HOST, CONTENT_LENGTH, COOKIE, header::AUTHORIZATION, header::SET_COOKIE] {
        trailers.remove(name);
    }
}

/// Removes what only a trusted proxy may say.
fn strip_claims(headers: &mut HeaderMap) {
    remove_where(headers, |name| is_claim(name.as_str()));
}

fn is_hop(name: &[u8]) -> bool {
    HOP_BY_HOP.iter().any(|hop| hop.as_str().as_bytes() == name)
}

/// What only a trusted proxy may say. `_` counts as `-`: some frameworks fold the two.
fn is_claim(name: &str) -> bool {
    if name.contains('_') {
        return is_claim(&name.replace('_', "-"));
    }
    name.starts_with("x-forwarded")
        || name.starts_with("steady-")
        || name.starts_with("x-steady-")
        || matches!(name, "forwarded" | "x-real-ip" | REQUEST_ID)
}

/// What no app may say: Alt-Svc would lead visitors past Steady, and the request id is ours.
fn is_ours(name: &str) -> bool {
    name == ALT_SVC.as_str() || name == REQUEST_ID || name.starts_with("steady-")
}

fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// HTTP/2 may split cookies over several lines; HTTP/1.1 may not (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(b"; ".as_slice())) {
        headers.insert(COOKIE, joined);
    }
}

/// The members of a list header, over all its lines.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers.get_all(name).iter().flat_map(|line| line.as_bytes().split(|b| *b == b',')).map(<[u8]>::trim_ascii)
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| Error::bad_input("the host name has characters it cannot have"))
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
