//! Outbound connections of apps: what the manifest allows, and nothing else.
//!
//! Inside an app's network every address is its own. A `connect` waits until [`site`] has judged it; what is
//! allowed finds a listener of ours ([`trap`]) at the very address, and behind it a relay to a connection
//! that the server made. Names are addresses of no meaning ([`fake`]); what they stand for is looked up
//! outside, checked, and connected to ([`connect`]).
pub mod address;
pub mod broker;
pub mod budget;
pub mod connect;
pub mod dns;
pub mod doors;
pub mod fake;
mod nameserver;
mod own;
pub mod policy;
mod rate;
mod records;
mod refusals;
mod relay;
mod replace;
pub mod rule;
mod site;
mod stub;
#[cfg(test)]
mod tests;
mod trap;
mod udp;
mod usage;

pub use address::{barred, is_never_for_apps};
pub use broker::{Egress, Session, Subject};
pub use budget::Budget;
pub use doors::{Attempt, Attempts, Doors, Later, Namespace};
pub use fake::Ranges;
pub use policy::Purpose;
pub use rate::Rate;
pub use refusals::{Log, is_about_egress};
pub use rule::{HostRule, Net, Reach};
pub use usage::Usage;
