//! Who asks, and what every page needs to answer them.
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use askama::Template;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse as _, Redirect, Response};

use super::security::{Failed, Nonce, Session, cookie};
use super::{Ctx, assets, show};
use crate::accounts::{Action, Actor, Via};
use crate::apps::Project;
use crate::base::{Clock, Error, Kind, Millis, ProjectPath, Result, ResultExt as _};

/// One request, seen by a page. Made after the guard has let it in.
pub struct Visit {
    pub actor: Option<Arc<Actor>>,
    /// The client's address, for counting failures.
    pub from: String,
    nonce: String,
    theme: &'static str,
    flash: Option<&'static str>,
}

/// What `layout.html` shows around every page.
pub struct Shell {
    pub title: String,
    pub nonce: String,
    pub csrf: String,
    pub user: Option<Account>,
    /// `light`, `dark` or `auto`.
    pub theme: &'static str,
    pub flash: Option<&'static str>,
    pub now: Millis,
    pub css: String,
    pub js: String,
    pub icons: String,
    /// Only the editing page loads it.
    pub editor_js: String,
    pub editor_css: String,
}

pub struct Account {
    /// The nickname of a guest, else the user name.
    pub name: String,
    pub guest: bool,
    /// When a guest and what it made are cleared away.
    pub expires: Option<Millis>,
}

/// A project's address in a route.
#[derive(serde::Deserialize)]
pub struct At {
    user: String,
    project: String,
}

impl At {
    /// Errors: `NotFound`, since a malformed address is nobody's project.
    pub fn path(&self) -> Result<ProjectPath> {
        let name = self.project.strip_suffix(".git").unwrap_or(&self.project);
        ProjectPath::parse(&format!("{}/{name}", self.user))
            .map_err(|_| Error::not_found("there is no such project, or you may not see it"))
    }
}

impl Visit {
    /// Errors: `Unauthorized`, which the guard turns into a way to sign in.
    pub fn user(&self) -> Result<&Actor> {
        self.actor.as_deref().ok_or_else(|| Error::new(Kind::Unauthorized, "sign in to do this"))
    }

    /// Errors: as `Apps::find`; somebody signed out is asked to sign in, whether or not there is such a project.
    pub fn project(&self, ctx: &Ctx, at: &At, action: Action) -> Result<Project> {
        let found = ctx.apps.find(self.actor.as_deref(), &at.path()?, action);
        match found {
            Err(e) if self.actor.is_none() && matches!(e.kind, Kind::NotFound | Kind::Forbidden) => {
                Err(Error::new(Kind::Unauthorized, "sign in to see this project"))
            }
            // A name that leads elsewhere now: pages are sent there, acts go through.
            other => other,
        }
    }

    pub fn may(&self, ctx: &Ctx, project: &Project, action: Action) -> bool {
        ctx.apps.find(self.actor.as_deref(), &project.path, action).is_ok()
    }

    pub fn shell(&self, title: impl Into<String>) -> Shell {
        let csrf = match self.actor.as_deref().map(|a| &a.via) {
            Some(Via::Session { csrf, .. }) => csrf.clone(),
            _ => String::new(),
        };
        let user = self.actor.as_deref().map(|a| Account {
            name: a.user.nickname.clone().unwrap_or_else(|| a.user.name.to_string()),
            guest: a.user.guest,
            expires: a.user.expires.filter(|_| a.user.guest),
        });
        Shell::with(title.into(), self.nonce.clone(), csrf, user, self.theme, self.flash)
    }
}

impl Shell {
    pub fn with(
        title: String,
        nonce: String,
        csrf: String,
        user: Option<Account>,
        theme: &'static str,
        flash: Option<&'static str>,
    ) -> Self {
        let now = Clock::default().now();
        let [css, js, icons, editor_js, editor_css] =
            ["app.css", "app.js", "icons.svg", "editor.js", "editor.css"].map(assets::url);
        Self { title, nonce, csrf, user, theme, flash, now, css, js, icons, editor_js, editor_css }
    }
}

/// Where the project of an old name is now, for the same page of it.
pub fn moved(at: &At, project: &Project, page: &str) -> Option<Response> {
    (project.moved || at.project.ends_with(".git"))
        .then(|| Redirect::permanent(&format!("/{}{page}", project.path)).into_response())
}

/// Errors: `Internal` when a template cannot be rendered.
pub fn html(page: &impl Template) -> Result<Response, Failed> {
    html_as(StatusCode::OK, page)
}

/// The same, with another status: a form shown again with what was wrong.
pub fn html_as(status: StatusCode, page: &impl Template) -> Result<Response, Failed> {
    let text = page.render().internal("while rendering a page")?;
    Ok((status, Html(text)).into_response())
}

/// After a form: to a page, with a sentence shown there once (`show::flash` knows the codes).
pub fn done(path: &str, code: &str) -> Response {
    Redirect::to(&format!("{path}?done={code}")).into_response()
}

/// Work that reads a disk, off the threads that answer requests.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.internal("while waiting for a file")?
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failed> {
        let extensions = &parts.extensions;
        let from = extensions
            .get::<IpAddr>()
            .copied()
            .or_else(|| extensions.get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip()))
            .map_or_else(|| "unknown".to_owned(), |ip| ip.to_string());
        let flash = parts.uri.query().and_then(|q| q.split('&').find_map(|p| p.strip_prefix("done=")));
        let theme = match cookie(&parts.headers, "theme") {
            Some("dark") => "dark",
            Some("light") => "light",
            _ => "auto",
        };
        Ok(Self {
            actor: extensions.get::<Session>().and_then(|s| s.0.clone()),
            from,
            nonce: extensions.get::<Nonce>().map(|n| n.0.to_string()).unwrap_or_default(),
            theme,
            flash: flash.and_then(show::flash),
        })
    }
}
