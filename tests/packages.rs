//! Harmless twins: what people build with runs inside the real jail as it does outside. Each package, and each
//! thing a runtime offers, is a test of its own; the packages come from the registry once a run.
#![allow(clippy::unwrap_used)] // in the helpers of tests, as in tests
mod packages {
    pub mod builds;
    pub mod databases;
    pub mod fixture;
    pub mod libs;
    #[path = "../runner/support.rs"]
    #[allow(dead_code)]
    mod runner_world;
    mod servers;
    pub mod system;
}

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::Arguments;
use packages::fixture::Place;
use packages::{builds, databases, libs, system};

/// What the project promises to try.
const AT_LEAST: usize = 25;

/// In the tier `process-only` a program has no port of its own to talk to itself, and sees the host's files and
/// figures.
const OWN_WORLD: &[&str] = &[
    "package axios",
    "package elysia",
    "package express",
    "package fastify",
    "package hono",
    "package nodemailer",
    "package puppeteer-core",
    "package socketio",
    "package ws",
    "system memory",
    "system network",
    "system sockets",
    "system timers",
    "system user",
];

fn main() -> ExitCode {
    let place = Place::new();
    let servers = Arc::default();
    let mut trials = libs::trials(&place);
    trials.extend(builds::trials(&place));
    trials.extend(databases::trials(&place, &servers));
    trials.extend(system::trials(&place));
    let count = trials.iter().filter(|trial| trial.name().starts_with("package ")).count();
    assert!(count >= AT_LEAST, "{count} packages are tried, fewer than {AT_LEAST}");
    // Shown as ignored, each by its name.
    let (network, limits) = (place.has_network(), place.has_limits());
    let ignored = |name: &str| !network && OWN_WORLD.contains(&name) || !limits && name == "system memory";
    let trials = trials.into_iter().map(|trial| {
        let ignored = ignored(trial.name());
        trial.with_ignored_flag(ignored)
    });
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials.collect());
    place.down();
    drop(servers);
    conclusion.exit_code()
}
