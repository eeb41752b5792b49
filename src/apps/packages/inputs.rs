//! What decides an install, so that the same one is done once: by an app, or by all of them.
use std::fs;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::trust::trusts_any;
use crate::base::fs::open_beneath;
use crate::runner::Registry;

/// Files that decide what an install gives.
const FILES: &[&str] = &[
    "package.json",
    "bun.lock",
    "bun.lockb",
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "bunfig.toml",
    ".npmrc",
];
/// Of these, what Bun alone reads, and nothing that leads elsewhere.
const PLAIN: &[&str] = &["package.json", "bun.lock"];
/// Bytes of a file that is looked into.
const MOST: u64 = 16 << 20;

/// For whom an install may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Something that is not hashed has a part in it: workspaces, local packages, scripts of the project's own.
    Nobody,
    /// Scripts of packages ran, or settings of the project's own were read.
    App,
    /// Nothing but package.json, bun.lock and the registry decides it.
    Everybody,
}

pub struct Inputs {
    /// Hash of all the files.
    pub key: String,
    pub scope: Scope,
    /// The text of package.json; empty when it cannot be read.
    pub package: Vec<u8>,
}

impl Inputs {
    /// To be read before anything of the project runs, which may leave anything there.
    pub fn read(code: &Path, registry: &Registry) -> Self {
        let package = text(code, "package.json").unwrap_or_default();
        Self { key: key(code, registry), scope: scope(code, &package), package }
    }
}

fn text(code: &Path, name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    open_beneath(code, Path::new(name)).ok()?.take(MOST + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= MOST).then_some(bytes)
}

fn key(code: &Path, registry: &Registry) -> String {
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 << 10];
    for name in FILES {
        hash.update(name.as_bytes());
        hash.update([0]);
        if let Ok(mut file) = open_beneath(code, Path::new(name)) {
            hash.update(file.metadata().map_or(0, |meta| meta.len()).to_le_bytes());
            while let Ok(read @ 1..) = file.read(&mut piece) {
                hash.update(&piece[..read]);
            }
        }
    }
    for host in &registry.hosts {
        hash.update(host.to_string());
        hash.update([0]);
    }
    hash.update(env!("CARGO_PKG_VERSION"));
    hex::encode(&hash.finalize()[..16])
}

fn scope(code: &Path, package: &[u8]) -> Scope {
    let Ok(package) = serde_json::from_slice::<Value>(package) else { return Scope::Nobody };
    let scripts = ["preinstall", "install", "postinstall", "preprepare", "prepare", "postprepare"];
    // With a binding.gyp Bun runs a compiler that runs what stands in there.
    let own = scripts.iter().any(|name| !package["scripts"][name].is_null())
        || fs::symlink_metadata(code.join("binding.gyp")).is_ok();
    let kinds =
        ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies", "overrides", "resolutions"];
    let wanted: Vec<&Value> =
        kinds.iter().filter_map(|kind| package[kind].as_object()).flat_map(|o| o.values()).collect();
    let local = wanted.iter().any(|value| value.as_str().is_none_or(lies_here));
    let elsewhere =
        ["workspaces", "patchedDependencies", "catalog", "catalogs"].iter().any(|key| !package[key].is_null());
    if !package.is_object() || own || local || elsewhere {
        return Scope::Nobody;
    }
    let plain = wanted.iter().all(|value| value.as_str().is_some_and(is_of_registry))
        && !trusts_any(&package)
        && FILES.iter().all(|name| PLAIN.contains(name) || fs::symlink_metadata(code.join(name)).is_err())
        && !has_env_file(code)
        && text(code, "bun.lock")
            .map_or(fs::symlink_metadata(code.join("bun.lock")).is_err(), |lock| is_plain_lock(&lock));
    if plain { Scope::Everybody } else { Scope::App }
}

/// A package in the project's own folder.
fn lies_here(from: &str) -> bool {
    let begins = ["file:", "link:", "portal:", "workspace:", ".", "/", "~"].iter().any(|p| from.starts_with(p));
    begins || (!from.contains("://") && is_archive(from))
}

fn is_archive(from: &str) -> bool {
    from.contains(".tgz") || from.contains(".tar")
}

/// A version, a range, a tag, or another package's: nothing with a place in it.
fn is_of_registry(from: &str) -> bool {
    match from.strip_prefix("npm:") {
        Some(other) => !other.contains(':') && !is_archive(other),
        None => !from.contains([':', '/']) && !is_archive(from),
    }
}

/// Bun reads settings from these too.
fn has_env_file(code: &Path) -> bool {
    let Ok(entries) = fs::read_dir(code) else { return true };
    entries.flatten().any(|entry| entry.file_name().as_encoded_bytes().starts_with(b".env"))
}

/// Every package of the lock is a version of one: `"a": ["a@1.2.3", …`, as Bun writes it, with no address.
fn is_plain_lock(lock: &[u8]) -> bool {
    let Ok(lock) = std::str::from_utf8(lock) else { return false };
    !lock.contains("\"patchedDependencies\"")
        && lock.lines().filter_map(|line| line.split_once("\": [\"")).all(|(_, entry)| {
            let name = entry.split('"').next().unwrap_or_default();
            let version = name.rsplit_once('@').map(|(_, version)| version).unwrap_or_default();
            let rest = entry[name.len()..].trim_start_matches("\", ");
            version.starts_with(|c: char| c.is_ascii_digit()) && !is_archive(version) && rest.starts_with("\"\"")
        })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // files that may tear
mod tests {
    use super::*;

    fn registry(host: &str) -> Registry {
        Registry { hosts: vec![crate::runner::egress::HostRule::parse(host).expect("a host")] }
    }

    fn of(files: &[(&str, &str)]) -> Inputs {
        let dir = tempfile::tempdir().expect("temp dir");
        for (name, content) in files {
            fs::write(dir.path().join(name), content).expect("file");
        }
        Inputs::read(dir.path(), &registry("npm.example"))
    }

    const HONO: (&str, &str) = ("package.json", r#"{"dependencies":{"hono":"^4"},"scripts":{"start":"x"}}"#);

    #[test]
    fn only_what_the_inputs_decide_is_kept() {
        assert_eq!(of(&[HONO]).scope, Scope::Everybody);
        for bad in [
            "",
            "[",
            "[]",
            r#"{"workspaces":["a"]}"#,
            r#"{"dependencies":{"x":"file:./x"}}"#,
            r#"{"dependencies":{"x":"x.tgz"}}"#,
            r#"{"devDependencies":{"x":"../x"}}"#,
            r#"{"overrides":{"x":{"y":"../x"}}}"#,
            r#"{"patchedDependencies":{"x@1":"p.patch"}}"#,
            r#"{"scripts":{"postinstall":"x"}}"#,
        ] {
            assert_eq!(of(&[("package.json", bad)]).scope, Scope::Nobody, "{bad}");
        }
        assert_eq!(of(&[HONO, ("binding.gyp", "{}")]).scope, Scope::Nobody);
    }

    #[test]
    fn what_a_project_adds_is_its_own() {
        let lock = |entry: &str| format!("{{\n  \"packages\": {{\n    {entry}\n  }}\n}}\n");
        let plain = lock(r#""hono": ["hono@4.0.0", "", {}, "sha512-x"],"#);
        assert_eq!(of(&[HONO, ("bun.lock", &plain)]).scope, Scope::Everybody);
        for entry in [
            r#""hono": ["hono@file:x", {}],"#,
            r#""hono": ["hono@x.tgz", {}, "sha512-x"],"#,
            r#""hono": ["hono@4.0.0", "https://npm.example/evil.tgz", {}, "sha512-x"],"#,
            r#""hono": ["hono@git+https://a.example/b#c", {}, "c"],"#,
        ] {
            assert_eq!(of(&[HONO, ("bun.lock", &lock(entry))]).scope, Scope::App, "{entry}");
        }
        for (name, content) in
            [(".npmrc", ""), ("bunfig.toml", ""), (".env.local", ""), ("yarn.lock", ""), ("bun.lockb", "")]
        {
            assert_eq!(of(&[HONO, (name, content)]).scope, Scope::App, "{name}");
        }
        for package in [
            r#"{"dependencies":{"hono":"^4"},"trustedDependencies":["hono"]}"#,
            r#"{"dependencies":{"hono":"github:a/b"}}"#,
            r#"{"dependencies":{"hono":"https://a.example/b.tgz"}}"#,
        ] {
            assert_eq!(of(&[("package.json", package)]).scope, Scope::App, "{package}");
        }
        assert_eq!(
            of(&[("package.json", r#"{"dependencies":{"a":"npm:@b/c@1"},"trustedDependencies":[]}"#)]).scope,
            Scope::Everybody
        );
    }

    #[test]
    fn the_key_is_of_all_inputs() {
        let one = of(&[HONO]).key;
        assert_eq!(one, of(&[HONO, ("index.ts", "1")]).key);
        assert_ne!(one, of(&[HONO, ("bun.lock", "")]).key);
        assert_ne!(one, of(&[HONO, (".npmrc", "")]).key);
        let dir = tempfile::tempdir().expect("temp dir");
        fs::write(dir.path().join(HONO.0), HONO.1).expect("file");
        assert_ne!(one, Inputs::read(dir.path(), &registry("other.example")).key);
    }

    #[test]
    fn links_out_and_pipes_are_not_read() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("package.json");
        let scope = || Inputs::read(dir.path(), &registry("npm.example")).scope;
        std::os::unix::fs::symlink("/dev/zero", &path).expect("link");
        assert_eq!(scope(), Scope::Nobody, "a link out must not be read");
        fs::remove_file(&path).expect("remove");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("pipe");
        assert_eq!(scope(), Scope::Nobody, "a pipe must not be waited for");
    }
}
