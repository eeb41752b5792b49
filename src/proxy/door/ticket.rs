//! The three sealed papers of the door. A *knock* goes from an app's host to the editor's, a *ticket* comes back, and a
//! *pass* stays as the cookie. Each says for which app and host it is, and opens as nothing else.
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::base::Millis;
use crate::base::secret::{random_token, sha256_hex};

/// Who can seal and open. A seal binds the kind of paper, too.
pub trait Seal: Send + Sync {
    fn seal(&self, kind: &'static str, plain: &[u8]) -> Vec<u8>;
    /// `None`: not ours, of another kind, or changed.
    fn open(&self, kind: &'static str, sealed: &[u8]) -> Option<Vec<u8>>;
}

/// Time to sign in. Milliseconds.
const KNOCK_MS: Millis = 15 * 60_000;
/// Time for one redirect. Milliseconds.
const TICKET_MS: Millis = 60_000;
/// Characters of a sealed paper that are looked at.
const MOST: usize = 8 << 10;
/// Tickets remembered as used: each lives a minute, and takes a signed-in member to make.
const USED: usize = 100_000;

/// "Somebody stands at this app's door": made by the proxy alone, so that the editor's host sends nobody elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knock {
    pub app: i64,
    /// Host and port.
    pub home: String,
    pub scheme: String,
    /// Path and query to come back to.
    pub to: String,
    /// Of the browser's own cookie, hashed.
    pub state: String,
    /// To pass while the app is down for maintenance.
    pub bypass: bool,
    /// Of this run of the server: a ticket is used once, and a new run does not know which were.
    pub run: String,
    pub made: Millis,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    pub app: i64,
    pub home: String,
    pub state: String,
    pub bypass: bool,
    pub run: String,
    pub user: i64,
    pub session: i64,
    pub serial: String,
    pub until: Millis,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    pub app: i64,
    pub home: String,
    pub holder: Holder,
    pub until: Millis,
}

/// Why its bearer was let in. Whether that still holds is asked again and again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Holder {
    Member {
        user: i64,
        session: i64,
        bypass: bool,
    },
    Link {
        id: i64,
    },
    /// `of` names the password, so that a new one ends it.
    Password {
        of: String,
    },
}

/// A paper that can be sealed.
pub trait Paper: Serialize + DeserializeOwned {
    const KIND: &'static str;

    fn sealed(&self, seal: &dyn Seal) -> String {
        let plain = serde_json::to_vec(self).unwrap_or_default();
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(seal.seal(Self::KIND, &plain))
    }

    fn opened(seal: &dyn Seal, text: &str) -> Option<Self> {
        if text.len() > MOST {
            return None;
        }
        let sealed = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice(&seal.open(Self::KIND, &sealed)?).ok()
    }
}

impl Paper for Knock {
    const KIND: &'static str = "door knock";
}
impl Paper for Ticket {
    const KIND: &'static str = "door ticket";
}
impl Paper for Pass {
    const KIND: &'static str = "door pass";
}

impl Knock {
    pub fn is_fresh(&self, now: Millis) -> bool {
        (0..KNOCK_MS).contains(&(now - self.made))
    }

    /// The address that brings `user`, signed in by `session`, back with a ticket.
    pub fn answer(&self, seal: &dyn Seal, user: i64, session: i64, now: Millis) -> String {
        let ticket = Ticket {
            app: self.app,
            home: self.home.clone(),
            state: self.state.clone(),
            bypass: self.bypass,
            run: self.run.clone(),
            user,
            session,
            serial: random_token(12),
            until: now + TICKET_MS,
        };
        let joint = if self.to.contains('?') { '&' } else { '?' };
        format!("{}{joint}{}={}", self.back(), super::ask::TICKET, ticket.sealed(seal))
    }

    /// The address that was asked for.
    pub fn back(&self) -> String {
        format!("{}://{}{}", self.scheme, self.home, self.to)
    }
}

/// Which browser: what its cookie holds, as the papers say it.
pub fn state_of(cookie: &str) -> String {
    sha256_hex(cookie.as_bytes())[..32].to_owned()
}

/// Tickets that were used and have not ended by themselves.
#[derive(Default)]
pub struct Used(Mutex<HashMap<String, Millis>>);

impl Used {
    /// Whether this is the first use; it is noted.
    pub fn first(&self, ticket: &Ticket, now: Millis) -> bool {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= USED {
            used.retain(|_, until| *until > now);
        }
        used.len() < USED && used.insert(ticket.serial.clone(), ticket.until).is_none()
    }
}

impl Ticket {
    /// Whether it was made for this app, host, browser and run of the server, and is not over.
    pub fn fits(&self, app: i64, home: &str, states: &[String], run: &str, now: Millis) -> bool {
        let here = self.app == app && self.home == home && self.run == run;
        here && states.contains(&self.state) && self.until > now && self.until <= now + TICKET_MS
    }
}

impl Pass {
    pub fn fits(&self, app: i64, home: &str, now: Millis) -> bool {
        self.app == app && self.home == home && self.until > now
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Not secret, but keeps kinds and changes apart as the real one does.
    pub struct Stamp;
    impl Seal for Stamp {
        fn seal(&self, kind: &'static str, plain: &[u8]) -> Vec<u8> {
            [sha256_hex(&[kind.as_bytes(), plain].concat()).as_bytes(), plain].concat()
        }
        fn open(&self, kind: &'static str, sealed: &[u8]) -> Option<Vec<u8>> {
            let plain = sealed.get(64..)?;
            (self.seal(kind, plain) == sealed).then(|| plain.to_vec())
        }
    }

    fn knock() -> Knock {
        Knock {
            app: 7,
            home: "shop.localhost:8080".into(),
            scheme: "http".into(),
            to: "/a?b=c".into(),
            state: state_of("cookie"),
            bypass: false,
            run: "run1".into(),
            made: 1_000,
        }
    }

    fn ticket(knock: &Knock, now: Millis) -> Ticket {
        let address = knock.answer(&Stamp, 3, 9, now);
        Ticket::opened(&Stamp, address.split("steady_ticket=").nth(1).unwrap()).unwrap()
    }

    #[test]
    fn a_ticket_comes_back_to_where_the_knock_was() {
        let address = knock().answer(&Stamp, 3, 9, 2_000);
        assert!(address.starts_with("http://shop.localhost:8080/a?b=c&steady_ticket="), "{address}");
        let ticket = ticket(&knock(), 2_000);
        assert!(ticket.fits(7, "shop.localhost:8080", &[state_of("cookie")], "run1", 2_000));
        assert_eq!((ticket.user, ticket.session, ticket.bypass), (3, 9, false));
        assert!(knock().is_fresh(1_000) && !knock().is_fresh(999) && !knock().is_fresh(1_000 + KNOCK_MS));
    }

    #[test]
    fn one_kind_of_paper_is_no_other() {
        let sealed = knock().sealed(&Stamp);
        assert_eq!(Knock::opened(&Stamp, &sealed), Some(knock()));
        assert_eq!(Ticket::opened(&Stamp, &sealed), None);
        assert_eq!(Pass::opened(&Stamp, &sealed), None);
        let ticket = ticket(&knock(), 0).sealed(&Stamp);
        assert_eq!(Pass::opened(&Stamp, &ticket), None);
        for bad in ["", "x", "====", &"A".repeat(20_000)] {
            assert_eq!(Knock::opened(&Stamp, bad), None);
        }
    }

    #[test]
    fn a_ticket_is_used_once() {
        let (used, ticket) = (Used::default(), ticket(&knock(), 0));
        assert!(used.first(&ticket, 0) && !used.first(&ticket, 0) && !used.first(&ticket, 1));
    }

    proptest! {
        /// Whatever is different, the ticket opens nothing there.
        #[test]
        fn a_ticket_opens_one_door_for_one_browser_in_its_time(
            app in 6..9i64, home in "(shop|stop)\\.localhost(:8080|:9)?", cookie in "cookie|other|", run in "run[12]", later in -70_000..130_000i64,
        ) {
            let now = 1_000_000;
            let ticket = ticket(&knock(), now);
            let fits = ticket.fits(app, &home, &[state_of(&cookie)], &run, now + later);
            let right = app == 7 && home == "shop.localhost:8080" && cookie == "cookie" && run == "run1";
            prop_assert_eq!(fits, right && (0..TICKET_MS).contains(&later));
        }

        #[test]
        fn a_pass_is_for_one_host(app in 6..9i64, home in "(shop|stop)\\.localhost", now in 0..20i64) {
            let pass = Pass { app: 7, home: "shop.localhost".into(), holder: Holder::Link { id: 1 }, until: 10 };
            prop_assert_eq!(pass.fits(app, &home, now), app == 7 && home == "shop.localhost" && now < 10);
        }
    }
}
