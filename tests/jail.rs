//! Hostile programs in the real jail: each check says exactly what the program must get. The programs are
//! TypeScript with raw system calls; without root there is no such jail, and they fail.
#![cfg(target_arch = "x86_64")]
#[path = "jail/mod.rs"]
mod jail;
