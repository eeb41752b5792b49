//! Projects: list, create, look, rename, delete, recover.
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::StatusCode;

use super::Ctx;
use super::auth::{At, Caller, Inspect, Manage, View};
use super::body::{Args, JsonBody, Problem};
use super::wire::{ChangeProject, CreateProject, ProjectView};
use crate::accounts::{Action, Scope, Via};
use crate::apps::view::{AppStatus, Deleted, ProjectSummary};
use crate::apps::{NewProject, Project, Source};
use crate::base::{Error, Progress, Result};

type Answer<T> = std::result::Result<T, Problem>;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects", get(list).post(create))
        .route("/projects/{user}/{project}", get(look).patch(change).delete(delete))
        .route("/projects/{user}/{project}/status", get(status))
        .route("/deleted", get(deleted))
        .route("/deleted/{id}/recover", post(recover))
}

#[derive(serde::Deserialize)]
struct ListArgs {
    /// Admins: every project of the server.
    #[serde(default)]
    all: bool,
}

async fn list(
    State(ctx): State<Ctx>,
    Caller(actor): Caller,
    Args(args): Args<ListArgs>,
) -> Answer<Json<Vec<ProjectSummary>>> {
    let mut all = ctx.apps.list(&actor, args.all && actor.user.admin)?;
    if matches!(actor.via, Via::Token { .. }) {
        // A token may see less than its user.
        all.retain(|one| ctx.apps.find(Some(&actor), &one.path, Action::View).is_ok());
    }
    Ok(Json(all))
}

async fn create(
    State(ctx): State<Ctx>,
    caller: Caller,
    JsonBody(new): JsonBody<CreateProject>,
) -> Answer<(StatusCode, Json<ProjectView>)> {
    let actor = caller.with_scope(Scope::Write)?;
    let source = source(&new)?;
    if let Source::Fork(path) = &source {
        ctx.apps.find(Some(&actor), path, Action::View)?;
    }
    let new = NewProject { name: new.name, host: new.host, source };
    let apps = ctx.apps.clone();
    let project = ctx.finish("api create", async move { apps.create(&actor, new, &Progress::silent()).await }).await?;
    Ok((StatusCode::CREATED, Json(view(&ctx, &project))))
}

fn source(new: &CreateProject) -> Result<Source> {
    match (&new.template, &new.git, &new.fork) {
        (None, None, None) => Ok(Source::Empty),
        (Some(template), None, None) => Ok(Source::Template(template.clone())),
        (None, Some(url), None) => Ok(Source::GitUrl(url.clone())),
        (None, None, Some(path)) => Ok(Source::Fork(path.clone())),
        _ => Err(Error::bad_input("a project starts from one of `template`, `git` and `fork`").hint("Give only one.")),
    }
}

fn view(ctx: &Ctx, project: &Project) -> ProjectView {
    let options = ctx.apps.options();
    ProjectView {
        project: project.path.clone(),
        host: project.host.to_string(),
        url: format!("{}://{}.{}", options.scheme, project.host, options.apps_host),
        git_url: format!("{}/{}.git", options.editor_url, project.path),
        public_code: project.public_code,
    }
}

async fn look(State(ctx): State<Ctx>, at: At<View>) -> Json<ProjectView> {
    Json(view(&ctx, &at.project))
}

async fn status(State(ctx): State<Ctx>, at: At<Inspect>) -> Answer<Json<AppStatus>> {
    Ok(Json(ctx.apps.status(&at.project)?))
}

async fn change(
    State(ctx): State<Ctx>,
    at: At<Manage>,
    JsonBody(new): JsonBody<ChangeProject>,
) -> Answer<Json<ProjectView>> {
    let mut project = at.project;
    if let Some(public) = new.public_code {
        ctx.apps.set_public_code(&project, public)?;
        project.public_code = public;
    }
    if new.name.is_some() || new.host.is_some() {
        let apps = ctx.apps.clone();
        project = ctx.finish("api rename", async move { apps.rename(&project, new.name, new.host).await }).await?;
    }
    Ok(Json(view(&ctx, &project)))
}

async fn delete(State(ctx): State<Ctx>, at: At<Manage>) -> Answer<Json<Deleted>> {
    let apps = ctx.apps.clone();
    Ok(Json(ctx.finish("api delete", async move { apps.delete(&at.actor, &at.project).await }).await?))
}

async fn deleted(State(ctx): State<Ctx>, caller: Caller) -> Answer<Json<Vec<Deleted>>> {
    Ok(Json(ctx.apps.deleted(&caller.with_scope(Scope::Read)?)?))
}

async fn recover(State(ctx): State<Ctx>, caller: Caller, Path(id): Path<String>) -> Answer<Json<ProjectView>> {
    let actor = caller.with_scope(Scope::Admin)?;
    let id = id.parse::<i64>().map_err(|_| Error::not_found("there is no such deleted project"))?;
    let apps = ctx.apps.clone();
    let project = ctx.finish("api recover", async move { apps.recover(&actor, id).await }).await?;
    Ok(Json(view(&ctx, &project)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_one_source() {
        let of = |text: &str| source(&serde_json::from_str(text).unwrap());
        assert!(matches!(of("{}"), Ok(Source::Empty)));
        assert!(matches!(of(r#"{"template":"hello"}"#), Ok(Source::Template(t)) if t == "hello"));
        assert!(matches!(of(r#"{"fork":"ann/x"}"#), Ok(Source::Fork(_))));
        assert!(of(r#"{"template":"hello","git":"https://example.com/x.git"}"#).is_err());
    }
}
