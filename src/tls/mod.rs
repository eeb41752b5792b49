//! Certificates: found for a handshake, ordered from an authority on first use, renewed in time, stapled.
mod account;
mod ari;
mod certs;
pub mod challenges;
mod der;
pub mod dns;
mod limits;
pub mod local;
mod names;
mod obtain;
mod ocsp;
mod options;
mod order;
pub mod overview;
pub mod own;
pub mod pair;
mod policy;
pub mod resolver;
mod shelf;
mod tend;
mod view;
mod web;

pub use certs::{Certs, Owns};
pub use challenges::{ACME_TLS, Challenges};
pub use limits::{Count, Limit, Limits};
pub use options::{Algorithm, Dns, ExternalAccount, LETS_ENCRYPT, Options, Proof, Provider};
pub use view::View;
