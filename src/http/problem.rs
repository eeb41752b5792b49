//! Error → response. The only place that picks a status.
use axum::body::Body;
use hyper::{Response, StatusCode};

use crate::base::{Error, Kind};

pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::BadInput => StatusCode::BAD_REQUEST,
        Kind::Unauthorized => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Kind::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Kind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        Kind::App => StatusCode::BAD_GATEWAY,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// JSON for machines: `{"error":{"kind","message","hint","request"}}`. An internal error's details are
/// logged, not sent.
pub fn json(_error: &Error, _request_id: &str) -> Response<Body> {
    todo!()
}

/// A page for people, with stage and request id; falls back to plain text for `Accept` without HTML.
pub fn page(_error: &Error, _request_id: &str, _accept: Option<&str>) -> Response<Body> {
    todo!()
}
