//! One request to an app and its response back, streamed both ways.
use std::sync::Arc;
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Incoming};
use hyper::header::{CONTENT_LENGTH, UPGRADE};
use hyper::http::response;
use hyper::{Method, Request, Response, StatusCode};

use super::body::{Fault, Inbound, Outbound, Watch};
use super::head::{self, Visitor};
use super::journal::Journal;
use super::upgrade;
use crate::base::{Error, Kind, Result, Tasks};

/// What bounds a request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_body: u64,
    pub head_timeout: Duration,
    pub idle_timeout: Duration,
}

/// Steady answers in the app's place.
#[derive(Debug)]
pub struct Failure {
    pub stage: &'static str,
    pub error: Error,
    /// Instead of the error's own.
    pub status: Option<StatusCode>,
}

impl Failure {
    pub fn new(stage: &'static str, error: Error) -> Self {
        Self { stage, error, status: None }
    }
}

/// A response on its way, and how many cookies were taken off it.
pub struct Forwarded {
    pub response: Response<Body>,
    pub cookies_dropped: usize,
}

/// Refuses at once what says of itself that it is too large, before any app is woken.
pub fn declared_size(headers: &hyper::HeaderMap, max: u64) -> Result<(), Failure> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse::<u64>().ok());
    match declared {
        Some(length) if length > max => Err(too_large(max)),
        _ => Ok(()),
    }
}

/// `send` reaches the app; it is called once. `parent` is what stands after the app's label in its host.
/// Whatever happens, the journal is written exactly once: here, by the response's body, or by the caller
/// who gets it back with the failure.
pub async fn forward<B, S, F, L>(
    mut request: Request<B>,
    visitor: &Visitor,
    parent: Option<&str>,
    limits: Limits,
    tasks: &Tasks,
    mut journal: Journal,
    send: S,
) -> Result<Forwarded, (Failure, Journal)>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
    S: FnOnce(Request<Body>) -> F,
    F: Future<Output = Result<(Response<Incoming>, L)>>,
    L: Send + Unpin + 'static,
{
    let client = hyper::upgrade::on(&mut request);
    let (mut parts, body) = request.into_parts();
    let is_head = parts.method == Method::HEAD;
    let has_body = !body.is_end_stream();
    let wanted = match head::to_app(&mut parts, visitor, has_body) {
        Ok(wanted) => wanted,
        Err(error) => return Err((Failure::new("request head", error), journal)),
    };
    let watch = Watch::new();
    let body = match has_body {
        true => {
            Body::new(Inbound::new(body, limits.max_body, limits.idle_timeout, Arc::clone(&watch), journal.bytes_in()))
        }
        false => Body::empty(),
    };
    let answer = send(Request::from_parts(parts, body));
    let (mut response, lease) = match answer_in_time(answer, &watch, limits).await {
        Ok(answer) => answer,
        Err(failure) => return Err((failure, journal)),
    };
    let app = hyper::upgrade::on(&mut response);
    let (mut parts, body) = response.into_parts();
    if let Err(failure) = agreed(&parts, wanted.as_ref().map(|protocol| protocol.as_bytes())) {
        return Err((failure, journal));
    }
    let cookies_dropped = match head::to_client(&mut parts, &visitor.request_id, parent) {
        Ok(count) => count,
        Err(error) => return Err((Failure::new("response head", error), journal)),
    };
    journal.answered(parts.status);
    let body = if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        upgrade::tunnel(tasks, client, app, limits.head_timeout, journal, lease);
        Body::empty()
    } else {
        let empty = is_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Body::new(Outbound::new(body, limits.idle_timeout, journal, lease, empty))
    };
    Ok(Forwarded { response: Response::from_parts(parts, body), cookies_dropped })
}

/// Waits for the response head. The time of an upload does not count, so long as it moves.
async fn answer_in_time<T>(
    answer: impl Future<Output = Result<T>>,
    watch: &Watch,
    limits: Limits,
) -> Result<T, Failure> {
    tokio::pin!(answer);
    // The body's own watch gives up on a silent client first, and says so.
    let patience = || match watch.is_waiting() {
        true => limits.idle_timeout + Duration::from_secs(1),
        false => limits.head_timeout,
    };
    loop {
        let left = patience().saturating_sub(watch.silence());
        let outcome = tokio::time::timeout(left, &mut answer).await;
        match (watch.fault(), outcome) {
            (_, Ok(Ok(answer))) => return Ok(answer),
            (Some(Fault::TooLarge), _) => return Err(too_large(limits.max_body)),
            (Some(Fault::Stalled), _) => return Err(stalled()),
            (Some(Fault::Broken), _) => return Err(broken()),
            (None, Ok(Err(error))) => return Err(Failure::new("app", error)),
            (None, Err(_)) if watch.silence() < patience() => {}
            (None, Err(_)) => return Err(silent(limits.head_timeout)),
        }
    }
}

/// An app may change the protocol only if the client asked for it, and only to that one.
fn agreed(parts: &response::Parts, wanted: Option<&[u8]>) -> Result<(), Failure> {
    if parts.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    let given = parts.headers.get(UPGRADE).map(|protocol| protocol.as_bytes());
    match (wanted, given) {
        (Some(wanted), Some(given)) if wanted.eq_ignore_ascii_case(given) => Ok(()),
        _ => Err(unasked()),
    }
}

/// The app answered 101 all the same.
pub fn unasked() -> Failure {
    Failure::new("upgrade", Error::app("the app changed to a protocol nobody asked for"))
}

fn too_large(max: u64) -> Failure {
    let error = Error::new(Kind::TooLarge, "the request's body is too large")
        .hint(format!("At most {} MiB are passed to an app.", max >> 20));
    Failure::new("request body", error)
}

fn stalled() -> Failure {
    let error = Error::new(Kind::TimedOut, "the request's body stopped arriving").hint("Send it again.");
    Failure { stage: "request body", error, status: Some(StatusCode::REQUEST_TIMEOUT) }
}

fn broken() -> Failure {
    let error = Error::bad_input("the request's body broke off").hint("Send it again.");
    Failure::new("request body", error)
}

/// The app did not answer in time.
pub fn silent(limit: Duration) -> Failure {
    let error = Error::new(Kind::TimedOut, format!("the app did not answer within {} s", limit.as_secs()))
        .hint("It may be busy or stuck; its log may tell.");
    Failure::new("response head", error)
}

#[cfg(test)]
#[path = "forward_tests.rs"]
mod tests;
