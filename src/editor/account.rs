//! `/account`: password, sessions, tokens; for admins, invitations and users.
use askama::Template;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::login::{status_of, told};
use super::security::Failed;
use super::visit::{Shell, Visit, blocking, done, html_as};
use super::{Ctx, show};
use crate::accounts::{Action, InviteInfo, NewToken, Scope, TokenInfo, User};
use crate::base::{Clock, Error, ProjectPath, Result, Secret};

#[derive(Template)]
#[template(path = "account.html")]
pub struct AccountPage {
    pub shell: Shell,
    pub me: User,
    pub tokens: Vec<TokenInfo>,
    /// What a token may be bound to: ids and names.
    pub projects: Vec<(i64, ProjectPath)>,
    pub invites: Vec<InviteInfo>,
    pub users: Vec<User>,
    /// A token or invitation link just made: shown this once.
    pub fresh: Option<Fresh>,
    pub error: Option<(String, Option<String>)>,
}

pub struct Fresh {
    pub what: &'static str,
    pub value: String,
    /// What to do with it.
    pub note: &'static str,
}

impl AccountPage {
    /// The name of a project a token is bound to; `None` when it is gone or no longer one's own.
    pub fn project(&self, id: &i64) -> Option<&ProjectPath> {
        self.projects.iter().find(|(of, _)| of == id).map(|(_, path)| path)
    }
}

#[derive(Deserialize)]
pub struct PasswordForm {
    old: Secret<String>,
    new: Secret<String>,
}

#[derive(Deserialize)]
pub struct TokenForm {
    name: String,
    scope: Scope,
    /// Days; empty for never.
    #[serde(default)]
    days: String,
    /// `USER/PROJECT`; empty for all.
    #[serde(default)]
    project: String,
}

#[derive(Deserialize)]
pub struct InviteForm {
    #[serde(default)]
    note: String,
    #[serde(default)]
    admin: Option<String>,
}

pub fn scope(of: &Scope) -> &'static str {
    match of {
        Scope::Read => "read",
        Scope::Write => "write",
        Scope::Admin => "admin",
    }
}

pub async fn page(State(ctx): State<Ctx>, visit: Visit) -> Result<Response, Failed> {
    show_page(&ctx, &visit, None, None)
}

fn show_page(ctx: &Ctx, visit: &Visit, fresh: Option<Fresh>, error: Option<&Error>) -> Result<Response, Failed> {
    let actor = visit.user()?;
    let admin = actor.user.admin;
    let page = AccountPage {
        shell: visit.shell("Account"),
        me: actor.user.clone(),
        tokens: ctx.accounts.tokens(actor.user.id)?,
        projects: ctx.apps.names(actor)?,
        invites: if admin { ctx.accounts.invites(actor)? } else { Vec::new() },
        users: if admin { ctx.accounts.users()? } else { Vec::new() },
        fresh,
        error: error.map(told),
    };
    html_as(status_of(error), &page)
}

fn after(ctx: &Ctx, visit: &Visit, result: Result<&str>) -> Result<Response, Failed> {
    match result {
        Ok(code) => Ok(done("/account", code)),
        Err(e) => show_page(ctx, visit, None, Some(&e)),
    }
}

pub async fn password(
    State(ctx): State<Ctx>,
    visit: Visit,
    Form(form): Form<PasswordForm>,
) -> Result<Response, Failed> {
    let (accounts, actor) = (ctx.accounts.clone(), visit.user()?.clone());
    let changed = blocking(move || accounts.change_password(&actor, &form.old, &form.new)).await;
    after(&ctx, &visit, changed.map(|()| "password"))
}

pub async fn end_sessions(State(ctx): State<Ctx>, visit: Visit) -> Result<Response, Failed> {
    ctx.accounts.sign_out_everywhere(visit.user()?)?;
    Ok(Redirect::to("/signin?done=signed-out").into_response())
}

pub async fn create_token(
    State(ctx): State<Ctx>,
    visit: Visit,
    Form(form): Form<TokenForm>,
) -> Result<Response, Failed> {
    let user = visit.user()?.user.id;
    let made = new_token(&ctx, &visit, &form).and_then(|new| ctx.accounts.create_token(user, new));
    match made {
        Ok((info, value)) => {
            let what = if info.expires.is_some() { "Your new token" } else { "Your new token, which never expires" };
            let note = "It is shown only now. Keep it somewhere safe.";
            show_page(&ctx, &visit, Some(Fresh { what, value: value.into_inner(), note }), None)
        }
        Err(e) => show_page(&ctx, &visit, None, Some(&e)),
    }
}

fn new_token(ctx: &Ctx, visit: &Visit, form: &TokenForm) -> Result<NewToken> {
    let name = form.name.trim();
    if name.is_empty() || name.chars().count() > 60 {
        return Err(Error::bad_input("a token needs a name of 1 to 60 characters"));
    }
    let expires = match form.days.as_str() {
        "" => None,
        days => {
            let days: i64 = days.parse().ok().filter(|d| (1..=3650).contains(d)).ok_or_else(|| {
                Error::bad_input("that is not a number of days").hint("Use 1 to 3650, or choose never.")
            })?;
            Some(Clock::default().now() + days * 86_400_000)
        }
    };
    let project = match form.project.as_str() {
        "" => None,
        path => Some(ctx.apps.find(visit.actor.as_deref(), &ProjectPath::parse(path)?, Action::View)?.id),
    };
    Ok(NewToken { name: name.to_owned(), scopes: vec![form.scope], project, expires })
}

pub async fn revoke_token(State(ctx): State<Ctx>, Path(id): Path<i64>, visit: Visit) -> Result<Response, Failed> {
    let revoked = ctx.accounts.revoke_token(visit.user()?.user.id, id);
    after(&ctx, &visit, revoked.map(|()| "revoked"))
}

pub async fn invite(State(ctx): State<Ctx>, visit: Visit, Form(form): Form<InviteForm>) -> Result<Response, Failed> {
    match ctx.accounts.invite(visit.user()?, form.note.trim(), form.admin.is_some()) {
        Ok((_, value)) => {
            let value = format!("{}://{}/join/{}", ctx.scheme, ctx.host, value.expose());
            let (what, note) =
                ("An invitation for one person", "Send this link to whom you invite. It is shown only now.");
            show_page(&ctx, &visit, Some(Fresh { what, value, note }), None)
        }
        Err(e) => show_page(&ctx, &visit, None, Some(&e)),
    }
}

pub async fn revoke_invite(State(ctx): State<Ctx>, Path(id): Path<i64>, visit: Visit) -> Result<Response, Failed> {
    let revoked = ctx.accounts.revoke_invite(visit.user()?, id);
    after(&ctx, &visit, revoked.map(|()| "revoked"))
}
