//! The data plane with real Bun apps behind it and raw sockets before it.
#![allow(clippy::unwrap_used)] // in the helpers of tests, as in tests
mod proxy {
    mod apps;
    mod lanes;
    mod pages;
    #[path = "../runner/support.rs"]
    #[allow(dead_code)]
    mod runner_world;
    mod slow;
    mod support;
}
