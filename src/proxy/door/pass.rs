//! The way through the door, in order: whoever is not let in gets the answer that says why.
use std::sync::Arc;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};

use super::super::route::{Route, Target};
use super::super::trouble::{Asker, Refusal};
use super::super::{Proxy, Visit, refuse};
use super::{Door, Maintenance, Page};
use crate::base::{Error, Kind};
use crate::http::problem::{self, Detail};

/// Seconds after which it is worth looking again.
const RETRY: u32 = 120;

impl Proxy {
    /// `None`: it may pass.
    pub(in super::super) fn stop(
        &self,
        door: &Door,
        visit: &Visit,
        route: &Arc<Route>,
        request: &Request<Incoming>,
    ) -> Option<Response<Body>> {
        let maintenance = door.maintenance.as_ref()?;
        let refusal = down(&self.asker(visit), door, maintenance);
        Some(match &route.target {
            Target::App { key, .. } | Target::Static { key, .. } => {
                refuse(refusal, self.journal(visit, route, key, request))
            }
            Target::Moved { .. } | Target::Empty => refusal.response,
        })
    }
}

/// The app's own page, or Steady's with the owner's words.
fn down(asker: &Asker<'_>, door: &Door, maintenance: &Maintenance) -> Refusal {
    let error = Error::new(Kind::Busy, "this app is down for maintenance");
    let error = match maintenance.text.trim() {
        "" => error.hint("It will be back; try again later."),
        text => error.hint(text),
    };
    let detail = Detail { retry_after: Some(RETRY), ..Detail::default() };
    let mut response = problem::page_with(&error, asker.request_id, asker.accept, &detail);
    if let Some(page) = door.pages.maintenance.as_ref().filter(|_| Page::wanted(asker.accept)) {
        response = page.instead_of(&response, asker.request_id);
    }
    debug_assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    Refusal { stage: "maintenance", response }
}
