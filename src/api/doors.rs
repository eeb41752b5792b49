//! What stands before an app: who may come in, and whether it is down.
use axum::extract::State;
use axum::routing::{get, put};
use axum::{Json, Router};

use super::auth::{At, Inspect, Manage};
use super::body::{JsonBody, Problem};
use super::{Ctx, wire};
use crate::apps::view::DoorView;

type Answer<T> = std::result::Result<T, Problem>;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{user}/{project}/door", get(look))
        .route("/projects/{user}/{project}/maintenance", put(down).delete(up))
}

async fn look(State(ctx): State<Ctx>, at: At<Inspect>) -> Answer<Json<DoorView>> {
    Ok(Json(ctx.apps.door(&at.project)?))
}

async fn down(
    State(ctx): State<Ctx>,
    at: At<Manage>,
    JsonBody(wire::Maintenance { text }): JsonBody<wire::Maintenance>,
) -> Answer<Json<DoorView>> {
    Ok(Json(ctx.apps.set_maintenance(&at.project, Some(&text))?))
}

async fn up(State(ctx): State<Ctx>, at: At<Manage>) -> Answer<Json<DoorView>> {
    Ok(Json(ctx.apps.set_maintenance(&at.project, None)?))
}
