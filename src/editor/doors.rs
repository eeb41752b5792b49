//! The way from an app's door to a session and back, and the forms of the settings page about what stands before an app.
use askama::Template;
use axum::extract::{Form, Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::Ctx;
use super::security::Failed;
use super::settings::{after, show_page};
use super::visit::{At, Shell, Visit, blocking, html};
use crate::accounts::Action;
use crate::apps::Way;
use crate::base::{Error, Secret};

/// A page and no redirect: whoever has just signed in came by a form, and browsers follow those to this site only
/// (`form-action`).
#[derive(Template)]
#[template(path = "enter.html")]
pub struct EnterPage {
    pub shell: Shell,
    pub way: Way,
}

#[derive(Deserialize)]
pub struct Knocked {
    #[serde(default)]
    at: String,
}

#[derive(Deserialize)]
pub struct AccessForm {
    access: String,
    #[serde(default)]
    password: Option<Secret<String>>,
}

#[derive(Deserialize)]
pub struct LinkForm {
    #[serde(default)]
    name: String,
    /// Empty: for ever.
    #[serde(default)]
    days: String,
}

#[derive(Deserialize)]
pub struct RevokeForm {
    link: i64,
}

#[derive(Deserialize)]
pub struct MaintenanceForm {
    #[serde(default)]
    text: String,
    #[serde(default)]
    up: Option<String>,
}

pub async fn enter(State(ctx): State<Ctx>, Query(q): Query<Knocked>, visit: Visit) -> Result<Response, Failed> {
    let way = ctx.apps.enter(visit.user()?, &q.at)?;
    html(&EnterPage { shell: visit.shell(format!("To {}", way.home)), way })
}

pub async fn access(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    visit: Visit,
    Form(form): Form<AccessForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Manage)?;
    let (apps, asked) = (ctx.apps.clone(), project.clone());
    let changed = blocking(move || {
        let access = form.access.parse()?;
        // An empty field of the form is none; whether it holds something is all that is looked at.
        let password = form.password.filter(|password| !password.expose().is_empty());
        apps.set_access(&asked, access, password.as_ref())
    });
    after(&ctx, &visit, &project, changed.await.map(|_| "access"))
}

pub async fn link(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    visit: Visit,
    Form(form): Form<LinkForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Manage)?;
    let days = match form.days.trim() {
        "" => Ok(None),
        days => days.parse().map(Some).map_err(|_| Error::bad_input("the days are no whole number")),
    };
    match days.and_then(|days| ctx.apps.make_link(visit.user()?, &project, &form.name, days)) {
        Ok((_, url)) => show_page(&ctx, &visit, &project, Some(url), None),
        Err(e) => show_page(&ctx, &visit, &project, None, Some(&e)),
    }
}

pub async fn revoke_link(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    visit: Visit,
    Form(form): Form<RevokeForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Manage)?;
    let changed = ctx.apps.revoke_link(&project, form.link);
    after(&ctx, &visit, &project, changed.map(|_| "link-revoked"))
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
