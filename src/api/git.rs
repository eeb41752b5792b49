//! Smart HTTP for git: `/USER/PROJECT(.git)/…`. Only the transport is here: the protocol is `crate::git`'s,
//! who may do what is the gate's.
mod gate;
#[cfg(test)]
mod tests;
mod wire;

use std::future::Future;
use std::io::{BufReader, BufWriter, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use hyper::{HeaderMap, Request, StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::{Error, Kind, Progress, ProjectPath, Result};
use crate::git::{Decision, Identity, RefUpdate, Repo, Repos, Service};

/// Git requests served at once; more wait a little, then are told to come back.
const AT_ONCE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(30);
/// What is said of a fetch (wants and haves), inflated.
const TALK: u64 = 16 << 20;

/// Who may fetch and push, and what a push means.
trait Gate: Clone + Send + Sync + 'static {
    /// Proof that somebody may use a service of one repository.
    type Pass: Send + 'static;

    /// Errors: `Unauthorized` when the client should say who it is; `NotFound`, `Forbidden`.
    /// With `begin` a push may create its project.
    fn admit(
        &self,
        headers: &HeaderMap,
        path: &ProjectPath,
        service: Service,
        begin: bool,
    ) -> impl Future<Output = Result<Self::Pass>> + Send;
    fn project(&self, pass: &Self::Pass) -> i64;
    fn identity(&self, pass: &Self::Pass) -> Identity;
    /// Blocking. See [`crate::git::Decide`].
    fn decide(&self, pass: &Self::Pass, repo: &Repo, updates: &[RefUpdate], progress: &Progress) -> Vec<Decision>;
}

pub fn router(ctx: super::Ctx) -> Router {
    let repos = ctx.repos.clone();
    routes(gate::Accounts(ctx), repos)
}

#[derive(Clone)]
struct Host<G> {
    gate: G,
    repos: Repos,
    at_once: Arc<Semaphore>,
}

fn routes<G: Gate>(gate: G, repos: Repos) -> Router {
    Router::new()
        .route("/{user}/{project}/info/refs", get(info_refs::<G>))
        .route("/{user}/{project}/git-upload-pack", post(upload_pack::<G>))
        .route("/{user}/{project}/git-receive-pack", post(receive_pack::<G>))
        .with_state(Host { gate, repos, at_once: Arc::new(Semaphore::new(AT_ONCE)) })
}

#[derive(serde::Deserialize)]
struct Asked {
    service: Option<String>,
}

async fn info_refs<G: Gate>(
    State(host): State<Host<G>>,
    Path((user, project)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let Some(service) = asked.service.as_deref().and_then(Service::parse) else {
        return problem(&Error::forbidden("this server speaks git's smart protocol only; use git 1.6.6 or later"));
    };
    let answer = async {
        let path = project_path(&user, &project)?;
        let pass = host.gate.admit(&headers, &path, service, true).await?;
        let (project, version) = (host.gate.project(&pass), protocol(&headers));
        let _permit = host.permit().await?;
        blocking(move || {
            let mut out = Vec::new();
            host.repos.open(project)?.advertise(service, version, &mut out)?;
            Ok(out)
        })
        .await
    };
    match answer.await {
        Ok(refs) => reply(StatusCode::OK, &format!("application/x-{}-advertisement", service.name()), refs.into()),
        Err(error) => problem(&error),
    }
}

async fn upload_pack<G: Gate>(
    State(host): State<Host<G>>,
    Path((user, project)): Path<(String, String)>,
    headers: HeaderMap,
    request: Request<Body>,
) -> Response {
    let admitted = host.admit(&user, &project, Service::UploadPack, &headers).await;
    let (pass, permit) = match admitted {
        Ok(admitted) => admitted,
        Err(error) => return problem(&error),
    };
    let version = protocol(&headers);
    let input = wire::body(request, TALK);
    let (out, body) = wire::answer();
    let project = host.gate.project(&pass);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut out = BufWriter::with_capacity(64 << 10, out);
        let served = host.repos.open(project).and_then(|repo| repo.upload_pack(version, &mut input(), &mut out));
        if let Err(error) = served {
            tracing::debug!(project, ?error, "a fetch ended early");
        }
        let _ = out.flush();
    });
    reply(StatusCode::OK, "application/x-git-upload-pack-result", body)
}

async fn receive_pack<G: Gate>(
    State(host): State<Host<G>>,
    Path((user, project)): Path<(String, String)>,
    headers: HeaderMap,
    request: Request<Body>,
) -> Response {
    let admitted = host.admit(&user, &project, Service::ReceivePack, &headers).await;
    let (pass, permit) = match admitted {
        Ok(admitted) => admitted,
        Err(error) => return problem(&error),
    };
    // The pack itself is bounded where it is taken in.
    let input = wire::body(request, u64::MAX);
    let (out, body) = wire::answer();
    // A client that goes away does not stop this: what it pushed is deployed to the end.
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let project = host.gate.project(&pass);
        let mut input = BufReader::with_capacity(64 << 10, input());
        let served = host.repos.open(project).and_then(|repo| {
            repo.receive_pack_locking(
                &host.gate.identity(&pass),
                &mut input,
                Box::new(BufWriter::with_capacity(16 << 10, out)),
                &mut || Some(host.repos.lock(project)),
                &mut |repo, updates, progress| host.gate.decide(&pass, repo, updates, progress),
            )
        });
        if let Err(error) = served {
            tracing::debug!(project, ?error, "a push ended early");
        }
    });
    reply(StatusCode::OK, "application/x-git-receive-pack-result", body)
}

impl<G: Gate> Host<G> {
    /// Checks a POST: its type, and once more its right.
    async fn admit(
        &self,
        user: &str,
        project: &str,
        service: Service,
        headers: &HeaderMap,
    ) -> Result<(G::Pass, OwnedSemaphorePermit)> {
        let path = project_path(user, project)?;
        let pass = self.gate.admit(headers, &path, service, false).await?;
        let wanted = format!("application/x-{}-request", service.name());
        if headers.get(header::CONTENT_TYPE).is_none_or(|t| t.as_bytes() != wanted.as_bytes()) {
            return Err(Error::bad_input(format!("the content type must be {wanted}")).because(WrongType));
        }
        Ok((pass, self.permit().await?))
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        let waited = tokio::time::timeout(PATIENCE, Arc::clone(&self.at_once).acquire_owned()).await;
        let busy = || Error::new(Kind::Busy, "the git host is busy").hint("Try again in a minute.");
        waited.map_err(|_| busy())?.map_err(|_| busy())
    }
}

/// Marks the one error that has a status of its own.
#[derive(Debug)]
struct WrongType;

impl std::fmt::Display for WrongType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("wrong content type")
    }
}

impl std::error::Error for WrongType {}

/// Errors: `NotFound`, also for names that could not be any project's.
fn project_path(user: &str, project: &str) -> Result<ProjectPath> {
    let project = project.strip_suffix(".git").unwrap_or(project);
    ProjectPath::parse(&format!("{user}/{project}")).map_err(|e| Error { kind: Kind::NotFound, ..e })
}

/// What `Git-Protocol` asks for: `version=2`, maybe among other things.
fn protocol(headers: &HeaderMap) -> u8 {
    let asked = headers.get("git-protocol").and_then(|v| v.to_str().ok()).unwrap_or("");
    let versions = asked.split(':').filter_map(|part| part.strip_prefix("version="));
    versions.filter_map(|v| v.parse().ok()).filter(|v| *v <= 2).max().unwrap_or(0)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Error::internal("the git host failed")))
}

/// A plain text error: git shows it to its user.
fn problem(error: &Error) -> Response {
    let wrong_type = error.source.as_ref().is_some_and(|s| s.is::<WrongType>());
    let status = if wrong_type { StatusCode::UNSUPPORTED_MEDIA_TYPE } else { crate::http::problem::status(error.kind) };
    let text = match error.kind {
        Kind::Internal => {
            tracing::error!(?error, "a git request failed");
            "Steady failed; its log says why".to_owned()
        }
        _ => [Some(error.public.as_str()), error.hint.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("\n"),
    };
    let mut response = reply(status, "text/plain; charset=utf-8", format!("{text}\n").into());
    if error.kind == Kind::Unauthorized {
        let ask = header::HeaderValue::from_static("Basic realm=\"steady\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
    }
    response
}

fn reply(status: StatusCode, kind: &str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Ok(kind) = kind.parse() {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    let never = "no-cache, max-age=0, must-revalidate";
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static(never));
    headers.insert(header::PRAGMA, header::HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}
