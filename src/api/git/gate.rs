//! Git's door: tokens in, deploys out.
use base64::Engine as _;
use hyper::{HeaderMap, header};
use tokio::runtime::Handle;

use super::super::Ctx;
use super::Gate;
use crate::accounts::{Action, Actor, Scope, Via};
use crate::apps::{NewProject, Project, Source};
use crate::base::{Clock, Error, Kind, Progress, ProjectPath, Result};
use crate::git::{Decision, Identity, Oid, RefUpdate, Repo, Service};

/// The ref whose push deploys.
const MAIN: &str = "refs/heads/main";

#[derive(Clone)]
pub(super) struct Accounts(pub(super) Ctx);

/// Somebody (or anybody, for public code) and the project they may use.
pub(super) struct Pass {
    who: Option<Actor>,
    project: Project,
}

impl Gate for Accounts {
    type Pass = Pass;

    async fn admit(&self, headers: &HeaderMap, path: &ProjectPath, service: Service, begin: bool) -> Result<Pass> {
        let who = self.actor(headers)?;
        let action = if service == Service::ReceivePack { Action::Deploy } else { Action::View };
        let found = self.0.apps.find(who.as_ref(), path, action);
        match (found, who) {
            (Ok(_), None) if action == Action::Deploy => Err(anonymous()),
            (Ok(project), who) => Ok(Pass { who, project }),
            (Err(e), None) if matches!(e.kind, Kind::NotFound | Kind::Forbidden | Kind::Unauthorized) => {
                Err(anonymous())
            }
            (Err(e), Some(who)) if begin && e.kind == Kind::NotFound && may_create(&who, path, service) => {
                let new = NewProject { name: Some(path.project.clone()), host: None, source: Source::Empty };
                let project = self.0.apps.create(&who, new, &Progress::silent()).await?;
                Ok(Pass { who: Some(who), project })
            }
            (Err(e), _) => Err(e),
        }
    }

    fn project(&self, pass: &Pass) -> i64 {
        pass.project.id
    }

    fn identity(&self, pass: &Pass) -> Identity {
        let name = pass.who.as_ref().map_or_else(|| "nobody".to_owned(), |who| who.user.name.to_string());
        Identity { email: format!("{name}@steady"), name, at: Clock::System.now() }
    }

    fn decide(&self, pass: &Pass, _repo: &Repo, updates: &[RefUpdate], progress: &Progress) -> Vec<Decision> {
        let decide = |update: &RefUpdate| match (update.name == MAIN, update.new) {
            (false, _) => Decision::Accept,
            (true, None) => Decision::Reject("main is what is deployed and cannot be deleted".to_owned()),
            (true, Some(commit)) => self.deploy(pass, commit, progress),
        };
        updates.iter().map(decide).collect()
    }
}

impl Accounts {
    /// Errors: `Unauthorized` for a wrong token; `None` when nothing was presented.
    fn actor(&self, headers: &HeaderMap) -> Result<Option<Actor>> {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
        let Some((name, token)) = credentials(value.as_bytes()) else { return Err(wrong()) };
        let actor = self.0.accounts.token(&token)?;
        match name {
            Some(name) if name != actor.user.name.as_str() => Err(wrong()),
            _ => Ok(Some(actor)),
        }
    }

    fn deploy(&self, pass: &Pass, commit: Oid, progress: &Progress) -> Decision {
        let Some(who) = &pass.who else { return Decision::Reject("nobody is signed in".to_owned()) };
        match Handle::current().block_on(self.0.apps.deploy_pushed(who, &pass.project, commit, progress)) {
            Ok(live) => {
                progress.line(live.url);
                Decision::Accept
            }
            Err(error) => {
                if error.kind == Kind::Internal {
                    tracing::error!(?error, project = pass.project.id, "a pushed deploy failed");
                }
                // The reason must be one line; the rest goes above it.
                let mut lines = error.public.lines().filter(|l| !l.trim().is_empty());
                let reason = lines.next().unwrap_or("the deploy failed").to_owned();
                lines.for_each(|line| progress.line(line));
                if let Some(hint) = error.hint {
                    progress.line(hint);
                }
                Decision::Reject(reason)
            }
        }
    }
}

/// A push may begin a project under its own user's name.
fn may_create(who: &Actor, path: &ProjectPath, service: Service) -> bool {
    let scoped = match &who.via {
        Via::Token { scopes, project, .. } => {
            project.is_none() && scopes.iter().any(|s| matches!(s, Scope::Write | Scope::Admin))
        }
        Via::Session { .. } | Via::Local => true,
    };
    service == Service::ReceivePack && path.user == who.user.name && scoped
}

/// The name (of Basic) and the token in an `Authorization` header.
fn credentials(value: &[u8]) -> Option<(Option<String>, String)> {
    let (scheme, rest) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((None, rest.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(rest).ok()?;
    let (name, token) = String::from_utf8(decoded).ok()?.split_once(':').map(|(n, t)| (n.to_owned(), t.to_owned()))?;
    Some((Some(name), token))
}

/// The same words whether the project is private or does not exist.
fn anonymous() -> Error {
    Error::new(Kind::Unauthorized, "sign in with your user name, and a token as the password")
        .hint("Make a token on your account page.")
}

fn wrong() -> Error {
    Error::new(Kind::Unauthorized, "the user name and the token do not belong together")
        .hint("Use your user name, and a token of yours as the password.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_is_in_a_header() {
        let basic = |text: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text));
        assert_eq!(credentials(b"Bearer steady_x"), Some((None, "steady_x".to_owned())));
        assert_eq!(credentials(basic("dev:a:b").as_bytes()), Some((Some("dev".to_owned()), "a:b".to_owned())));
        for bad in ["Bearer", "Digest x", "Basic !!!", &basic("no colon"), ""] {
            assert_eq!(credentials(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn junk_never_panics(junk in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = credentials(&junk);
        }
    }
}
