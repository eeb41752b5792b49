//! `/trash`: deleted projects, for a week.
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use super::security::Failed;
use super::visit::{Shell, Visit, done, html};
use super::{Ctx, show};
use crate::apps::view::Deleted;

#[derive(Template)]
#[template(path = "trash.html")]
pub struct TrashPage {
    pub shell: Shell,
    pub deleted: Vec<Deleted>,
}

pub async fn page(State(ctx): State<Ctx>, visit: Visit) -> Result<Response, Failed> {
    let deleted = ctx.apps.deleted(visit.user()?)?;
    html(&TrashPage { shell: visit.shell("Trash"), deleted })
}

pub async fn recover(State(ctx): State<Ctx>, Path(id): Path<i64>, visit: Visit) -> Result<Response, Failed> {
    let project = ctx.apps.recover(visit.user()?, id).await?;
    Ok(done(&format!("/{}", project.path), "recovered"))
}
