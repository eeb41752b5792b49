//! `/`: what this server is, or somebody's projects.
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::security::Failed;
use super::visit::{Shell, Visit, html};
use super::{Ctx, show};
use crate::apps::view::ProjectSummary;

#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    q: String,
    /// Admins: everybody's.
    #[serde(default)]
    all: Option<String>,
}

#[derive(Template)]
#[template(path = "welcome.html")]
pub struct Welcome {
    pub shell: Shell,
    pub host: String,
    pub needs_setup: bool,
    pub guests: bool,
}

#[derive(Template)]
#[template(path = "home.html")]
pub struct Home {
    pub shell: Shell,
    pub projects: Vec<ProjectSummary>,
    pub q: String,
    pub all: bool,
    pub admin: bool,
}

pub async fn index(State(ctx): State<Ctx>, Query(asked): Query<Asked>, visit: Visit) -> Result<Response, Failed> {
    let Some(actor) = visit.actor.as_deref() else {
        return html(&Welcome {
            shell: visit.shell("Steady"),
            host: ctx.host.clone(),
            needs_setup: ctx.accounts.needs_setup()?,
            guests: ctx.accounts.options().guests,
        });
    };
    let all = asked.all.is_some() && actor.user.admin;
    let mut projects = ctx.apps.list(actor, all)?;
    let q = asked.q.trim().to_lowercase();
    projects.retain(|p| p.path.to_string().contains(&q) || p.url.contains(&q));
    html(&Home { shell: visit.shell("Projects"), projects, q: asked.q, all, admin: actor.user.admin })
}
