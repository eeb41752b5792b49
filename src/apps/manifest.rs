//! `steady.json`: what a project declares of itself. All of it is optional.
use serde::Deserialize;

use crate::base::{Error, Kind, Result};

/// Bytes; a larger file is refused.
const MAX: usize = 64 << 10;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// For editors; not read.
    #[serde(rename = "$schema")]
    pub schema: Option<String>,
    /// The module to run, relative to the project.
    pub entry: Option<String>,
    /// A package.json script to run once per version, before it starts.
    pub build: Option<String>,
    /// The path a new version must answer below 500 before it goes live. Default `/`.
    pub health: Option<String>,
    /// Seconds without requests after which the app sleeps.
    pub idle_seconds: Option<u64>,
    /// Never put to sleep.
    #[serde(default)]
    pub always_on: bool,
}

impl Manifest {
    /// Errors: `App` with line and column, or naming the key that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = |why: String| {
            Error::new(Kind::App, format!("steady.json is not right: {why}")).hint(
                "The keys are entry, build, health, idle_seconds and always_on; docs/steady-json.md has examples.",
            )
        };
        if bytes.len() > MAX {
            return Err(wrong(format!("it is larger than {} KiB", MAX >> 10)));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
        if let Some(entry) = &manifest.entry {
            crate::base::fs::confine(entry).map_err(|e| wrong(format!("entry: {}", e.public)))?;
        }
        if let Some(health) = &manifest.health
            && (!health.starts_with('/') || health.len() > 512 || health.bytes().any(|b| b <= b' ' || b > b'~'))
        {
            return Err(wrong("health must be a path that begins with / and has no spaces".into()));
        }
        if manifest.idle_seconds.is_some_and(|s| !(1..=86_400).contains(&s)) {
            return Err(wrong("idle_seconds must be from 1 to 86400; use always_on to never sleep".into()));
        }
        if manifest.always_on && manifest.idle_seconds.is_some() {
            return Err(wrong("always_on and idle_seconds exclude each other".into()));
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            ("{", "line 1"),
            (r#"{"entrys": "a.ts"}"#, "entrys"),
            (r#"{"entry": "../a.ts"}"#, "entry"),
            (r#"{"health": "x"}"#, "health"),
            (r#"{"idle_seconds": 0}"#, "idle_seconds"),
            (r#"{"idle_seconds": 5, "always_on": true}"#, "always_on"),
        ] {
            let error = Manifest::parse(text.as_bytes()).expect_err(text);
            assert!(error.public.contains(word), "{text}: {}", error.public);
        }
        assert_eq!(Manifest::parse(b"{}").expect("empty is fine"), Manifest::default());
    }
}
