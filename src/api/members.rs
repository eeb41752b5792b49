//! Who else may use a project, and as what.
use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};

use super::Ctx;
use super::auth::{At, Inspect, Manage};
use super::body::{JsonBody, Problem};
use super::wire::ChangeMember;
use crate::accounts::Role;
use crate::apps::view::Member;
use crate::base::{Error, Result, UserName};

type Answer<T> = std::result::Result<T, Problem>;
type Names = Path<HashMap<String, String>>;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{user}/{project}/members", get(list))
        .route("/projects/{user}/{project}/members/{member}", get(look).put(set).delete(remove))
}

async fn list(State(ctx): State<Ctx>, at: At<Inspect>) -> Answer<Json<Vec<Member>>> {
    Ok(Json(ctx.apps.members(&at.project)?))
}

async fn look(State(ctx): State<Ctx>, at: At<Inspect>, Path(names): Names) -> Answer<Json<Member>> {
    let user = member(&names)?;
    let all = ctx.apps.members(&at.project)?;
    let one = all.into_iter().find(|member| member.user == user.as_str());
    Ok(Json(one.ok_or_else(|| Error::not_found(format!("`{user}` is no member of this project")))?))
}

async fn set(
    State(ctx): State<Ctx>,
    at: At<Manage>,
    Path(names): Names,
    JsonBody(change): JsonBody<ChangeMember>,
) -> Answer<Json<Vec<Member>>> {
    let role = Some(change.role).filter(|role| *role != Role::Nobody);
    ctx.apps.set_member(&at.project, &member(&names)?, role)?;
    Ok(Json(ctx.apps.members(&at.project)?))
}

async fn remove(State(ctx): State<Ctx>, at: At<Manage>, Path(names): Names) -> Answer<Json<Vec<Member>>> {
    ctx.apps.set_member(&at.project, &member(&names)?, None)?;
    Ok(Json(ctx.apps.members(&at.project)?))
}

fn member(names: &HashMap<String, String>) -> Result<UserName> {
    UserName::parse(names.get("member").map_or("", String::as_str))
}
