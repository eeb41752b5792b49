//! An app's log and its requests: the newest, or as they come.
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::auth::{At, Inspect};
use super::body::{Args, Problem};
use super::{Ctx, ndjson};
use crate::base::Result;
use crate::runner::logs::{LogLine, Logs, RequestLine};

type Answer<T> = std::result::Result<T, Problem>;

/// Lines in one answer, and how many a follower that fell behind is given again.
const MOST: usize = 5000;
/// How long a follower may leave a line unread before it is let go.
const STUCK: Duration = Duration::from_secs(60);

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{user}/{project}/logs", get(logs))
        .route("/projects/{user}/{project}/requests", get(requests))
}

#[derive(serde::Deserialize)]
struct LogArgs {
    n: Option<usize>,
    /// Only lines whose `seq` is above this.
    after: Option<u64>,
    #[serde(default)]
    follow: u8,
}

async fn logs(State(ctx): State<Ctx>, at: At<Inspect>, Args(args): Args<LogArgs>) -> Answer<Response> {
    let logs = ctx.apps.logs(&at.project)?;
    let n = args.n.unwrap_or(100).min(MOST);
    if args.follow == 0 {
        return Ok(Json(logs.tail(n, args.after)?).into_response());
    }
    let (send, receive) = mpsc::channel(256);
    let stopping = ctx.tasks.hanging_up();
    ctx.tasks.spawn("api follow", async move {
        if let Err(error) = follow(&logs, n, args.after, &send, stopping).await {
            tracing::warn!(?error, "a log could not be followed");
        }
    });
    Ok(ndjson::response(receive))
}

/// Listens before it reads, so that no line falls between.
async fn follow(
    logs: &Logs,
    n: usize,
    after: Option<u64>,
    send: &mpsc::Sender<Bytes>,
    stopping: CancellationToken,
) -> Result<()> {
    let mut live = logs.follow();
    let mut last = after;
    for line in logs.tail(n, after)? {
        if !pass(&line, &mut last, send).await {
            return Ok(());
        }
    }
    loop {
        let next = tokio::select! {
            next = live.recv() => next,
            () = send.closed() => return Ok(()),
            () = stopping.cancelled() => return Ok(()),
        };
        match next {
            Ok(line) if last.is_some_and(|last| line.seq <= last) => {}
            Ok(line) => {
                if !pass(&line, &mut last, send).await {
                    return Ok(());
                }
            }
            Err(RecvError::Lagged(_)) => {
                for line in logs.tail(MOST, last)? {
                    if !pass(&line, &mut last, send).await {
                        return Ok(());
                    }
                }
            }
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

/// False when the reader is gone or stuck.
async fn pass(line: &LogLine, last: &mut Option<u64>, send: &mpsc::Sender<Bytes>) -> bool {
    *last = Some(line.seq);
    matches!(tokio::time::timeout(STUCK, send.send(ndjson::line(line))).await, Ok(Ok(())))
}

#[derive(serde::Deserialize)]
struct RequestArgs {
    n: Option<usize>,
}

async fn requests(
    State(ctx): State<Ctx>,
    at: At<Inspect>,
    Args(args): Args<RequestArgs>,
) -> Answer<Json<Vec<RequestLine>>> {
    Ok(Json(ctx.apps.logs(&at.project)?.requests(args.n.unwrap_or(100).min(MOST))?))
}
