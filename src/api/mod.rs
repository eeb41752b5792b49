//! The machine face: `/api/v1` and smart HTTP for git.
mod auth;
mod body;
mod certificates;
mod control;
mod deploys;
mod domains;
mod doors;
mod env;
mod export;
pub mod git;
mod logs;
mod members;
mod ndjson;
mod permissions;
mod projects;
mod snapshots;
mod tokens;
mod upload;
pub mod wire;

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::middleware;

use crate::accounts::Accounts;
use crate::apps::Apps;
use crate::base::{Error, Result, ResultExt as _, Tasks};
use crate::git::Repos;
use crate::tls::overview::Overview;

#[derive(Clone)]
pub struct Ctx {
    pub apps: Apps,
    pub accounts: Accounts,
    pub repos: Repos,
    /// What a request began goes on here when its client hangs up.
    pub tasks: Tasks,
    pub certificates: Overviews,
}

/// What there is of certificates now.
pub type Overviews = Arc<dyn Fn() -> Result<Overview> + Send + Sync>;

impl Ctx {
    /// Runs a verb to its end even if the client goes away in the middle.
    async fn finish<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.tasks.spawn(name, work).await.internal("while waiting for the work to end")?
    }
}

/// All routes of the machine face. Errors are JSON (`http::problem::json`) everywhere below `/api/v1`.
pub fn router(ctx: Ctx) -> Router {
    Router::new().nest("/api/v1", v1().with_state(ctx.clone())).merge(git::router(ctx))
}

fn v1() -> Router<Ctx> {
    Router::new()
        .merge(tokens::routes())
        .merge(projects::routes())
        .merge(deploys::routes())
        .merge(permissions::routes())
        .merge(snapshots::routes())
        .merge(control::routes())
        .merge(logs::routes())
        .merge(env::routes())
        .merge(members::routes())
        .merge(domains::routes())
        .merge(certificates::routes())
        .merge(doors::routes())
        .merge(export::routes())
        .fallback(async || body::Problem(Error::not_found("there is no such address in this API")))
        .method_not_allowed_fallback(async || body::Problem(Error::bad_input("this address does not take that method")))
        .layer(middleware::from_fn(body::exchange))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_routes_collide() {
        // axum panics where they do.
        let _: Router<Ctx> = v1();
    }
}
