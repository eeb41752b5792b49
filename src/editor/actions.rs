//! What the buttons of an app's page do: restart, pause, fork, export.
use std::io;

use axum::body::{Body, Bytes};
use axum::extract::{Form, Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::Ctx;
use super::new::named;
use super::security::Failed;
use super::visit::{At, Visit, done};
use crate::accounts::Action;
use crate::apps::{NewProject, Source};
use crate::base::{Progress, ProjectName};

#[derive(Deserialize)]
pub struct PauseForm {
    /// Empty resumes.
    #[serde(default)]
    pause: String,
}

#[derive(Deserialize)]
pub struct ForkForm {
    #[serde(default)]
    name: String,
}

pub async fn restart(State(ctx): State<Ctx>, Path(at): Path<At>, visit: Visit) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Deploy)?;
    ctx.apps.restart(&project).await?;
    Ok(done(&format!("/{}", project.path), "restarted"))
}

pub async fn pause(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    visit: Visit,
    Form(form): Form<PauseForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Deploy)?;
    let paused = !form.pause.is_empty();
    ctx.apps.set_paused(&project, paused).await?;
    Ok(done(&format!("/{}", project.path), if paused { "paused" } else { "resumed" }))
}

pub async fn fork(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    visit: Visit,
    Form(form): Form<ForkForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::View)?;
    let new =
        NewProject { name: named(&form.name, ProjectName::parse)?, host: None, source: Source::Fork(project.path) };
    let forked = ctx.apps.create(visit.user()?, new, &Progress::silent()).await?;
    Ok(Redirect::to(&format!("/{}/edit", forked.path)).into_response())
}

/// The export as it is made. One that fails midway ends without its end mark, so that it cannot be
/// taken for a whole one.
pub async fn export(State(ctx): State<Ctx>, Path(at): Path<At>, visit: Visit) -> Result<Response, Failed> {
    // Whoever may deploy code may read all its data anyway: the API asks the same.
    let project = visit.project(&ctx, &at, Action::Deploy)?;
    let name = format!("attachment; filename=\"{}.tar.gz\"", project.path.project);
    let (sender, receiver) = mpsc::channel(8);
    let (apps, end) = (ctx.apps.clone(), sender.clone());
    ctx.tasks.spawn("export", async move {
        if let Err(error) = apps.export(&project, Box::new(Pipe(sender))).await {
            tracing::warn!(?error, project = %project.path, "an export did not finish");
            drop(end.send(Err(io::Error::other("the export failed"))).await);
        }
    });
    let parts = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|part: io::Result<Bytes>| (part, receiver))
    });
    let mut response = Response::new(Body::from_stream(parts));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// The writing end of a response body: waits while the browser is slower.
struct Pipe(mpsc::Sender<io::Result<Bytes>>);

impl io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = Bytes::copy_from_slice(bytes.get(..bytes.len().min(64 << 10)).unwrap_or(bytes));
        let length = part.len();
        let sent = match self.0.try_send(Ok(part)) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(part)) => self.0.blocking_send(part).is_ok(),
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        };
        if sent { Ok(length) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
