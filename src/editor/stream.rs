//! A long act as newline-delimited JSON: progress as it comes, then one `result` or `error`.
use std::convert::Infallible;
use std::future::Future;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::show;
use crate::base::{Error, Progress, Result, ResultExt as _, Tasks};
use crate::http::problem;

/// Lines that wait for a slow browser; more are left out, since only the last one is a promise.
const WAITING: usize = 1024;

/// Whether the asker reads progress, rather than being a form without a script.
pub fn wanted(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|v| v.as_bytes().starts_with(b"application/x-ndjson"))
}

/// Starts `work` in the background (it goes on when the browser leaves) and answers with its progress.
pub fn answer<T, F>(tasks: &Tasks, name: &'static str, work: impl FnOnce(Progress) -> F + Send + 'static) -> Response
where
    T: Serialize,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    let sink = sender.clone();
    let progress = Progress::new(move |event| drop(sink.try_send(line(&event))));
    let act = work(progress);
    tasks.spawn(name, async move {
        let last = match act.await {
            Ok(value) => line(&json!({ "type": "result", "result": value })),
            Err(e) => line(&json!({ "type": "error", "error": wire(&e) })),
        };
        // The browser may be gone: the act is done all the same.
        drop(sender.send(last).await);
    });
    let lines = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|line| (Ok::<_, Infallible>(line), receiver))
    });
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The same for a form without a script: waits for the end.
pub async fn wait<T, F>(tasks: &Tasks, name: &'static str, act: F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    tasks.spawn(name, async move { drop(sender.send(act.await)) });
    receiver.await.internal("while waiting for a task")?
}

/// The error as scripts read it, the same shape as `http::problem::json`.
fn wire(error: &Error) -> serde_json::Value {
    json!({ "kind": problem::word(error.kind), "message": show::public(error), "hint": error.hint })
}

fn line(value: &impl Serialize) -> Bytes {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn progress_comes_before_the_result() {
        let response = answer(&Tasks::new(), "test", |progress| async move {
            progress.stage("install");
            progress.done("install", 3);
            Ok(7)
        });
        let text = body(response).await;
        let types: Vec<_> = text
            .lines()
            .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["type"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(types, ["stage", "done", "result"]);
    }

    #[tokio::test]
    async fn an_act_outlives_its_reader() {
        let tasks = Tasks::new();
        let (done, finished) = oneshot::channel();
        let (go, started) = oneshot::channel::<()>();
        drop(answer(&tasks, "test", |_| async move {
            started.await.ok();
            done.send(()).ok();
            Ok(())
        }));
        go.send(()).unwrap();
        finished.await.expect("the act ran to its end");
    }

    #[tokio::test]
    async fn internal_causes_are_not_streamed() {
        let response = answer(&Tasks::new(), "test", |_| async { Err::<(), _>(Error::internal("/srv/key")) });
        let text = body(response).await;
        assert!(text.contains("\"error\"") && !text.contains("/srv/key"), "{text}");
    }
}
