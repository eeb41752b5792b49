//! Tokens kept by `steady login`, by server: `$XDG_CONFIG_HOME/steady/config.json`, mode 0600.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::fail::{Done, FAILED, Fail, USAGE};
use crate::base::{Secret, fs};

#[derive(Default, Serialize, Deserialize)]
pub struct Saved {
    /// The server commands go to when nothing else says which.
    pub current: Option<String>,
    #[serde(default)]
    pub servers: BTreeMap<String, Account>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Account {
    pub user: String,
    pub token: Secret<String>,
}

impl Saved {
    /// Nothing saved yet reads as empty.
    pub fn load() -> Done<Self> {
        match file() {
            Some(path) => Self::load_from(&path),
            None => Ok(Self::default()),
        }
    }

    pub fn store(&self) -> Done {
        let path = file().ok_or_else(|| {
            Fail::new(FAILED, "there is no home folder to keep the token in").hint("Set STEADY_TOKEN instead.")
        })?;
        self.store_to(&path)
    }

    fn load_from(path: &Path) -> Done<Self> {
        let text = match std::fs::read(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            other => other.map_err(Fail::io(path.display()))?,
        };
        serde_json::from_slice(&text).map_err(|e| {
            Fail::new(FAILED, format!("{} is not right: {e}", path.display())).hint("Remove it and sign in again.")
        })
    }

    fn store_to(&self, path: &Path) -> Done {
        let text = serde_json::to_vec_pretty(self).map_err(|e| Fail::new(FAILED, e.to_string()))?;
        if let Some(folder) = path.parent() {
            fs::make_dir(folder, 0o700).map_err(Fail::io(folder.display()))?;
        }
        fs::write_atomic(path, &text, 0o600).map_err(Fail::io(path.display()))
    }
}

fn file() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let config = config.or_else(|| std::env::home_dir().map(|home| home.join(".config")))?;
    Some(config.join("steady/config.json"))
}

/// `http://localhost:8080`: scheme, host and port, nothing after. What servers are saved by.
pub fn server_url(text: &str) -> Done<String> {
    let bad = || {
        Fail::new(USAGE, format!("`{}` is not the address of a server", crate::base::name::clip(text)))
            .hint("Write it like http://localhost:8080 or https://steady.example.com.")
    };
    let uri: hyper::Uri = text.trim().trim_end_matches('/').parse().map_err(|_| bad())?;
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(bad());
    };
    if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(bad());
    }
    let default = if scheme == "http" { ":80" } else { ":443" };
    let authority = authority.as_str().to_ascii_lowercase();
    Ok(format!("{scheme}://{}", authority.strip_suffix(default).unwrap_or(&authority)))
}

/// The token would cross a network unencrypted.
pub fn is_open_wire(server: &str) -> bool {
    server.strip_prefix("http://").is_some_and(|authority| !is_this_machine(authority))
}

/// `localhost`, `*.localhost` and the loopback addresses, with or without a port.
pub fn is_this_machine(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_one_spelling() {
        assert_eq!(server_url("http://LocalHost:8080/").unwrap(), "http://localhost:8080");
        assert_eq!(server_url("https://s.example.com:443").unwrap(), "https://s.example.com");
        for bad in ["", "localhost:8080", "ftp://x", "http://u:p@x", "http://x/y", "http://x?y", "http://"] {
            assert_eq!(server_url(bad).unwrap_err().code, USAGE, "{bad}");
        }
    }

    #[test]
    fn only_loopback_is_a_closed_wire() {
        for near in ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:80", "https://example.com"] {
            assert!(!is_open_wire(near), "{near}");
        }
        for far in ["http://example.com", "http://localhost.example.com", "http://10.0.0.1:8080"] {
            assert!(is_open_wire(far), "{far}");
        }
    }

    #[test]
    fn tokens_are_kept_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("steady/config.json");
        assert!(Saved::load_from(&path).unwrap().servers.is_empty());
        let mut saved = Saved { current: Some("http://localhost:8080".into()), ..Saved::default() };
        let account = Account { user: "dev".into(), token: Secret::new("steady_x".into()) };
        saved.servers.insert("http://localhost:8080".into(), account);
        saved.store_to(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let back = Saved::load_from(&path).unwrap();
        assert_eq!(back.servers["http://localhost:8080"].token.expose(), "steady_x");
    }
}
