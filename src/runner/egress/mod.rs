//! Outbound connections of apps: what the manifest allows, and nothing else.
pub mod rule;

pub use rule::{HostRule, Net, Reach};
