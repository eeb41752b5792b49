//! Steady's own page in an app's place, in this lane.
use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::header::{CONNECTION, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite};

use super::answer::line;
use super::work::Work;
use super::{After, Lane};
use crate::proxy::forward::Failure;
use crate::proxy::head::REQUEST_ID;
use crate::proxy::trouble::{self, Asker};

impl<T, S> Lane<'_, T, S>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    /// Tells the client, and the log, what failed.
    pub(super) async fn page(&mut self, mut work: Work, failure: Failure) -> After {
        let asker = Asker { request_id: &work.id, accept: work.accept(), editor_url: &self.proxy.0.options.editor_url };
        let refusal = trouble::failed(&asker, &work.route, failure);
        work.journal.refused(refusal.response.status(), refusal.stage);
        let mut response = refusal.response;
        if work.last || self.closing.is_cancelled() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let last = response.headers().contains_key(CONNECTION);
        let date = self.date.at(work.at).to_owned();
        let bytes = written(response, &work.id, &date, &self.host.says, work.is_head).await;
        match self.send(&bytes).await {
            Ok(()) if last => After::Close,
            Ok(()) => After::Next,
            Err(_) => After::Gone,
        }
    }
}

async fn written(response: Response<Body>, id: &str, date: &str, says: &[u8], is_head: bool) -> Vec<u8> {
    let (parts, body) = response.into_parts();
    // Pages are made in memory: there is nothing to wait for, and nothing that fails.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut out = format!("HTTP/1.1 {}\r\n", parts.status).into_bytes();
    for (name, value) in parts.headers.iter().filter(|(name, _)| *name != REQUEST_ID) {
        line(&mut out, name.as_str().as_bytes(), value.as_bytes());
    }
    line(&mut out, REQUEST_ID.as_bytes(), id.as_bytes());
    line(&mut out, b"content-length", body.len().to_string().as_bytes());
    line(&mut out, b"date", date.as_bytes());
    out.extend_from_slice(says);
    out.extend_from_slice(b"\r\n");
    if !is_head {
        out.extend_from_slice(&body);
    }
    out
}
