//! Bodies in and out: bounded JSON, errors, and what every answer of the API carries.
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::header::{CACHE_CONTROL, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::wire;
use crate::base::{Error, Kind, ProjectPath, Result, ResultExt as _, secret};
use crate::http::problem;

/// An error on its way out; rendered by [`exchange`], which knows the request's id.
pub(super) struct Problem(pub(super) Error);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

#[derive(Clone)]
struct Failed(Arc<Error>);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = problem::status(self.0.kind).into_response();
        response.extensions_mut().insert(Failed(Arc::new(self.0)));
        response
    }
}

/// Names this request in errors and in the server's log.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub(super) String);

/// Filled when the project was asked for by an old name.
#[derive(Clone, Default)]
pub(super) struct MovedTo(Arc<Mutex<Option<ProjectPath>>>);

impl MovedTo {
    pub(super) fn set(&self, path: &ProjectPath) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.clone());
    }
    fn header(&self) -> Option<HeaderValue> {
        let path = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        HeaderValue::from_str(&path.to_string()).ok()
    }
}

/// Around every route: gives the request an id, turns errors into JSON, sets the headers all answers have.
pub(super) async fn exchange(mut request: Request, next: Next) -> Response {
    let id = secret::random_token(9);
    let moved = MovedTo::default();
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(moved.clone());
    let mut response = next.run(request).await;
    if let Some(Failed(error)) = response.extensions_mut().remove::<Failed>() {
        response = problem::json(&error, &id);
    }
    let unauthorized = response.status() == StatusCode::UNAUTHORIZED;
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if unauthorized {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"Steady\""));
    }
    if let Some(path) = moved.header() {
        headers.insert(wire::MOVED_HEADER, path);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", id);
    }
    response
}

/// The `error` object of [`problem::json`], for a stream whose status is already sent.
pub(super) async fn error_object(error: &Error, request: &RequestId) -> serde_json::Value {
    let body = problem::json(error, &request.0).into_body();
    let whole = async {
        let bytes = axum::body::to_bytes(body, 64 << 10).await.internal("while writing an error")?;
        let mut value: serde_json::Value = serde_json::from_slice(&bytes).internal("while writing an error")?;
        Ok::<_, Error>(value.get_mut("error").map(serde_json::Value::take))
    };
    match whole.await {
        Ok(Some(object)) => object,
        _ => serde_json::json!({ "kind": "internal", "message": "something went wrong", "request": request.0 }),
    }
}

/// A JSON request body of at most [`wire::MAX_JSON`] bytes. An empty one reads as `{}`.
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> std::result::Result<Self, Problem> {
        Ok(Self(read_json(request.into_body()).await?))
    }
}

pub(super) async fn read_json<T: DeserializeOwned>(body: Body) -> Result<T> {
    let bytes = axum::body::to_bytes(body, wire::MAX_JSON).await.map_err(|e| {
        let long = std::error::Error::source(&e).is_some_and(|c| c.is::<http_body_util::LengthLimitError>());
        if long {
            Error::new(Kind::TooLarge, format!("the request body is larger than {} KiB", wire::MAX_JSON >> 10))
        } else {
            Error::bad_input("the request body ended early").because(e)
        }
    })?;
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(bytes).map_err(|e| Error::bad_input(format!("the request body is not right: {e}")))
}

/// The query string.
pub(super) struct Args<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Args<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> std::result::Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(args)) => Ok(Self(args)),
            Err(e) => Err(Error::bad_input(format!("the query is not right: {}", e.body_text())).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_json_body_is_bounded_and_checked() {
        let empty: wire::Rollback = read_json(Body::empty()).await.unwrap();
        assert_eq!(empty.to, None);
        let bad = read_json::<wire::Rollback>(Body::from("{\"to\":\"x\"}")).await.unwrap_err();
        assert_eq!(bad.kind, Kind::BadInput);
        let long = read_json::<wire::Rollback>(Body::from(vec![b' '; wire::MAX_JSON + 1])).await.unwrap_err();
        assert_eq!(long.kind, Kind::TooLarge);
        let unknown = read_json::<wire::Rollback>(Body::from("{\"too\":1}")).await.unwrap_err();
        assert!(unknown.public.contains("too"), "{}", unknown.public);
    }
}
