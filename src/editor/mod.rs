//! The browser face.
use axum::Router;

use crate::accounts::Accounts;
use crate::apps::Apps;
use crate::http::host::Domains;

#[derive(Clone)]
pub struct Ctx {
    pub apps: Apps,
    pub accounts: Accounts,
    pub domains: Domains,
    /// `https` makes HSTS and secure links.
    pub scheme: String,
    /// `localhost:8080`: the host and port of the editor as browsers see it.
    pub host: String,
}

pub fn router(_ctx: Ctx) -> Router {
    Router::new()
}
