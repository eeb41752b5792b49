//! A child ready to answer: an HTTP/1.1 client over its socket, and a lease that counts as in flight.
use axum::body::Body;
use hyper::body::Incoming;
use hyper::{Request, Response};

use crate::base::Result;

/// One admitted request's way to the child. Dropping it (or the response body made from it) ends the lease.
pub struct Upstream {
    /// Version that will answer.
    pub version: String,
    /// Microseconds waited at the gate, and of these booting.
    pub gate_us: u64,
    pub boot_us: u64,
    // the runner's own fields follow
}

/// Keeps the app counted as busy; hold it until the response (or upgraded connection) has ended.
pub struct Lease {}

impl Upstream {
    /// Sends the request over a pooled or new connection. A request whose body was not consumed is sent
    /// again once when a pooled connection turns out to be dead. The lease must outlive the response body.
    /// Errors: `App` naming the stage (`connect`, `send`, `response head`).
    pub async fn send(self, _request: Request<Body>) -> Result<(Response<Incoming>, Lease)> {
        todo!()
    }
}
