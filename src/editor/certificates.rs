//! `/certificates`: what the server shows in handshakes, for its admins.
use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::security::Failed;
use super::visit::{Shell, Visit, html};
use super::{Ctx, show};
use crate::base::{Error, Result};
use crate::tls::overview::Overview;

#[derive(Template)]
#[template(path = "certificates.html")]
pub struct Certificates {
    pub shell: Shell,
    pub all: Overview,
}

pub async fn page(State(ctx): State<Ctx>, visit: Visit) -> Result<Response, Failed> {
    if !visit.user()?.user.admin {
        return Err(Error::forbidden("only admins of this server see its certificates").into());
    }
    html(&Certificates { shell: visit.shell("Certificates"), all: (ctx.certificates)()? })
}
