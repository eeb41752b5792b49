//! What an app's door asks: whether a session still lives, and whether a password is the right one.
use super::{Accounts, Actor, Via};
use crate::base::{Result, Secret};
use crate::store::sessions;

impl Accounts {
    /// Whose session that is, if it is that user's and not over. It is not counted as used.
    pub fn living_session(&self, session: i64, user: i64) -> Result<Option<Actor>> {
        let now = self.0.clock.now();
        let found = self.0.store.read(|db| sessions::by_id(db, session, now))?;
        let found = found.filter(|found| found.user.id == user);
        Ok(found.map(|found| Actor { user: found.user, via: Via::Session { id: found.id, csrf: found.csrf } }))
    }

    /// Argon2 of a password that belongs to no user. Errors: `Busy`.
    pub fn hash(&self, password: &Secret<String>) -> Result<String> {
        self.0.hasher.hash(password)
    }

    /// Whether it is the password of that hash. Errors: `Busy`.
    pub fn matches(&self, password: &Secret<String>, hash: &str) -> Result<bool> {
        self.0.hasher.verify(password, Some(hash))
    }
}
