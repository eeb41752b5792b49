//! The browser face: server-rendered pages, and the endpoints their scripts call.
mod account;
mod actions;
mod assets;
mod certificates;
mod domains;
mod doors;
mod edit;
mod files;
mod home;
mod login;
mod logs;
mod new;
mod project;
mod run;
mod security;
mod settings;
mod show;
mod stream;
#[cfg(test)]
mod tests;
mod trash;
mod visit;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

use crate::accounts::Accounts;
use crate::apps::{Apps, manifest};
use crate::base::{Error, Result, Tasks};
use crate::http::host::Domains;
use crate::tls::overview::Overview;

/// What the pages stand on.
#[derive(Clone)]
pub struct Ctx {
    pub apps: Apps,
    pub accounts: Accounts,
    pub domains: Domains,
    /// Of links to the editor.
    pub scheme: String,
    /// Somebody else ends TLS in front: browsers are told here to come back by https only.
    pub hsts: bool,
    /// `localhost:8080`: the host and port of the editor as browsers see it.
    pub host: String,
    /// Runs and deploys go on here when the browser that asked for them leaves.
    pub tasks: Tasks,
    pub certificates: Overviews,
}

/// What there is of certificates now.
pub type Overviews = Arc<dyn Fn() -> Result<Overview> + Send + Sync>;

/// Bytes of an ordinary form.
const FORM: usize = 256 << 10;
/// Bytes of a save: 32 MiB of upload is 43 MiB of base64.
const SAVE: usize = 44 << 20;

/// All of the editor's routes. Anything else under this host is answered with a 404 page.
pub fn router(ctx: Ctx) -> Router {
    let save = Router::new()
        .route("/{user}/{project}/files", get(files::workspace).post(files::save))
        .layer(DefaultBodyLimit::max(SAVE))
        .layer(from_fn(files::in_turn));
    let pages = Router::new()
        .route("/", get(home::index))
        .route("/setup/{token}", get(login::setup_page).post(login::setup))
        .route("/signin", get(login::sign_in_page).post(login::sign_in))
        .route("/signout", post(login::sign_out))
        .route("/enter", get(doors::enter))
        .route("/join/{token}", get(login::join_page).post(login::join))
        .route("/play", get(login::play_page).post(login::play))
        .route("/new", get(new::page).post(new::create))
        .route("/account", get(account::page))
        .route("/account/password", post(account::password))
        .route("/account/sessions", post(account::end_sessions))
        .route("/account/tokens", post(account::create_token))
        .route("/account/tokens/{id}/revoke", post(account::revoke_token))
        .route("/account/invites", post(account::invite))
        .route("/account/invites/{id}/revoke", post(account::revoke_invite))
        .route("/certificates", get(certificates::page))
        .route("/trash", get(trash::page))
        .route("/trash/{id}/recover", post(trash::recover))
        .route("/{user}/{project}", get(project::overview))
        .route("/{user}/{project}/deploys", get(project::deploys))
        .route("/{user}/{project}/logs", get(project::logs))
        .route("/{user}/{project}/requests", get(project::requests))
        .route("/{user}/{project}/settings", get(settings::page))
        .route("/{user}/{project}/settings/env", post(settings::env))
        .route("/{user}/{project}/settings/rename", post(settings::rename))
        .route("/{user}/{project}/settings/code", post(settings::public_code))
        .route("/{user}/{project}/settings/members", post(settings::members))
        .route("/{user}/{project}/settings/access", post(doors::access))
        .route("/{user}/{project}/settings/links", post(doors::link))
        .route("/{user}/{project}/settings/links/revoke", post(doors::revoke_link))
        .route("/{user}/{project}/settings/maintenance", post(doors::maintenance))
        .route("/{user}/{project}/settings/domains", post(domains::add))
        .route("/{user}/{project}/settings/domains/check", post(domains::check))
        .route("/{user}/{project}/settings/domains/remove", post(domains::remove))
        .route("/{user}/{project}/settings/delete", post(settings::delete))
        .route("/{user}/{project}/restart", post(actions::restart))
        .route("/{user}/{project}/pause", post(actions::pause))
        .route("/{user}/{project}/fork", post(actions::fork))
        .route("/{user}/{project}/export", get(actions::export))
        .route("/{user}/{project}/edit", get(edit::page))
        .route("/{user}/{project}/file", get(files::file))
        .route("/{user}/{project}/raw", get(files::raw))
        .route("/{user}/{project}/draft/update", post(files::update))
        .route("/{user}/{project}/draft/stop", post(run::stop))
        .route("/{user}/{project}/draft/logs", get(logs::draft))
        .route("/{user}/{project}/logs/stream", get(logs::live))
        .route("/{user}/{project}/run", post(run::run))
        .route("/{user}/{project}/deploy", post(run::deploy))
        .route("/{user}/{project}/rollback", post(run::rollback))
        .route("/{user}/{project}/approve", post(run::approve))
        .route("/{user}/{project}/settings/revoke", post(settings::revoke))
        .layer(DefaultBodyLimit::max(FORM))
        .merge(save)
        .fallback(|| async { security::Failed(Error::not_found("there is no page at this address")) })
        .layer(from_fn_with_state(ctx.clone(), security::guard));
    Router::new()
        .route("/static/{name}", get(assets::file))
        .route(manifest::schema::PATH, get(assets::schema))
        .route("/favicon.svg", get(assets::favicon))
        .route("/favicon.ico", get(assets::favicon))
        .merge(pages)
        .with_state(ctx)
}
