//! Hostile programs in the real jail: each check says exactly what the program must get. The programs are
//! TypeScript with raw system calls; a machine without root or user namespaces cannot run them and fails.
#![cfg(target_arch = "x86_64")]
#[path = "jail/mod.rs"]
mod jail;
