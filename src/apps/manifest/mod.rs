//! `steady.json`: what a project declares of itself. All of it is optional.
mod read;
pub mod schema;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::ask::{Ask, Terms};
use super::limit::LIMITS;
use crate::base::Result;
use crate::proxy::Manners;
use crate::runner::egress::{HostRule, Reach, barred};
use read::{Given, Source, wrong};

/// Bytes; a larger file is refused.
const MAX: usize = 64 << 10;
/// Hosts in one list.
const MAX_HOSTS: usize = 200;
/// Seconds.
const IDLE: std::ops::RangeInclusive<u64> = 1..=86_400;

const KEYS: [&str; 13] = [
    "$schema",
    "entry",
    "build",
    "health",
    "idle_seconds",
    "freeze_seconds",
    "reclaim_seconds",
    "background",
    "always_on",
    "compress",
    "wake",
    "permissions",
    "limits",
];
const WAKE: [&str; 1] = ["bots"];
const PERMISSIONS: [&str; 3] = ["net", "udp", "private"];
const NET: &str = "\"none\", \"public\", or a list of hosts such as [\"api.example.com\", \"*.example.com:8443\", \"203.0.113.7:5432\"]";
const PUBLIC: &str = "a public host; hosts that the server's owner opens to apps (private_hosts) stand in \"private\"";
const UDP: &str = "a list of hosts with a port, such as [\"ntp.example.com:123\"]";

/// What may happen to the app before it is put to sleep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rest {
    /// Seconds without requests after which it stands still; the server's setting when not given.
    pub freeze_seconds: Option<u64>,
    /// Seconds without requests after which the memory of one that stands still goes to swap.
    pub reclaim_seconds: Option<u64>,
    /// It works without being asked, and so never stands still while it is awake.
    pub background: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The module to run, relative to the project.
    pub entry: Option<String>,
    /// A package.json script to run once per version, before it starts.
    pub build: Option<String>,
    /// The path a new version must answer below 500 before it goes live. Default `/`.
    pub health: Option<String>,
    /// Seconds without requests after which the app sleeps.
    pub idle_seconds: Option<u64>,
    pub rest: Rest,
    /// Never put to sleep.
    pub always_on: bool,
    pub manners: Manners,
    /// Permissions and limits.
    pub ask: Ask,
}

impl Manifest {
    /// Errors: `App` with line and column, what is wrong, and what would be right under these terms.
    pub fn parse(bytes: &[u8], terms: &Terms) -> Result<Self> {
        if bytes.len() > MAX {
            return Err(wrong(&format!("which has {} bytes, is larger than {} KiB", bytes.len(), MAX >> 10)));
        }
        let (source, object) = Source::read(bytes)?;
        let [
            schema,
            entry,
            build,
            health,
            idle,
            freeze,
            reclaim,
            background,
            always_on,
            compress,
            wake,
            permissions,
            limits,
        ] = source.keys(&object, "steady.json", KEYS)?;
        if let Some(schema) = schema {
            schema.text("a text: the address of the schema")?;
        }
        let mut manifest = Self {
            entry: entry.as_ref().map(path).transpose()?,
            build: build.as_ref().map(script).transpose()?,
            health: health.as_ref().map(url_path).transpose()?,
            idle_seconds: idle.as_ref().map(seconds).transpose()?,
            rest: Rest {
                freeze_seconds: freeze.as_ref().map(seconds).transpose()?,
                reclaim_seconds: reclaim.as_ref().map(seconds).transpose()?,
                background: background.as_ref().map_or(Ok(false), Given::flag)?,
            },
            always_on: always_on.as_ref().map_or(Ok(false), Given::flag)?,
            manners: Manners {
                uncompressed: !compress.as_ref().map_or(Ok(true), Given::flag)?,
                wakes_for_all: wake.as_ref().map_or(Ok(false), |wake| bots(&source, wake))?,
            },
            ask: Ask::default(),
        };
        let times = [idle.as_ref(), freeze.as_ref(), reclaim.as_ref()];
        if let (true, Some(idle)) = (manifest.always_on, times.into_iter().flatten().next()) {
            return Err(idle.because(idle.value(), "an app that is always on never idles", "left out, or always_on"));
        }
        if let (true, Some(time)) = (manifest.rest.background, times[1..].iter().flatten().next()) {
            let why = "an app that works in the background never stands still";
            return Err(time.because(time.value(), why, "left out, or background"));
        }
        if let Some(permissions) = permissions {
            let [net, udp, private] = source.keys(permissions.object("an object")?, "permissions", PERMISSIONS)?;
            manifest.ask.net = net.as_ref().map(reach).transpose()?;
            manifest.ask.udp = udp.as_ref().map_or(Ok(Vec::new()), udp_hosts)?;
            manifest.ask.private = private.as_ref().map_or(Ok(Vec::new()), |given| private_hosts(given, terms))?;
        }
        if let Some(limits) = limits {
            let given = source.keys(limits.object("an object")?, "limits", LIMITS.map(super::limit::Limit::name))?;
            for (limit, given) in LIMITS.into_iter().zip(given) {
                let Some(given) = given else { continue };
                manifest.ask.limits.insert(limit, given.number(limit.least(), limit.of(&terms.most))?);
            }
        }
        Ok(manifest)
    }
}

fn path(given: &Given<'_, '_>) -> Result<String> {
    let must = "the path of a file of this project, such as \"src/server.ts\"";
    let text = given.text(must)?;
    crate::base::fs::confine(text).map_err(|e| given.because(given.value(), &e.public, must))?;
    Ok(text.to_owned())
}

fn seconds(given: &Given<'_, '_>) -> Result<u64> {
    given.number(*IDLE.start(), *IDLE.end())
}

/// Whether everything wakes it.
fn bots(source: &Source<'_>, wake: &Given<'_, '_>) -> Result<bool> {
    let [bots] = source.keys(wake.object("an object")?, "wake", WAKE)?;
    bots.as_ref().map_or(Ok(false), Given::flag)
}

fn script(given: &Given<'_, '_>) -> Result<String> {
    let must = "the name of a script in package.json";
    let text = given.text(must)?;
    // What begins with a dash would be an option of Bun's.
    let good = !text.is_empty() && text.len() <= 200 && !text.starts_with('-') && !text.contains(char::is_control);
    if good { Ok(text.to_owned()) } else { Err(given.refuse(must)) }
}

fn url_path(given: &Given<'_, '_>) -> Result<String> {
    let must = "a path that begins with / and has no spaces, such as \"/healthz\"";
    let text = given.text(must)?;
    let good = text.starts_with('/') && text.len() <= 512 && text.bytes().all(|b| b > b' ' && b <= b'~');
    if good { Ok(text.to_owned()) } else { Err(given.refuse(must)) }
}

fn reach(given: &Given<'_, '_>) -> Result<Reach> {
    match given.value().as_string_lit().map(|text| &*text.value) {
        Some("none") => Ok(Reach::None),
        Some("public") => Ok(Reach::Public),
        Some(_) => Err(given.refuse(NET)),
        // An empty list says what "none" says.
        None => hosts(given, NET, public).map(|rules| if rules.is_empty() { Reach::None } else { Reach::Hosts(rules) }),
    }
}

fn udp_hosts(given: &Given<'_, '_>) -> Result<Vec<HostRule>> {
    let rules = hosts(given, UDP, public)?;
    let elements = given.value().as_array().into_iter().flat_map(|list| &list.elements);
    match rules.iter().zip(elements).find(|(rule, _)| rule.port().is_none()) {
        Some((rule, value)) => Err(given.because(value, &format!("`{rule}` names no port"), UDP)),
        None => Ok(rules),
    }
}

/// Hosts of the server's owner's network: no yes of a project's owner helps where the server's did not say it.
fn private_hosts(given: &Given<'_, '_>, terms: &Terms) -> Result<Vec<HostRule>> {
    let must = match terms.private.as_slice() {
        [] => "left out: the owner of this server opens no host of its network to apps (private_hosts)".to_owned(),
        all => {
            let all: Vec<String> = all.iter().map(|rule| format!("\"{rule}\"")).collect();
            format!("a list of hosts that the owner of this server opens to apps (private_hosts): {}", all.join(", "))
        }
    };
    hosts(given, &must, |rule| (!terms.offers(rule)).then(|| (format!("`{rule}` is not open to apps"), must.clone())))
}

/// What no approval would help, and what would be right. Addresses for documentation stay, as examples are written
/// with them.
fn public(rule: &HostRule) -> Option<(String, String)> {
    let barred = rule.address().and_then(barred).filter(|what| *what != "for documentation");
    let what = if rule.has_name("localhost") { Some("loopback") } else { barred };
    what.map(|what| (format!("`{rule}` is {what}, which no app may reach"), PUBLIC.to_owned()))
}

/// `wrong`: why a host may not stand here, and what would be right.
fn hosts(
    given: &Given<'_, '_>,
    must: &str,
    wrong: impl Fn(&HostRule) -> Option<(String, String)>,
) -> Result<Vec<HostRule>> {
    let list = given.value().as_array().ok_or_else(|| given.refuse(must))?;
    if list.elements.len() > MAX_HOSTS {
        let why = format!("it has {} hosts", list.elements.len());
        return Err(given.because(given.value(), &why, &format!("at most {MAX_HOSTS} hosts; a star stands for many")));
    }
    let rule = |value: &jsonc_parser::ast::Value<'_>| {
        let text = match value {
            jsonc_parser::ast::Value::StringLit(text) => &*text.value,
            _ => return Err(given.refuse_at(value, must)),
        };
        let rule = HostRule::parse(text).map_err(|why| given.because(value, &why, must))?;
        match wrong(&rule) {
            Some((why, right)) => Err(given.because(value, &why, &right)),
            None => Ok(rule),
        }
    };
    list.elements.iter().map(rule).collect()
}
