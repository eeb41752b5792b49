//! Who somebody is, and what they may do. Passwords, sessions, tokens, invitations, guests.
pub mod access;

use crate::base::{Clock, Millis, Result, Secret, UserName};
use crate::store::Store;
use crate::store::users::User;
pub use access::{Action, Role, Scope};

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

/// Cheap to clone.
#[derive(Clone)]
pub struct Accounts {}

impl Accounts {
    pub fn new(_store: Store, _clock: Clock, _options: Options) -> Self {
        todo!()
    }
    pub fn options(&self) -> &Options {
        todo!()
    }
    /// The one-time token that creates the first owner: made anew at each start while there is no user
    /// with a password, `None` after.
    pub fn setup_token(&self) -> Result<Option<Secret<String>>> {
        todo!()
    }
    /// Whether the first owner still has to be made.
    pub fn needs_setup(&self) -> Result<bool> {
        todo!()
    }
    pub fn set_up(&self, _token: &str, _name: &UserName, _password: &Secret<String>) -> Result<SignedIn> {
        todo!()
    }
    /// Errors: `Unauthorized` (same words and time for unknown name and wrong password), `TooMany` after
    /// repeated failures by `from` (the client's address) or for that name.
    pub fn sign_in(&self, _name: &str, _password: &Secret<String>, _from: &str) -> Result<SignedIn> {
        todo!()
    }
    pub fn sign_up(&self, _invite: &str, _name: &UserName, _password: &Secret<String>) -> Result<SignedIn> {
        todo!()
    }
    /// Errors: `Forbidden` when guests are off; `BadInput` for a bad nickname; `TooMany` by address.
    pub fn start_guest(&self, _nickname: &str, _from: &str) -> Result<SignedIn> {
        todo!()
    }
    /// Who a session cookie belongs to; `None` when it is unknown or over.
    pub fn session(&self, _cookie: &str) -> Result<Option<Actor>> {
        todo!()
    }
    pub fn sign_out(&self, _actor: &Actor) -> Result<()> {
        todo!()
    }
    /// Ends every session of this user.
    pub fn sign_out_everywhere(&self, _actor: &Actor) -> Result<u64> {
        todo!()
    }
    pub fn change_password(&self, _actor: &Actor, _old: &Secret<String>, _new: &Secret<String>) -> Result<()> {
        todo!()
    }
    /// Who a token belongs to. Errors: `Unauthorized` when it is unknown, revoked or expired.
    pub fn token(&self, _presented: &str) -> Result<Actor> {
        todo!()
    }
    /// The value is shown once and not kept.
    pub fn create_token(&self, _user: i64, _new: NewToken) -> Result<(TokenInfo, Secret<String>)> {
        todo!()
    }
    pub fn tokens(&self, _user: i64) -> Result<Vec<TokenInfo>> {
        todo!()
    }
    pub fn revoke_token(&self, _user: i64, _token: i64) -> Result<()> {
        todo!()
    }
    /// Admins only. The returned value goes into the link; its hash is kept.
    pub fn invite(&self, _actor: &Actor, _note: &str, _admin: bool) -> Result<(InviteInfo, Secret<String>)> {
        todo!()
    }
    pub fn invites(&self, _actor: &Actor) -> Result<Vec<InviteInfo>> {
        todo!()
    }
    pub fn revoke_invite(&self, _actor: &Actor, _id: i64) -> Result<()> {
        todo!()
    }
    /// For the command line on the machine itself.
    pub fn add_user(&self, _name: &UserName, _password: &Secret<String>, _admin: bool) -> Result<User> {
        todo!()
    }
    pub fn user(&self, _name: &UserName) -> Result<User> {
        todo!()
    }
    pub fn users(&self) -> Result<Vec<User>> {
        todo!()
    }
    /// Removes what is over (sessions, guests without projects, invites, tokens). Called by the server's tick.
    pub fn sweep(&self) -> Result<()> {
        todo!()
    }
}
