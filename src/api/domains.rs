//! Custom domains of a project.
use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::StatusCode;

use super::Ctx;
use super::auth::{At, Inspect, Manage};
use super::body::{JsonBody, Problem};
use super::wire::AddDomain;
use crate::apps::domain::{DomainView, NewDomain};
use crate::base::{DomainName, Result};

type Answer<T> = std::result::Result<T, Problem>;
type Names = Path<HashMap<String, String>>;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{user}/{project}/domains", get(list).post(add))
        .route("/projects/{user}/{project}/domains/{host}", axum::routing::delete(remove))
        .route("/projects/{user}/{project}/domains/{host}/check", post(check))
}

async fn list(State(ctx): State<Ctx>, at: At<Inspect>) -> Answer<Json<Vec<DomainView>>> {
    Ok(Json(ctx.apps.domains(&at.project)?))
}

async fn add(
    State(ctx): State<Ctx>,
    at: At<Manage>,
    JsonBody(new): JsonBody<AddDomain>,
) -> Answer<(StatusCode, Json<DomainView>)> {
    let new = NewDomain { host: new.host, redirect: new.redirect, www: new.www };
    let apps = ctx.apps.clone();
    let view = ctx.finish("api domain", async move { apps.add_domain(&at.actor, &at.project, new).await }).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

async fn remove(State(ctx): State<Ctx>, at: At<Manage>, Path(names): Names) -> Answer<Json<Vec<DomainView>>> {
    ctx.apps.remove_domain(&at.project, &host(&names)?)?;
    Ok(Json(ctx.apps.domains(&at.project)?))
}

async fn check(State(ctx): State<Ctx>, at: At<Manage>, Path(names): Names) -> Answer<Json<DomainView>> {
    Ok(Json(ctx.apps.check_domain(&at.project, &host(&names)?).await?))
}

fn host(names: &HashMap<String, String>) -> Result<DomainName> {
    DomainName::parse(names.get("host").map_or("", String::as_str))
}
