//! What the proxy's doors ask of the control plane: who may come in, and papers that nobody else can write.
use super::door::Access;
use super::{Apps, Project};
use crate::accounts::access::{self, Scope};
use crate::accounts::{Action, Actor, Via};
use crate::base::{Error, Kind, Result, Secret};
use crate::proxy::door::{Claim, Judge, Knock, Member, Paper as _, Seal};
use crate::store::{apps, projects};

/// Where somebody who knocked at an app's door is led.
pub struct Way {
    pub to: String,
    /// Host and port of the app.
    pub home: String,
    /// They are no member of its project, whose owner learns their name: so they go there by a click of their own.
    pub by_click: bool,
}

impl Seal for Apps {
    fn seal(&self, kind: &'static str, plain: &[u8]) -> Vec<u8> {
        self.key().seal(kind, plain)
    }
    fn open(&self, kind: &'static str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.key().open(kind, sealed).ok()
    }
}

impl Judge for Apps {
    fn member(&self, app: i64, claim: &Claim, users: bool) -> Result<Option<Member>> {
        let actor = match claim {
            Claim::Session { user, session } => self.accounts().living_session(*session, *user)?,
            Claim::Token(token) => match self.accounts().token(token.expose()) {
                Ok(actor) => Some(actor),
                Err(error) if error.kind == Kind::Unauthorized => None,
                Err(error) => return Err(error),
            },
        };
        actor.map_or(Ok(None), |actor| self.member_of(app, &actor, users))
    }

    fn password(&self, hash: &str, given: &Secret<String>) -> Result<bool> {
        self.accounts().matches(given, hash)
    }
}

impl Apps {
    /// Answers a knock at an app's door: the address that leads back with a ticket.
    /// Errors: `BadInput` when the knock is not ours or over; `Forbidden` when `who` may not come in.
    pub fn enter(&self, who: &Actor, knock: &str) -> Result<Way> {
        let now = self.clock().now();
        let again = "Open the app's address again.";
        let knock = Knock::opened(self, knock)
            .ok_or_else(|| Error::bad_input("this is no way to an app of this server").hint(again))?;
        if !knock.is_fresh(now) {
            return Err(Error::bad_input("this way to the app is over").hint(again));
        }
        let Via::Session { id: session, .. } = who.via else {
            return Err(Error::forbidden("only a browser that is signed in gets in this way"));
        };
        let home = knock.home.clone();
        let access = self.access_of(knock.app)?;
        if !knock.bypass && !matches!(access, Access::Members | Access::Users) {
            return Ok(Way { to: knock.back(), home, by_click: false });
        }
        let name = &who.user.name;
        match self.member_of(knock.app, who, access == Access::Users)? {
            Some(member) if member.owner || !knock.bypass => {
                let by_click = self.member_of(knock.app, who, false)?.is_none();
                Ok(Way { to: knock.answer(self, who.user.id, session, now), home, by_click })
            }
            _ if knock.bypass => Err(Error::forbidden(format!(
                "you are signed in as {name}, and only owners of its project visit this app during maintenance"
            ))
            .hint("It will be back; try again later.")),
            _ => Err(Error::forbidden(format!("you are signed in as {name}, who may not use this app"))
                .hint("Ask an owner of its project to add you as a member, or sign in as somebody else.")),
        }
    }

    /// `None`: a stranger. Errors: only Steady's own.
    fn member_of(&self, app: i64, who: &Actor, users: bool) -> Result<Option<Member>> {
        let row = self.store().read(|db| projects::by_id(db, apps::by_id(db, app)?.project_id))?;
        if row.deleted.is_some() {
            return Ok(None);
        }
        let may = |action| match self.find(Some(who), &row.path, action) {
            Ok(Project { id, .. }) => Ok(id == row.id),
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Forbidden) => Ok(false),
            Err(error) => Err(error),
        };
        // Readers of public code are no members: `Inspect` is what those may not do.
        let known = users && !who.user.guest && access::unscoped(who, Scope::Read).is_ok();
        if !known && !may(Action::Inspect)? {
            return Ok(None);
        }
        Ok(Some(Member { name: who.user.name.to_string(), owner: may(Action::Manage)? }))
    }
}
