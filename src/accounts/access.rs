//! The one place that says who may do what: pure, deny by default.
use serde::{Deserialize, Serialize};

use super::{Actor, Via};
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
    /// Also sets the environment, renames, deletes, invites.
    Owner,
}

/// What is being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    View,
    Edit,
    Deploy,
    Manage,
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
    let role = if role == Role::Nobody && standing.public_code { Role::Viewer } else { role };
    let needed = match action {
        Action::View => Role::Viewer,
        Action::Edit | Action::Deploy => Role::Deployer,
        Action::Manage => Role::Owner,
    };
    let scoped = actor.is_none_or(|actor| match &actor.via {
        Via::Session { .. } | Via::Local => true,
        Via::Token { scopes, project, .. } => {
            project.is_none_or(|only| only == standing.project) && scopes.iter().any(|s| scope_allows(*s, action))
        }
    });
    if role == Role::Nobody || (!scoped && action == Action::View) {
        return Err(Error::not_found("there is no such project, or you may not see it"));
    }
    if role < needed {
        return Err(Error::new(
            Kind::Forbidden,
            format!("you are a {} of this project, which may not do that", name(role)),
        )
        .hint("Ask an owner of the project for a higher role."));
    }
    if !scoped {
        return Err(Error::new(Kind::Forbidden, "this token's scopes do not allow that")
            .hint("Make a token with the scope `write` or `admin`."));
    }
    Ok(())
}

fn scope_allows(scope: Scope, action: Action) -> bool {
    match scope {
        Scope::Read => action == Action::View,
        Scope::Write => matches!(action, Action::View | Action::Edit | Action::Deploy),
        Scope::Admin => true,
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Nobody => "stranger",
        Role::Viewer => "viewer",
        Role::Deployer => "deployer",
        Role::Owner => "owner",
    }
}
