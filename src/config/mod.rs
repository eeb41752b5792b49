//! Settings: `steady.toml` ← environment ← flags, one struct.
mod file;
pub mod keys;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::base::name::clip;
use crate::base::{Error, Result, ResultExt as _};
use crate::http::trust::Network;
use crate::runner::egress::HostRule;
use keys::{KEYS, Key};

/// All of them. The commented default file is printed from this by `steady config default`; what each
/// means, its unit and range are in [`keys::KEYS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub data: PathBuf,
    pub listen: SocketAddr,
    /// Apps live at `NAME.<domain>`.
    pub domain: String,
    /// The editor's host; `domain` itself when not set.
    pub editor_domain: Option<String>,
    /// What reaches `listen` without TLS of our own: `https` when something ends TLS in front.
    pub scheme: String,
    /// `off`, `files`, `local` or `auto`.
    pub tls: String,
    pub tls_listen: SocketAddr,
    pub tls_cert: Vec<PathBuf>,
    /// In the order of `tls_cert`.
    pub tls_key: Vec<PathBuf>,
    /// Directory URLs of authorities; none: Let's Encrypt.
    pub acme: Vec<String>,
    pub acme_email: Option<String>,
    pub acme_roots: Option<PathBuf>,
    pub acme_eab_kid: Option<String>,
    pub acme_eab_key_file: Option<PathBuf>,
    pub acme_dns_file: Option<PathBuf>,
    /// `auto`, `on` or `off`.
    pub hsts: String,
    /// Whom to believe about whom they speak for.
    pub trusted_proxies: Vec<Network>,
    pub proxy_protocol: bool,
    pub bun: Option<PathBuf>,
    /// Strangers may start an anonymous playground.
    pub guests: bool,
    pub guest_days: u32,
    pub memory_mb: u64,
    pub pids: u64,
    pub cpu_percent: u32,
    pub disk_mb: u64,
    pub max_memory_mb: u64,
    pub max_cpu_percent: u32,
    pub max_disk_mb: u64,
    /// `none` or `public`: what apps may reach whose steady.json does not say.
    pub default_net: String,
    /// What builds may reach beside the package registry.
    pub build_hosts: Vec<HostRule>,
    /// What apps may ask for of the owner's own network; each has a port.
    pub private_hosts: Vec<HostRule>,
    /// `auto` or `single-tenant`.
    pub sandbox: String,
    pub freeze_seconds: u64,
    pub reclaim_seconds: u64,
    pub idle_seconds: u64,
    pub warm_pool: u64,
    pub outbound_mb: u64,
    pub log_mb: u64,
    /// Requests a second from one network, from everybody, and requests at once; 0 = no limit.
    pub rate: u64,
    pub app_rate: u64,
    pub concurrency: u64,
    pub max_body_mb: u64,
    pub max_pack_mb: u64,
    pub start_timeout_seconds: u64,
    pub drain_seconds: u64,
    pub uid_base: u32,
    pub import_private: bool,
    /// Custom domains of one project.
    pub max_domains: u32,
    /// Asked about custom domains instead of the system's.
    pub dns_server: Option<SocketAddr>,
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

/// Variables that belong to the command line as a client, or are between one server and the next: no settings.
const NOT_SETTINGS: [&str; 3] = ["STEADY_URL", "STEADY_TOKEN", "STEADY_TAKES_OVER"];

impl Config {
    /// Unknown `STEADY_*` variables are logged as warnings; before logging is set up use
    /// [`Config::load_noting`].
    /// Errors: `BadInput` naming file, key and what would be right.
    pub fn load(overrides: Overrides) -> Result<Self> {
        let (config, warnings) = Self::load_noting(overrides)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok(config)
    }

    /// The settings, and sentences about what was not understood but does no harm. Errors as
    /// [`Config::load`].
    pub fn load_noting(overrides: Overrides) -> Result<(Self, Vec<String>)> {
        let file = file::read(overrides.file.as_deref())?;
        let file = file.map(|(path, table)| (path.display().to_string(), table));
        merge(file, std::env::vars_os(), &overrides)
    }

    /// The commented default file.
    pub fn default_file() -> String {
        file::default_file()
    }

    /// The editor's host name, without port.
    pub fn editor_host(&self) -> &str {
        self.editor_domain.as_deref().unwrap_or(&self.domain)
    }
}

/// Defaults ← file ← environment ← flags, each value checked where it came from, so that a message can
/// name the place.
fn merge(
    file: Option<(String, Table)>,
    environment: impl Iterator<Item = (OsString, OsString)>,
    overrides: &Overrides,
) -> Result<(Config, Vec<String>)> {
    let mut all = defaults()?;
    let mut warnings = Vec::new();
    if let Some((file, table)) = file {
        for (name, value) in table {
            let key = keys::find(&name).ok_or_else(|| unknown(&file, &name))?;
            let shown = value.to_string();
            let value = key.check(value).map_err(|right| wrong(&format!("{file}: `{name}`"), &shown, &right))?;
            all.insert(name, value);
        }
    }
    for (variable, value) in environment {
        let Some(variable) = variable.to_str().filter(|name| name.starts_with("STEADY_")) else { continue };
        let name = variable["STEADY_".len()..].to_ascii_lowercase();
        match keys::find(&name).filter(|_| variable["STEADY_".len()..].chars().all(|c| !c.is_ascii_lowercase())) {
            Some(key) => {
                let text = value.to_string_lossy();
                let read = if value.to_str().is_some() { key.read(&text) } else { Err("UTF-8".to_owned()) };
                all.insert(name, read.map_err(|right| wrong(variable, &format!("`{}`", clip(&text)), &right))?);
            }
            None if NOT_SETTINGS.contains(&variable) => {}
            None => {
                let meant = keys::nearest(&name)
                    .map_or_else(String::new, |key| format!("; did you mean STEADY_{}?", key.to_ascii_uppercase()));
                warnings.push(format!("the environment has {}, which is no setting of Steady{meant}", clip(variable)));
            }
        }
    }
    for (name, text) in overrides.texts()? {
        let key = keys::find(name).ok_or_else(|| Error::internal(format!("no setting {name}")))?;
        let flag = format!("--{}", name.replace('_', "-"));
        all.insert(
            name.to_owned(),
            key.read(&text).map_err(|right| wrong(&flag, &format!("`{}`", clip(&text)), &right))?,
        );
    }
    all.retain(|name, value| !keys::find(name).is_some_and(|key| key.is_absent(value)));
    let config = Config::deserialize(Value::Table(all)).internal("while reading checked settings")?;
    Ok((config, warnings))
}

impl Default for Config {
    fn default() -> Self {
        let none = std::iter::empty();
        merge(None, none, &Overrides::default()).expect("a test reads the table's defaults").0
    }
}

fn defaults() -> Result<Table> {
    let lines: String = KEYS.iter().map(|Key { name, default, .. }| format!("{name} = {default}\n")).collect();
    file::parse("the defaults", &lines)
}

impl Overrides {
    fn texts(&self) -> Result<Vec<(&'static str, String)>> {
        let path = |flag: &'static str, path: &Option<PathBuf>| match path.as_deref().map(Path::to_str) {
            Some(Some(text)) => Ok(Some((flag, text.to_owned()))),
            Some(None) => Err(Error::bad_input(format!("--{flag} is not UTF-8")).hint("Use a path in UTF-8.")),
            None => Ok(None),
        };
        Ok([
            path("data", &self.data)?,
            self.listen.map(|at| ("listen", at.to_string())),
            self.domain.clone().map(|host| ("domain", host)),
            self.editor_domain.clone().map(|host| ("editor_domain", host)),
            path("bun", &self.bun)?,
        ]
        .into_iter()
        .flatten()
        .collect())
    }
}

fn unknown(file: &str, name: &str) -> Error {
    let error = Error::bad_input(format!("{file} has `{}`, which is no setting of Steady", clip(name)));
    match keys::nearest(name) {
        Some(meant) => error.hint(format!("Did you mean `{meant}`? `steady config default` lists all.")),
        None => error.hint("`steady config default` lists all."),
    }
}

/// `place` names file and key, variable or flag.
fn wrong(place: &str, shown: &str, right: &str) -> Error {
    Error::bad_input(format!("{place} is {}", clip(shown))).hint(format!("It must be {right}."))
}
