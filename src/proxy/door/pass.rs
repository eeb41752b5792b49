//! The way through the door, in order: rate of the network, wall, maintenance, rate of the app, requests at once. Whoever is
//! not let in gets the answer that says why.
use std::sync::Arc;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::header::{HeaderValue, SET_COOKIE};
use hyper::{Request, Response};

use super::super::route::{Route, Target};
use super::super::trouble::{Asker, Refusal};
use super::super::{Proxy, Visit};
use super::gcra::Rate;
use super::held::{held, keep_private};
use super::meter::Place;
use super::traffic::Met;
use super::wall::Visitor;
use super::{Door, Maintenance, Page, User, ask, clients};
use crate::base::{Error, Kind};
use crate::http::problem::{self, Detail, Link};
use crate::runner::AppKey;

/// Seconds after which it is worth looking again.
const RETRY: u32 = 120;

/// Let in: what the response owes to the door.
pub(in super::super) struct Passed {
    place: Option<Place>,
    private: bool,
    cookie: Option<HeaderValue>,
}

impl Passed {
    pub(in super::super) fn finish(self, response: Response<Body>) -> Response<Body> {
        let mut response = response.map(|body| held(body, self.place));
        if self.private {
            keep_private(response.headers_mut());
        }
        if let Some(cookie) = self.cookie {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }
}

impl Proxy {
    /// Errors: the answer in the app's place, already in the request log.
    pub(in super::super) async fn pass(
        &self,
        door: &Door,
        visit: &Visit,
        route: &Arc<Route>,
        request: &mut Request<Incoming>,
    ) -> Result<Passed, Box<Response<Body>>> {
        let no = |refusal: Refusal| Box::new(self.turned_away(refusal, door, visit, route, request));
        let elapsed = self.keeper().elapsed();
        if let Some(per_second) = door.traffic.client {
            let who = (door.app, clients::network(visit.visitor.peer));
            let rate = Rate::per_second(per_second);
            if let Err(wait) = self.keeper().clients.take(who, rate, elapsed) {
                return Err(no(self.met(Met::Client { per_second, wait }, door, visit, route)));
            }
        }
        let visitor = Visitor {
            keeper: self.keeper(),
            door,
            route,
            asker: self.asker(visit),
            peer: visit.visitor.peer,
            scheme: &visit.visitor.scheme,
            home: ask::home(&visit.visitor.host, &self.0.options.apps_host),
            now: self.0.clock.now(),
        };
        let entered = match visitor.enter(request).await {
            Ok(entered) => entered,
            Err(refusal) => return Err(Box::new(self.turned_away(*refusal, door, visit, route, request))),
        };
        let no = |refusal: Refusal| Box::new(self.turned_away(refusal, door, visit, route, request));
        if let Some(maintenance) = door.maintenance.as_ref().filter(|_| !entered.bypass) {
            return Err(no(down(&self.asker(visit), door, maintenance, &visitor)));
        }
        if let Some(per_second) = door.traffic.app
            && let Err(wait) = door.meter.take(Rate::per_second(per_second), elapsed)
        {
            return Err(no(self.met(Met::App { per_second, wait }, door, visit, route)));
        }
        let place = match door.traffic.at_once.map(|most| (most, door.meter.enter(most))) {
            Some((most, None)) => return Err(no(self.met(Met::AtOnce { most }, door, visit, route))),
            Some((_, place)) => place,
            None => None,
        };
        if let Some(user) = entered.user {
            request.extensions_mut().insert(User(user));
        }
        Ok(Passed { place, private: !door.wall.is_public(), cookie: entered.cookie })
    }

    /// A limit was met: 429, and now and then a line in the app's log.
    fn met(&self, met: Met, door: &Door, visit: &Visit, route: &Route) -> Refusal {
        if let Some(key) = key_of(route)
            && door.meter.worth_a_remark(met.name(), self.0.clock.now())
            && let Some(logs) = self.0.runner.logs(key)
        {
            logs.remark(&route.version, &met.remark());
        }
        met.refusal(&self.asker(visit))
    }

    /// Into the request log, unless many were turned away this second: then the next line speaks for them.
    fn turned_away(
        &self,
        refusal: Refusal,
        door: &Door,
        visit: &Visit,
        route: &Arc<Route>,
        request: &Request<Incoming>,
    ) -> Response<Body> {
        let Some(key) = key_of(route) else { return refusal.response };
        if let Some(more) = door.meter.refused(self.0.clock.now()) {
            let mut journal = self.journal(visit, route, key, request);
            match more {
                0 => journal.refused(refusal.response.status(), refusal.stage),
                more => {
                    journal.refused(refusal.response.status(), &format!("{}, and {more} more refused", refusal.stage));
                }
            }
        }
        refusal.response
    }
}

fn key_of(route: &Route) -> Option<&AppKey> {
    match &route.target {
        Target::App { key, .. } | Target::Static { key, .. } => Some(key),
        Target::Moved { .. } | Target::Same { .. } | Target::Elsewhere { .. } | Target::Empty => None,
    }
}

/// The app's own page, or Steady's with the owner's words and their way in.
fn down(asker: &Asker<'_>, door: &Door, maintenance: &Maintenance, visitor: &Visitor<'_>) -> Refusal {
    let error = Error::new(Kind::Busy, "this app is down for maintenance");
    let error = match maintenance.text.trim() {
        "" => error.hint("It will be back; try again later."),
        text => error.hint(text),
    };
    let href = visitor.home.as_ref().map(|home| format!("{}://{home}/?{}", visitor.scheme, ask::ENTER));
    let link = href.as_deref().map(|href| Link { href, text: "Visit it all the same, as its owner" });
    let detail = Detail { retry_after: Some(RETRY), link, ..Detail::default() };
    let mut response = problem::page_with(&error, asker.request_id, asker.accept, &detail);
    if let Some(page) = door.pages.maintenance.as_ref().filter(|_| Page::wanted(asker.accept)) {
        response = page.instead_of(&response, asker.request_id);
    }
    Refusal { stage: "maintenance", response }
}
