//! Looking into DNS: when an owner asks, and by ourselves from time to time.
use super::found::{Found, Wanted, next_look};
use super::{DomainView, no_domain};
use crate::apps::{Apps, Project};
use crate::base::{DomainName, Millis, Result, ResultExt as _};
use crate::store::domains::{self, DomainRow};
use crate::store::projects;

/// Looks of one round of the timed work, all at once.
const AT_ONCE: u32 = 20;
/// Two looks at the same domain are at least this far apart.
const PAUSE: Millis = 2000;

impl Apps {
    /// Looks into DNS, proves the domain if the proof is there, and says what was found.
    /// Errors: `NotFound` when the project has no such domain. What is wrong with the domain is in the view.
    pub async fn check_domain(&self, project: &Project, host: &DomainName) -> Result<DomainView> {
        let row =
            self.store().read(|db| domains::find(db, project.id, host))?.ok_or_else(|| no_domain(project, host))?;
        let row = if row.checked.is_some_and(|at| at + PAUSE > self.clock().now()) {
            row
        } else {
            self.look(project, &row).await?
        };
        let names = self.store().read(|db| self.names_of(db, project))?;
        self.domain_view(&row, &names)
    }

    /// Timed work: domains that are due.
    pub(in crate::apps) async fn check_due_domains(&self) -> Result<()> {
        let now = self.clock().now();
        let due = self.store().read(|db| domains::due(db, now, AT_ONCE))?;
        let looks = due.iter().map(|row| async move {
            let looked = async {
                let project = self.project_of(self.store().read(|db| projects::by_id(db, row.project))?)?;
                self.look(&project, row).await
            };
            if let Err(error) = looked.await {
                tracing::warn!(domain = %row.host, ?error, "a domain could not be looked at");
            }
        });
        futures_util::future::join_all(looks).await;
        Ok(())
    }

    async fn look(&self, project: &Project, row: &DomainRow) -> Result<DomainRow> {
        let names = self.store().read(|db| self.names_of(db, project))?;
        let own = names.first().cloned().unwrap_or_default();
        let found = self.options().dns.look(&row.host, &own).await;
        let wanted = Wanted { host: &row.host, token: &row.token, names: &names };
        let proves = found.proves(&wanted) || self.stands_on_its_parent(row)?;
        if proves && row.verified.is_none() {
            self.take_from_another(row).await?;
        }
        self.note(project, row, &found, proves)
    }

    /// `www.` in front of a domain that the project proved, and that it sends visitors to, needs no proof of its own:
    /// whoever has the one has the other.
    fn stands_on_its_parent(&self, row: &DomainRow) -> Result<bool> {
        let Some(to) = row.redirect.as_ref().filter(|to| row.host.as_str().strip_prefix("www.") == Some(to.as_str()))
        else {
            return Ok(false);
        };
        let parent = self.store().read(|db| domains::find(db, row.project, to))?;
        Ok(parent.is_some_and(|parent| parent.verified.is_some()))
    }

    /// A domain that changed hands: who had it proved before keeps it only while DNS says so.
    async fn take_from_another(&self, row: &DomainRow) -> Result<()> {
        let Some(holder) = self.store().read(|db| domains::proved(db, &row.host))? else { return Ok(()) };
        let project = self.project_of(self.store().read(|db| projects::by_id(db, holder.project))?)?;
        let names = self.store().read(|db| self.names_of(db, &project))?;
        let own = names.first().cloned().unwrap_or_default();
        let found = self.options().dns.look(&holder.host, &own).await;
        let wanted = Wanted { host: &holder.host, token: &holder.token, names: &names };
        if found.trouble.is_none() && !found.proves(&wanted) {
            self.store().write(|db| domains::unprove(db, &row.host))?;
            tracing::info!(domain = %row.host, project = %project.path, "a domain changed hands");
        }
        Ok(())
    }

    /// What was once proved stays so when the record is gone later: people tidy up. It ends when it is removed, or
    /// when somebody else proves it.
    fn note(&self, project: &Project, row: &DomainRow, found: &Found, proves: bool) -> Result<DomainRow> {
        let now = self.clock().now();
        let text = serde_json::to_string(found).internal("while writing what DNS said")?;
        let next = |proved: bool| next_look(proved, now - row.created).map(|wait| now + wait);
        let verified = if proves { row.verified.or(Some(now)) } else { None };
        let noted = self.store().write(|db| {
            // Since the look began another may have proved it, or it was taken away.
            let current = domains::find(db, row.project, &row.host)?.ok_or_else(|| no_domain(project, &row.host))?;
            let verified = verified.or(current.verified);
            domains::looked(db, row, &text, verified, now, next(verified.is_some()))
        });
        if let Err(error) = noted {
            if error.kind != crate::base::Kind::Conflict {
                return Err(error);
            }
            let taken = Found { trouble: Some(error.public), ..found.clone() };
            let text = serde_json::to_string(&taken).internal("while writing what DNS said")?;
            self.store().write(|db| domains::looked(db, row, &text, None, now, next(false)))?;
        }
        let fresh = self.store().read(|db| domains::find(db, row.project, &row.host))?;
        let fresh = fresh.ok_or_else(|| no_domain(project, &row.host))?;
        if fresh.verified.is_some() && row.verified.is_none() {
            tracing::info!(domain = %row.host, project = %project.path, "a domain is proved");
            self.route_domains(row.project, &[])?;
        }
        Ok(fresh)
    }
}
