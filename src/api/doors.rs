//! What stands before an app: who may come in, links that open it, and whether it is down.
use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};

use super::auth::{At, Inspect, Manage};
use super::body::{JsonBody, Problem};
use super::{Ctx, wire};
use crate::apps::view::DoorView;
use crate::base::Error;

type Answer<T> = std::result::Result<T, Problem>;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{user}/{project}/door", get(look))
        .route("/projects/{user}/{project}/access", put(access))
        .route("/projects/{user}/{project}/links", post(link))
        .route("/projects/{user}/{project}/links/{link}", delete(revoke))
        .route("/projects/{user}/{project}/maintenance", put(down).delete(up))
}

async fn look(State(ctx): State<Ctx>, at: At<Inspect>) -> Answer<Json<DoorView>> {
    Ok(Json(ctx.apps.door(&at.project)?))
}

async fn access(
    State(ctx): State<Ctx>,
    at: At<Manage>,
    JsonBody(wire::ChangeAccess { access, password }): JsonBody<wire::ChangeAccess>,
) -> Answer<Json<DoorView>> {
    Ok(Json(ctx.apps.set_access(&at.project, access, password.as_ref())?))
}

async fn link(
    State(ctx): State<Ctx>,
    at: At<Manage>,
    JsonBody(wire::CreateLink { name, expires_days }): JsonBody<wire::CreateLink>,
) -> Answer<Json<wire::NewLink>> {
    let (link, url) = ctx.apps.make_link(&at.actor, &at.project, &name, expires_days)?;
    Ok(Json(wire::NewLink { link, url }))
}

async fn revoke(
    State(ctx): State<Ctx>,
    at: At<Manage>,
    Path(names): Path<HashMap<String, String>>,
) -> Answer<Json<DoorView>> {
    let id = names.get("link").and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| Error::not_found("this app has no such link"))?;
    Ok(Json(ctx.apps.revoke_link(&at.project, id)?))
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
