//! What stands between visitors and an app: who may come in, how often, maintenance, and pages of its own. One immutable
//! value a route, so that nothing is looked up on the way of a request.
pub mod ask;
pub mod clients;
pub mod cookie;
pub mod gcra;
mod held;
mod judge;
pub mod meter;
pub mod page;
mod pass;
mod ticket;
pub mod traffic;
mod wall;

use std::sync::{Arc, OnceLock};

use crate::base::Millis;
pub use judge::{Claim, Judge, Keeper, Member};
use meter::Meter;
pub use page::{Page, Pages};
pub use ticket::{Knock, Paper, Seal};
pub use traffic::Traffic;

/// The rules of one app, as its owners and its version set them.
#[derive(Clone, Debug, Default)]
pub struct Door {
    pub app: i64,
    pub wall: Wall,
    /// They open the app whatever wall there is.
    pub links: Vec<Link>,
    /// It is down: visitors are told so, and nothing wakes.
    pub maintenance: Option<Maintenance>,
    pub traffic: Traffic,
    pub pages: Pages,
    /// What is counted; the next door of the same label goes on with it.
    pub meter: Arc<Meter>,
}

/// Who may come in.
#[derive(Clone, Debug, Default)]
pub enum Wall {
    #[default]
    Public,
    /// Signed-in members of the project.
    Members,
    /// Everybody who signed up on this server.
    Users,
    /// Who has a link.
    Links,
    Password(Password),
}

#[derive(Clone, Debug)]
pub struct Password {
    /// Argon2.
    pub hash: String,
    /// Digest of the one that was right: argon2 is run until somebody knows it, and never after.
    pub proven: Arc<OnceLock<String>>,
}

#[derive(Clone, Debug)]
pub struct Link {
    pub id: i64,
    /// Hex SHA-256 of its secret.
    pub hash: String,
    pub until: Option<Millis>,
}

#[derive(Clone, Debug, Default)]
pub struct Maintenance {
    /// The owner's words; may be empty.
    pub text: String,
}

/// Who somebody is, for the app: put into the request's extensions behind a wall of members.
#[derive(Clone, Debug)]
pub struct User(pub String);

impl Door {
    /// Every request passes as if there were no door.
    pub fn is_open(&self) -> bool {
        self.maintenance.is_none() && self.wall.is_public() && self.traffic.is_none()
    }

    /// Counts on where another door of the same app stood, and asks nobody again for a password that was right.
    pub fn goes_on(&mut self, old: &Self) {
        if self.app != old.app {
            return;
        }
        self.meter = Arc::clone(&old.meter);
        if let (Wall::Password(new), Wall::Password(old)) = (&mut self.wall, &old.wall)
            && new.hash == old.hash
        {
            new.proven = Arc::clone(&old.proven);
        }
    }

    /// The link of that id or hash, when it is not over.
    fn link(&self, now: Millis, which: impl Fn(&Link) -> bool) -> Option<&Link> {
        self.links.iter().find(|link| which(link) && link.until.is_none_or(|until| until > now))
    }
}

impl Wall {
    pub fn is_public(&self) -> bool {
        matches!(self, Self::Public)
    }

    /// Those who sign in on the editor's host; `Some(true)`: everybody who can.
    fn of_people(&self) -> Option<bool> {
        match self {
            Self::Members => Some(false),
            Self::Users => Some(true),
            Self::Public | Self::Links | Self::Password(_) => None,
        }
    }
}
