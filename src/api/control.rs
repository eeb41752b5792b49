//! Restart, pause, resume. Each answers with the state after it.
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};

use super::Ctx;
use super::auth::{At, Deploy};
use super::body::Problem;
use crate::apps::view::AppStatus;

type Answer<T> = std::result::Result<T, Problem>;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{user}/{project}/restart", post(restart))
        .route("/projects/{user}/{project}/pause", post(pause))
        .route("/projects/{user}/{project}/resume", post(resume))
}

async fn restart(State(ctx): State<Ctx>, at: At<Deploy>) -> Answer<Json<AppStatus>> {
    let apps = ctx.apps.clone();
    let project = at.project.clone();
    ctx.finish("api restart", async move { apps.restart(&project).await }).await?;
    Ok(Json(ctx.apps.status(&at.project)?))
}

async fn pause(state: State<Ctx>, at: At<Deploy>) -> Answer<Json<AppStatus>> {
    set_paused(state, at, true).await
}

async fn resume(state: State<Ctx>, at: At<Deploy>) -> Answer<Json<AppStatus>> {
    set_paused(state, at, false).await
}

async fn set_paused(State(ctx): State<Ctx>, at: At<Deploy>, paused: bool) -> Answer<Json<AppStatus>> {
    let apps = ctx.apps.clone();
    let project = at.project.clone();
    ctx.finish("api pause", async move { apps.set_paused(&project, paused).await }).await?;
    Ok(Json(ctx.apps.status(&at.project)?))
}
