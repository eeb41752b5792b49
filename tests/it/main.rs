//! Journeys through the real program: real git, real curl, real Bun, real SQLite. Nothing is faked.
// Tests wait for the real world, so they read the real time, and write files that may tear.
#![allow(clippy::disallowed_methods)]

mod support;
mod tiers;

mod access;
mod acme;
mod approve;
mod attacks_code;
mod attacks_people;
mod attacks_races;
mod builds;
mod bundle;
mod cli;
mod clients;
mod compress;
mod crash;
mod curl;
mod data;
mod disk;
mod domains;
mod door;
mod doors;
mod drain;
mod files;
mod fronts;
mod git;
mod handover;
mod idle;
mod private;
mod serve;
mod snapshots;
mod tls;
mod upstream;
mod wake;
