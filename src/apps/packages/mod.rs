//! Installed packages: what decides them, whose scripts run, and how they lie on disk once for all projects.
pub mod freeze;
pub mod inputs;
pub mod kept;
pub mod store;
pub mod trust;
