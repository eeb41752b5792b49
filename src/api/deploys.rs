//! Deploys: list, deploy a commit or an uploaded folder, roll back.
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, USER_AGENT};

use super::auth::{At, Deploy, Inspect};
use super::body::{Args, JsonBody, Problem, RequestId, read_json};
use super::wire::{DeployCommit, Rollback};
use super::{Ctx, ndjson, upload};
use crate::accounts::Action;
use crate::apps::view::DeployView;
use crate::apps::{DeployFrom, Said};
use crate::base::{Error, Result};

type Answer<T> = std::result::Result<T, Problem>;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/projects/{user}/{project}/deploys", get(list).post(deploy))
        .route("/projects/{user}/{project}/rollback", post(rollback))
}

#[derive(serde::Deserialize)]
struct ListArgs {
    n: Option<usize>,
}

async fn list(State(ctx): State<Ctx>, at: At<Inspect>, Args(args): Args<ListArgs>) -> Answer<Json<Vec<DeployView>>> {
    Ok(Json(ctx.apps.deploys(&at.project, args.n.unwrap_or(20).min(200))?))
}

#[derive(serde::Deserialize)]
struct DeployArgs {
    /// The commit message of an uploaded folder.
    message: Option<String>,
    /// Of an uploaded folder: an owner's yes to all that its steady.json asks for.
    #[serde(default)]
    approve: bool,
}

/// All that can be wrong with the request is answered with a status; the stream begins after that.
async fn deploy(
    State(ctx): State<Ctx>,
    at: At<Deploy>,
    Extension(request_id): Extension<RequestId>,
    Args(args): Args<DeployArgs>,
    request: Request,
) -> Answer<Response> {
    let why = why(request.headers()).to_owned();
    let (from, approves) = from(request, args).await?;
    let apps = ctx.apps.clone();
    if approves {
        apps.find(Some(&at.actor), &at.project.path, Action::Approve)?;
    }
    let said = Said { why, approves };
    Ok(ndjson::run(&ctx, "api deploy", request_id, "deploy", move |progress| async move {
        apps.deploy_saying(&at.actor, &at.project, from, said, &progress).await
    }))
}

/// And whether the caller says yes to all it asks for.
async fn from(request: Request, args: DeployArgs) -> Result<(DeployFrom, bool)> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("application/json");
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/json" => {
            let DeployCommit { commit, approve } = read_json(request.into_body()).await?;
            Ok((DeployFrom::Commit(commit), approve || args.approve))
        }
        "application/x-tar" | "application/gzip" | "application/x-gzip" | "application/x-tar+gzip" => {
            let message = args.message.unwrap_or_else(|| "Deploy a folder".to_owned());
            if message.trim().is_empty() || message.len() > 4096 || message.contains('\0') {
                return Err(Error::bad_input("the message must have 1 to 4,096 bytes"));
            }
            let files = upload::receive(request.into_body()).await?;
            Ok((DeployFrom::Files { files, message }, args.approve))
        }
        _ => Err(Error::bad_input("a deploy is made from JSON or from a tar archive")
            .hint("Send `application/json` with {\"commit\":…}, or `application/x-tar`, or `application/gzip`.")),
    }
}

fn why(headers: &HeaderMap) -> &'static str {
    let cli = headers.get(USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"steady-cli/"));
    if cli { "cli" } else { "api" }
}

async fn rollback(
    State(ctx): State<Ctx>,
    at: At<Deploy>,
    Extension(request_id): Extension<RequestId>,
    JsonBody(Rollback { to }): JsonBody<Rollback>,
) -> Response {
    let apps = ctx.apps.clone();
    ndjson::run(&ctx, "api rollback", request_id, "deploy", move |progress| async move {
        apps.rollback(&at.actor, &at.project, to, &progress).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[tokio::test]
    async fn a_deploy_names_its_source_by_content_type() {
        let ask = |kind: Option<&str>, body: &str| {
            let mut request = Request::new(Body::from(body.to_owned()));
            if let Some(kind) = kind {
                request.headers_mut().insert(CONTENT_TYPE, kind.parse().unwrap());
            }
            from(request, DeployArgs { message: None, approve: false })
        };
        assert!(matches!(ask(None, "").await, Ok((DeployFrom::Commit(None), false))));
        let given = ask(Some("application/json; charset=utf-8"), r#"{"commit":"abc1234","approve":true}"#).await;
        assert!(matches!(given, Ok((DeployFrom::Commit(Some(id)), true)) if id == "abc1234"));
        assert!(ask(Some("application/x-tar"), "not a tar").await.is_err());
        assert!(ask(Some("text/plain"), "").await.is_err());
    }
}
