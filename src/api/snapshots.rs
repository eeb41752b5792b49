//! Snapshots of an app's data: take, list, pin, restore.
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, patch, post};
use axum::{Extension, Json, Router};

use super::auth::{At, Deploy, Inspect, Manage};
use super::body::{JsonBody, Problem, RequestId};
use super::wire::{PinSnapshot, TakeSnapshot};
use super::{Ctx, ndjson};
use crate::apps::view::SnapshotView;

type Answer<T> = std::result::Result<T, Problem>;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{user}/{project}/snapshots", get(list).post(take))
        .route("/projects/{user}/{project}/snapshots/{id}", patch(pin))
        .route("/projects/{user}/{project}/snapshots/{id}/restore", post(restore))
}

async fn list(State(ctx): State<Ctx>, at: At<Inspect>) -> Answer<Json<Vec<SnapshotView>>> {
    Ok(Json(ctx.apps.snapshots(&at.project)?))
}

async fn take(
    State(ctx): State<Ctx>,
    at: At<Deploy>,
    JsonBody(TakeSnapshot { name }): JsonBody<TakeSnapshot>,
) -> Answer<Json<SnapshotView>> {
    Ok(Json(ctx.apps.take_snapshot(&at.project, name).await?))
}

async fn pin(
    State(ctx): State<Ctx>,
    at: At<Deploy>,
    Path((_, _, id)): Path<(String, String, i64)>,
    JsonBody(PinSnapshot { name }): JsonBody<PinSnapshot>,
) -> Answer<Json<SnapshotView>> {
    Ok(Json(ctx.apps.pin_snapshot(&at.project, id, name.as_deref())?))
}

/// Replaces what visitors wrote: an owner's business.
async fn restore(
    State(ctx): State<Ctx>,
    at: At<Manage>,
    Path((_, _, id)): Path<(String, String, i64)>,
    Extension(request_id): Extension<RequestId>,
) -> Response {
    let apps = ctx.apps.clone();
    ndjson::run(&ctx, "api restore", request_id, "restored", move |progress| async move {
        apps.restore(&at.project, id, &progress).await
    })
}
