//! Personal tokens for git, API and CLI.
use super::session::TOUCH;
use super::{Accounts, Actor, NewToken, Scope, TokenInfo, Via, access};
use crate::base::secret::{random_token, sha256_hex};
use crate::base::{Error, Kind, Result, ResultExt as _, Secret};
use crate::store::{tokens, users};

/// What every token begins with, so that scanners for leaked secrets can find it.
pub const TOKEN_PREFIX: &str = "steady_";
/// Characters after the prefix: 32 random bytes.
const TOKEN_CHARS: usize = 43;
const NAME_CHARS: usize = 64;
/// Tokens of one user.
const TOKENS: u32 = 100;

impl Accounts {
    /// Who a token belongs to. Errors: `Unauthorized` when it is unknown, revoked or expired.
    pub fn token(&self, presented: &str) -> Result<Actor> {
        let wrong = || {
            Error::new(Kind::Unauthorized, "the token is unknown, revoked or expired")
                .hint("Make a new one on your Account page, or on the server with `steady token add`.")
        };
        let random = presented.strip_prefix(TOKEN_PREFIX).ok_or_else(wrong)?;
        if random.len() != TOKEN_CHARS {
            return Err(wrong());
        }
        let shared = &self.0;
        let now = shared.clock.now();
        let hash = sha256_hex(presented.as_bytes());
        let (token, user) = shared.store.read(|db| tokens::find(db, &hash, now))?.ok_or_else(wrong)?;
        if token.used.is_none_or(|used| now - used >= TOUCH) {
            // A full disk must not shut everybody out.
            if let Err(error) = shared.store.write(|db| tokens::touch(db, token.id, now)) {
                tracing::warn!(?error, "the use of a token was not noted");
            }
        }
        let token = info(token)?;
        Ok(Actor { user, via: Via::Token { id: token.id, scopes: token.scopes, project: token.project } })
    }

    /// The value is shown once and not kept. The caller has seen that whoever asks is that user *in
    /// person* ([`access::in_person`]): a token must not make tokens. See [`Accounts::create_own_token`].
    /// Errors: `BadInput` for a bad name, no scope or a past end; `Conflict` when there are too many.
    pub fn create_token(&self, user: i64, new: NewToken) -> Result<(TokenInfo, Secret<String>)> {
        let now = self.0.clock.now();
        let name = new.name.trim();
        if name.is_empty() || name.chars().count() > NAME_CHARS || name.chars().any(char::is_control) {
            return Err(Error::bad_input(format!("a token's name has 1 to {NAME_CHARS} printable characters"))
                .hint("Name what will use it, like `laptop` or `ci`."));
        }
        if new.expires.is_some_and(|at| at <= now) {
            return Err(Error::bad_input("the token would have expired already").hint("Choose a later day."));
        }
        let mut scopes: Vec<Scope> = Vec::new();
        for scope in new.scopes {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        if scopes.is_empty() {
            return Err(Error::bad_input("the token has no scope").hint("Choose `read`, `write` or `admin`."));
        }
        let value = format!("{TOKEN_PREFIX}{}", random_token(32));
        let row = tokens::Token {
            id: 0,
            name: name.to_owned(),
            scopes: serde_json::to_string(&scopes).internal("while writing scopes")?,
            project: new.project,
            created: now,
            expires: new.expires,
            used: None,
        };
        let hash = sha256_hex(value.as_bytes());
        let row = self.0.store.write(|db| {
            let user = users::by_id(db, user)?;
            if user.expires.is_some_and(|at| at <= now) {
                return Err(Error::not_found("there is no such user"));
            }
            tokens::insert(db, user.id, &hash, &row, TOKENS)
        })?;
        Ok((info(row)?, Secret::new(value)))
    }

    /// [`Accounts::create_token`] for whoever asks. Errors: also `Forbidden` by token.
    pub fn create_own_token(&self, actor: &Actor, new: NewToken) -> Result<(TokenInfo, Secret<String>)> {
        access::in_person(actor)?;
        self.create_token(actor.user.id, new)
    }

    /// Newest first; a token stays listed for a week after its end.
    pub fn tokens(&self, user: i64) -> Result<Vec<TokenInfo>> {
        self.0.store.read(|db| tokens::of_user(db, user))?.into_iter().map(info).collect()
    }

    /// Errors: `NotFound` when the user has no such token.
    pub fn revoke_token(&self, user: i64, token: i64) -> Result<()> {
        self.0.store.write(|db| tokens::remove(db, user, token))
    }
}

fn info(row: tokens::Token) -> Result<TokenInfo> {
    Ok(TokenInfo {
        id: row.id,
        name: row.name,
        scopes: serde_json::from_str(&row.scopes).internal("while reading a token's scopes")?,
        project: row.project,
        created: row.created,
        expires: row.expires,
        used: row.used,
    })
}
