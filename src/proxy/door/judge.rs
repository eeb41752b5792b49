//! What the proxy asks of those who know users, and how long it believes the answer. Whoever was judged a moment ago
//! passes without a look into any database.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::clients::Clients;
use super::ticket::{Seal, Used};
use crate::base::secret::{fill_random, random_token, sha256_hex};
use crate::base::{Clock, Millis, Result, ResultExt as _, Secret};

/// How long a yes is believed: a member who was removed, or signed out, is outside after it. Milliseconds.
const BELIEVED_MS: Millis = 2_000;
/// Answers kept.
const ANSWERS: usize = 10_000;

/// Somebody who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    /// May also pass while the app is down for maintenance.
    pub owner: bool,
}

/// What somebody shows.
#[derive(Clone, Debug)]
pub enum Claim {
    /// A pass that was given for this session of this user.
    Session {
        user: i64,
        session: i64,
    },
    Token(Secret<String>),
}

/// Calls may wait for a disk or hash a password: not on the threads of requests.
pub trait Judge: Seal {
    /// Whether the claim holds now, and its user is a member of the app's project, or (`users`) anybody who signed up
    /// on this server. Errors: only Steady's own.
    fn member(&self, app: i64, claim: &Claim, users: bool) -> Result<Option<Member>>;
    /// Whether it is the password of that hash. Errors: `Busy`.
    fn password(&self, hash: &str, given: &Secret<String>) -> Result<bool>;
}

type Question = (i64, bool, String);

/// The judge, and all that the doors of one server remember.
pub struct Keeper {
    pub judge: Arc<dyn Judge>,
    pub clients: Clients,
    pub used: Used,
    /// Names this run of the server.
    pub run: String,
    /// Makes digests of passwords worthless elsewhere.
    salt: String,
    began: Instant,
    answers: Mutex<HashMap<Question, (Member, Millis)>>,
}

impl Keeper {
    pub fn new(judge: Arc<dyn Judge>) -> Self {
        let mut salt = [0u8; 32];
        fill_random(&mut salt);
        Self {
            judge,
            clients: Clients::default(),
            used: Used::default(),
            run: random_token(9),
            salt: hex::encode(salt),
            began: Clock::stopwatch(),
            answers: Mutex::default(),
        }
    }

    /// Nanoseconds since this began: what rates are counted by.
    pub fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// As [`Judge::member`], believed for a moment when it was a yes.
    pub async fn member(&self, app: i64, claim: Claim, users: bool, now: Millis) -> Result<Option<Member>> {
        let who = match &claim {
            Claim::Session { user, session } => format!("{user} {session}"),
            // Hashed, so that no token lies here.
            Claim::Token(token) => sha256_hex(token.expose().as_bytes()),
        };
        let question = (app, users, who);
        if let Some(known) = self.known(&question, now) {
            return Ok(Some(known));
        }
        let judge = Arc::clone(&self.judge);
        let answer = tokio::task::spawn_blocking(move || judge.member(app, &claim, users));
        let answer = answer.await.internal("while asking who may come in")??;
        if let Some(member) = &answer {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if answers.len() >= ANSWERS {
                answers.retain(|_, (_, at)| now - *at < BELIEVED_MS);
            }
            if answers.len() < ANSWERS {
                answers.insert(question, (member.clone(), now));
            }
        }
        Ok(answer)
    }

    fn known(&self, question: &Question, now: Millis) -> Option<Member> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(question).filter(|(_, at)| (0..BELIEVED_MS).contains(&(now - at))).map(|(member, _)| member.clone())
    }

    /// Of a password and the hash it is to be checked by: equal digests are equal passwords.
    pub fn digest(&self, hash: &str, given: &Secret<String>) -> String {
        // It goes into a hash whose key nobody else has.
        sha256_hex(format!("{}\n{hash}\n{}", self.salt, given.expose()).as_bytes())
    }

    /// As [`Judge::password`].
    pub async fn password(&self, hash: &str, given: Secret<String>) -> Result<bool> {
        let (judge, hash) = (Arc::clone(&self.judge), hash.to_owned());
        tokio::task::spawn_blocking(move || judge.password(&hash, &given))
            .await
            .internal("while checking a password")?
    }
}

#[cfg(test)]
mod tests {
    use super::super::ticket::tests::Stamp;
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Judged {
        asked: AtomicU32,
        member: Mutex<Option<Member>>,
    }
    impl Seal for Judged {
        fn seal(&self, kind: &'static str, plain: &[u8]) -> Vec<u8> {
            Stamp.seal(kind, plain)
        }
        fn open(&self, kind: &'static str, sealed: &[u8]) -> Option<Vec<u8>> {
            Stamp.open(kind, sealed)
        }
    }
    impl Judge for Judged {
        fn member(&self, _: i64, _: &Claim, _: bool) -> Result<Option<Member>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            Ok(self.member.lock().unwrap().clone())
        }
        fn password(&self, _: &str, _: &Secret<String>) -> Result<bool> {
            Ok(false)
        }
    }

    #[tokio::test]
    async fn a_yes_is_believed_for_a_moment_and_a_no_never() {
        let ann = Member { name: "ann".into(), owner: false };
        let judge = Arc::new(Judged { asked: AtomicU32::new(0), member: Mutex::new(Some(ann.clone())) });
        let keeper = Keeper::new(judge.clone());
        let session = |session| Claim::Session { user: 1, session };
        for now in [0, 1, BELIEVED_MS - 1] {
            assert_eq!(keeper.member(7, session(1), false, now).await.unwrap(), Some(ann.clone()));
        }
        assert_eq!(judge.asked.load(Ordering::SeqCst), 1);
        for (app, of, users) in [(8, 1, false), (7, 2, false), (7, 1, true)] {
            keeper.member(app, session(of), users, 1).await.unwrap();
        }
        assert_eq!(judge.asked.load(Ordering::SeqCst), 4, "another app, session or wall is another question");
        *judge.member.lock().unwrap() = None;
        assert_eq!(keeper.member(7, session(1), false, BELIEVED_MS).await.unwrap(), None);
        assert_eq!(keeper.member(7, session(1), false, BELIEVED_MS).await.unwrap(), None);
        assert_eq!(judge.asked.load(Ordering::SeqCst), 6);
    }
}
