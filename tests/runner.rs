//! The runner with real Bun and the real jail. As root each child gets a root and a uid of its own; the
//! tests that need that say so and do nothing without.
#[path = "runner/mod.rs"]
mod runner;
