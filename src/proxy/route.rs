//! Host label → where it leads. An immutable table, rebuilt on change, swapped whole.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use super::door::Door;
use super::files::Folder;
use super::wake::Sleeper;
use crate::runner::AppKey;

#[derive(Clone, Debug)]
pub enum Target {
    /// A process, with the code's `public/` (if any) answered first without it.
    App { key: AppKey, public: Option<Folder> },
    /// Files only.
    Static { key: AppKey, root: Folder },
    /// An old name: 308 to the same path on this label.
    Moved { to: String },
    /// A custom domain: whatever this label leads to.
    Same { label: String },
    /// A custom domain: 308 to the same path on this other host.
    Elsewhere { host: String },
    /// Registered, with nothing deployed yet.
    Empty,
}

impl Target {
    /// Whether a path certainly leads to no file, so that the app itself is to be asked. Takes no lock and asks no
    /// disk; false when it is not known yet, or when no app is behind this.
    pub fn surely_no_file(&self, path: &str) -> bool {
        match self {
            Self::App { public, .. } => public.as_ref().is_none_or(|public| public.surely_lacks(path)),
            Self::Static { .. } | Self::Moved { .. } | Self::Same { .. } | Self::Elsewhere { .. } | Self::Empty => {
                false
            }
        }
    }

    /// Its files have been packed since they were last looked for.
    pub fn reread(&self) {
        if let Self::App { public: Some(folder), .. } | Self::Static { root: folder, .. } = self {
            folder.reread();
        }
    }
}

/// How an app wants to be served, by its steady.json.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manners {
    /// Its responses pass as they are.
    pub uncompressed: bool,
    /// Whoever asks for anything wakes it.
    pub wakes_for_all: bool,
}

#[derive(Clone, Debug)]
pub struct Route {
    pub target: Target,
    /// `USER/PROJECT`, for messages.
    pub project: String,
    /// Drafts show their log tail on error pages; live apps never do.
    pub draft: bool,
    pub version: String,
    /// `None` for the many apps that everybody may come to and that have no pages of their own.
    pub door: Option<Box<Door>>,
    pub manners: Manners,
    /// The path that it declares for health checks.
    pub health: String,
    pub sleeper: Arc<Sleeper>,
}

impl Route {
    /// No request is stopped on its way, and none needs anything looked at.
    pub fn is_plain(&self) -> bool {
        self.closed().is_none()
    }

    /// The door, when it has to be asked.
    pub fn closed(&self) -> Option<&Door> {
        self.door.as_deref().filter(|door| !door.is_open())
    }
}

/// Cheap to clone; a look-up takes no lock.
#[derive(Clone, Default)]
pub struct Routes(Arc<Inner>);

#[derive(Default)]
struct Inner {
    table: ArcSwap<HashMap<String, Arc<Route>>>,
    change: Mutex<()>,
}

impl Routes {
    /// `name` is a label, or the full name of a custom domain: these have dots, and labels have none.
    pub fn get(&self, name: &str) -> Option<Arc<Route>> {
        let table = self.0.table.load();
        let route = table.get(name)?;
        match &route.target {
            Target::Same { label } => table.get(label).cloned(),
            _ => Some(route.clone()),
        }
    }

    /// Applies a batch of changes (`None` removes) as one swap.
    pub fn update(&self, changes: impl IntoIterator<Item = (String, Option<Route>)>) {
        let _one_at_a_time = self.0.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = HashMap::clone(&self.0.table.load());
        for (label, route) in changes {
            match route {
                Some(mut route) => {
                    if let (Some(door), Some(old)) = (&mut route.door, table.get(&label)) {
                        old.door.iter().for_each(|old| door.goes_on(old));
                    }
                    table.insert(label, Arc::new(route))
                }
                None => table.remove(&label),
            };
        }
        self.0.table.store(Arc::new(table));
    }
}
