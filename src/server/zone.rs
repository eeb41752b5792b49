//! `acme_dns_file`: who changes the zone of the apps' domain, so that one wildcard serves them all. A file of its own,
//! since it holds what may change DNS.
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::base::{Error, Result, Secret};
use crate::tls::{Algorithm, Dns, Provider};

/// How long the zone's servers may take to show a record, where the file does not say.
const PATIENCE: u64 = 180;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The apps' domain when not given.
    domains: Option<Vec<String>>,
    #[serde(default)]
    servers: Vec<SocketAddr>,
    seconds: Option<u64>,
    rfc2136: Option<Rfc2136>,
    #[serde(rename = "acme-dns")]
    acme_dns: Option<AcmeDns>,
    hook: Option<Hook>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rfc2136 {
    server: SocketAddr,
    key_name: String,
    #[serde(default = "usual")]
    algorithm: String,
    /// Base64, as key files have it.
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcmeDns {
    url: String,
    user: String,
    password: String,
    subdomain: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hook {
    command: Vec<String>,
}

fn usual() -> String {
    "hmac-sha256".into()
}

/// Errors: `BadInput` naming the file and what is wrong with it, never its content.
pub(super) fn read(path: &Path, apps: &str) -> Result<Dns> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Error::bad_input(format!("acme_dns_file {} cannot be read: {e}", path.display()))
            .hint("docs/tls.md has an example of what stands in it.")
    })?;
    parse(&text, apps).map_err(|why| {
        Error::bad_input(format!("acme_dns_file {}: {why}", path.display()))
            .hint("docs/tls.md has an example of what stands in it.")
    })
}

fn parse(text: &str, apps: &str) -> std::result::Result<Dns, String> {
    // Only the message: the whole error would repeat the line, and with it a key.
    let file: File = toml::from_str(text).map_err(|e| e.message().to_owned())?;
    let domains = file.domains.unwrap_or_else(|| vec![apps.to_owned()]);
    let provider = match (file.rfc2136, file.acme_dns, file.hook) {
        (Some(updates), None, None) => rfc2136(updates)?,
        (None, Some(AcmeDns { url, user, password, subdomain }), None) => {
            Provider::AcmeDns { url, user, password: Secret::new(password), subdomain }
        }
        (None, None, Some(Hook { command })) if command.first().is_some_and(|program| program.starts_with('/')) => {
            Provider::Hook { argv: command }
        }
        (None, None, Some(_)) => return Err("`command` of [hook] must begin with the path of a program".into()),
        _ => return Err("it must have one of [rfc2136], [acme-dns] and [hook]".into()),
    };
    let patience = Duration::from_secs(file.seconds.unwrap_or(PATIENCE).clamp(1, 3600));
    Ok(Dns { domains, provider, servers: file.servers, patience })
}

fn rfc2136(updates: Rfc2136) -> std::result::Result<Provider, String> {
    let Rfc2136 { server, key_name, algorithm, key } = updates;
    let algorithm = match algorithm.as_str() {
        "hmac-sha256" => Algorithm::HmacSha256,
        "hmac-sha384" => Algorithm::HmacSha384,
        "hmac-sha512" => Algorithm::HmacSha512,
        _ => return Err("`algorithm` must be hmac-sha256, hmac-sha384 or hmac-sha512".into()),
    };
    let key = STANDARD.decode(key.trim()).map_err(|_| "`key` of [rfc2136] is not base64")?;
    Ok(Provider::Rfc2136 { server, key_name, algorithm, key: Secret::new(key) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_has_its_section() {
        let dns = parse(
            "[rfc2136]\nserver = \"127.0.0.1:53\"\nkey_name = \"steady.\"\nkey = \"c2VjcmV0\"\n",
            "apps.example.com",
        )
        .expect("right");
        assert_eq!(dns.domains, ["apps.example.com"]);
        assert!(matches!(dns.provider, Provider::Rfc2136 { algorithm: Algorithm::HmacSha256, .. }));
        let dns = parse("domains = [\"a.example\"]\nseconds = 5\n[hook]\ncommand = [\"/bin/true\", \"x\"]\n", "b")
            .expect("right");
        assert_eq!((dns.domains, dns.patience), (vec!["a.example".to_owned()], Duration::from_secs(5)));
        let acme = "[acme-dns]\nurl = \"https://dns.example\"\nuser = \"u\"\npassword = \"p\"\nsubdomain = \"s\"\n";
        assert!(matches!(parse(acme, "b").expect("right").provider, Provider::AcmeDns { .. }));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_key() {
        for (text, says) in [
            ("", "one of"),
            ("[hook]\ncommand = [\"true\"]\n", "path of a program"),
            ("[rfc2136]\nserver = \"127.0.0.1:53\"\nkey_name = \"k\"\nkey = \"!hunter2!\"\n", "not base64"),
            (
                "[rfc2136]\nserver = \"127.0.0.1:53\"\nkey_name = \"k\"\nkey = 'hunter2'\nalgorithm = \"md5\"\n",
                "algorithm",
            ),
            ("[rfc2136]\nkey = 'hunter2'\nname = 1\n", "unknown field"),
        ] {
            let why = parse(text, "a").expect_err("wrong");
            assert!(why.contains(says) && !why.contains("hunter2"), "{why}");
        }
    }
}
