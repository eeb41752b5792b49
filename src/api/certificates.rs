//! The server's certificates, for its admins.
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use super::Ctx;
use super::auth::Caller;
use super::body::Problem;
use crate::accounts::Scope;
use crate::base::Error;
use crate::tls::overview::Overview;

pub(super) fn routes() -> Router<Ctx> {
    Router::new().route("/certificates", get(list))
}

async fn list(State(ctx): State<Ctx>, caller: Caller) -> Result<Json<Overview>, Problem> {
    let actor = caller.with_scope(Scope::Admin)?;
    if !actor.user.admin {
        return Err(Error::forbidden("only admins of this server see its certificates").into());
    }
    Ok(Json((ctx.certificates)()?))
}
