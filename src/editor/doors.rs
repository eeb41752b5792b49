//! The forms of the settings page about what stands before an app.
use axum::extract::{Form, Path, State};
use axum::response::Response;
use serde::Deserialize;

use super::Ctx;
use super::security::Failed;
use super::settings::after;
use super::visit::{At, Visit};
use crate::accounts::Action;

#[derive(Deserialize)]
pub struct MaintenanceForm {
    #[serde(default)]
    text: String,
    #[serde(default)]
    up: Option<String>,
}

pub async fn maintenance(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    visit: Visit,
    Form(form): Form<MaintenanceForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Manage)?;
    let text = Some(form.text.as_str()).filter(|_| form.up.is_none());
    let changed = ctx.apps.set_maintenance(&project, text);
    after(&ctx, &visit, &project, changed.map(|_| if text.is_some() { "down" } else { "up" }))
}
