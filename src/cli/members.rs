//! Who may use a project.
use clap::{Subcommand, ValueEnum};
use ureq::http::Method;

use super::args::{App, Global};
use super::client::of;
use super::fail::{Done, Fail};
use super::out;
use super::target::Session;
use crate::accounts::Role;
use crate::api::wire::ChangeMember;
use crate::apps::view::Member;
use crate::base::UserName;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List members and their roles
    List(App),
    /// Add a user, or change their role
    Set {
        user: String,
        role: RoleName,
        #[command(flatten)]
        app: App,
    },
    /// Remove a user
    Remove {
        user: String,
        #[command(flatten)]
        app: App,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RoleName {
    /// Sees code, logs and history
    Viewer,
    /// Also edits, runs, pushes and deploys
    Deployer,
    /// Also sets the environment, renames, deletes, invites
    Owner,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Viewer => Self::Viewer,
            RoleName::Deployer => Self::Deployer,
            RoleName::Owner => Self::Owner,
        }
    }
}

pub fn run(verb: &Verb, global: &Global) -> Done {
    let session = Session::open(global)?;
    let project = |app: &App| session.project(app.project.as_deref(), global);
    let one = |user: &str| -> Done<String> {
        let user = UserName::parse(user).map_err(|e| Fail { code: super::fail::USAGE, ..e.into() })?;
        Ok(format!("/members/{user}"))
    };
    let members: Vec<Member> = match verb {
        Verb::List(app) => session.client.get(&of(&project(app)?, "/members"))?,
        Verb::Set { user, role, app } => {
            let change = ChangeMember { role: (*role).into() };
            session.client.call(Method::PUT, &of(&project(app)?, &one(user)?), Some(&change))?
        }
        Verb::Remove { user, app } => {
            session.client.call::<(), _>(Method::DELETE, &of(&project(app)?, &one(user)?), None)?
        }
    };
    if global.json {
        return out::json(&members);
    }
    let rows: Vec<_> = members.iter().map(|one| vec![out::clean(&one.user), out::clean(&one.role)]).collect();
    out::table(&["USER", "ROLE"], &rows)
}
