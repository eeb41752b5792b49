//! What stands before an app: who may come in, maintenance, and the pages its version brings along. Set by owners, never by
//! a commit: no push opens a private app.
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::approve::approved_in;
use super::limit::Limit;
use super::pipeline::Live;
use super::plan::PageNames;
use super::view::{DoorView, LinkView};
use super::{Apps, Project};
use crate::accounts::{Actor, PASSWORD_BYTES, PASSWORD_CHARS};
use crate::base::name::clip;
use crate::base::secret::{random_token, sha256_hex};
use crate::base::{Error, Millis, Result, Secret};
use crate::proxy::door::ask::LINK;
use crate::proxy::door::{self, Door, Maintenance, Page, Pages, Password, Traffic, Wall};
use crate::runner::NO_LIMIT;
use crate::store::apps::AppRow;
use crate::store::doors::{self, DoorRow};
use crate::store::links::{self, LinkRow};
use crate::store::{Db, apps};

/// Characters of what visitors are told during maintenance.
pub const MAINTENANCE_CHARS: usize = 500;
/// Links of one app, and characters of a link's name.
const LINKS: usize = 50;
const NAME_CHARS: usize = 60;
const DAY: Millis = 24 * 60 * 60 * 1000;

/// Who may come to an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    Public,
    Members,
    Users,
    Links,
    Password,
}

impl Apps {
    pub fn door(&self, project: &Project) -> Result<DoorView> {
        let now = self.clock().now();
        self.store().read(|db| {
            let row = doors::of(db, project.app)?;
            let links = links::of(db, project.app)?.into_iter().map(|link| view(link, now)).collect();
            Ok(DoorView { access: row.access.parse()?, links, maintenance: row.maintenance })
        })
    }

    /// Takes effect with the next request, wherever its visitor got in before. `password` is asked for by
    /// `Access::Password` only.
    /// Errors: `BadInput` when the password is missing, too short or too long.
    pub fn set_access(&self, project: &Project, access: Access, password: Option<&Secret<String>>) -> Result<DoorView> {
        let hash = match (access, password) {
            (Access::Password, Some(password)) => {
                check(password)?;
                Some(self.accounts().hash(password)?)
            }
            (Access::Password, None) => {
                return Err(Error::bad_input("there is no password to ask for").hint("Choose one."));
            }
            (_, Some(_)) => {
                return Err(Error::bad_input(format!("`{access}` asks for no password"))
                    .hint("Leave the password out, or choose `password`."));
            }
            (_, None) => None,
        };
        self.store().write(|db| doors::set_access(db, project.app, &access.to_string(), hash.as_deref()))?;
        self.route_live(project)?;
        self.door(project)
    }

    /// A link that opens the app whatever wall there is, and its address, which is shown once.
    /// Errors: `BadInput` for a bad name; `Conflict` when there are too many.
    pub fn make_link(
        &self,
        who: &Actor,
        project: &Project,
        name: &str,
        days: Option<u32>,
    ) -> Result<(LinkView, String)> {
        let name = match name.trim() {
            "" => "link",
            name => name,
        };
        if name.chars().count() > NAME_CHARS || name.chars().any(char::is_control) {
            return Err(Error::bad_input(format!("a link's name has up to {NAME_CHARS} printable characters"))
                .hint("Name whom it is for."));
        }
        if days.is_some_and(|days| !(1..=3650).contains(&days)) {
            return Err(
                Error::bad_input("a link lives 1 to 3650 days").hint("Leave the days out for one that does not end.")
            );
        }
        let (secret, now) = (random_token(24), self.clock().now());
        let mut link = LinkRow {
            id: 0,
            name: name.to_owned(),
            hash: sha256_hex(secret.as_bytes()),
            who: who.user.name.to_string(),
            created: now,
            expires: days.map(|days| now + i64::from(days) * DAY),
        };
        link.id = self.store().write(|db| links::insert(db, project.app, &link, LINKS))?;
        self.route_live(project)?;
        Ok((view(link, now), format!("{}/?{LINK}={secret}", self.url(project.host.as_str()))))
    }

    /// Whoever came by it is outside with their next request. Errors: `NotFound`.
    pub fn revoke_link(&self, project: &Project, id: i64) -> Result<DoorView> {
        self.store().write(|db| links::remove(db, project.app, id))?;
        self.route_live(project)?;
        self.door(project)
    }

    /// Takes the app down with a text for its visitors (which may be empty), or (`None`) brings it back. It goes on
    /// running if it runs, can be deployed, and is not woken.
    /// Errors: `BadInput` for a text that is too long.
    pub fn set_maintenance(&self, project: &Project, text: Option<&str>) -> Result<DoorView> {
        let text = text.map(str::trim);
        if text.is_some_and(|text| text.chars().count() > MAINTENANCE_CHARS) {
            return Err(Error::bad_input(format!("the text has more than {MAINTENANCE_CHARS} characters"))
                .hint("Shorten it, or commit a maintenance.html."));
        }
        self.store().write(|db| doors::set_maintenance(db, project.app, text))?;
        self.route_live(project)?;
        self.door(project)
    }

    /// The door of an app's route; `None` when there is nothing to know of it.
    pub(super) fn door_of(&self, db: &Db, app: &AppRow, live: Option<&Live>) -> Result<Option<Box<Door>>> {
        let row = doors::of(db, app.id)?;
        let pages = live.filter(|(.., plan)| !plan.pages.is_empty()).map(|(_, version, plan)| {
            let code = self.dir().version(app.id, version.id);
            plan.pages.read(&code)
        });
        let traffic = self.traffic_of(db, app, live)?;
        if row == DoorRow::default() && pages.is_none() && traffic.is_none() {
            return Ok(None);
        }
        let wall = wall(&row)?;
        // Without a wall there is nothing for a link to open.
        let links = if wall.is_public() { Vec::new() } else { links::of(db, app.id)? };
        let links = links.into_iter().map(|link| door::Link { id: link.id, hash: link.hash, until: link.expires });
        Ok(Some(Box::new(Door {
            app: app.id,
            wall,
            links: links.collect(),
            maintenance: row.maintenance.map(|text| Maintenance { text }),
            traffic,
            pages: pages.unwrap_or_default(),
            meter: Arc::default(),
        })))
    }

    fn traffic_of(&self, db: &Db, app: &AppRow, live: Option<&Live>) -> Result<Traffic> {
        const KINDS: [Limit; 3] = [Limit::Rate, Limit::AppRate, Limit::Concurrency];
        let terms = &self.options().terms;
        let asked = live.map(|(.., plan)| plan.ask.clone()).unwrap_or_default();
        // Of ten thousand apps nearly none has any: the approvals of the others need not be read.
        if KINDS.iter().all(|kind| kind.of(&terms.limits) >= NO_LIMIT && !asked.limits.contains_key(kind)) {
            return Ok(Traffic::default());
        }
        let limits = asked.within(&approved_in(db, app.project_id)?, terms).1;
        let [client, app, at_once] = KINDS.map(|kind| Some(kind.of(&limits)).filter(|limit| *limit < NO_LIMIT));
        Ok(Traffic { client, app, at_once })
    }

    /// Who may come to that app now.
    pub(super) fn access_of(&self, app: i64) -> Result<Access> {
        self.store().read(|db| doors::of(db, apps::by_id(db, app)?.id))?.access.parse()
    }
}

fn wall(row: &DoorRow) -> Result<Wall> {
    Ok(match (row.access.parse()?, &row.password) {
        (Access::Public, _) => Wall::Public,
        (Access::Members, _) => Wall::Members,
        (Access::Users, _) => Wall::Users,
        (Access::Password, Some(hash)) => {
            Wall::Password(Password { hash: hash.clone(), proven: Arc::new(OnceLock::new()) })
        }
        // A password that nobody has: only links open it.
        (Access::Links | Access::Password, _) => Wall::Links,
    })
}

fn check(password: &Secret<String>) -> Result<()> {
    // Only its shape is looked at.
    let text = password.expose();
    if text.chars().count() < PASSWORD_CHARS || text.len() > PASSWORD_BYTES || text.chars().any(char::is_control) {
        return Err(Error::bad_input(format!(
            "the password must have at least {PASSWORD_CHARS} characters and at most {PASSWORD_BYTES} bytes, all of them printable"
        ))
        .hint("A few words that nobody would put together are easy to pass on."));
    }
    Ok(())
}

fn view(link: LinkRow, now: Millis) -> LinkView {
    let over = link.expires.is_some_and(|at| at <= now);
    LinkView { id: link.id, name: link.name, who: link.who, created: link.created, expires: link.expires, over }
}

impl PageNames {
    fn read(&self, code: &Path) -> Pages {
        let page = |name: &Option<String>| name.as_ref().and_then(|name| Page::read(code, name));
        Pages { error: page(&self.error), missing: page(&self.missing), maintenance: page(&self.maintenance) }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Members => "members",
            Self::Users => "users",
            Self::Links => "links",
            Self::Password => "password",
        })
    }
}

impl FromStr for Access {
    type Err = Error;
    /// Errors: `BadInput`, naming them.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "public" => Ok(Self::Public),
            "members" => Ok(Self::Members),
            "users" => Ok(Self::Users),
            "links" => Ok(Self::Links),
            "password" => Ok(Self::Password),
            _ => Err(Error::bad_input(format!("`{}` is no access", clip(text)))
                .hint("It is `public`, `members`, `users`, `links` or `password`.")),
        }
    }
}
