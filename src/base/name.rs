//! Names that are safe as host labels, paths and refs because they can only be made by parsing.
use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};

/// Labels nobody may take: they would shadow Steady's own pages or look like somebody in authority.
const RESERVED: &[&str] = &[
    "abuse",
    "acme",
    "admin",
    "api",
    "app",
    "apps",
    "assets",
    "auth",
    "billing",
    "blog",
    "cdn",
    "dashboard",
    "dev",
    "docs",
    "editor",
    "favicon",
    "ftp",
    "git",
    "guest",
    "healthz",
    "help",
    "imap",
    "internal",
    "invite",
    "join",
    "localhost",
    "login",
    "logout",
    "mail",
    "me",
    "metrics",
    "new",
    "ns",
    "ns1",
    "ns2",
    "pop",
    "postmaster",
    "robots",
    "root",
    "security",
    "settings",
    "signin",
    "signout",
    "signup",
    "smtp",
    "ssh",
    "static",
    "status",
    "steady",
    "support",
    "system",
    "test",
    "tokens",
    "webmail",
    "well-known",
    "wpad",
    "www",
];
/// `dev` and `test` shadow nothing as a user or project; only host labels refuse the full list.
const RESERVED_USERS: &[&str] = &[
    "admin",
    "api",
    "assets",
    "auth",
    "certificates",
    "favicon",
    "guest",
    "healthz",
    "invite",
    "login",
    "logout",
    "me",
    "metrics",
    "new",
    "robots",
    "settings",
    "setup",
    "signin",
    "signout",
    "signup",
    "static",
    "steady",
    "system",
    "tokens",
    "trash",
    "well-known",
    "account",
    "play",
    "join",
    "events",
    "frag",
    "docs",
    "help",
];

fn label(what: &str, text: &str, max: usize) -> Result<String> {
    let shape = || {
        Error::bad_input(format!("`{}` is not a valid {what}", clip(text)))
            .hint(format!("Use 1 to {max} lowercase letters, digits and single hyphens, beginning with a letter."))
    };
    let bytes = text.as_bytes();
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    let starts = bytes.first().is_some_and(u8::is_ascii_lowercase);
    let ends = bytes.last().is_some_and(|b| *b != b'-');
    if !starts || !ends || bytes.len() > max || !bytes.iter().all(plain) || text.contains("--") {
        return Err(shape());
    }
    Ok(text.to_owned())
}

/// At most 60 characters of something a stranger sent, for use in a message.
pub fn clip(text: &str) -> String {
    let mut out: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    if text.chars().count() > 60 {
        out.push('…');
    }
    out
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $reserved:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Errors: `BadInput`, saying what a good one looks like.
            pub fn parse(text: &str) -> Result<Self> {
                let text = label($what, text, $max)?;
                if $reserved.contains(&text.as_str()) {
                    return Err(Error::bad_input(format!("`{text}` is reserved and cannot be a {}", $what))
                        .hint("Choose another name."));
                }
                Ok(Self(text))
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(/// Who signs in; the first part of `USER/PROJECT`.
    UserName, "user name", 32, RESERVED_USERS);
name!(/// The second part of `USER/PROJECT`.
    ProjectName, "project name", 48, [""; 0]);
name!(/// The host label of an app, globally unique on a server: `NAME.domain`. Leaves room for `--DRAFT`.
    AppName, "app host name", 48, RESERVED);
name!(/// The part after `--` in a draft's host label: `APP--DRAFT`.
    DraftId, "draft id", 14, [""; 0]);

impl DraftId {
    /// A random one: a letter and nine letters or digits.
    pub fn random() -> Self {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut bytes = [0u8; 10];
        super::secret::fill_random(&mut bytes);
        let mut out: String = bytes.iter().map(|b| char::from(LETTERS[usize::from(b & 31)])).collect();
        if !out.starts_with(|c: char| c.is_ascii_lowercase()) {
            out.replace_range(0..1, "d");
        }
        Self(out)
    }
}

/// `USER/PROJECT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectPath {
    pub user: UserName,
    pub project: ProjectName,
}

impl ProjectPath {
    pub fn new(user: UserName, project: ProjectName) -> Self {
        Self { user, project }
    }

    /// Errors: `BadInput` when it is not two valid names with one slash.
    pub fn parse(text: &str) -> Result<Self> {
        let (user, project) = text.split_once('/').ok_or_else(|| {
            Error::bad_input(format!("`{}` does not name a project", clip(text))).hint("Write it as USER/PROJECT.")
        })?;
        Ok(Self { user: UserName::parse(user)?, project: ProjectName::parse(project)? })
    }
}

impl fmt::Display for ProjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.user, self.project)
    }
}

impl Serialize for ProjectPath {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProjectPath {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_are_refused() {
        for bad in ["", "-a", "a-", "a--b", "A", "a_b", "1a", "a.b", "ä", "a/b", "..", "a b", "a\0", "www"] {
            assert!(AppName::parse(bad).is_err(), "{bad:?} must not be a host name");
        }
        assert!(ProjectPath::parse("dev/hello").is_ok());
        for bad in ["dev", "dev/", "/x", "dev/x/y", "admin/x", "dev/../x"] {
            assert!(ProjectPath::parse(bad).is_err(), "{bad:?} must not be a project");
        }
    }

    proptest! {
        #[test]
        fn a_parsed_host_name_is_a_dns_label(text in ".{0,70}") {
            if let Ok(name) = AppName::parse(&text) {
                prop_assert!(name.as_str().len() <= 63);
                prop_assert!(!name.as_str().contains("--"));
                prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            }
        }

        #[test]
        fn a_random_draft_id_parses(_n in 0..50u8) {
            let id = DraftId::random();
            prop_assert!(DraftId::parse(id.as_str()).is_ok());
        }
    }
}
