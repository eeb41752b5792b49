//! Who else may use a project.
use super::view::Member;
use super::{Apps, Project};
use crate::accounts::Role;
use crate::base::{Error, Kind, Result, UserName};
use crate::store::{projects, users};

impl Apps {
    pub fn members(&self, project: &Project) -> Result<Vec<Member>> {
        let rows = self.store().read(|db| projects::members(db, project.id))?;
        Ok(rows.into_iter().map(|(user, role)| Member { user, role }).collect())
    }

    /// `None` removes. Errors: `NotFound` for an unknown user, `Conflict` for the project's own owner.
    pub fn set_member(&self, project: &Project, user: &UserName, role: Option<Role>) -> Result<()> {
        if *user == project.path.user {
            return Err(Error::conflict(format!("{user} owns this project and stays its owner")));
        }
        let role = match role {
            None | Some(Role::Nobody) => None,
            Some(Role::Viewer) => Some("viewer"),
            Some(Role::Deployer) => Some("deployer"),
            Some(Role::Owner) => Some("owner"),
        };
        self.store().write(|db| {
            let user = users::by_name(db, user).map_err(|e| match e.kind {
                Kind::NotFound => {
                    Error::not_found(format!("there is no user {user}")).hint("Invite them to this server first.")
                }
                _ => e,
            })?;
            projects::set_member(db, project.id, user.id, role)
        })
    }
}
