//! Live logs as server-sent events, resumed by `Last-Event-ID`.
use std::collections::VecDeque;
use std::convert::Infallible;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::Ctx;
use super::project::log_of;
use super::security::Failed;
use super::visit::{At, Visit};
use crate::accounts::Action;
use crate::base::Result;
use crate::runner::logs::{LogLine, Logs};

/// Lines sent at once when a reader begins or has fallen behind.
const TAIL: usize = 500;

/// A reader's place in a log.
struct Tail {
    logs: Logs,
    follow: Receiver<LogLine>,
    waiting: VecDeque<LogLine>,
    last: Option<u64>,
    stop: CancellationToken,
}

impl Tail {
    /// The next line, in order and once; `None` when the server stops or the log is gone.
    async fn next(&mut self) -> Option<LogLine> {
        loop {
            let line = match self.waiting.pop_front() {
                Some(line) => line,
                None => tokio::select! {
                    () = self.stop.cancelled() => return None,
                    got = self.follow.recv() => match got {
                        Ok(line) => line,
                        Err(RecvError::Closed) => return None,
                        Err(RecvError::Lagged(_)) => {
                            self.waiting = self.logs.tail(TAIL, self.last).ok()?.into();
                            continue;
                        }
                    },
                },
            };
            if self.last.is_none_or(|last| line.seq > last) {
                self.last = Some(line.seq);
                return Some(line);
            }
        }
    }
}

fn events(ctx: &Ctx, logs: Logs, headers: &HeaderMap) -> Result<Response> {
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    // Following begins before the tail is read, so that no line falls between; repeats are skipped by number.
    let follow = logs.follow();
    let waiting = logs.tail(TAIL, last)?.into();
    let tail = Tail { logs, follow, waiting, last, stop: ctx.tasks.hanging_up() };
    let lines = futures_util::stream::unfold(tail, |mut tail| async {
        let line = tail.next().await?;
        let event = Event::default().id(line.seq.to_string());
        let event = event.json_data(&line).unwrap_or_default();
        Some((Ok::<_, Infallible>(event), tail))
    });
    let mut response = Sse::new(lines).keep_alive(KeepAlive::default()).into_response();
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Ok(response)
}

/// The live app's log.
pub async fn live(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    headers: HeaderMap,
    visit: Visit,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Inspect)?;
    following(&ctx, log_of(&ctx, &project)?, &headers)
}

/// 204, which ends an `EventSource`, while there is no log.
fn following(ctx: &Ctx, logs: Option<Logs>, headers: &HeaderMap) -> Result<Response, Failed> {
    match logs {
        Some(logs) => Ok(events(ctx, logs, headers)?),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// The log of the caller's draft.
pub async fn draft(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    headers: HeaderMap,
    visit: Visit,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::View)?;
    following(&ctx, ctx.apps.draft_logs(visit.user()?, &project)?, &headers)
}
