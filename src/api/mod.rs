//! The machine face: `/api/v1` and smart HTTP for git.
pub mod git;

use axum::Router;

use crate::accounts::Accounts;
use crate::apps::Apps;
use crate::git::Repos;

#[derive(Clone)]
pub struct Ctx {
    pub apps: Apps,
    pub accounts: Accounts,
    pub repos: Repos,
}

pub fn router(ctx: Ctx) -> Router {
    Router::new().merge(git::router(ctx))
}
