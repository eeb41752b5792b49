//! Kit for anything that answers HTTP: ids, limits, errors. No routes.
pub mod host;
pub mod id;
pub mod idle;
pub mod problem;
pub mod rewound;
pub mod serve;
pub mod strict;
pub mod taken;
pub mod trust;
pub mod wire;

pub use id::request_id;
