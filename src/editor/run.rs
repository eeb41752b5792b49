//! Run, deploy, roll back: as streams for scripts, as redirects for plain forms.
use axum::Json;
use axum::extract::{Form, Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use super::security::Failed;
use super::visit::{At, Visit, done};
use super::{Ctx, stream};
use crate::accounts::Action;
use crate::apps::DeployFrom;
use crate::base::Progress;

/// Characters of a deploy's message that are kept.
const MESSAGE: usize = 2000;

#[derive(Deserialize)]
pub struct DeployForm {
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
pub struct RollbackForm {
    /// A deploy's number; empty for the one before.
    #[serde(default)]
    to: String,
}

#[derive(Deserialize)]
pub struct ApproveForm {
    /// The number of the deploy that was shown.
    deploy: i64,
}

pub async fn run(State(ctx): State<Ctx>, Path(at): Path<At>, visit: Visit) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Edit)?;
    let actor = visit.user()?.clone();
    let apps = ctx.apps.clone();
    Ok(stream::answer(&ctx.tasks, "run", |progress| async move { apps.run(&actor, &project, &progress).await }))
}

pub async fn stop(State(ctx): State<Ctx>, Path(at): Path<At>, visit: Visit) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Edit)?;
    ctx.apps.stop_draft(visit.user()?, &project).await?;
    Ok(Json(json!({ "stopped": true })).into_response())
}

pub async fn deploy(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    headers: HeaderMap,
    visit: Visit,
    Form(form): Form<DeployForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Deploy)?;
    let actor = visit.user()?.clone();
    let (apps, page) = (ctx.apps.clone(), format!("/{}/deploys", project.path));
    let mut message: String = form.message.trim().chars().take(MESSAGE).collect();
    if message.is_empty() {
        message = "Edit in the browser".to_owned();
    }
    let act = move |progress: Progress| async move {
        apps.deploy(&actor, &project, DeployFrom::Draft { message }, "editor", &progress).await
    };
    if stream::wanted(&headers) {
        return Ok(stream::answer(&ctx.tasks, "deploy", act));
    }
    stream::wait(&ctx.tasks, "deploy", act(Progress::silent())).await?;
    Ok(done(&page, "deployed"))
}

pub async fn rollback(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    headers: HeaderMap,
    visit: Visit,
    Form(form): Form<RollbackForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Deploy)?;
    let actor = visit.user()?.clone();
    let (apps, page) = (ctx.apps.clone(), format!("/{}/deploys", project.path));
    let to = form.to.parse().ok();
    let act = move |progress: Progress| async move { apps.rollback(&actor, &project, to, &progress).await };
    if stream::wanted(&headers) {
        return Ok(stream::answer(&ctx.tasks, "rollback", act));
    }
    stream::wait(&ctx.tasks, "rollback", act(Progress::silent())).await?;
    Ok(done(&page, "rolled-back"))
}

/// An owner's yes to what one deploy asks for, which then goes on.
pub async fn approve(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    headers: HeaderMap,
    visit: Visit,
    Form(form): Form<ApproveForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Approve)?;
    let actor = visit.user()?.clone();
    let (apps, page) = (ctx.apps.clone(), format!("/{}/deploys", project.path));
    let act = move |progress: Progress| async move { apps.approve(&actor, &project, form.deploy, &progress).await };
    if stream::wanted(&headers) {
        return Ok(stream::answer(&ctx.tasks, "approve", act));
    }
    stream::wait(&ctx.tasks, "approve", act(Progress::silent())).await?;
    Ok(done(&page, "approved"))
}
