//! Domains of their own for apps: given by owners, proved in DNS, routed and certified only then.
mod dns;
mod found;
mod look;
mod view;

use std::fmt;
use std::sync::{Arc, PoisonError};

pub use dns::Dns;
pub use found::{Found, RecordView};
pub use view::{DomainState, DomainView};

use super::{Apps, Project};
use crate::accounts::Actor;
use crate::base::secret::random_token;
use crate::base::{AppName, DomainName, Error, Kind, ProjectPath, Result};
use crate::proxy::route::Manners;
use crate::proxy::{Route, Target};
use crate::store::domains::{self, DomainRow};
use crate::store::{Db, apps, projects};

/// What an owner asks for.
#[derive(Clone, Debug)]
pub struct NewDomain {
    pub host: DomainName,
    /// Another domain of the project: visitors of `host` are sent there.
    pub redirect: Option<DomainName>,
    /// Also `www.HOST`, which sends its visitors to `host`.
    pub www: bool,
}

impl Apps {
    /// In the order they were added, as they were found at the last look.
    pub fn domains(&self, project: &Project) -> Result<Vec<DomainView>> {
        let (rows, names) =
            self.store().read(|db| Ok((domains::of_project(db, project.id)?, self.names_of(db, project)?)))?;
        rows.iter().map(|row| self.domain_view(row, &names)).collect()
    }

    /// Gives the project a domain, and looks at once whether it is proved. For owners: the caller has asked for
    /// `Action::Manage`.
    /// Errors: `BadInput` for this server's own names, `Forbidden` for guests, `TooMany`, `Conflict` when the project
    /// has it already.
    pub async fn add_domain(&self, who: &Actor, project: &Project, new: NewDomain) -> Result<DomainView> {
        if who.user.guest && !who.user.admin {
            return Err(Error::forbidden("guests cannot give an app a domain").hint("Sign up first."));
        }
        let mut wanted = vec![(new.host.clone(), new.redirect.clone())];
        if new.www {
            wanted.push((new.host.below("www")?, Some(new.host.clone())));
        }
        for (host, _) in &wanted {
            self.check_not_ours(host)?;
        }
        let (now, most) = (self.clock().now(), self.options().max_domains);
        self.store().write(|db| {
            let had = domains::of_project(db, project.id)?;
            if had.len() + wanted.len() > most {
                return Err(Error::new(Kind::TooMany, format!("a project may have {most} domains here")).hint(
                    "Remove one that is not needed; `max_domains` in the server's settings says how many there may be.",
                ));
            }
            for (host, redirect) in &wanted {
                if let Some(to) = redirect
                    && *to != new.host
                    && !had.iter().any(|row| row.host == *to && row.redirect.is_none())
                {
                    return Err(Error::bad_input(format!("visitors cannot be sent to {to}"))
                        .hint("Give the project that domain first, as one that leads to the app itself."));
                }
                domains::insert(db, project.id, host, redirect.as_ref(), &random_token(18), now)?;
            }
            Ok(())
        })?;
        for (host, _) in wanted.iter().skip(1) {
            self.check_domain(project, host).await?;
        }
        self.check_domain(project, &new.host).await
    }

    /// Takes a domain from the project, and with it those that send visitors there.
    /// Errors: `NotFound`.
    pub fn remove_domain(&self, project: &Project, host: &DomainName) -> Result<()> {
        let gone = self.store().write(|db| {
            let all = domains::of_project(db, project.id)?.into_iter();
            let goes = |row: &DomainRow| row.host == *host || row.redirect.as_ref() == Some(host);
            let gone: Vec<DomainName> = all.filter(goes).map(|row| row.host).collect();
            if !gone.contains(host) {
                return Err(no_domain(project, host));
            }
            for host in &gone {
                domains::remove(db, project.id, host)?;
            }
            Ok(gone)
        })?;
        self.route_domains(project.id, &gone)
    }

    /// This server's own names are nobody's to give.
    fn check_not_ours(&self, host: &DomainName) -> Result<()> {
        let options = self.options();
        let editor = options.editor_url.split_once("://").map_or("", |(_, host)| host);
        for own in [editor, &options.apps_host].map(|host| host.split(':').next().unwrap_or_default()) {
            let below = host.as_str().strip_suffix(own).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            if below && !own.is_empty() {
                return Err(Error::bad_input(format!("{host} is this server's own name"))
                    .hint("Apps have a name below it already; give a domain that is yours."));
            }
        }
        Ok(())
    }

    /// All full names of an app at this server, the current one first.
    fn names_of(&self, db: &Db, project: &Project) -> Result<Vec<String>> {
        let domain = self.options().apps_host.split(':').next().unwrap_or_default();
        let mut labels = vec![project.host.to_string()];
        labels.extend(apps::old_hosts(db, project.app)?);
        Ok(labels.into_iter().map(|label| format!("{label}.{domain}")).collect())
    }
}

fn no_domain(project: &Project, host: &DomainName) -> Error {
    Error::not_found(format!("{} has no domain {host}", project.path)).hint("`steady domain ls` lists those it has.")
}

impl Apps {
    /// Makes the routes of a project's domains agree with the store, and those of `gone`, which it had before.
    pub(super) fn route_domains(&self, project: i64, gone: &[DomainName]) -> Result<()> {
        // Whoever comes last has read last.
        let _one_at_a_time = self.0.routing.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = self.store().read(|db| {
            let mut changes = Vec::new();
            for host in gone {
                if domains::proved(db, host)?.is_none() {
                    changes.push((host.to_string(), None));
                }
            }
            let row = projects::by_id(db, project)?;
            if row.deleted.is_none() {
                let label = apps::of_project(db, project)?.host;
                let all = domains::of_project(db, project)?.into_iter().filter(|domain| domain.verified.is_some());
                changes.extend(all.map(|domain| route(&domain, &row.path, &label)));
            }
            Ok(changes)
        })?;
        self.routes().update(changes);
        Ok(())
    }

    /// At the start, those of all projects.
    pub(super) fn route_all_domains(&self) -> Result<()> {
        let changes = self.store().read(|db| {
            let mut changes = Vec::new();
            for domain in domains::all_proved(db)? {
                let row = projects::by_id(db, domain.project)?;
                if row.deleted.is_none() {
                    changes.push(route(&domain, &row.path, &apps::of_project(db, row.id)?.host));
                }
            }
            Ok(changes)
        })?;
        self.routes().update(changes);
        Ok(())
    }
}

/// Where a proved domain leads: wherever the app's own label does, or on to another domain.
fn route(domain: &DomainRow, project: &ProjectPath, label: &AppName) -> (String, Option<Route>) {
    let target = match &domain.redirect {
        Some(to) => Target::Elsewhere { host: to.to_string() },
        None => Target::Same { label: label.to_string() },
    };
    let route = Route {
        target,
        project: project.to_string(),
        draft: false,
        version: String::new(),
        door: None,
        manners: Manners::default(),
        health: String::new(),
        sleeper: Arc::default(),
    };
    (domain.host.to_string(), Some(route))
}

/// Whether a domain has a certificate, and whether it would get one.
#[derive(Clone)]
pub struct Certificates {
    pub has: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// They are ordered when a domain is first visited.
    pub are_ordered: bool,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("are_ordered", &self.are_ordered).finish_non_exhaustive()
    }
}
