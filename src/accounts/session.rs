//! Signing in and out; who a cookie belongs to.
use super::{Accounts, Actor, SignedIn, Via, access};
use crate::base::secret::{random_token, sha256_hex};
use crate::base::{Error, Kind, Millis, Result, Secret};
use crate::store::sessions::SessionInfo;
use crate::store::users::User;
use crate::store::{Db, sessions, users};

/// A user's newest sessions that stay signed in.
const SESSIONS: u32 = 50;
/// How exact `used` is: one write a minute at most. Milliseconds.
pub(super) const TOUCH: Millis = 60_000;
/// Characters kept of a browser's name for itself.
const AGENT_CHARS: usize = 120;
/// No cookie of ours is longer; nothing longer is hashed.
const COOKIE_BYTES: usize = 128;

/// A session that is not stored yet.
pub(super) struct NewSession {
    cookie: Secret<String>,
    hash: String,
    csrf: String,
}

impl NewSession {
    pub(super) fn new() -> Self {
        let cookie = random_token(32);
        Self { hash: sha256_hex(cookie.as_bytes()), cookie: Secret::new(cookie), csrf: random_token(32) }
    }
}

impl Accounts {
    /// Errors: `Unauthorized` (same words and time for unknown name and wrong password), `TooMany` after
    /// repeated failures by `from` (the client's address) or for that name, `Busy` when too many sign in.
    pub fn sign_in(&self, name: &str, password: &Secret<String>, from: &str) -> Result<SignedIn> {
        let shared = &self.0;
        let now = shared.clock.now();
        let attempt = shared.sign_ins.begin(name, from, now)?;
        let wrong = || {
            Error::new(Kind::Unauthorized, "there is no user with that name and password")
                .hint("Check both and try again.")
        };
        let found = shared.store.read(|db| users::with_password(db, name))?;
        let hash = found.as_ref().map(|(_, hash)| hash.as_str());
        if !shared.hasher.verify(password, hash).inspect_err(|_| shared.sign_ins.undecided(&attempt))? {
            return Err(wrong());
        }
        let (user, hash) = found.ok_or_else(wrong)?;
        let signed_in = shared.store.write(|db| {
            // The password may have been changed, and all sessions ended, while this one was checked.
            if !users::has_password(db, user.id, &hash)? {
                return Err(wrong());
            }
            self.open_session(db, user, NewSession::new(), now)
        })?;
        shared.sign_ins.succeeded(attempt, now);
        Ok(signed_in)
    }

    /// Stores the session, inside the caller's transaction.
    pub(super) fn open_session(&self, db: &Db, user: User, new: NewSession, now: Millis) -> Result<SignedIn> {
        let expires = now.saturating_add(self.0.options.session_ms);
        let id = sessions::insert(db, user.id, &new.hash, &new.csrf, (now, expires), SESSIONS)?;
        Ok(SignedIn { actor: Actor { user, via: Via::Session { id, csrf: new.csrf } }, cookie: new.cookie })
    }

    /// Who a session cookie belongs to; `None` when it is unknown or over.
    pub fn session(&self, cookie: &str) -> Result<Option<Actor>> {
        if cookie.is_empty() || cookie.len() > COOKIE_BYTES {
            return Ok(None);
        }
        let shared = &self.0;
        let now = shared.clock.now();
        let hash = sha256_hex(cookie.as_bytes());
        let Some(found) = shared.store.read(|db| sessions::find(db, &hash, now))? else { return Ok(None) };
        if now - found.used >= TOUCH {
            let expires = now.saturating_add(shared.options.session_ms);
            // A full disk must not shut everybody out.
            if let Err(error) = shared.store.write(|db| sessions::touch(db, found.id, now, expires)) {
                tracing::warn!(?error, "the use of a session was not noted");
            }
        }
        Ok(Some(Actor { user: found.user, via: Via::Session { id: found.id, csrf: found.csrf } }))
    }

    /// Ends this session; by token or on the command line there is none to end.
    pub fn sign_out(&self, actor: &Actor) -> Result<()> {
        match actor.via {
            Via::Session { id, .. } => self.0.store.write(|db| sessions::remove(db, id)),
            Via::Token { .. } | Via::Local => Ok(()),
        }
    }

    /// Ends every session of this user, this one included; how many there were. Tokens stay.
    /// Errors: `Forbidden` by token.
    pub fn sign_out_everywhere(&self, actor: &Actor) -> Result<u64> {
        access::in_person(actor)?;
        self.0.store.write(|db| sessions::remove_of_user(db, actor.user.id, None))
    }

    /// Where this user is signed in, last used first.
    pub fn sessions(&self, actor: &Actor) -> Result<Vec<SessionInfo>> {
        access::in_person(actor)?;
        let now = self.0.clock.now();
        self.0.store.read(|db| sessions::of_user(db, actor.user.id, now))
    }

    /// Notes the `User-Agent` of a new session, for the list of them.
    pub fn note_agent(&self, actor: &Actor, agent: &str) -> Result<()> {
        let Via::Session { id, .. } = actor.via else { return Ok(()) };
        let short: String = agent.chars().filter(|c| !c.is_control()).take(AGENT_CHARS).collect();
        self.0.store.write(|db| sessions::set_agent(db, id, &short))
    }
}
