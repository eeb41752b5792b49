//! What a project may do beyond what every app may: look, approve, revoke.
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};

use super::auth::{Approve, At, Inspect, Manage};
use super::body::{JsonBody, Problem, RequestId};
use super::{Ctx, ndjson, wire};
use crate::apps::view::PermissionsView;

type Answer<T> = std::result::Result<T, Problem>;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{user}/{project}/permissions", get(look).delete(revoke))
        .route("/projects/{user}/{project}/approve", post(approve))
}

async fn look(State(ctx): State<Ctx>, at: At<Inspect>) -> Answer<Json<PermissionsView>> {
    Ok(Json(ctx.apps.permissions(&at.project)?))
}

/// Approves, and deploys what waited: the same stream as a deploy.
async fn approve(
    State(ctx): State<Ctx>,
    at: At<Approve>,
    Extension(request_id): Extension<RequestId>,
    JsonBody(wire::Approve { deploy }): JsonBody<wire::Approve>,
) -> Response {
    let apps = ctx.apps.clone();
    ndjson::run(&ctx, "api approve", request_id, "deploy", move |progress| async move {
        apps.approve(&at.actor, &at.project, deploy, &progress).await
    })
}

async fn revoke(State(ctx): State<Ctx>, at: At<Manage>) -> Answer<Json<PermissionsView>> {
    let apps = ctx.apps.clone();
    Ok(Json(ctx.finish("api revoke", async move { apps.revoke(&at.actor, &at.project).await }).await?))
}
