//! The editor's files: what the draft holds, one file, a save, a merge.
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::security::Failed;
use super::visit::{At, Visit, blocking};
use super::{Ctx, show};
use crate::accounts::Action;
use crate::apps::view::{FileView, UpdateHow, Workspace};
use crate::base::{Error, Kind, Result, ResultExt as _, fs::confine};
use crate::git::Change;

/// Changes in one save.
const CHANGES: usize = 2000;

#[derive(Deserialize)]
pub struct Which {
    commit: String,
    path: String,
}

#[derive(Deserialize)]
pub struct Save {
    /// The commit the browser last saw.
    on: String,
    changes: Vec<WireChange>,
}

/// One change as the browser sends it.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum WireChange {
    Write {
        path: String,
        text: Option<String>,
        base64: Option<String>,
        #[serde(default)]
        executable: bool,
    },
    Remove {
        path: String,
    },
    Move {
        from: String,
        to: String,
    },
}

#[derive(Deserialize)]
pub struct Update {
    how: UpdateHow,
}

impl WireChange {
    /// Errors: `BadInput` for a path that leaves the project, or content that is not base64.
    fn checked(self) -> Result<Change> {
        Ok(match self {
            Self::Write { path, text: Some(text), base64: None, executable } => {
                Change::Write { path: confine(&path)?, bytes: text.into_bytes(), executable }
            }
            Self::Write { path, text: None, base64: Some(encoded), executable } => {
                let bytes = base64::engine::general_purpose::STANDARD
                    .decode(encoded)
                    .or_error(Kind::BadInput, "the content of a file is not base64")?;
                Change::Write { path: confine(&path)?, bytes, executable }
            }
            Self::Write { .. } => return Err(Error::bad_input("a write needs either `text` or `base64`")),
            Self::Remove { path } => Change::Remove { path: confine(&path)? },
            Self::Move { from, to } => Change::Move { from: confine(&from)?, to: confine(&to)? },
        })
    }
}

/// Bytes of a save that takes no turn.
const SMALL: u64 = 1 << 20;
/// Large saves at once: each takes several times its size in memory.
static TURNS: Semaphore = Semaphore::const_new(6);

/// Around saves: large ones, and those that do not say how large they are, take turns.
/// Errors: `Busy` after a while.
pub async fn in_turn(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let is_small = request.method() != Method::POST || length.is_some_and(|length| length <= SMALL);
    if is_small {
        return next.run(request).await;
    }
    match tokio::time::timeout(Duration::from_secs(30), TURNS.acquire()).await {
        Ok(Ok(_turn)) => next.run(request).await,
        _ => Failed(Error::new(Kind::Busy, "too many large files are being saved").hint("Try again in a moment."))
            .into_response(),
    }
}

pub async fn workspace(State(ctx): State<Ctx>, Path(at): Path<At>, visit: Visit) -> Result<Json<Workspace>, Failed> {
    let project = visit.project(&ctx, &at, Action::View)?;
    let (apps, actor) = (ctx.apps.clone(), visit.user()?.clone());
    Ok(Json(blocking(move || apps.workspace(&actor, &project)).await?))
}

pub async fn file(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    Query(which): Query<Which>,
    visit: Visit,
) -> Result<Json<FileView>, Failed> {
    let project = visit.project(&ctx, &at, Action::View)?;
    let apps = ctx.apps.clone();
    confine(&which.path)?;
    Ok(Json(blocking(move || apps.file(&project, &which.commit, &which.path)).await?))
}

/// The file itself: a few kinds of picture are shown, everything else is downloaded.
pub async fn raw(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    Query(which): Query<Which>,
    visit: Visit,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::View)?;
    let apps = ctx.apps.clone();
    confine(&which.path)?;
    let name = which.path.rsplit('/').next().unwrap_or("file").to_owned();
    let kind = match name.rsplit('.').next().map(str::to_ascii_lowercase).as_deref() {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("ico") => "image/x-icon",
        _ => "application/octet-stream",
    };
    let bytes = blocking(move || apps.raw(&project, &which.commit, &which.path)).await?;
    let shown = if kind.starts_with("image/") { "inline" } else { "attachment" };
    let disposition = format!("{shown}; filename*=UTF-8''{}", show::segment(&name));
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_str(&disposition).unwrap_or(HeaderValue::from_static("attachment")),
    );
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    Ok(response)
}

pub async fn save(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    visit: Visit,
    Json(save): Json<Save>,
) -> Result<Json<Workspace>, Failed> {
    let project = visit.project(&ctx, &at, Action::Edit)?;
    if save.changes.is_empty() || save.changes.len() > CHANGES {
        return Err(Error::bad_input(format!("a save holds 1 to {CHANGES} changes")).into());
    }
    let changes = save.changes.into_iter().map(WireChange::checked).collect::<Result<Vec<_>>>()?;
    let (apps, actor) = (ctx.apps.clone(), visit.user()?.clone());
    Ok(Json(blocking(move || apps.save(&actor, &project, &save.on, changes)).await?))
}

pub async fn update(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    visit: Visit,
    Json(update): Json<Update>,
) -> Result<Json<Workspace>, Failed> {
    let project = visit.project(&ctx, &at, Action::Edit)?;
    let (apps, actor) = (ctx.apps.clone(), visit.user()?.clone());
    Ok(Json(blocking(move || apps.update_draft(&actor, &project, update.how)).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(json: &str) -> Result<Change> {
        serde_json::from_str::<WireChange>(json).expect("the shape is right").checked()
    }

    #[test]
    fn changes_are_checked_before_they_reach_git() {
        let write = change(r#"{"op":"write","path":"a/b.ts","text":"x"}"#).unwrap();
        assert!(matches!(write, Change::Write { bytes, executable: false, .. } if bytes == b"x"));
        let upload = change(r#"{"op":"write","path":"a.png","base64":"AAE="}"#).unwrap();
        assert!(matches!(upload, Change::Write { bytes, .. } if bytes == [0, 1]));
        for bad in [
            r#"{"op":"write","path":"../x","text":""}"#,
            r#"{"op":"write","path":".git/config","text":""}"#,
            r#"{"op":"write","path":"a","text":"","base64":""}"#,
            r#"{"op":"write","path":"a"}"#,
            r#"{"op":"write","path":"a","base64":"%"}"#,
            r#"{"op":"remove","path":"/etc/passwd"}"#,
            r#"{"op":"move","from":"a","to":"../b"}"#,
        ] {
            assert!(change(bad).is_err(), "{bad} must be refused");
        }
    }
}
