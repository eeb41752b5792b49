//! Who calls, and what they may do to the project in the path: the only authorisation in the API.
use std::collections::HashMap;
use std::marker::PhantomData;

use axum::extract::{FromRequestParts, Path};
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;

use super::Ctx;
use super::body::{MovedTo, Problem};
use crate::accounts::{Action, Actor, Scope, Via};
use crate::apps::Project;
use crate::base::{Error, Kind, ProjectName, ProjectPath, Result, UserName};

/// Somebody with a valid bearer token. Cookies are not looked at, so no page can borrow them.
pub(super) struct Caller(pub(super) Actor);

impl FromRequestParts<Ctx> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, ctx: &Ctx) -> std::result::Result<Self, Problem> {
        let token = parts.headers.get(AUTHORIZATION).and_then(|v| bearer(v.as_bytes())).ok_or_else(|| {
            Error::new(Kind::Unauthorized, "this needs a token")
                .hint("Send it as `Authorization: Bearer TOKEN`; `steady login` and the account page make one.")
        })?;
        Ok(Self(ctx.accounts.token(token)?))
    }
}

/// The token of an `Authorization` header, when it has the scheme `Bearer`.
fn bearer(header: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(header).ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= 256).then_some(token)
}

impl Caller {
    /// For what is not about one project: the token must have this scope and not be bound to a project.
    pub(super) fn with_scope(self, wanted: Scope) -> Result<Actor> {
        if let Via::Token { scopes, project, .. } = &self.0.via {
            if project.is_some() {
                return Err(Error::forbidden("this token is bound to one project").hint("Use one that is not."));
            }
            let enough = |scope: &Scope| match wanted {
                Scope::Read => true,
                Scope::Write => *scope != Scope::Read,
                Scope::Admin => *scope == Scope::Admin,
            };
            if !scopes.iter().any(enough) {
                return Err(Error::forbidden("this token's scopes do not allow that")
                    .hint("Make a token with the scope `admin`."));
            }
        }
        Ok(self.0)
    }
}

/// What a route needs of its project.
pub(super) trait Need: Send + Sync + 'static {
    const ACTION: Action;
}

macro_rules! need {
    ($($action:ident)*) => {$(
        pub(super) struct $action;
        impl Need for $action {
            const ACTION: Action = Action::$action;
        }
    )*};
}

need! { View Inspect Edit Deploy Manage Approve }

/// The project named by `{user}` and `{project}` in the path, which the caller may do `N` to.
pub(super) struct At<N: Need> {
    pub(super) actor: Actor,
    pub(super) project: Project,
    need: PhantomData<N>,
}

impl<N: Need> FromRequestParts<Ctx> for At<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, ctx: &Ctx) -> std::result::Result<Self, Problem> {
        let Caller(actor) = Caller::from_request_parts(parts, ctx).await?;
        let project = ctx.apps.find(Some(&actor), &path(parts).await?, N::ACTION)?;
        if project.moved
            && let Some(moved) = parts.extensions.get::<MovedTo>()
        {
            moved.set(&project.path);
        }
        Ok(Self { actor, project, need: PhantomData })
    }
}

async fn path(parts: &mut Parts) -> Result<ProjectPath> {
    let missing = || Error::not_found("there is no such project, or you may not see it");
    let Path(names) = Path::<HashMap<String, String>>::from_request_parts(parts, &()).await.map_err(|_| missing())?;
    let name = |key: &str| names.get(key).map(String::as_str).ok_or_else(missing);
    Ok(ProjectPath::new(UserName::parse(name("user")?)?, ProjectName::parse(name("project")?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::User;

    #[test]
    fn only_a_bearer_header_is_a_token() {
        assert_eq!(bearer(b"Bearer steady_x"), Some("steady_x"));
        assert_eq!(bearer(b"bearer  steady_x "), Some("steady_x"));
        for bad in [&b""[..], b"Bearer", b"Bearer ", b"Basic abc", b"\xff x", &[b'B'; 600]] {
            assert_eq!(bearer(bad), None);
        }
    }

    fn caller(scopes: &[Scope], project: Option<i64>) -> Caller {
        let name = UserName::parse("ann").unwrap();
        let user = User { id: 1, name, admin: false, guest: false, nickname: None, created: 0, expires: None };
        Caller(Actor { user, via: Via::Token { id: 1, scopes: scopes.to_vec(), project } })
    }

    #[test]
    fn a_scope_is_enough_only_upwards() {
        assert!(caller(&[Scope::Read], None).with_scope(Scope::Read).is_ok());
        assert!(caller(&[Scope::Write], None).with_scope(Scope::Write).is_ok());
        assert!(caller(&[Scope::Admin], None).with_scope(Scope::Write).is_ok());
        assert!(caller(&[Scope::Read], None).with_scope(Scope::Write).is_err());
        assert!(caller(&[Scope::Write], None).with_scope(Scope::Admin).is_err());
        assert!(caller(&[], None).with_scope(Scope::Read).is_err());
        assert!(caller(&[Scope::Admin], Some(3)).with_scope(Scope::Read).is_err());
    }
}
