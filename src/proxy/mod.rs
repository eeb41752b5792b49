//! The data plane: a table and a runner, nothing else. No SQL and no users on this path.
pub mod body;
pub mod compress;
pub mod cookie;
pub mod door;
pub mod express;
pub mod files;
pub mod forward;
pub mod head;
pub mod journal;
pub mod route;
pub mod trouble;
pub mod upgrade;
pub mod wake;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CACHE_CONTROL, HeaderValue, LOCATION};
use hyper::{Request, Response, StatusCode};

use crate::base::{Clock, Error, Millis, Tasks};
use crate::http::trust::Client;
use crate::http::{host, request_id};
use crate::runner::{Admission, AppKey, Runner};
use body::Outbound;
use door::{Judge, Keeper, Page};
use files::Folder;
use forward::{Failure, Forwarded, Limits};
use head::Visitor;
use journal::Journal;
pub use route::{Manners, Route, Routes, Target};
use trouble::{Asker, Refusal};

#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of request body; more is answered 413.
    pub max_body: u64,
    /// From request head (or the last byte of an upload) to response head.
    pub head_timeout: Duration,
    /// Silence on a streaming body, either way.
    pub idle_timeout: Duration,
    /// `http` or `https`: what apps are told the client used.
    pub scheme: String,
    /// Where the owner finds an app's page, for error pages. Without final slash.
    pub editor_url: String,
    /// What stands after an app's label, with the public port: `localhost:8080`.
    pub apps_host: String,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Proxy(Arc<Shared>);

struct Shared {
    routes: Routes,
    runner: Runner,
    clock: Clock,
    tasks: Tasks,
    options: Options,
    keeper: Keeper,
    /// When each app was last told of a cookie it lost: at most once a minute.
    remarked: Mutex<HashMap<AppKey, Millis>>,
}

/// One request, as far as all its fates need it.
struct Visit {
    visitor: Visitor,
    accept: Option<String>,
    /// What stands after the app's label in the host it was asked by.
    parent: Option<String>,
}

impl Proxy {
    /// `tasks` carries upgraded connections; they end when it is told to stop.
    pub fn new(
        routes: Routes,
        runner: Runner,
        clock: Clock,
        tasks: Tasks,
        options: Options,
        judge: Arc<dyn Judge>,
    ) -> Self {
        let keeper = Keeper::new(judge);
        Self(Arc::new(Shared { routes, runner, clock, tasks, options, keeper, remarked: Mutex::default() }))
    }

    fn keeper(&self) -> &Keeper {
        &self.0.keeper
    }

    /// Whether a label leads anywhere.
    pub fn has(&self, label: &str) -> bool {
        self.0.routes.get(label).is_some()
    }

    /// Answers one request for `label`. Never fails: errors become pages that name the stage and request id.
    pub async fn handle(&self, label: &str, client: &Client, request: Request<Incoming>) -> Response<Body> {
        let id = request_id();
        let named = host::requested(request.uri(), request.headers()).map(str::to_owned);
        let accept = request.headers().get(ACCEPT).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let parent = named.as_deref().and_then(|host| host::after_label(host, label)).map(str::to_owned);
        let scheme = client.scheme.unwrap_or(&self.0.options.scheme).to_owned();
        let visitor = Visitor { request_id: id, peer: client.ip, host: named.unwrap_or_default(), scheme };
        let visit = Visit { visitor, accept, parent };
        let mut response = self.answer(label, &visit, request).await;
        if let Ok(id) = HeaderValue::from_str(&visit.visitor.request_id) {
            response.headers_mut().insert("x-request-id", id);
        }
        response
    }

    async fn answer(&self, label: &str, visit: &Visit, request: Request<Incoming>) -> Response<Body> {
        let asker = self.asker(visit);
        if visit.visitor.host.is_empty() {
            let error = Error::bad_input("the request does not name one host");
            return crate::http::problem::page(&error, asker.request_id, asker.accept);
        }
        let Some(route) = self.0.routes.get(label) else { return trouble::unknown(&asker).response };
        let Some(door) = route.closed() else { return self.reply(visit, &route, request).await };
        let mut request = request;
        // Boxed, so that the many requests without a door do not carry its state.
        match Box::pin(self.pass(door, visit, &route, &mut request)).await {
            Ok(passed) => passed.finish(self.reply(visit, &route, request).await),
            Err(answer) => *answer,
        }
    }

    /// What the visitor gets, compressed where that helps.
    async fn reply(&self, visit: &Visit, route: &Arc<Route>, request: Request<Incoming>) -> Response<Body> {
        let wish = if route.manners.uncompressed { None } else { compress::Wish::of(&request) };
        let response = self.lead(visit, route, request).await;
        match wish {
            Some(wish) => wish.grant(response),
            None => response,
        }
    }

    /// To where a route leads.
    async fn lead(&self, visit: &Visit, route: &Arc<Route>, request: Request<Incoming>) -> Response<Body> {
        match &route.target {
            Target::Moved { to } => {
                let host = visit.parent.as_deref().map(|parent| format!("{to}.{parent}"));
                self.moved(host, visit, &request)
            }
            Target::Elsewhere { host } => self.moved(Some(beside(host, &visit.visitor.host)), visit, &request),
            // `Routes` has followed it already; what it led to went away in between.
            Target::Same { .. } => trouble::unknown(&self.asker(visit)).response,
            Target::Empty => trouble::empty(&self.asker(visit), route).response,
            Target::Static { key, root } => self.site(visit, route, key, root, request).await,
            Target::App { key, public } => {
                if let Some(public) = public
                    && !public.surely_lacks(request.uri().path())
                    && let Some(response) = self.file(visit, route, key, public, &request).await
                {
                    return response;
                }
                self.app(visit, route, key, request).await
            }
        }
    }

    /// Through the gate and to the app.
    async fn app(&self, visit: &Visit, route: &Arc<Route>, key: &AppKey, request: Request<Incoming>) -> Response<Body> {
        let asker = self.asker(visit);
        let mut journal = self.journal(visit, route, key, &request);
        let limits = self.limits();
        if let Err(failure) = forward::declared_size(request.headers(), limits.max_body) {
            return refuse(trouble::failed(&asker, route, failure), journal);
        }
        let mut rare = None;
        if self.0.runner.sleeps(key) {
            match wake::answer::turn_away(&asker, route, self.0.clock.now(), &request) {
                Ok(place) => rare = place,
                Err(refusal) => return refuse(*refusal, journal),
            }
        }
        let admission = self.0.runner.admit(key).await;
        if let Some(refusal) = trouble::not_admitted(&asker, route, &admission) {
            return refuse(refusal, journal);
        }
        let Admission::Go(upstream) = admission else {
            let failure = Failure::new("gate", Error::internal("an admission nobody knows"));
            return refuse(trouble::failed(&asker, route, failure), journal);
        };
        journal.admitted(&upstream.version, upstream.gate_us, upstream.boot_us);
        let version = upstream.version.clone();
        let send = |request| upstream.send(request);
        let parent = visit.parent.as_deref();
        match forward::forward(request, &visit.visitor, parent, limits, &self.0.tasks, journal, send).await {
            Ok(Forwarded { response, cookies_dropped }) => {
                if let Some(place) = rare {
                    route.sleeper.learn(place, response.status());
                }
                if cookies_dropped > 0 {
                    self.remark_cookie(key, &version);
                }
                response
            }
            Err((failure, journal)) => refuse(trouble::failed(&asker, route, failure), journal),
        }
    }

    /// A site of files alone: always answers.
    async fn site(
        &self,
        visit: &Visit,
        route: &Arc<Route>,
        key: &AppKey,
        root: &Folder,
        request: Request<Incoming>,
    ) -> Response<Body> {
        if let Some(response) = self.file(visit, route, key, root, &request).await {
            return response;
        }
        let journal = self.journal(visit, route, key, &request);
        let asker = self.asker(visit);
        let own = route.door.as_ref().and_then(|door| door.pages.missing.as_ref());
        if let Some(page) = own.filter(|_| files::readable(request.method()) && Page::wanted(asker.accept)) {
            return self.sent(page.response(StatusCode::NOT_FOUND, asker.request_id), journal, &request);
        }
        let failure = match files::missing(root, ask(&request)).await {
            Ok(Some(response)) => return self.sent(response, journal, &request),
            Ok(None) => Failure::new("files", Error::not_found("there is no such page here")),
            Err(error) => Failure::new("files", error),
        };
        refuse(trouble::failed(&asker, route, failure), journal)
    }

    /// A file below `root`, or `None` when there is none for this request.
    async fn file(
        &self,
        visit: &Visit,
        route: &Arc<Route>,
        key: &AppKey,
        root: &Folder,
        request: &Request<Incoming>,
    ) -> Option<Response<Body>> {
        // Begun before the look-up, so that its time counts; a miss writes nothing.
        let begun = Clock::stopwatch();
        let found = files::find(root, ask(request)).await.transpose()?;
        let mut journal = self.journal(visit, route, key, request);
        journal.began(begun);
        Some(match found {
            Ok(response) => self.sent(response, journal, request),
            Err(error) => refuse(trouble::failed(&self.asker(visit), route, Failure::new("files", error)), journal),
        })
    }

    /// Steady's own response, recorded when it has been sent.
    fn sent(&self, response: Response<Body>, mut journal: Journal, request: &Request<Incoming>) -> Response<Body> {
        journal.answered(response.status());
        let empty = request.method() == hyper::Method::HEAD || response.status() == StatusCode::NOT_MODIFIED;
        response.map(|body| Body::new(Outbound::new(body, self.0.options.idle_timeout, journal, (), empty)))
    }

    /// The same path on another host.
    fn moved(&self, host: Option<String>, visit: &Visit, request: &Request<Incoming>) -> Response<Body> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path } else { "/" };
        let scheme = &self.0.options.scheme;
        let location = host.map(|host| format!("{scheme}://{host}{path}"));
        let Some(location) = location.and_then(|location| HeaderValue::from_str(&location).ok()) else {
            return trouble::unknown(&self.asker(visit)).response;
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        response.headers_mut().insert(LOCATION, location);
        // The old name may be given to another app later.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }

    fn remark_cookie(&self, key: &AppKey, version: &str) {
        let now = self.0.clock.now();
        {
            let mut remarked = self.0.remarked.lock().unwrap_or_else(PoisonError::into_inner);
            if remarked.get(key).is_some_and(|last| now - last < 60_000) {
                return;
            }
            remarked.retain(|_, last| now - *last < 60_000);
            remarked.insert(key.clone(), now);
        }
        if let Some(logs) = self.0.runner.logs(key) {
            let text = "a cookie was dropped: its Domain would have sent it to other apps; leave Domain out";
            logs.remark(version, text);
        }
    }

    fn journal(&self, visit: &Visit, route: &Route, key: &AppKey, request: &Request<Incoming>) -> Journal {
        let (id, now) = (&visit.visitor.request_id, self.0.clock.now());
        self.journal_of(id, now, key, &route.version, request.method().as_str(), request.uri().path())
    }

    fn journal_of(&self, id: &str, at: Millis, key: &AppKey, version: &str, method: &str, path: &str) -> Journal {
        let (runner, key) = (self.0.runner.clone(), key.clone());
        Journal::new(id, at, method, path, version, move |line| runner.record(&key, line))
    }

    fn asker<'a>(&'a self, visit: &'a Visit) -> Asker<'a> {
        Asker {
            request_id: &visit.visitor.request_id,
            accept: visit.accept.as_deref(),
            editor_url: &self.0.options.editor_url,
        }
    }

    fn limits(&self) -> Limits {
        let Options { max_body, head_timeout, idle_timeout, .. } = self.0.options;
        Limits { max_body, head_timeout, idle_timeout }
    }
}

/// `host` with the port of the host that was asked.
fn beside(host: &str, asked: &str) -> String {
    asked.rsplit_once(':').map_or_else(|| host.to_owned(), |(_, port)| format!("{host}:{port}"))
}

fn ask(request: &Request<Incoming>) -> files::Ask {
    files::Ask { method: request.method().clone(), uri: request.uri().clone(), headers: request.headers().clone() }
}

fn refuse(refusal: Refusal, mut journal: Journal) -> Response<Body> {
    journal.refused(refusal.response.status(), refusal.stage);
    refusal.response
}
