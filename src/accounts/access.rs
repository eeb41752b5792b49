//! The one place that says who may do what: pure, deny by default.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Actor, Via};
use crate::base::name::clip;
use crate::base::{Error, Kind, Result};

/// What somebody is to a project, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Nobody,
    /// Sees code, logs and history.
    Viewer,
    /// Also edits, runs, pushes and deploys.
    Deployer,
    /// Also sets the environment, approves permissions, renames, deletes, invites.
    Owner,
}

/// What is being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// That it exists, and its code.
    View,
    /// Its state, logs, history and settings: readers of public code may not see these.
    Inspect,
    Edit,
    Deploy,
    Manage,
    /// Give a version more than every app has. Never a guest: nobody answers for them.
    Approve,
}

/// What a token was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look and fetch.
    Read,
    /// Look, fetch, edit, push, deploy.
    Write,
    /// All its user may do.
    Admin,
}

/// What this app's project is, seen from one actor.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub project: i64,
    pub role: Role,
    /// Anybody may look at (and fork) the code.
    pub public_code: bool,
}

/// Errors: `NotFound` when the actor may not even know the project exists, `Forbidden` otherwise.
pub fn check(actor: Option<&Actor>, standing: Standing, action: Action) -> Result<()> {
    let role = match actor {
        Some(actor) if actor.user.admin => Role::Owner,
        Some(_) => standing.role,
        None => Role::Nobody,
    };
    let stranger = role == Role::Nobody;
    let scoped = |action| {
        actor.is_none_or(|actor| match &actor.via {
            Via::Session { .. } | Via::Local => true,
            Via::Token { scopes, project, .. } => {
                project.is_none_or(|only| only == standing.project) && scopes.iter().any(|s| s.allows(action))
            }
        })
    };
    if (stranger && !standing.public_code) || !scoped(Action::View) {
        return Err(Error::not_found("there is no such project, or you may not see it"));
    }
    if stranger && action != Action::View {
        return Err(Error::forbidden("only members of this project may do or see that")
            .hint("Ask an owner of the project to add you, or fork it."));
    }
    if !stranger && role < needed(action) {
        return Err(Error::new(
            Kind::Forbidden,
            format!(
                "you are {} of this project, and only {} may do that",
                role.with_article(),
                needed(action).with_article()
            ),
        )
        .hint("Ask an owner of the project for a higher role."));
    }
    if action == Action::Approve && actor.is_some_and(|actor| actor.user.guest && !actor.user.admin) {
        return Err(Error::forbidden("guests cannot approve what a version asks for")
            .hint("Ask for less in steady.json, or sign up."));
    }
    if !scoped(action) {
        let wanted = if Scope::Write.allows(action) { "`write` or `admin`" } else { "`admin`" };
        return Err(Error::new(Kind::Forbidden, "this token's scopes do not allow that")
            .hint(format!("Make a token with the scope {wanted}.")));
    }
    Ok(())
}

fn needed(action: Action) -> Role {
    match action {
        Action::View | Action::Inspect => Role::Viewer,
        Action::Edit | Action::Deploy => Role::Deployer,
        Action::Manage | Action::Approve => Role::Owner,
    }
}

/// For what belongs to no project (new projects, invitations): all a user may do, unless they came by a
/// token that was made for less.
/// Errors: `Forbidden`.
pub fn unscoped(actor: &Actor, least: Scope) -> Result<()> {
    match &actor.via {
        Via::Session { .. } | Via::Local => Ok(()),
        Via::Token { scopes, project: None, .. } if scopes.iter().any(|s| s.covers(least)) => Ok(()),
        Via::Token { .. } => Err(Error::forbidden("this token was made for less than that")
            .hint(format!("Use a token with the scope `{least}` that is not bound to one project."))),
    }
}

/// For what would outlive a token or a session's end (passwords, tokens, admins): never by token.
/// Errors: `Forbidden`.
pub fn in_person(actor: &Actor) -> Result<()> {
    match &actor.via {
        Via::Session { .. } | Via::Local => Ok(()),
        Via::Token { .. } => Err(Error::forbidden("a token may not do that, whatever its scopes")
            .hint("Sign in with your password and do it in the browser.")),
    }
}

impl Scope {
    fn allows(self, action: Action) -> bool {
        match self {
            Self::Read => matches!(action, Action::View | Action::Inspect),
            Self::Write => !matches!(action, Action::Manage | Action::Approve),
            Self::Admin => true,
        }
    }

    fn covers(self, other: Self) -> bool {
        self as u8 >= other as u8
    }
}

impl Role {
    /// `a viewer`, `an owner`.
    fn with_article(self) -> String {
        let article = if self == Self::Owner { "an" } else { "a" };
        format!("{article} {self}")
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "stranger",
            Self::Viewer => "viewer",
            Self::Deployer => "deployer",
            Self::Owner => "owner",
        })
    }
}

impl FromStr for Role {
    type Err = Error;
    /// Only roles that can be given. Errors: `BadInput`, naming them.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "deployer" => Ok(Self::Deployer),
            "owner" => Ok(Self::Owner),
            _ => Err(Error::bad_input(format!("`{}` is not a role", clip(text)))
                .hint("A role is `viewer`, `deployer` or `owner`.")),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Scope {
    type Err = Error;
    /// Errors: `BadInput`, naming the scopes.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            "admin" => Ok(Self::Admin),
            _ => Err(Error::bad_input(format!("`{}` is not a scope", clip(text)))
                .hint("A scope is `read`, `write` or `admin`.")),
        }
    }
}

#[cfg(test)]
mod tests;
