//! Settings: `steady.toml` ← environment ← flags, one struct.
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::base::Result;

/// All of them. The commented default file is printed from this by `steady config default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub data: PathBuf,
    pub listen: SocketAddr,
    /// Apps live at `NAME.<domain>`.
    pub domain: String,
    /// The editor's host; `domain` itself when not set.
    pub editor_domain: Option<String>,
    /// The public URL's scheme; `http` unless something terminates TLS in front.
    pub scheme: String,
    pub bun: Option<PathBuf>,
    /// Strangers may start an anonymous playground.
    pub guests: bool,
    pub guest_days: u32,
    pub memory_mb: u64,
    pub pids: u64,
    pub cpu_percent: u32,
    pub idle_seconds: u64,
    pub log_mb: u64,
    pub max_body_mb: u64,
    pub max_pack_mb: u64,
    pub start_timeout_seconds: u64,
    pub drain_seconds: u64,
    pub uid_base: u32,
    pub import_private: bool,
    pub log: String,
}

/// What flags gave: each overrides file and environment.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub file: Option<PathBuf>,
    pub data: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
    pub domain: Option<String>,
    pub editor_domain: Option<String>,
    pub bun: Option<PathBuf>,
}

impl Config {
    /// Errors: `BadInput` naming file, key and what would be right.
    pub fn load(_overrides: Overrides) -> Result<Self> {
        todo!()
    }
    /// The commented default file.
    pub fn default_file() -> String {
        todo!()
    }
}
