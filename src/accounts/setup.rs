//! The first owner, made by a one-time link.
use std::sync::atomic::Ordering;

use super::password::check_password;
use super::session::NewSession;
use super::{Accounts, SignedIn, refuse_guest_name};
use crate::base::secret::same;
use crate::base::{Error, Kind, Result, Secret, UserName};
use crate::store::users;
use crate::store::users::NewUser;

impl Accounts {
    /// The one-time token that creates the first owner: made anew at each start while there is no user
    /// with a password, `None` after.
    pub fn setup_token(&self) -> Result<Option<Secret<String>>> {
        Ok(self.needs_setup()?.then(|| self.0.setup.clone()))
    }

    /// Whether the first owner still has to be made.
    pub fn needs_setup(&self) -> Result<bool> {
        // People are never removed, so once there is one the question is settled.
        if self.0.owned.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let owned = self.0.store.read(users::any_person)?;
        self.0.owned.store(owned, Ordering::Relaxed);
        Ok(!owned)
    }

    /// Makes the first owner, an admin. Of several who use the link at once, one wins.
    /// Errors: `Conflict` when there is an owner already; `Unauthorized` for a wrong token; `BadInput` for
    /// name or password (the link stays good).
    pub fn set_up(&self, token: &str, name: &UserName, password: &Secret<String>) -> Result<SignedIn> {
        if !self.needs_setup()? {
            return Err(owned());
        }
        // Compared with what was presented, in constant time; nothing is hashed for a stranger.
        if !same(token.as_bytes(), self.0.setup.expose().as_bytes()) {
            return Err(Error::new(Kind::Unauthorized, "this set-up link is not valid")
                .hint("Use the one the server printed when it last started."));
        }
        refuse_guest_name(name)?;
        check_password(name, password)?;
        let hash = self.0.hasher.hash(password)?;
        let now = self.0.clock.now();
        let signed_in = self.0.store.write(|db| {
            // Under the write lock: whoever commits first is the owner.
            if users::any_person(db)? {
                return Err(owned());
            }
            let user = users::insert(db, name, NewUser::Person { password: &hash, admin: true }, now)?;
            self.open_session(db, user, NewSession::new(), now)
        })?;
        self.0.owned.store(true, Ordering::Relaxed);
        Ok(signed_in)
    }
}

fn owned() -> Error {
    Error::conflict("this server has an owner already").hint("Sign in, or ask for an invitation.")
}
