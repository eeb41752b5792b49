//! Long work as a stream of JSON lines: progress, then one line with how it ended.
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use tokio::sync::mpsc;

use super::Ctx;
use super::body::{RequestId, error_object};
use super::wire::KEEP_ALIVE_SECONDS;
use crate::base::{Progress, ProgressEvent, Result};

/// How many lines may wait for a slow reader before progress is left out.
const WAITING: usize = 1024;

/// One JSON value and its newline.
pub(super) fn line(value: &impl Serialize) -> Bytes {
    let mut bytes = serde_json::to_vec(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}

/// A response that sends what arrives in `lines`, and a blank line when nothing does for a while.
pub(super) fn response(lines: mpsc::Receiver<Bytes>) -> Response {
    let quiet = Duration::from_secs(KEEP_ALIVE_SECONDS);
    let stream = futures_util::stream::unfold(lines, move |mut lines| async move {
        let next = match tokio::time::timeout(quiet, lines.recv()).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return None,
            Err(_) => Bytes::from_static(b"\n"),
        };
        Some((Ok::<_, Infallible>(next), lines))
    });
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Runs `work` to its end, streaming its progress. The last line is `{"type":"result","<key>":…}` or
/// `{"type":"error","error":{…}}`. A client that hangs up does not stop the work.
pub(super) fn run<T, W, F>(ctx: &Ctx, name: &'static str, request: RequestId, key: &'static str, work: W) -> Response
where
    T: Serialize + Send + 'static,
    W: FnOnce(Progress) -> F,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let (send, receive) = mpsc::channel(WAITING);
    let left_out = Arc::new(AtomicU64::new(0));
    let work = work(progress(send.clone(), left_out.clone()));
    ctx.tasks.spawn(name, async move {
        let outcome = work.await;
        let last = match &outcome {
            Ok(value) => serde_json::json!({ "type": "result", key: value }),
            Err(error) => serde_json::json!({ "type": "error", "error": error_object(error, &request).await }),
        };
        let missing = left_out.load(Ordering::Relaxed);
        if missing > 0 {
            let text = format!("{missing} lines of progress were left out: they came faster than they were read");
            let _ = send.send(line(&ProgressEvent::Line { text })).await;
        }
        // Nobody listening is no failure: the work is done and recorded.
        let _ = send.send(line(&last)).await;
    });
    response(receive)
}

fn progress(send: mpsc::Sender<Bytes>, left_out: Arc<AtomicU64>) -> Progress {
    // A weak sender: a `Progress` somebody keeps must not hold the stream open after the last line.
    let send = send.downgrade();
    Progress::new(move |event| {
        if let Some(send) = send.upgrade()
            && let Err(mpsc::error::TrySendError::Full(_)) = send.try_send(line(&event))
        {
            left_out.fetch_add(1, Ordering::Relaxed);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_arrive_in_order_and_the_stream_ends() {
        let (send, receive) = mpsc::channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let progress = progress(send.clone(), lost.clone());
        progress.stage("install");
        progress.line("a\nb");
        drop(send);
        let body = axum::body::to_bytes(response(receive).into_body(), 1 << 16).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines[0], serde_json::json!({ "type": "stage", "name": "install" }));
        assert_eq!(lines[1], serde_json::json!({ "type": "line", "text": "a\nb" }));
        assert_eq!(lines.len(), 2);
        progress.line("after the end, and harmless");
    }

    #[tokio::test]
    async fn a_slow_reader_loses_progress_and_not_memory() {
        let (send, _receive) = mpsc::channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let progress = progress(send.clone(), lost.clone());
        for _ in 0..WAITING + 7 {
            progress.line("x");
        }
        assert_eq!(lost.load(Ordering::Relaxed), 7);
    }
}
