//! Ways in and out: first owner, sign in, invitation, guest.
use askama::Template;
use axum::extract::{Form, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::security::{Failed, safe_next, set_cookie};
use super::visit::{Shell, Visit, blocking, html, html_as};
use super::{Ctx, show};
use crate::accounts::SignedIn;
use crate::base::{Error, Kind, Result, Secret, UserName, secret::same};
use crate::http::problem;

#[derive(Template)]
#[template(path = "signin.html")]
pub struct SignInPage {
    pub shell: Shell,
    pub next: String,
    pub name: String,
    pub error: Option<(String, Option<String>)>,
    pub guests: bool,
}

/// Choosing a name and a password: as first owner, or by invitation.
#[derive(Template)]
#[template(path = "signup.html")]
pub struct SignUpPage {
    pub shell: Shell,
    pub heading: &'static str,
    pub lead: &'static str,
    pub action: String,
    pub button: &'static str,
    pub name: String,
    pub error: Option<(String, Option<String>)>,
}

#[derive(Template)]
#[template(path = "play.html")]
pub struct PlayPage {
    pub shell: Shell,
    pub days: i64,
    pub nickname: String,
    pub error: Option<(String, Option<String>)>,
}

#[derive(Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub struct Credentials {
    name: String,
    password: Secret<String>,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub struct Nickname {
    nickname: String,
}

pub async fn sign_in_page(State(ctx): State<Ctx>, Query(q): Query<Next>, visit: Visit) -> Result<Response, Failed> {
    let next = safe_next(&q.next).to_owned();
    if visit.actor.is_some() {
        return Ok(Redirect::to(&next).into_response());
    }
    if ctx.accounts.needs_setup()? {
        return Ok(Redirect::to("/").into_response());
    }
    let guests = ctx.accounts.options().guests;
    html(&SignInPage { shell: visit.shell("Sign in"), next, name: String::new(), error: None, guests })
}

pub async fn sign_in(State(ctx): State<Ctx>, visit: Visit, Form(form): Form<Credentials>) -> Result<Response, Failed> {
    let next = safe_next(&form.next).to_owned();
    let (accounts, name, from) = (ctx.accounts.clone(), form.name.trim().to_lowercase(), visit.from.clone());
    let password = form.password;
    match blocking(move || accounts.sign_in(&name, &password, &from)).await {
        Ok(signed) => Ok(enter(&signed, &next)),
        Err(e) => {
            let (shell, guests) = (visit.shell("Sign in"), ctx.accounts.options().guests);
            let page = SignInPage { shell, next, name: form.name, error: Some(told(&e)), guests };
            html_as(problem::status(e.kind), &page)
        }
    }
}

pub async fn sign_out(State(ctx): State<Ctx>, visit: Visit) -> Result<Response, Failed> {
    if let Some(actor) = visit.actor.as_deref() {
        ctx.accounts.sign_out(actor)?;
    }
    let mut response = Redirect::to("/").into_response();
    response.headers_mut().insert(header::SET_COOKIE, set_cookie(""));
    Ok(response)
}

pub async fn setup_page(State(ctx): State<Ctx>, Path(token): Path<String>, visit: Visit) -> Result<Response, Failed> {
    let good = ctx.accounts.setup_token()?.is_some_and(|t| same(t.expose().as_bytes(), token.as_bytes()));
    if !good {
        return Err(Error::not_found("this set-up link is not valid, or was used already")
            .hint("Restart the server: while it has no owner it prints a new link.")
            .into());
    }
    html(&sign_up(&visit, Some(&token), String::new(), None))
}

pub async fn setup(
    State(ctx): State<Ctx>,
    Path(token): Path<String>,
    visit: Visit,
    Form(form): Form<Credentials>,
) -> Result<Response, Failed> {
    let (accounts, sent, link) = (ctx.accounts.clone(), form.name.clone(), token.clone());
    let made = blocking(move || accounts.set_up(&link, &UserName::parse(sent.trim())?, &form.password)).await;
    entered(made, |error| sign_up(&visit, Some(&token), form.name, Some(error)))
}

pub async fn join_page(Path(token): Path<String>, visit: Visit) -> Result<Response, Failed> {
    let mut page = sign_up(&visit, None, String::new(), None);
    page.action = format!("/join/{}", show::segment(&token));
    html(&page)
}

pub async fn join(
    State(ctx): State<Ctx>,
    Path(token): Path<String>,
    visit: Visit,
    Form(form): Form<Credentials>,
) -> Result<Response, Failed> {
    let (accounts, sent, link) = (ctx.accounts.clone(), form.name.clone(), token.clone());
    let made = blocking(move || accounts.sign_up(&link, &UserName::parse(sent.trim())?, &form.password)).await;
    entered(made, |error| {
        let mut page = sign_up(&visit, None, form.name, Some(error));
        page.action = format!("/join/{}", show::segment(&token));
        page
    })
}

pub async fn play_page(State(ctx): State<Ctx>, visit: Visit) -> Result<Response, Failed> {
    if !ctx.accounts.options().guests {
        return Err(Error::forbidden("this server does not take guests")
            .hint("Ask its owner for an invitation.")
            .into());
    }
    if visit.actor.is_some() {
        return Ok(Redirect::to("/new").into_response());
    }
    html(&PlayPage { shell: visit.shell("Play"), days: days(&ctx), nickname: String::new(), error: None })
}

pub async fn play(State(ctx): State<Ctx>, visit: Visit, Form(form): Form<Nickname>) -> Result<Response, Failed> {
    match ctx.accounts.start_guest(form.nickname.trim(), &visit.from) {
        Ok(signed) => Ok(enter(&signed, "/new")),
        Err(e) => {
            let (shell, days) = (visit.shell("Play"), days(&ctx));
            let page = PlayPage { shell, days, nickname: form.nickname, error: Some(told(&e)) };
            html_as(problem::status(e.kind), &page)
        }
    }
}

fn days(ctx: &Ctx) -> i64 {
    (ctx.accounts.options().guest_ms / 86_400_000).max(1)
}

fn sign_up(visit: &Visit, setup: Option<&str>, name: String, error: Option<(String, Option<String>)>) -> SignUpPage {
    match setup {
        Some(token) => SignUpPage {
            shell: visit.shell("Set up Steady"),
            heading: "Make this server yours",
            lead: "You are its first owner. Choose how you sign in; everything else can wait.",
            action: format!("/setup/{}", show::segment(token)),
            button: "Create owner",
            name,
            error,
        },
        None => SignUpPage {
            shell: visit.shell("Join"),
            heading: "You are invited",
            lead: "Choose a user name and a password. Your projects will be at USER/PROJECT.",
            action: String::new(),
            button: "Join",
            name,
            error,
        },
    }
}

fn entered(
    made: Result<SignedIn>,
    again: impl FnOnce((String, Option<String>)) -> SignUpPage,
) -> Result<Response, Failed> {
    match made {
        Ok(signed) => Ok(enter(&signed, "/")),
        Err(e) => html_as(problem::status(e.kind), &again(told(&e))),
    }
}

fn enter(signed: &SignedIn, next: &str) -> Response {
    let mut response = Redirect::to(next).into_response();
    response.headers_mut().insert(header::SET_COOKIE, set_cookie(signed.cookie.expose()));
    response
}

/// What went wrong and what to do, for a form shown again.
pub fn told(error: &Error) -> (String, Option<String>) {
    (show::public(error), error.hint.clone().filter(|_| error.kind != Kind::Internal))
}

/// A form's own page, with its error and status.
pub fn status_of(error: Option<&Error>) -> StatusCode {
    error.map_or(StatusCode::OK, |e| problem::status(e.kind))
}
