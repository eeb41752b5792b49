//! What is said in a sleeping app's place.
use axum::body::Body;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};

use super::super::route::Route;
use super::super::trouble::{Asker, Refusal};
use super::{Caller, Treatment};
use crate::base::{Error, Kind, Millis};
use crate::http::problem::{self, Detail};

/// `Ok` when the sleeping app is to be woken, with the place to learn about if there is one; otherwise the answer.
pub fn turn_away<B>(
    asker: &Asker<'_>,
    route: &Route,
    now: Millis,
    request: &Request<B>,
) -> Result<Option<usize>, Box<Refusal>> {
    if route.draft || route.manners.wakes_for_all {
        return Ok(None);
    }
    let caller = Caller { method: request.method(), path: request.uri().path(), headers: request.headers() };
    let mut response = match route.sleeper.treat(caller.verdict(&route.health), now) {
        Treatment::Wake(place) => return Ok(place),
        Treatment::Up => up(),
        Treatment::Missing => {
            let error = Error::not_found("there is nothing here that this app would be woken for")
                .hint("It is asleep. A visitor to any of its pages wakes it.");
            page(asker, route, &error, None)
        }
        Treatment::Later(seconds) => {
            let error = Error::new(Kind::Busy, "this app is asleep, and was woken for a robot a while ago")
                .hint(format!("Come again in {seconds} seconds."));
            page(asker, route, &error, Some(seconds))
        }
    };
    response.headers_mut().insert("x-steady", HeaderValue::from_static("asleep"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Err(Box::new(Refusal { stage: "asleep", response }))
}

fn up() -> Response<Body> {
    let mut response = Response::new(Body::from("asleep: the next visitor wakes this app\n"));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn page(asker: &Asker<'_>, route: &Route, error: &Error, retry_after: Option<u32>) -> Response<Body> {
    let detail = Detail { stage: Some("asleep"), project: Some(&route.project), retry_after, ..Detail::default() };
    problem::page_with(error, asker.request_id, asker.accept, &detail)
}
