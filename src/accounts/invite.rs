//! Invitations, and signing up by one.
use super::password::check_password;
use super::session::NewSession;
use super::{Accounts, Actor, InviteInfo, Scope, SignedIn, access, refuse_guest_name};
use crate::base::secret::{random_token, sha256_hex};
use crate::base::{Error, Millis, Result, Secret, UserName};
use crate::store::users::NewUser;
use crate::store::{invites, users};

/// How long an invitation can be used. Milliseconds.
pub const INVITE_MS: Millis = 7 * 24 * 60 * 60 * 1000;
const NOTE_CHARS: usize = 200;
/// Open at once on a server.
const OPEN: u32 = 500;
/// No value of ours is longer; nothing longer is hashed.
const VALUE_BYTES: usize = 128;

impl Accounts {
    /// Admins only, and not by a token made for less; one that makes an admin never by token. The
    /// returned value goes into the link; its hash is kept. Usable once, for a week.
    /// Errors: `Forbidden`; `BadInput` for a long note; `Conflict` when too many are open.
    pub fn invite(&self, actor: &Actor, note: &str, admin: bool) -> Result<(InviteInfo, Secret<String>)> {
        may_invite(actor)?;
        if admin {
            access::in_person(actor)?;
        }
        let note = note.trim();
        if note.chars().count() > NOTE_CHARS || note.chars().any(char::is_control) {
            return Err(Error::bad_input(format!("the note is not one line of at most {NOTE_CHARS} characters"))
                .hint("Write whom it is for."));
        }
        let now = self.0.clock.now();
        let value = random_token(32);
        let hash = sha256_hex(value.as_bytes());
        let new = invites::Invite {
            id: 0,
            note: note.to_owned(),
            admin,
            created: now,
            expires: now + INVITE_MS,
            used_by: None,
        };
        let row = self.0.store.write(|db| invites::insert(db, actor.user.id, &hash, &new, OPEN))?;
        Ok((info(row)?, Secret::new(value)))
    }

    /// Newest first, for admins; one stays listed for a week after its end. Errors: `Forbidden`.
    pub fn invites(&self, actor: &Actor) -> Result<Vec<InviteInfo>> {
        may_invite(actor)?;
        self.0.store.read(invites::all)?.into_iter().map(info).collect()
    }

    /// Errors: `Forbidden`; `NotFound`; `Conflict` when it was used.
    pub fn revoke_invite(&self, actor: &Actor, id: i64) -> Result<()> {
        may_invite(actor)?;
        self.0.store.write(|db| invites::remove(db, id))
    }

    /// The invitation behind a link, before it is used. Errors: `NotFound` when it is not valid (any more).
    pub fn open_invite(&self, invite: &str) -> Result<InviteInfo> {
        info(self.find_invite(invite)?)
    }

    fn find_invite(&self, invite: &str) -> Result<invites::Invite> {
        if invite.is_empty() || invite.len() > VALUE_BYTES {
            return Err(not_valid());
        }
        let now = self.0.clock.now();
        let hash = sha256_hex(invite.as_bytes());
        self.0.store.read(|db| invites::find_open(db, &hash, now))?.ok_or_else(not_valid)
    }

    /// Errors: `NotFound` when the invitation is not valid (any more); `BadInput` for name or password;
    /// `Conflict` when the name is taken (the invitation stays good).
    pub fn sign_up(&self, invite: &str, name: &UserName, password: &Secret<String>) -> Result<SignedIn> {
        // First the invitation: a stranger must not get anything hashed, nor learn which names are taken.
        let invite = self.find_invite(invite)?;
        refuse_guest_name(name)?;
        check_password(name, password)?;
        let hash = self.0.hasher.hash(password)?;
        let now = self.0.clock.now();
        self.0.store.write(|db| {
            let user = users::insert(db, name, NewUser::Person { password: &hash, admin: invite.admin }, now)?;
            if !invites::mark_used(db, invite.id, user.id, now)? {
                return Err(not_valid());
            }
            self.open_session(db, user, NewSession::new(), now)
        })
    }
}

fn may_invite(actor: &Actor) -> Result<()> {
    access::unscoped(actor, Scope::Admin)?;
    if !actor.user.admin {
        return Err(Error::forbidden("only an admin of this server may do that").hint("Ask an admin."));
    }
    Ok(())
}

fn not_valid() -> Error {
    Error::not_found("this invitation is not valid any more").hint("Ask whoever invited you for a new one.")
}

fn info(row: invites::Invite) -> Result<InviteInfo> {
    Ok(InviteInfo {
        id: row.id,
        note: row.note,
        admin: row.admin,
        created: row.created,
        expires: row.expires,
        used_by: row.used_by.as_deref().map(UserName::parse).transpose()?,
    })
}
