//! Steady: a self-hosted home for TypeScript apps. ARCHITECTURE.md is the map; modules stand here in
//! layer order, and each may import only from layers above its own line.
pub mod base;
// 1: kits
pub mod http;
pub mod store;
// 2: engines, which do not know each other
pub mod accounts;
pub mod git;
pub mod runner;
pub mod snapshots;
pub mod tls;
// 3: the data plane
pub mod proxy;
// 4: the control plane: every verb, once
pub mod apps;
// 5: faces and settings
pub mod api;
pub mod config;
pub mod editor;
// 6: the only wiring
pub mod server;
// 7: the program
pub mod cli;
