//! Harmless twins: what people build with runs inside the real jail as it does outside. Each package, and each
//! thing a runtime offers, is a test of its own; the packages come from the registry once a run.
#![allow(clippy::unwrap_used)] // in the helpers of tests, as in tests
mod packages {
    pub mod builds;
    pub mod fixture;
    pub mod libs;
    #[path = "../runner/support.rs"]
    #[allow(dead_code)]
    mod runner_world;
    pub mod system;
}

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use packages::fixture::Place;
use packages::{builds, libs, system};

/// What the project promises to try.
const AT_LEAST: usize = 25;

fn main() -> ExitCode {
    let place = Place::new();
    let packages: Vec<Trial> = libs::trials(&place).into_iter().chain(builds::trials(&place)).collect();
    assert!(packages.len() >= AT_LEAST, "{} packages are tried, fewer than {AT_LEAST}", packages.len());
    let trials = packages.into_iter().chain(system::trials(&place)).collect();
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    place.down();
    conclusion.exit_code()
}
