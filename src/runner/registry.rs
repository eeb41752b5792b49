//! Where packages come from: whatever registry the server's Bun is set up for. Found at run time, never
//! written here.
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::app::Common;
use super::egress::HostRule;
use super::process::Scratch;
use super::{JobSpec, Limits, job};
use crate::base::{Error, Kind, Progress, Result, ResultExt as _};

/// The settings of the server's own environment that name a registry, the first that is set.
const REGISTRY: &[&str] = &["BUN_CONFIG_REGISTRY", "NPM_CONFIG_REGISTRY", "npm_config_registry"];
const PROXIES: &[&str] = &["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
/// The others that an install needs: names of files and hosts.
const FILES: &[&str] = &["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR", "NO_PROXY", "no_proxy"];
/// No app and no draft has it: ids begin with 1.
const UID: u32 = 2;
const TIMEOUT: Duration = Duration::from_secs(60);
const HINT: &str = "Name the registry in the server's environment (BUN_CONFIG_REGISTRY=https://…) or in the \
    .npmrc or .bunfig.toml of the server's user, and start Steady again.";

/// Where installs connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// The registry's own, and the proxies on the way to it.
    pub hosts: Vec<HostRule>,
}

/// What the server's own settings say. Never a password: builds are other people's code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub url: Option<String>,
    pub cafile: Option<String>,
    /// What a job finds in its environment of the server's.
    pub passed: Vec<(String, String)>,
    proxies: Vec<String>,
}

impl Settings {
    /// Of this process and its user.
    pub fn load() -> Self {
        let vars: HashMap<String, String> =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        Self::read(&vars, std::env::home_dir().as_deref())
    }

    fn read(vars: &HashMap<String, String>, home: Option<&Path>) -> Self {
        let set = |name: &&str| vars.get(*name).filter(|value| !value.is_empty());
        let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        let npmrc = home.map(|home| text(&home.join(".npmrc"))).unwrap_or_default();
        let line = |key: &str| {
            let found = npmrc.lines().find_map(|l| l.trim().strip_prefix(key)?.trim_start().strip_prefix('='));
            found.map(|v| v.trim().trim_matches('"').to_owned()).filter(|v| !v.is_empty() && !v.contains("${"))
        };
        let folders = [vars.get("XDG_CONFIG_HOME").map(Path::new), home];
        let bunfig = folders.into_iter().flatten().find_map(|folder| bunfig(&text(&folder.join(".bunfig.toml"))));
        let url = REGISTRY.iter().find_map(|name| set(name).cloned()).or(bunfig).or_else(|| line("registry"));
        let of = |names: &[&str]| {
            let found = names.iter().filter_map(|name| Some((name.to_string(), set(name)?.clone())));
            found.collect::<Vec<_>>()
        };
        let proxies: Vec<_> = of(PROXIES).into_iter().filter(|(_, url)| !has_password(url)).collect();
        let proxied = proxies.iter().map(|(_, url)| url.clone()).collect();
        let passed = proxies.into_iter().chain(of(FILES)).collect();
        Self { url: url.filter(|url| !has_password(url)), cafile: line("cafile"), passed, proxies: proxied }
    }

    /// The hosts of all that is set. Errors: `Conflict` naming what is no address.
    fn hosts(&self) -> Result<Vec<HostRule>> {
        let all = self.url.iter().chain(&self.proxies);
        let mut hosts = all.map(|url| host(url)).collect::<Result<Vec<_>>>()?;
        hosts.dedup();
        Ok(hosts)
    }
}

/// `[install] registry = "URL"` or `{ url = "URL", … }`.
fn bunfig(text: &str) -> Option<String> {
    let table: toml::Table = text.parse().ok()?;
    let registry = table.get("install")?.get("registry")?;
    registry.as_str().or_else(|| registry.get("url")?.as_str()).map(str::to_owned)
}

fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().is_some_and(|authority| authority.contains('@'))
}

/// The rule for the host of a URL. Proxies are also written without a scheme.
fn host(url: &str) -> Result<HostRule> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    HostRule::parse(authority).map_err(|why| {
        Error::new(
            Kind::Conflict,
            format!("the package registry or proxy that this server is set up for is wrong: {why}"),
        )
        .hint(HINT)
    })
}

/// From the server's settings; where they say nothing the pinned Bun is asked, by letting it try.
/// Errors: `Conflict` saying how to name the registry.
pub(super) async fn find(common: &Arc<Common>) -> Result<Registry> {
    let settings = Settings::load();
    let mut hosts = settings.hosts()?;
    if settings.url.is_none() {
        hosts.push(ask_bun(common).await?);
    }
    Ok(Registry { hosts })
}

/// Installs a package that does not exist where nothing can be reached: the one host that was refused is it.
async fn ask_bun(common: &Arc<Common>) -> Result<HostRule> {
    let n = common.counter.fetch_add(1, Ordering::Relaxed);
    let folder = Scratch(common.options.scratch.join(format!("r{n}")));
    crate::base::fs::make_dir(&folder.0, 0o755).internal("while looking for the package registry")?;
    let package = br#"{ "dependencies": { "steady-asks-where-packages-come-from": "1.0.0" } }"#;
    crate::base::fs::write_atomic(&folder.0.join("package.json"), package, 0o644)
        .internal("while looking for the package registry")?;
    let direct = PROXIES.iter().map(|name| (name.to_string(), crate::base::Secret::new(String::new())));
    let spec = JobSpec {
        command: ["bun", "install", "--no-progress", "--ignore-scripts"].map(str::to_owned).to_vec(),
        cwd: folder.0.clone(),
        writable: vec![folder.0.clone()],
        readable: Vec::new(),
        env: direct.collect(),
        limits: Limits::default(),
        uid_offset: UID,
        timeout: TIMEOUT,
        hosts: Vec::new(),
    };
    let report = job::run(common, spec, &Progress::silent()).await?;
    let unclear = |why: String| {
        Error::new(Kind::Conflict, "cannot find out where packages come from")
            .hint(HINT)
            .because(std::io::Error::other(why))
    };
    match report.refused.as_slice() {
        [one] => host(one),
        none_or_many => Err(unclear(format!("refused: {none_or_many:?}; {}: {:?}", report.ending, report.tail))),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // files that may tear
mod tests {
    use super::*;

    fn settings(vars: &[(&str, &str)], files: &[(&str, &str)]) -> Settings {
        let home = tempfile::tempdir().expect("temp dir");
        for (name, content) in files {
            std::fs::write(home.path().join(name), content).expect("file");
        }
        let vars = vars.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Settings::read(&vars, Some(home.path()))
    }

    fn hosts(settings: &Settings) -> Vec<String> {
        settings.hosts().expect("hosts").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_environment_goes_before_files() {
        let npmrc = (".npmrc", "fund=false\nregistry = https://npm.example/repo/\ncafile=/etc/ca.pem\n");
        let bunfig = (".bunfig.toml", "[install]\nregistry = { url = \"http://bun.example:4873/\", token = \"x\" }\n");
        assert_eq!(settings(&[], &[]), Settings::default());
        let found = settings(&[], &[npmrc]);
        assert_eq!((hosts(&found), found.cafile.as_deref()), (vec!["npm.example".to_owned()], Some("/etc/ca.pem")));
        assert_eq!(hosts(&settings(&[], &[npmrc, bunfig])), ["bun.example:4873"]);
        assert_eq!(
            hosts(&settings(&[], &[(".bunfig.toml", "[install]\nregistry = \"https://b.example\"")])),
            ["b.example"]
        );
        assert_eq!(hosts(&settings(&[("npm_config_registry", "http://[::1]:4873/a")], &[npmrc])), ["[::1]:4873"]);
    }

    #[test]
    fn proxies_are_reached_and_passwords_stay_here() {
        let found = settings(
            &[
                ("HTTPS_PROXY", "http://proxy.example:3128"),
                ("http_proxy", "localhost:8080"),
                ("HTTP_PROXY", "http://me:secret@proxy.example:1"),
                ("BUN_CONFIG_REGISTRY", "https://me:secret@npm.example"),
                ("SSL_CERT_FILE", "/etc/certs@home.pem"),
                ("NPM_TOKEN", "secret"),
            ],
            &[],
        );
        assert_eq!(hosts(&found), ["proxy.example:3128", "localhost:8080"]);
        assert_eq!(found.url, None);
        assert!(!format!("{found:?}").contains("secret"), "{found:?}");
        assert!(found.passed.iter().any(|(name, _)| name == "SSL_CERT_FILE"));
    }

    #[test]
    fn what_is_no_address_is_said() {
        for bad in ["https://", "https://a b/", "npm.example:x"] {
            let error = settings(&[("BUN_CONFIG_REGISTRY", bad)], &[]).hosts().expect_err(bad);
            assert!(error.hint.is_some_and(|hint| hint.contains("BUN_CONFIG_REGISTRY")), "{bad}");
        }
    }
}
