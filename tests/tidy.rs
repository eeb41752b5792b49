//! The house rules a machine can check. ARCHITECTURE.md explains them; each failure names the way out.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom: lower layers only, and never sideways among accounts, git and runner.
/// main.rs, server and cli wire the rest together.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("http", &["base"]),
    ("store", &["base"]),
    ("accounts", &["base", "store"]),
    ("git", &["base"]),
    ("runner", &["base"]),
    ("tls", &["base", "store"]),
    ("snapshots", &["base"]),
    ("proxy", &["base", "http", "runner"]),
    ("apps", &["base", "store", "accounts", "git", "runner", "snapshots", "proxy"]),
    ("api", &["base", "http", "accounts", "git", "runner", "tls", "apps"]),
    ("config", &["base", "http", "accounts", "git", "runner", "tls", "proxy", "apps"]),
    ("editor", &["base", "http", "accounts", "git", "runner", "tls", "apps"]),
    (
        "server",
        &["base", "http", "store", "accounts", "git", "runner", "tls", "proxy", "apps", "api", "config", "editor"],
    ),
    (
        "cli",
        &[
            "base",
            "http",
            "store",
            "accounts",
            "git",
            "runner",
            "snapshots",
            "tls",
            "proxy",
            "apps",
            "api",
            "config",
            "editor",
            "server",
        ],
    ),
];

/// Text, the only places where it may stand, and what to write instead.
const BANNED: &[(&str, &[&str], &str)] = &[
    ("todo!(", &[], "write it, or leave it out"),
    ("unimplemented!(", &[], "write it, or leave it out"),
    ("dbg!(", &[], "use tracing"),
    (
        "println!(",
        &["src/cli", "src/runner/copy.rs", "src/snapshots/put.rs", "src/snapshots/take.rs"],
        "use tracing; only the cli talks on stdout",
    ),
    (
        "print!(",
        &["src/cli", "src/runner/copy.rs", "src/snapshots/put.rs", "src/snapshots/take.rs"],
        "use tracing; only the cli talks on stdout",
    ),
    ("unsafe {", &["src/runner/sandbox"], "use rustix or nix; only the sandbox has unsafe code"),
    ("unsafe fn", &["src/runner/sandbox"], "use rustix or nix; only the sandbox has unsafe code"),
    ("SystemTime::now", &["src/base/clock.rs"], "use base::Clock"),
    ("Instant::now", &["src/base/clock.rs"], "use base::Clock::stopwatch"),
    ("tokio::spawn(", &["src/base/task.rs"], "use base::Tasks, so that shutdown can wait for it"),
    ("SELECT ", &["src/store", "src/snapshots/scan.rs"], "all of Steady's SQL is in src/store"),
    ("INSERT INTO", &["src/store"], "all of Steady's SQL is in src/store"),
    // These jobs read an app's database, in that app's jail.
    ("rusqlite", &["src/store", "src/runner/copy.rs", "src/snapshots/scan.rs"], "all of Steady's SQL is in src/store"),
    ("git2::", &["src/git"], "git objects are git's business; use git::Repo"),
    ("Box<dyn std::error::Error>", &[], "use base::Error: it says what to do next"),
];

const MAX_LINES: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file that is part of the project, as (path from the root, content when it is text).
fn files() -> Vec<(String, String)> {
    let skip = [
        ".git",
        "target",
        "node_modules",
        ".steady",
        "dist",
        "out",
        "corpus",
        "artifacts",
        ".peers",
        ".library",
        ".mirror",
    ];
    let mut found = vec![];
    let mut waiting = vec![root().to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            let meta = entry.file_type().expect("a file type");
            if meta.is_dir() && !skip.contains(&name.as_str()) {
                waiting.push(path);
            } else if meta.is_file()
                && name != ".git"
                && !name.ends_with(".log")
                && let Ok(text) = fs::read_to_string(&path)
            {
                found.push((from_root(&path), text));
            }
        }
    }
    found.sort();
    found
}

fn from_root(path: &Path) -> String {
    path.strip_prefix(root()).expect("inside the project").to_string_lossy().into_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn sources() -> Vec<(String, String)> {
    files().into_iter().filter(|(path, _)| path.starts_with("src/") && path.ends_with(".rs")).collect()
}

/// The part before the unit tests, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let tests = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
    let lines = text[..tests].lines().enumerate().map(|(n, line)| (n + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn imports_go_to_lower_layers_only() {
    let layers: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let mut wrong = vec![];
    for (path, text) in sources() {
        let module = path["src/".len()..].split(['/', '.']).next().expect("a first part").to_owned();
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let Some(allowed) = layers.get(module.as_str()) else {
            wrong.push(format!("{path}: `{module}` has no layer; add it to LAYERS and to ARCHITECTURE.md"));
            continue;
        };
        for (name, line) in imported(&text) {
            if name != module && layers.contains_key(name.as_str()) && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{path}:{line}: {module} may not import {name}; it may import {allowed:?}"));
            }
        }
    }
    none(wrong);
}

/// The modules named after `crate::`, also inside `crate::{…}`, with their lines.
fn imported(text: &str) -> Vec<(String, usize)> {
    let mut found = vec![];
    for (at, _) in text.match_indices("crate::") {
        let before = text[..at].rsplit('\n').next().unwrap_or_default();
        if before.trim_start().starts_with("//") {
            continue;
        }
        let line = text[..at].lines().count().max(1);
        let rest = &text[at + "crate::".len()..];
        let mut take = |part: &str| {
            let name: String = part.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push((name, line));
        };
        match rest.strip_prefix('{') {
            None => take(rest),
            Some(group) => {
                let (mut depth, mut start) = (0, 0);
                for (i, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => {
                            take(&group[start..i]);
                            break;
                        }
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            take(&group[start..i]);
                            start = i + 1;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

#[test]
fn the_import_reader_sees_groups() {
    let text = "use crate::{base::{Error, Kind}, store};\nfn f() { crate::git::x() }\n// crate::apps\n";
    let names: Vec<_> = imported(text).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["base", "store", "git"]);
}

#[test]
fn banned_words_have_replacements() {
    let mut wrong = vec![];
    for (path, text) in sources() {
        if path.contains("/tests") {
            continue;
        }
        for (number, line) in code(&text) {
            for (word, places, instead) in BANNED {
                // `eprintln!(` holds `println!(`; both are meant. `reprint!(` is nobody's.
                let tokios = *word == "Instant::now" && text.contains("tokio::time::{Instant");
                if line.contains(word)
                    && !tokios
                    && !places.iter().any(|place| path.starts_with(place))
                    && !allowed(&text, number)
                {
                    wrong.push(format!("{path}:{number}: `{word}`: {instead}"));
                }
            }
        }
    }
    none(wrong);
}

/// A clippy `allow` just above says that somebody thought about it.
fn allowed(text: &str, number: usize) -> bool {
    let above = text.lines().skip(number.saturating_sub(4)).take(3);
    above.into_iter().any(|line| line.contains("#[allow(clippy::"))
}

#[test]
fn files_stay_short() {
    let ours = |path: &str| {
        ["src/", "tests/", "web/", "bench/", "templates/", "build.rs", "dev"].iter().any(|p| path.starts_with(p))
    };
    let long = |(path, text): &(String, String)| {
        let lines = text.lines().count();
        (ours(path) && !path.ends_with("bun.lock") && lines > MAX_LINES)
            .then(|| format!("{path} has {lines} lines, more than {MAX_LINES}: split it by what it does"))
    };
    none(files().iter().filter_map(long).collect());
}

#[test]
fn nothing_names_this_machine_or_a_registry() {
    // Written in pieces, so that this file does not name them either.
    let banned = [
        concat!("registry.npm", "js"),
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("pythonhosted", ".org"),
        concat!("proxy.golang", ".org"),
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
    ];
    let mut wrong = vec![];
    for (path, text) in files() {
        // Cargo writes the name of its index there itself.
        if path.ends_with("Cargo.lock") {
            continue;
        }
        for (n, line) in text.lines().enumerate() {
            for word in banned.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{path}:{}: names {word}", n + 1));
            }
        }
    }
    none(wrong);
}

#[test]
fn every_setting_is_documented_and_every_documented_setting_exists() {
    let source = read("src/config/mod.rs");
    let start = source.find("pub struct Config {").expect("the struct");
    let body = &source[start..start + source[start..].find("\n}").expect("its end")];
    let fields: BTreeSet<_> = body
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub "))
        .filter_map(|field| field.split_once(':').map(|(name, _)| name.to_owned()))
        .collect();
    assert!(fields.len() > 5, "the struct's fields were not found");
    let docs = read("docs/configuration.md");
    let documented: BTreeSet<_> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|rest| rest.split_once('`').map(|(name, _)| name.to_owned()))
        .filter(|name| !name.starts_with("--"))
        .collect();
    let missing = fields.difference(&documented).map(|key| format!("docs/configuration.md lacks `{key}`"));
    let dead =
        documented.difference(&fields).map(|key| format!("docs/configuration.md has `{key}`, which is no setting"));
    none(missing.chain(dead).collect());
}

#[test]
fn documented_defaults_are_the_real_ones() {
    let docs = read("docs/configuration.md");
    let mut wrong = vec![];
    for line in steady::config::Config::default_file().lines() {
        let Some((name, value)) = line.strip_prefix('#').and_then(|line| line.split_once(" = ")) else { continue };
        let value = value.trim_matches('"');
        let row = docs.lines().find(|row| row.starts_with(&format!("| `{name}` |")));
        if !value.is_empty() && !row.is_some_and(|row| row.contains(&format!("| `{value}` |"))) {
            wrong.push(format!("docs/configuration.md must give {name} the default `{value}`"));
        }
    }
    none(wrong);
}

#[test]
fn every_dependency_has_its_line() {
    let docs = read("docs/dependencies.md");
    let documented: BTreeSet<_> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|rest| rest.split_once('`').map(|(name, _)| name.to_owned()))
        .collect();
    let mut used = BTreeSet::new();
    let manifest: toml::Table = read("Cargo.toml").parse().expect("Cargo.toml is TOML");
    for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
        used.extend(manifest.get(table).and_then(|t| t.as_table()).into_iter().flat_map(|t| t.keys().cloned()));
    }
    let package: serde_json::Value = serde_json::from_str(&read("package.json")).expect("package.json is JSON");
    for table in ["dependencies", "devDependencies"] {
        for (name, version) in package[table].as_object().into_iter().flatten() {
            let exact = version.as_str().is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
            assert!(exact, "package.json must pin {name} to one version, not {version}");
            used.insert(name.clone());
        }
    }
    let missing = used.difference(&documented).map(|name| format!("docs/dependencies.md lacks a line for `{name}`"));
    let dead = documented.difference(&used).map(|name| format!("docs/dependencies.md has `{name}`, which is not used"));
    none(missing.chain(dead).collect());
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut wrong = vec![];
    for (path, text) in files().into_iter().filter(|(path, _)| path.ends_with(".md")) {
        let folder = root().join(&path).parent().map(PathBuf::from).expect("a folder");
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap_or_default();
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !folder.join(target).exists() {
                wrong.push(format!("{path}: {target} is not there"));
            }
        }
    }
    none(wrong);
}

#[test]
fn the_map_names_every_module() {
    let map = read("ARCHITECTURE.md");
    let missing = LAYERS.iter().filter(|(module, _)| !map.contains(&format!("`{module}`")));
    none(missing.map(|(module, _)| format!("ARCHITECTURE.md does not name `{module}`")).collect());
    let library = read("src/lib.rs");
    let unknown = library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let unknown = unknown.filter(|module| !LAYERS.iter().any(|(known, _)| known == module));
    none(unknown.map(|module| format!("LAYERS lacks `{module}`")).collect());
}

#[test]
fn the_changelog_knows_this_version() {
    let changes = read("CHANGELOG.md");
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        changes.contains("## Unreleased") || changes.contains(&format!("## {version}")),
        "CHANGELOG.md has neither Unreleased nor {version}"
    );
}
