//! What stands before an app: maintenance, and the pages its version brings along.
use super::pipeline::Live;
use super::plan::PageNames;
use super::view::DoorView;
use super::{Apps, Project};
use crate::base::{Error, Result};
use crate::proxy::door::{Door, Maintenance, Page, Pages};
use crate::store::apps::AppRow;
use crate::store::{Db, doors};

/// Characters of what visitors are told during maintenance.
pub const MAINTENANCE_CHARS: usize = 500;

impl Apps {
    pub fn door(&self, project: &Project) -> Result<DoorView> {
        let row = self.store().read(|db| doors::of(db, project.app))?;
        Ok(DoorView { maintenance: row.maintenance })
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
        if row == doors::DoorRow::default() && pages.is_none() {
            return Ok(None);
        }
        let maintenance = row.maintenance.map(|text| Maintenance { text });
        Ok(Some(Box::new(Door { maintenance, pages: pages.unwrap_or_default() })))
    }
}

impl PageNames {
    fn read(&self, code: &std::path::Path) -> Pages {
        let page = |name: &Option<String>| name.as_ref().and_then(|name| Page::read(code, name));
        Pages { error: page(&self.error), missing: page(&self.missing), maintenance: page(&self.maintenance) }
    }
}
