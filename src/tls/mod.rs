//! Certificates: found for a handshake, ordered from an authority on first use, renewed in time.
mod account;
mod certs;
pub mod challenges;
mod limits;
mod names;
mod options;
mod order;
pub mod pair;
mod policy;
mod shelf;
mod tend;
mod view;
mod web;

pub use certs::{Certs, Owns};
pub use challenges::{ACME_TLS, Challenges};
pub use limits::{Count, Limit, Limits};
pub use options::{ExternalAccount, LETS_ENCRYPT, Options, Proof};
pub use view::View;
