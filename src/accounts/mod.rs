//! Who somebody is, and what they may do. Passwords, sessions, tokens, invitations, guests.
pub mod access;
mod door;
mod guest;
mod invite;
mod password;
mod session;
mod setup;
#[cfg(test)]
mod tests;
mod throttle;
mod token;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::base::secret::random_token;
use crate::base::{Clock, Error, Millis, Result, Secret, UserName};
use crate::store::users::NewUser;
pub use crate::store::users::User;
use crate::store::{Store, invites, sessions, tokens, users};
pub use access::{Action, Role, Scope};
pub use guest::NICKNAME_CHARS;
pub use invite::INVITE_MS;
use password::Hasher;
pub use password::{PASSWORD_BYTES, PASSWORD_CHARS, check_password};
use throttle::{GuestStarts, SignIns};
pub use token::TOKEN_PREFIX;

/// Somebody who asked for something, and how they proved who they are.
#[derive(Clone, Debug)]
pub struct Actor {
    pub user: User,
    pub via: Via,
}

#[derive(Clone, Debug)]
pub enum Via {
    /// A browser session; `csrf` is what its forms must send back.
    Session { id: i64, csrf: String },
    /// A token, which may do only what its scopes allow and (when set) only on one project.
    Token { id: i64, scopes: Vec<Scope>, project: Option<i64> },
    /// The owner of the machine, on the command line.
    Local,
}

/// What a fresh sign-in gives the browser: the cookie value (never stored; its hash is).
#[derive(Debug)]
pub struct SignedIn {
    pub actor: Actor,
    pub cookie: Secret<String>,
}

#[derive(Clone, Debug)]
pub struct Options {
    /// Milliseconds a session lives after its last use.
    pub session_ms: i64,
    /// Whether strangers may start an anonymous playground.
    pub guests: bool,
    /// Milliseconds a guest and its projects live.
    pub guest_ms: i64,
}

/// A token as listed: never its value.
#[derive(Clone, Debug, serde::Serialize)]
pub struct TokenInfo {
    pub id: i64,
    pub name: String,
    pub scopes: Vec<Scope>,
    pub project: Option<i64>,
    pub created: Millis,
    pub expires: Option<Millis>,
    pub used: Option<Millis>,
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct InviteInfo {
    pub id: i64,
    pub note: String,
    pub admin: bool,
    pub created: Millis,
    pub expires: Millis,
    /// Who came by it, once used.
    pub used_by: Option<UserName>,
}

#[derive(Clone, Debug)]
pub struct NewToken {
    pub name: String,
    pub scopes: Vec<Scope>,
    pub project: Option<i64>,
    pub expires: Option<Millis>,
}

/// Cheap to clone. Methods are short calls that may be made from async code: one that hashes a password
/// or waits for the disk tells the runtime that it blocks.
#[derive(Clone)]
pub struct Accounts(Arc<Shared>);

struct Shared {
    store: Store,
    clock: Clock,
    options: Options,
    hasher: Hasher,
    sign_ins: SignIns,
    guest_starts: GuestStarts,
    /// What the link for the first owner holds, until there is one.
    setup: Secret<String>,
    /// There is somebody with a password.
    owned: AtomicBool,
}

/// What guests' names begin with, and nobody else's.
const GUEST_PREFIX: &str = "guest-";
/// Tokens and invitations stay listed this long after their end. Milliseconds.
const SHOWN_AFTER: Millis = 7 * 24 * 60 * 60 * 1000;
/// Guests removed by one sweep: the write lock is not held long.
const SWEPT: u32 = 500;

impl Accounts {
    pub fn new(store: Store, clock: Clock, options: Options) -> Self {
        Self(Arc::new(Shared {
            store,
            clock,
            options,
            hasher: Hasher::default(),
            sign_ins: SignIns::new(),
            guest_starts: GuestStarts::new(),
            setup: Secret::new(random_token(32)),
            owned: AtomicBool::new(false),
        }))
    }

    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// For the command line on the machine itself; a server may run on the same data.
    /// Errors: `BadInput` for the password; `Conflict` when the name is taken.
    pub fn add_user(&self, name: &UserName, password: &Secret<String>, admin: bool) -> Result<User> {
        refuse_guest_name(name)?;
        check_password(name, password)?;
        let hash = self.0.hasher.hash(password)?;
        let now = self.0.clock.now();
        self.0.store.write(|db| users::insert(db, name, NewUser::Person { password: &hash, admin }, now))
    }

    /// Errors: `NotFound`.
    pub fn user(&self, name: &UserName) -> Result<User> {
        self.0.store.read(|db| users::by_name(db, name))
    }

    /// People first, then guests, each by name.
    pub fn users(&self) -> Result<Vec<User>> {
        self.0.store.read(users::all)
    }

    /// Removes what is over (sessions, guests without projects, invites, tokens). Called by the server's tick.
    pub fn sweep(&self) -> Result<()> {
        let now = self.0.clock.now();
        self.0.sign_ins.prune(now);
        self.0.guest_starts.prune(now);
        self.0.store.write(|db| {
            sessions::remove_over(db, now)?;
            tokens::remove_over(db, now - SHOWN_AFTER)?;
            invites::remove_over(db, now - SHOWN_AFTER)?;
            users::remove_guests(db, now, SWEPT)?;
            Ok(())
        })
    }
}

/// Errors: `BadInput` for a name that looks like a guest's.
fn refuse_guest_name(name: &UserName) -> Result<()> {
    if name.as_str().starts_with(GUEST_PREFIX) {
        return Err(Error::bad_input(format!("`{name}` looks like a guest's name"))
            .hint(format!("Choose one that does not begin with `{GUEST_PREFIX}`.")));
    }
    Ok(())
}
