//! Things every layer needs and that know nothing of Steady's engines.
pub mod clock;
pub mod domain;
pub mod error;
pub mod fs;
pub mod name;
pub mod progress;
mod remove;
pub mod secret;
pub mod sqlite;
pub mod task;
pub mod workers;

pub use clock::{Clock, Millis};
pub use domain::DomainName;
pub use error::{Error, Kind, Result, ResultExt};
pub use fs::DataDir;
pub use name::{AppName, DraftId, ProjectName, ProjectPath, UserName};
pub use progress::{Progress, ProgressEvent};
pub use secret::Secret;
pub use task::Tasks;
pub use workers::Workers;
