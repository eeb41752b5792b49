//! The caller, their tokens, and invitations.
use axum::extract::{Path, State};
use axum::routing::{delete, get};
use axum::{Json, Router};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::Ctx;
use super::auth::Caller;
use super::body::{JsonBody, Problem};
use super::wire::{CreateInvite, CreateToken, DAY, Me};
use crate::accounts::{Action, InviteInfo, NewToken, Scope, TokenInfo, Via};
use crate::base::{Clock, Error, Result};

type Answer<T> = std::result::Result<T, Problem>;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/me", get(me))
        .route("/tokens", get(tokens).post(create_token))
        .route("/tokens/{id}", delete(revoke_token))
        .route("/invites", get(invites).post(create_invite))
        .route("/invites/{id}", delete(revoke_invite))
}

async fn me(Caller(actor): Caller) -> Json<Me> {
    let scopes = match actor.via {
        Via::Token { scopes, .. } => scopes,
        Via::Session { .. } | Via::Local => vec![Scope::Admin],
    };
    let user = actor.user;
    let server = env!("CARGO_PKG_VERSION").to_owned();
    Json(Me { user: user.name.to_string(), admin: user.admin, guest: user.guest, scopes, server })
}

async fn tokens(State(ctx): State<Ctx>, caller: Caller) -> Answer<Json<Vec<TokenInfo>>> {
    let actor = caller.with_scope(Scope::Admin)?;
    Ok(Json(ctx.accounts.tokens(actor.user.id)?))
}

async fn create_token(
    State(ctx): State<Ctx>,
    caller: Caller,
    JsonBody(new): JsonBody<CreateToken>,
) -> Answer<(StatusCode, Json<Value>)> {
    let actor = caller.with_scope(Scope::Admin)?;
    let project = match &new.project {
        Some(path) => Some(ctx.apps.find(Some(&actor), path, Action::View)?.id),
        None => None,
    };
    let expires = new.expires_days.map(|days| Clock::System.now() + i64::from(days) * DAY);
    let new = NewToken { name: new.name, scopes: new.scopes, project, expires };
    let (token, value) = ctx.accounts.create_own_token(&actor, new)?;
    // Shown this once.
    Ok((StatusCode::CREATED, Json(json!({ "token": token, "value": value.expose() }))))
}

async fn revoke_token(State(ctx): State<Ctx>, caller: Caller, Path(id): Path<String>) -> Answer<StatusCode> {
    let actor = caller.with_scope(Scope::Admin)?;
    ctx.accounts.revoke_token(actor.user.id, number(&id, "token")?)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn invites(State(ctx): State<Ctx>, caller: Caller) -> Answer<Json<Vec<InviteInfo>>> {
    let actor = caller.with_scope(Scope::Admin)?;
    Ok(Json(ctx.accounts.invites(&actor)?))
}

async fn create_invite(
    State(ctx): State<Ctx>,
    caller: Caller,
    JsonBody(new): JsonBody<CreateInvite>,
) -> Answer<(StatusCode, Json<Value>)> {
    let actor = caller.with_scope(Scope::Admin)?;
    let (invite, value) = ctx.accounts.invite(&actor, &new.note, new.admin)?;
    // Shown this once: whoever opens the link may join.
    let url = format!("{}/join/{}", ctx.apps.options().editor_url, value.expose());
    Ok((StatusCode::CREATED, Json(json!({ "invite": invite, "url": url }))))
}

async fn revoke_invite(State(ctx): State<Ctx>, caller: Caller, Path(id): Path<String>) -> Answer<StatusCode> {
    let actor = caller.with_scope(Scope::Admin)?;
    ctx.accounts.revoke_invite(&actor, number(&id, "invitation")?)?;
    Ok(StatusCode::NO_CONTENT)
}

fn number(text: &str, what: &str) -> Result<i64> {
    text.parse().map_err(|_| Error::not_found(format!("there is no such {what}")))
}
