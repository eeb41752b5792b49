//! The data plane: a table and a runner, nothing else. No SQL and no users on this path.
pub mod route;

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::{Request, Response};

use crate::base::Clock;
use crate::runner::Runner;
pub use route::{Route, Routes, Target};

#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of request body; more is answered 413.
    pub max_body: u64,
    /// From request head to response head.
    pub head_timeout: Duration,
    /// Silence on a streaming body, either way.
    pub idle_timeout: Duration,
    /// `http` or `https`: what apps are told the client used.
    pub scheme: String,
    /// Where the owner finds an app's page, for error pages.
    pub editor_url: String,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Proxy {}

impl Proxy {
    pub fn new(_routes: Routes, _runner: Runner, _clock: Clock, _options: Options) -> Self {
        todo!()
    }
    /// Answers one request for `label`. Never fails: errors become pages that name the stage and request id.
    pub async fn handle(&self, _label: &str, _peer: IpAddr, _request: Request<Incoming>) -> Response<Body> {
        todo!()
    }
}
