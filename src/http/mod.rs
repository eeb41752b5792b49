//! Kit for anything that answers HTTP: ids, limits, errors. No routes.
pub mod host;
pub mod problem;
