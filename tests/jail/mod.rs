mod cross;
mod filesystem;
mod kernel;
mod kit;
mod network;
mod process;
mod proxy;
mod resources;
#[allow(dead_code)] // shared with the runner's own tests, which use the rest
#[path = "../runner/support.rs"]
mod support;
