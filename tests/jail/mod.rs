mod build;
mod cross;
mod filesystem;
mod git;
mod kernel;
mod kit;
mod network;
mod process;
mod proxy;
mod resources;
mod snapshots;
#[allow(dead_code)] // shared with the runner's own tests, which use the rest
#[path = "../runner/support.rs"]
mod support;
