//! Passwords: what a good one is, argon2id, and changing one.
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

use super::{Accounts, Actor, Via, access};
use crate::base::{Error, Kind, Result, ResultExt as _, Secret, UserName};
use crate::store::{blocking, sessions, users};

/// Fewest characters of a password.
pub const PASSWORD_CHARS: usize = 8;
/// Most bytes of a password.
pub const PASSWORD_BYTES: usize = 256;

/// Errors: `BadInput`, saying what is missing.
pub fn check_password(name: &UserName, password: &Secret<String>) -> Result<()> {
    // Only its shape is looked at.
    let text = password.expose();
    if text.chars().count() < PASSWORD_CHARS {
        return Err(Error::bad_input(format!("the password has fewer than {PASSWORD_CHARS} characters"))
            .hint("A few words that nobody would put together are easy to remember."));
    }
    if text.len() > PASSWORD_BYTES {
        return Err(Error::bad_input(format!("the password is longer than {PASSWORD_BYTES} bytes")).hint("Shorten it."));
    }
    if text.trim().eq_ignore_ascii_case(name.as_str()) {
        return Err(Error::bad_input("the password is the user name").hint("Choose one that nobody would guess."));
    }
    Ok(())
}

/// Of a random password nobody knows, with the same parameters as any other: looking up an unknown name
/// takes the time of a known one.
pub(super) const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c3RlYWR5LW5vYm9keS1zYQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// At most this many hash at once: each takes 19 MiB and a core for some 20 ms.
const AT_ONCE: usize = 2;
/// At most this many wait for their turn, each keeping a thread.
const WAITING: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);

/// Argon2id with the crate's recommended parameters (19 MiB, 2 passes, 1 lane).
#[derive(Debug, Default)]
pub(super) struct Hasher {
    turns: Mutex<Turns>,
    free: Condvar,
}

#[derive(Debug, Default)]
struct Turns {
    running: usize,
    waiting: usize,
}

impl Hasher {
    /// Errors: `Busy`.
    pub(super) fn hash(&self, password: &Secret<String>) -> Result<String> {
        // The hash function has to read it.
        let hash = self.run(|| Argon2::default().hash_password(password.expose().as_bytes()))?;
        Ok(hash.internal("while hashing a password")?.to_string())
    }

    /// Whether it is the password of that hash; `None` costs the same and is false. Errors: `Busy`.
    pub(super) fn verify(&self, password: &Secret<String>, hash: Option<&str>) -> Result<bool> {
        let known = hash.is_some();
        let hash = PasswordHash::new(hash.unwrap_or(NOBODY)).internal("while reading a password's hash")?;
        // The hash function has to read it. A longer one than can be set is not worth its time.
        let bytes = password.expose().as_bytes();
        let fits = bytes.len() <= PASSWORD_BYTES;
        let same = fits && self.run(|| Argon2::default().verify_password(bytes, &hash).is_ok())?;
        Ok(same && known)
    }

    /// Waits for a turn, telling the runtime that this thread is busy.
    fn run<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        blocking(|| {
            let _turn = self.turn()?;
            Ok(work())
        })
    }

    fn turn(&self) -> Result<Turn<'_>> {
        let busy = || {
            Error::new(Kind::Busy, "too many people are signing in at this moment").hint("Try again in a few seconds.")
        };
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.running >= AT_ONCE {
            if turns.waiting >= WAITING {
                return Err(busy());
            }
            turns.waiting += 1;
            (turns, _) = self
                .free
                .wait_timeout_while(turns, PATIENCE, |turns| turns.running >= AT_ONCE)
                .unwrap_or_else(PoisonError::into_inner);
            turns.waiting -= 1;
            if turns.running >= AT_ONCE {
                return Err(busy());
            }
        }
        turns.running += 1;
        Ok(Turn(self))
    }
}

/// The right to hash, given back when dropped.
struct Turn<'a>(&'a Hasher);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.turns.lock().unwrap_or_else(PoisonError::into_inner).running -= 1;
        self.0.free.notify_one();
    }
}

impl Accounts {
    /// Ends every other session of the user. Tokens stay: they are listed and revoked by themselves.
    /// Errors: `Forbidden` by token and for guests; `Unauthorized` when `old` is wrong, `TooMany` after
    /// repeated failures; `BadInput` when `new` is not good enough.
    pub fn change_password(&self, actor: &Actor, old: &Secret<String>, new: &Secret<String>) -> Result<()> {
        access::in_person(actor)?;
        let shared = &self.0;
        let user = &actor.user;
        check_password(&user.name, new)?;
        let Some((_, hash)) = shared.store.read(|db| users::with_password(db, user.name.as_str()))? else {
            return Err(Error::forbidden("a guest has no password").hint("Ask for an invitation."));
        };
        // Whoever found an open browser must not guess at the password here; a wrong try there does not
        // make the sign-in form wait.
        let place = format!("session of user {}", user.id);
        let now = shared.clock.now();
        let attempt = shared.sign_ins.begin(&place, &place, now)?;
        if !shared.hasher.verify(old, Some(&hash)).inspect_err(|_| shared.sign_ins.undecided(&attempt))? {
            return Err(Error::new(Kind::Unauthorized, "the old password is wrong").hint("Type it again."));
        }
        shared.sign_ins.succeeded(attempt, now);
        let new = shared.hasher.hash(new)?;
        let keep = match &actor.via {
            Via::Session { id, .. } => Some(*id),
            _ => None,
        };
        shared.store.write(|db| {
            if !users::has_password(db, user.id, &hash)? {
                return Err(Error::conflict("the password was changed somewhere else meanwhile").hint("Try again."));
            }
            users::set_password(db, user.id, &new)?;
            sessions::remove_of_user(db, user.id, keep)?;
            Ok(())
        })
    }

    /// For the command line on the machine itself, when a password is lost. Ends all sessions.
    /// Errors: `NotFound`; `BadInput` when the password is not good enough.
    pub fn reset_password(&self, name: &UserName, new: &Secret<String>) -> Result<()> {
        check_password(name, new)?;
        let new = self.0.hasher.hash(new)?;
        self.0.store.write(|db| {
            let user = users::by_name(db, name)?;
            users::set_password(db, user.id, &new)?;
            sessions::remove_of_user(db, user.id, None)?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn rules() {
        let name = UserName::parse("long-name").unwrap();
        for good in ["12345678", "pässwörd", "        ", &"x".repeat(256)] {
            assert!(check_password(&name, &secret(good)).is_ok(), "{good:?}");
        }
        for bad in ["", "1234567", "üüüüüüü", "long-name", "Long-Name", " long-name", &"x".repeat(257)] {
            let error = check_password(&name, &secret(bad)).unwrap_err();
            assert_eq!(error.kind, Kind::BadInput, "{bad:?}");
            assert!(bad.is_empty() || !error.public.contains(bad), "never repeated");
        }
    }

    #[test]
    fn a_hash_fits_only_its_password() {
        let hasher = Hasher::default();
        let hash = hasher.hash(&secret("correct horse")).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, hasher.hash(&secret("correct horse")).unwrap(), "salted");
        assert!(hasher.verify(&secret("correct horse"), Some(&hash)).unwrap());
        for wrong in ["correct hors", "correct horse ", "", &"x".repeat(5_000)] {
            assert!(!hasher.verify(&secret(wrong), Some(&hash)).unwrap(), "{wrong:?}");
        }
    }

    #[test]
    fn nobody_costs_what_anybody_costs() {
        let hasher = Hasher::default();
        let real = hasher.hash(&secret("something")).unwrap();
        let (real, nobody) = (PasswordHash::new(&real).unwrap(), PasswordHash::new(NOBODY).unwrap());
        assert_eq!(real.algorithm, nobody.algorithm);
        assert_eq!(real.version, nobody.version);
        assert_eq!(real.params, nobody.params);
        assert_eq!(real.salt.map(|s| s.len()), nobody.salt.map(|s| s.len()));
        assert_eq!(real.hash.map(|h| h.len()), nobody.hash.map(|h| h.len()));
        assert!(!hasher.verify(&secret("something"), None).unwrap());
    }

    #[test]
    fn two_at_once_some_wait_the_rest_are_told() {
        let hasher = Hasher::default();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
        };
        let gate = std::sync::Barrier::new(AT_ONCE + 1);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| hasher.run(|| (gate.wait(), gate.wait(), work())).map(drop).unwrap());
            }
            gate.wait();
            for _ in 0..WAITING {
                scope.spawn(|| hasher.run(work).unwrap());
            }
            while hasher.turns.lock().unwrap().waiting < WAITING {
                std::thread::yield_now();
            }
            assert_eq!(hasher.run(|| ()).unwrap_err().kind, Kind::Busy);
            gate.wait();
        });
        assert!(most.load(Ordering::SeqCst) <= AT_ONCE);
        let turns = hasher.turns.lock().unwrap();
        assert_eq!((turns.running, turns.waiting), (0, 0));
    }

    #[test]
    fn a_panic_gives_its_turn_back() {
        let hasher = Hasher::default();
        for _ in 0..AT_ONCE + 1 {
            let run = std::panic::AssertUnwindSafe(|| hasher.run(|| panic!("on purpose")));
            assert!(std::panic::catch_unwind(run).is_err());
        }
        assert!(hasher.run(|| ()).is_ok());
    }
}
