//! The head of an app's response, read, judged, and written anew for the client. Pure: what is plain is copied, and
//! about everything else the rules of [`head`] decide.
use std::mem::MaybeUninit;

use hyper::ext::ReasonPhrase;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY, TRAILER,
    TRANSFER_ENCODING,
};
use hyper::http::response;
use hyper::{Response, StatusCode, Version};

use super::ask::lowered;
use crate::base::Result;
use crate::http::serve;
use crate::proxy::cookie;
use crate::proxy::head::{self, Fate, MAX_RESPONSE_HEAD, REQUEST_ID, response_fate};

/// Fields of a head.
const MOST_FIELDS: usize = 100;
/// Bytes of a field's name that can be looked at here.
const LONGEST_NAME: usize = 64;

/// Where a response's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    Sized(u64),
    Chunked,
    /// With the connection.
    ToEnd,
}

#[derive(Debug)]
pub enum Heard {
    /// It is not complete.
    Part,
    /// It is no response.
    Nothing,
    /// One before the response, of so many bytes.
    Interim {
        head: usize,
    },
    Head(Answer),
    /// It changes the protocol. Nobody asked for that in this lane.
    Unasked,
    /// A response that is not passed on.
    Refused(crate::base::Error),
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub framing: Framing,
    /// The connection can be used again.
    pub keep: bool,
    /// It is a stream of events, which has no end of its own.
    pub events: bool,
    /// The head's bytes.
    pub head: usize,
    pub cookies_dropped: usize,
}

/// What a response is made for.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub is_head: bool,
    pub request_id: &'a str,
    /// What stands after the app's label in its host.
    pub parent: Option<&'a str>,
    /// Now, for apps that do not say when.
    pub date: &'a str,
    /// More fields, as they are sent.
    pub says: &'a [u8],
    /// The client's connection ends with this.
    pub last: bool,
}

/// Reads the head at the beginning of `bytes`; when there is a whole one, the client's is added to `out`.
pub fn read(bytes: &[u8], context: &Context<'_>, out: &mut Vec<u8>) -> Heard {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut raw = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut raw, bytes, &mut fields);
    let head = match parsed {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Heard::Part,
        Err(_) => return Heard::Nothing,
    };
    let Some(status) = raw.code.and_then(|code| StatusCode::from_u16(code).ok()) else { return Heard::Nothing };
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return Heard::Interim { head };
    }
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Heard::Unasked;
    }
    let start = out.len();
    if head <= MAX_RESPONSE_HEAD
        && let Some((framing, keep)) = copy(&raw, status, context, out)
    {
        let events = is_events(&raw);
        return Heard::Head(Answer { status, framing, keep, events, head, cookies_dropped: 0 });
    }
    out.truncate(start);
    judge(&raw, status, head, context, out)
}

/// A head of which every field stands for itself. `None`: it is not like that.
fn copy(
    raw: &httparse::Response<'_, '_>,
    status: StatusCode,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) -> Option<(Framing, bool)> {
    if raw.version != Some(1) {
        return None;
    }
    start(out, status, raw.reason);
    let (mut length, mut chunked, mut keep, mut dated) = (None, false, true, false);
    for field in raw.headers.iter() {
        let mut lower = [0; LONGEST_NAME];
        let lower = lowered(field.name.as_bytes(), &mut lower)?;
        match (response_fate(lower), lower) {
            (Fate::Drop, _) => continue,
            (Fate::Pass, _) => dated |= lower == b"date",
            (Fate::Judge, b"content-length") if length.is_none() => {
                length = Some(digits(field.value)?);
                continue;
            }
            (Fate::Judge, b"transfer-encoding") if !chunked => {
                chunked = field.value.eq_ignore_ascii_case(b"chunked").then_some(true)?;
                continue;
            }
            (Fate::Judge, b"connection") if field.value.eq_ignore_ascii_case(b"keep-alive") => continue,
            (Fate::Judge, b"connection") if field.value.eq_ignore_ascii_case(b"close") => {
                keep = false;
                continue;
            }
            (Fate::Judge, b"set-cookie") if cookie::names_no_domain(field.value) => {}
            (Fate::Judge, _) => return None,
        }
        line(out, lower, field.value);
    }
    let framing = match (is_bodiless(status, context.is_head), length, chunked) {
        (_, Some(_), true) => return None,
        (true, length, _) => {
            // What a GET would have said.
            let said = length.filter(|_| context.is_head && may_say_length(status));
            said.into_iter().for_each(|length| say_length(out, length));
            Framing::None
        }
        (false, Some(length), false) => Framing::Sized(length),
        (false, None, true) => Framing::Chunked,
        (false, None, false) => Framing::ToEnd,
    };
    finish(out, framing, dated, context);
    Some((framing, keep))
}

/// Any other head, by the rules that hold for all.
fn judge(
    raw: &httparse::Response<'_, '_>,
    status: StatusCode,
    head: usize,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) -> Heard {
    let Some(mut parts) = parts(raw, status) else { return Heard::Nothing };
    let Some(framing) = framing(&parts, context.is_head) else { return Heard::Nothing };
    let keep = keeps(&parts);
    let cookies_dropped = match rewrite(&mut parts, context) {
        Ok(dropped) => dropped,
        Err(error) => return Heard::Refused(error),
    };
    // What an app says of its own transport counts.
    let says = if parts.headers.contains_key(STRICT_TRANSPORT_SECURITY) { &[] } else { context.says };
    let context = &Context { says, ..*context };
    let given = parts.headers.remove(CONTENT_LENGTH);
    if framing == Framing::None {
        parts.headers.remove(TRAILER);
    }
    start(out, status, raw.reason);
    for (name, value) in parts.headers.iter().filter(|(name, _)| *name != REQUEST_ID) {
        line(out, name.as_str().as_bytes(), value.as_bytes());
    }
    if framing == Framing::None && context.is_head && may_say_length(status) {
        given.iter().for_each(|length| line(out, b"content-length", length.as_bytes()));
    }
    finish(out, framing, parts.headers.contains_key(DATE), context);
    Heard::Head(Answer { status, framing, keep, events: is_events(raw), head, cookies_dropped })
}

fn rewrite(parts: &mut response::Parts, context: &Context<'_>) -> Result<usize> {
    head::to_client(parts, context.request_id, context.parent)
}

fn parts(raw: &httparse::Response<'_, '_>, status: StatusCode) -> Option<response::Parts> {
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = status;
    parts.version = if raw.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    for field in raw.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        parts.headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    let reason = raw.reason.and_then(|reason| ReasonPhrase::try_from(reason.as_bytes()).ok());
    reason.into_iter().for_each(|reason| {
        parts.extensions.insert(reason);
    });
    Some(parts)
}

/// RFC 9112 section 6.3. `None`: nobody can tell.
fn framing(parts: &response::Parts, is_head: bool) -> Option<Framing> {
    let codings = parts.headers.get_all(TRANSFER_ENCODING);
    if is_bodiless(parts.status, is_head) {
        return Some(Framing::None);
    }
    if let Some(last) = codings.iter().next_back() {
        let last = last.as_bytes().rsplit(|b| *b == b',').next().unwrap_or_default();
        let chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        let framing = if chunked { Framing::Chunked } else { Framing::ToEnd };
        return (parts.version == Version::HTTP_11).then_some(framing);
    }
    let mut length = None;
    for value in list(&parts.headers, &CONTENT_LENGTH) {
        let said = digits(value)?;
        if length.is_some_and(|before| before != said) {
            return None;
        }
        length = Some(said);
    }
    Some(length.map_or(Framing::ToEnd, Framing::Sized))
}

fn is_events(raw: &httparse::Response<'_, '_>) -> bool {
    let kind = raw.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-type"));
    kind.is_some_and(|kind| kind.value.starts_with(serve::EVENTS))
}

fn is_bodiless(status: StatusCode, is_head: bool) -> bool {
    is_head || !may_say_length(status)
}

fn may_say_length(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn keeps(parts: &response::Parts) -> bool {
    let says = |token: &[u8]| list(&parts.headers, &CONNECTION).any(|said| said.eq_ignore_ascii_case(token));
    !says(b"close") && (parts.version == Version::HTTP_11 || says(b"keep-alive"))
}

fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers.get_all(name).iter().flat_map(|line| line.as_bytes().split(|b| *b == b',')).map(<[u8]>::trim_ascii)
}

fn digits(value: &[u8]) -> Option<u64> {
    let plain = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| plain)?.parse().ok()
}

fn start(out: &mut Vec<u8>, status: StatusCode, reason: Option<&str>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason.unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What stands at the end of every head.
fn finish(out: &mut Vec<u8>, framing: Framing, dated: bool, context: &Context<'_>) {
    match framing {
        Framing::None => {}
        Framing::Sized(length) => say_length(out, length),
        Framing::Chunked | Framing::ToEnd => line(out, b"transfer-encoding", b"chunked"),
    }
    if !dated {
        line(out, b"date", context.date.as_bytes());
    }
    if context.last {
        line(out, b"connection", b"close");
    }
    line(out, REQUEST_ID.as_bytes(), context.request_id.as_bytes());
    out.extend_from_slice(context.says);
    out.extend_from_slice(b"\r\n");
}

fn say_length(out: &mut Vec<u8>, length: u64) {
    line(out, b"content-length", length.to_string().as_bytes());
}

/// Writes one field.
pub fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
