//! What visitors see in an app's place: which stage failed, the request's id, and a way on.
use axum::body::Body;
use hyper::{Response, StatusCode};

use super::door::Page;
use super::forward::Failure;
use super::route::Route;
use crate::base::{Error, Kind};
use crate::http::problem::{self, Detail, Link};
use crate::runner::{Admission, Crash};

/// Who asked, as far as a page needs it.
pub struct Asker<'a> {
    pub request_id: &'a str,
    pub accept: Option<&'a str>,
    pub editor_url: &'a str,
}

/// A page with its status and the stage for the request log.
pub struct Refusal {
    pub stage: &'static str,
    pub response: Response<Body>,
}

/// Nothing has this name.
pub fn unknown(asker: &Asker<'_>) -> Refusal {
    let error = Error::not_found("there is no app at this address").hint("Check the spelling of the address.");
    page(asker, None, Failure::new("route", error), None)
}

/// The name is taken, and nothing runs there yet.
pub fn empty(asker: &Asker<'_>, route: &Route) -> Refusal {
    let error = Error::not_found("nothing is deployed here yet")
        .hint("Its owner can press Deploy in the editor, or push the main branch with git.");
    page(asker, Some(route), Failure::new("route", error), None)
}

/// The request did not get past the gate. `None` for the one admission that is none of these.
pub fn not_admitted(asker: &Asker<'_>, route: &Route, admission: &Admission) -> Option<Refusal> {
    let (stage, error) = match admission {
        Admission::Go(_) => return None,
        Admission::Gone => ("gate", Error::not_found("this app is gone")),
        Admission::Full => (
            "gate",
            Error::new(Kind::Busy, "too many visitors are waiting for this app").hint("Try again in a moment."),
        ),
        Admission::Crowded { limit } => (
            "connections",
            Error::new(Kind::Busy, format!("too many connections: this app holds {limit} requests open at once"))
                .hint("Try again in a moment."),
        ),
        Admission::TimedOut { stage } => (
            *stage,
            Error::new(Kind::TimedOut, "this app took too long to become ready").hint("Try again in a moment."),
        ),
        Admission::Paused => ("gate", Error::new(Kind::Busy, "this app is paused").hint("Its owner can resume it.")),
        Admission::Crashed(crash) => {
            return Some(page(asker, Some(route), Failure::new("boot", crashed(route, crash)), Some(crash)));
        }
    };
    Some(page(asker, Some(route), Failure::new(stage, error), None))
}

/// The request got to the app and did not come back well.
pub fn failed(asker: &Asker<'_>, route: &Route, failure: Failure) -> Refusal {
    page(asker, Some(route), failure, None)
}

/// Only an author may know how and why: drafts say it, live apps never do.
fn crashed(route: &Route, crash: &Crash) -> Error {
    if route.draft {
        return Error::app(format!("this draft crashed: {}", crash.ending))
            .hint("Change the code and press Run again.");
    }
    Error::app("this app crashed").hint("Its owner finds the reason in its log, under this request's id.")
}

/// The app's own page for what went wrong in its place. Authors of drafts see the reason instead.
fn own_page<'a>(route: &'a Route, response: &Response<Body>, asker: &Asker<'_>) -> Option<&'a Page> {
    let fits = response.status().is_server_error() && !route.draft && Page::wanted(asker.accept);
    route.door.as_ref()?.pages.error.as_ref().filter(|_| fits)
}

fn page(asker: &Asker<'_>, route: Option<&Route>, failure: Failure, crash: Option<&Crash>) -> Refusal {
    let of_owner = matches!(failure.error.kind, Kind::App | Kind::TimedOut | Kind::Internal);
    let href = route.filter(|_| of_owner).map(|route| format!("{}/{}", asker.editor_url, route.project));
    let detail = Detail {
        stage: Some(failure.stage),
        project: route.map(|route| route.project.as_str()),
        link: href.as_deref().map(|href| Link { href, text: "The app's page, for its owner" }),
        tail: crash.filter(|_| route.is_some_and(|route| route.draft)).map_or(&[], |crash| &crash.tail),
        retry_after: None,
        editor: false,
    };
    let mut response = problem::page_with(&failure.error, asker.request_id, asker.accept, &detail);
    if let Some(status) = failure.status {
        *response.status_mut() = status;
    }
    if response.status() == StatusCode::REQUEST_TIMEOUT || response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        // What is left of the body is not read: the connection cannot be used again.
        response.headers_mut().insert("connection", hyper::header::HeaderValue::from_static("close"));
    }
    if let Some(page) = route.and_then(|route| own_page(route, &response, asker)) {
        response = page.instead_of(&response, asker.request_id);
    }
    Refusal { stage: failure.stage, response }
}
