//! Kit for anything that answers HTTP: ids, limits, errors. No routes.
pub mod host;
pub mod id;
pub mod problem;

pub use id::request_id;
