//! The one table of settings: a key that is not here does not exist, and none here is undocumented.
use std::net::SocketAddr;

use toml::Value;
use tracing_subscriber::EnvFilter;

use crate::base::name::clip;
use crate::http::trust::Network;
use crate::runner::egress::{HostRule, is_never_for_apps};

const NETWORKS: &str = "a list of at most 100 networks or addresses, such as [\"127.0.0.1\", \"10.0.0.0/8\"]";
const PRIVATE_HOSTS: &str = "a list of at most 100 hosts with a port, such as [\"db.internal:5432\", \"10.0.0.5:6379\"]; \
                              link-local, metadata and multicast addresses cannot be opened";
const HOSTS: &str = "a list of at most 100 hosts, such as [\"git.example.com\", \"npm.example.com:8443\"]";

/// One setting: a key of `steady.toml`, and `STEADY_<KEY>` in the environment.
pub struct Key {
    /// As in the file and in [`super::Config`].
    pub name: &'static str,
    /// As TOML; `""` where the setting may be absent.
    pub default: &'static str,
    /// What it does, one or more lines.
    pub doc: &'static str,
    pub(super) shape: Shape,
}

/// What a value must look like.
pub(super) enum Shape {
    /// Not empty unless `optional`.
    Path {
        optional: bool,
    },
    Host {
        optional: bool,
    },
    Address,
    OptionalAddress,
    OneOf(&'static [&'static str]),
    Flag,
    /// A list of `host[:port]`; in the environment with commas between them.
    Hosts,
    /// A list of networks; written likewise.
    Networks,
    /// One path, or a list; in the environment with commas between them.
    Paths,
    /// The same for apps, each with a port, and none that hands out credentials.
    PrivateHosts,
    /// The same of `https://…`.
    Urls,
    /// May be empty.
    Text,
    /// A whole number of `unit`s.
    Number {
        unit: &'static str,
        least: i64,
        most: i64,
    },
    LogFilter,
}

const fn number(unit: &'static str, least: i64, most: i64) -> Shape {
    Shape::Number { unit, least, most }
}

const fn key(name: &'static str, default: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, default, doc, shape }
}

/// In the order of the file.
pub const KEYS: &[Key] = &[
    key(
        "data",
        "\".steady\"",
        Shape::Path { optional: false },
        "Folder of all Steady keeps: its database, repositories, apps and their data.\n\
         A relative one is below the folder Steady is started in.",
    ),
    key(
        "listen",
        "\"127.0.0.1:8080\"",
        Shape::Address,
        "Address and port of the one listener. Behind a proxy that ends TLS keep it on 127.0.0.1.",
    ),
    key("domain", "\"localhost\"", Shape::Host { optional: false }, "Apps live at NAME.domain."),
    key(
        "editor_domain",
        "\"\"",
        Shape::Host { optional: true },
        "Host name of the editor; empty: the domain itself. On the internet give it a domain of its own,\n\
         so that no app shares cookies or origin rules with it.",
    ),
    key(
        "scheme",
        "\"http\"",
        Shape::OneOf(&["http", "https"]),
        "What links say when TLS is ended in front of Steady: then https. With tls of Steady's own leave it at http.",
    ),
    key(
        "tls",
        "\"off\"",
        Shape::OneOf(&["off", "files", "local", "auto"]),
        "Whether Steady speaks TLS itself, on tls_listen. auto: with certificates that an authority signs when a\n\
         host is first visited. files: with tls_cert and tls_key. local: with an authority of this machine's own,\n\
         for laptops; `steady ca` says how to trust it.",
    ),
    key(
        "tls_listen",
        "\"0.0.0.0:443\"",
        Shape::Address,
        "Address and port for TLS, when tls is not off. What comes to `listen` is then sent on to https.",
    ),
    key(
        "tls_cert",
        "[]",
        Shape::Paths,
        "Files with a certificate and those that signed it, in PEM: one path, or a list. They go before any other\n\
         certificate for the hosts they name, and are read again when they change.",
    ),
    key("tls_key", "[]", Shape::Paths, "The files with their private keys, in the same order."),
    key(
        "acme",
        "[]",
        Shape::Urls,
        "Directory URLs of the certificate authorities that tls \"auto\" asks, one or a list; the next is asked when\n\
         one fails. None: Let's Encrypt.",
    ),
    key("acme_email", "\"\"", Shape::Text, "Where authorities write to when something is wrong; may be empty."),
    key(
        "acme_roots",
        "\"\"",
        Shape::Path { optional: true },
        "File with the roots, in PEM, that the authorities' own servers are trusted by; empty: the system's.",
    ),
    key(
        "acme_eab_kid",
        "\"\"",
        Shape::Text,
        "The name of your account with an authority that serves its customers only.",
    ),
    key(
        "acme_eab_key_file",
        "\"\"",
        Shape::Path { optional: true },
        "File with the key to it (external account binding), in base64 as the authority shows it.",
    ),
    key(
        "acme_dns_file",
        "\"\"",
        Shape::Path { optional: true },
        "File that says who changes the zone of `domain`: apps then share one wildcard certificate, see docs/tls.md.",
    ),
    key(
        "hsts",
        "\"auto\"",
        Shape::OneOf(&["auto", "on", "off"]),
        "Whether browsers are told to come back by https only: at first for minutes, after weeks for a year.\n\
         auto: yes, but not with the local authority. An app's own header goes before it.",
    ),
    key(
        "trusted_proxies",
        "[]",
        Shape::Networks,
        "Proxies in front of this server, as [\"127.0.0.1\", \"10.0.0.0/8\"]: only they are believed about their\n\
         visitors (X-Forwarded-For, -Proto and -Host, or Forwarded). They must write these themselves.",
    ),
    key(
        "proxy_protocol",
        "false",
        Shape::Flag,
        "Whether those proxies put a PROXY header (version 1 or 2) before every connection.",
    ),
    key(
        "bun",
        "\"\"",
        Shape::Path { optional: true },
        "The Bun program; empty: the one inside Steady, or in node_modules or PATH for a development build.",
    ),
    key("guests", "false", Shape::Flag, "Whether strangers may start an anonymous playground."),
    key("guest_days", "7", number("days", 1, 365), "How long a guest and its projects live."),
    key("memory_mb", "512", number("MiB", 64, 1_048_576), "Memory of one app; above it the app is stopped."),
    key("pids", "256", number("processes and threads", 16, 32_768), "Processes and threads of one app."),
    key("cpu_percent", "200", number("percent", 10, 100_000), "Processor time of one app; 100 is one core."),
    key("disk_mb", "1024", number("MiB", 1, 67_108_864), "What one app may keep in its home."),
    key(
        "max_memory_mb",
        "2048",
        number("MiB", 64, 1_048_576),
        "The most memory a steady.json may ask for; more than memory_mb needs an owner's approval.",
    ),
    key("max_cpu_percent", "400", number("percent", 10, 100_000), "The same for processor time."),
    key(
        "max_disk_mb",
        "10240",
        number("MiB", 1, 67_108_864),
        "The same for the home. Of processes, files and the like a steady.json may ask for four times the usual.",
    ),
    key(
        "default_net",
        "\"none\"",
        Shape::OneOf(&["none", "public"]),
        "Outbound connections of apps whose steady.json does not say: none, or every public address.\n\
         What a steady.json asks for beyond this needs an owner's approval.",
    ),
    key(
        "build_hosts",
        "[]",
        Shape::Hosts,
        "Hosts that installs and builds may reach beside the package registry, as \"host\" (ports 443 and 80) or\n\
         \"host:port\", whatever address they have. Everybody's builds may: name none that trusts this server.",
    ),
    key(
        "private_hosts",
        "[]",
        Shape::PrivateHosts,
        "Hosts of your own network that apps may ask for in steady.json, each with its port; an owner of the project\n\
         approves it. A name may have any private address, so name only what your own name server answers for;\n\
         \"localhost:5432\" is this machine. All other private addresses stay closed.",
    ),
    key(
        "sandbox",
        "\"auto\"",
        Shape::OneOf(&["auto", "single-tenant"]),
        "auto: serve only behind walls that keep strangers' code apart. single-tenant: all code on this\n\
         server is your own, so weaker walls will do. `steady doctor` shows what this machine has.",
    ),
    key(
        "freeze_seconds",
        "30",
        number("seconds", 0, 31_536_000),
        "An app nobody used for this long stands still and takes no processor time, unless it has connections\n\
         open or works in the background; a request lets it go on at once. 0: never.",
    ),
    key(
        "reclaim_seconds",
        "300",
        number("seconds", 0, 31_536_000),
        "The memory of an app that stands still goes to swap after this long, where there is swap. 0: never.",
    ),
    key(
        "idle_seconds",
        "3600",
        number("seconds", 1, 31_536_000),
        "An app nobody used for this long sleeps: its process ends, and the next request starts it. When memory\n\
         runs short the least recently used sleep sooner.",
    ),
    key(
        "warm_pool",
        "2",
        number("processes", 0, 64),
        "Processes that wait, started and confined, for the next apps that wake; some MiB each, the first to go when\n\
         memory runs short. 0: none.",
    ),
    key(
        "outbound_mb",
        "10240",
        number("MiB", 0, 1_073_741_824),
        "What one app may send to and receive from the world in a day (UTC); 0: no limit.",
    ),
    key("log_mb", "16", number("MiB", 1, 10_240), "Log kept of one app; the oldest lines go first."),
    key(
        "rate",
        "0",
        number("requests a second", 0, 1_000_000),
        "Requests that one app takes from one network (an IPv4 address, an IPv6 /64); more are answered 429.\n\
         A steady.json may set less by itself, and with an owner's approval up to four times as much. 0: no limit.",
    ),
    key("app_rate", "0", number("requests a second", 0, 1_000_000), "The same from everybody together."),
    key("concurrency", "0", number("requests", 0, 1_000_000), "The same for requests that are answered at once."),
    key("max_body_mb", "100", number("MiB", 1, 10_240), "Largest body of one request to an app."),
    key("max_pack_mb", "256", number("MiB", 1, 10_240), "Largest push."),
    key(
        "start_timeout_seconds",
        "30",
        number("seconds", 1, 3_600),
        "An app that does not answer this long after its start has failed.",
    ),
    key(
        "drain_seconds",
        "10",
        number("seconds", 0, 3_600),
        "How long running requests may take to end when Steady or an app stops.",
    ),
    key(
        "uid_base",
        "1200000",
        number("user id", 100_000, 2_000_000_000),
        "First of the user ids that apps run as, when Steady runs as root. Nobody else may have ids from\n\
         here on. Never change it once there are apps: they own their files.",
    ),
    key(
        "import_private",
        "false",
        Shape::Flag,
        "Whether projects may be imported from git servers at private addresses (10.0.0.0/8, localhost, …).",
    ),
    key(
        "max_domains",
        "10",
        number("domains", 0, 1_000),
        "Domains of their own that the owners of one project may give it; 0: none.",
    ),
    key(
        "dns_server",
        "\"\"",
        Shape::OptionalAddress,
        "Name server, as address:port, that is asked whether custom domains lead here; empty: those of the system.",
    ),
    key(
        "log",
        "\"info\"",
        Shape::LogFilter,
        "What Steady logs about itself: error, warn, info, debug or trace, also by part:\n\
         \"info,steady::git=debug\".",
    ),
];

/// The key of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The known key that was probably meant.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let name: String = name.chars().take(60).collect::<String>().to_lowercase().replace('-', "_");
    let closeness = |key: &&Key| (strsim::jaro_winkler(&name, key.name) * 1000.0) as u32;
    KEYS.iter().max_by_key(closeness).filter(|key| closeness(key) > 750).map(|key| key.name)
}

impl Key {
    /// The value with its words in lower case where they are names of hosts.
    /// Errors: what would be right, to be put after "must be".
    pub(super) fn check(&self, value: Value) -> Result<Value, String> {
        let right = |ok: bool, what: &str| if ok { Ok(()) } else { Err(what.to_owned()) };
        match (&self.shape, &value) {
            (Shape::Hosts, _) => {
                let all = value.as_array().filter(|all| all.len() <= 100);
                let rule = |host: &Value| host.as_str().is_some_and(|text| HostRule::parse(text).is_ok());
                right(all.is_some_and(|all| all.iter().all(rule)), HOSTS)?;
            }
            (Shape::Networks, _) => {
                let all = value.as_array().filter(|all| all.len() <= 100);
                let network = |text: &Value| text.as_str().is_some_and(|text| text.parse::<Network>().is_ok());
                right(all.is_some_and(|all| all.iter().all(network)), NETWORKS)?;
            }
            (Shape::Paths, Value::String(_)) => return self.check(Value::Array(vec![value])),
            (Shape::Paths, _) => {
                let path = |path: &Value| path.as_str().is_some_and(|text| !text.is_empty() && !text.contains('\0'));
                let all = value.as_array().filter(|all| all.len() <= 100);
                right(all.is_some_and(|all| all.iter().all(path)), "a path, or a list of at most 100")?;
            }
            (Shape::PrivateHosts, _) => {
                let all = value.as_array().filter(|all| all.len() <= 100);
                let good = |rule: HostRule| rule.port().is_some() && !rule.address().is_some_and(is_never_for_apps);
                let rule = |host: &Value| host.as_str().is_some_and(|text| HostRule::parse(text).is_ok_and(good));
                right(all.is_some_and(|all| all.iter().all(rule)), PRIVATE_HOSTS)?;
            }
            (Shape::Urls, Value::String(_)) => return self.check(Value::Array(vec![value])),
            (Shape::Urls, _) => {
                let https = |text: &str| text.strip_prefix("https://").is_some_and(|rest| !rest.is_empty());
                let url =
                    |url: &Value| url.as_str().is_some_and(|text| https(text) && text.parse::<hyper::Uri>().is_ok());
                let all = value.as_array().filter(|all| all.len() <= 10);
                right(all.is_some_and(|all| all.iter().all(url)), "https://…, or a list of at most 10")?;
            }
            (Shape::Text, Value::String(text)) => {
                right(text.len() <= 1000 && !text.contains(char::is_control), "a short text")?;
            }
            (Shape::Flag, _) => right(value.is_bool(), "true or false")?,
            (Shape::Number { unit, least, most }, _) => {
                let fits = value.as_integer().is_some_and(|n| (*least..=*most).contains(&n));
                right(fits, &format!("a whole number from {least} to {most} ({unit})"))?;
            }
            (Shape::Path { optional }, Value::String(text)) => {
                right(!text.contains('\0') && (*optional || !text.is_empty()), "a path")?;
            }
            (Shape::OptionalAddress, Value::String(text)) if text.is_empty() => {}
            (Shape::Address | Shape::OptionalAddress, Value::String(text)) => right(
                text.parse::<SocketAddr>().is_ok(),
                "an address and port, like 127.0.0.1:8080, 0.0.0.0:80 or [::1]:8080",
            )?,
            (Shape::OneOf(words), Value::String(text)) => right(words.contains(&text.as_str()), &words.join(" or "))?,
            (Shape::Host { optional }, Value::String(text)) => {
                let text = text.to_ascii_lowercase();
                let host = is_host(&text) || (*optional && text.is_empty());
                right(host, "a host name, like example.org, without scheme, port or final dot")?;
                return Ok(Value::String(text));
            }
            (Shape::LogFilter, Value::String(text)) => {
                let good = text.len() <= 1000 && !text.is_empty() && EnvFilter::builder().parse(text).is_ok();
                right(good, "error, warn, info, debug or trace, also by part: info,steady::git=debug")?;
            }
            _ => return Err("text in quotes".to_owned()),
        }
        Ok(value)
    }

    /// What a variable of the environment means. Errors as [`Key::check`].
    pub(super) fn read(&self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        let value = match &self.shape {
            Shape::Flag => match text {
                "true" | "1" => Value::Boolean(true),
                "false" | "0" => Value::Boolean(false),
                _ => return Err("true or false".to_owned()),
            },
            Shape::Hosts | Shape::Networks | Shape::Paths | Shape::Urls | Shape::PrivateHosts => {
                let hosts = text.split(',').map(str::trim).filter(|host| !host.is_empty());
                Value::Array(hosts.map(|host| Value::String(host.to_owned())).collect())
            }
            Shape::Number { .. } => text.parse().map_or_else(|_| Value::String(clip(text)), Value::Integer),
            _ => Value::String(text.to_owned()),
        };
        self.check(value)
    }

    /// An empty text stands for a setting that is not there.
    pub(super) fn is_absent(&self, value: &Value) -> bool {
        let optional = matches!(
            self.shape,
            Shape::Path { optional: true } | Shape::Host { optional: true } | Shape::OptionalAddress | Shape::Text
        );
        optional && value.as_str() == Some("")
    }

    /// What the commented file says about the range.
    pub(super) fn range(&self) -> Option<String> {
        match &self.shape {
            Shape::Number { unit, least, most } => Some(format!("{least} to {most} {unit}.")),
            _ => None,
        }
    }
}

/// Letters, digits and hyphens in labels of up to 63; short enough for an app's label in front; not an
/// IP address, below which there are no names.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numeric = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 253 - 64 && text.split('.').all(label) && !text.rsplit('.').next().is_some_and(numeric)
}

#[cfg(test)]
mod tests;
