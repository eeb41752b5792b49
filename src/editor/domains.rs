//! The domains of a project: what its settings page shows and does about them.
use std::borrow::Borrow;

use axum::extract::{Form, Path, State};
use axum::response::Response;
use serde::Deserialize;

use super::Ctx;
use super::security::Failed;
use super::settings::after;
use super::visit::{At, Visit};
use crate::accounts::Action;
use crate::apps::domain::{DomainState, NewDomain};
use crate::base::{DomainName, Result};

#[derive(Deserialize)]
pub struct AddForm {
    host: String,
    /// Empty: the domain leads to the app itself.
    #[serde(default)]
    redirect: String,
    #[serde(default)]
    www: Option<String>,
}

#[derive(Deserialize)]
pub struct OneForm {
    host: String,
}

/// In a word or two, and the class that paints it.
pub fn state(of: impl Borrow<DomainState>) -> (&'static str, &'static str) {
    match of.borrow() {
        DomainState::Waiting => ("waiting for DNS", "s-waiting"),
        DomainState::Elsewhere => ("leads elsewhere", "s-failed"),
        DomainState::Certificate => ("certificate pending", "s-starting"),
        DomainState::Live => ("live", "s-ready"),
    }
}

pub async fn add(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    visit: Visit,
    Form(form): Form<AddForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Manage)?;
    let added = async {
        let redirect = Some(form.redirect.trim()).filter(|to| !to.is_empty()).map(DomainName::parse).transpose()?;
        let new = NewDomain { host: DomainName::parse(&form.host)?, redirect, www: form.www.is_some() };
        ctx.apps.add_domain(visit.user()?, &project, new).await
    };
    let added = added.await;
    after(&ctx, &visit, &project, added.map(|_| "domain-added"))
}

pub async fn check(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    visit: Visit,
    Form(form): Form<OneForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Manage)?;
    let checked = async { ctx.apps.check_domain(&project, &DomainName::parse(&form.host)?).await };
    let checked = checked.await;
    after(&ctx, &visit, &project, checked.map(|_| "domain-checked"))
}

pub async fn remove(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    visit: Visit,
    Form(form): Form<OneForm>,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Manage)?;
    let removed = DomainName::parse(&form.host).and_then(|host| ctx.apps.remove_domain(&project, &host));
    after(&ctx, &visit, &project, removed.map(|()| "domain-removed"))
}
