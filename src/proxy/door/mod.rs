//! What stands between visitors and an app: maintenance and pages of its own. One immutable value a route,
//! so that nothing is looked up on the way of a request.
pub mod page;
mod pass;

pub use page::{Page, Pages};

/// The rules of one app, as its owners and its version set them.
#[derive(Clone, Debug, Default)]
pub struct Door {
    /// It is down: visitors are told so, and nothing wakes.
    pub maintenance: Option<Maintenance>,
    pub pages: Pages,
}

#[derive(Clone, Debug, Default)]
pub struct Maintenance {
    /// The owner's words; may be empty.
    pub text: String,
}

impl Door {
    /// Every request passes as if there were no door.
    pub fn is_open(&self) -> bool {
        self.maintenance.is_none()
    }
}
