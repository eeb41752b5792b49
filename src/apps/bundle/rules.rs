//! When one file may stand for a program's source: told from what was made, and of what. Pure. In doubt the source
//! runs, which costs a start some milliseconds and nothing else.
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// What `make.js` tells.
#[derive(Debug, Deserialize)]
pub struct Meta {
    /// `cjs` or `esm`
    pub format: String,
    /// By path from the code folder.
    pub inputs: BTreeMap<String, Input>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Input {
    #[serde(default)]
    pub imports: Vec<Import>,
}

#[derive(Debug, Deserialize)]
pub struct Import {
    pub path: String,
    pub kind: String,
    /// Left to be found at run time.
    #[serde(default)]
    pub external: bool,
}

/// What a program can ask of its surroundings that one file answers otherwise.
const TELLING: &[(&str, &str)] = &[
    ("mock.module", "changes how modules are loaded (mock.module)"),
    ("module.parent", "asks who loaded it (module.parent)"),
    ("module.children", "looks at loaded modules (module.children)"),
    ("module.paths", "looks where modules are found (module.paths)"),
    ("require.cache", "looks at loaded modules (require.cache)"),
    ("require.extensions", "changes how modules are loaded (require.extensions)"),
    ("require.resolve", "looks for files of packages (require.resolve)"),
    ("createRequire", "loads modules by itself (createRequire)"),
    ("Module._", "changes how modules are loaded"),
    ("prepareStackTrace", "reads its own stack traces"),
];

/// Packages whose import of what has no name before run time is of other packages, found beside them.
const TRUSTED: &[&str] = &["express", "file-type", "debug"];

/// What gets the environment that the process had when it started, and not what it was told.
const OF_THE_START: &[&str] = &["new Worker(", "worker_threads", "bun:ffi"];

/// What may stand in bunfig.toml without changing how a program runs.
const HARMLESS: &[&str] = &["install", "test", "telemetry", "logLevel"];

/// Names for `Bun` that are looked for: each is another look through all of the text, and strangers wrote that.
const MOST_NAMES: usize = 64;
/// Bytes of source that is read to be sure.
const MOST_SOURCE: usize = 64 << 20;
/// Bytes of comments in front of what is loaded; a longer one hides it.
const LONGEST_COMMENT: usize = 4 << 10;

/// Errors: a part of a sentence that says why there cannot be one file.
pub fn before(bunfig: Option<&[u8]>) -> Result<(), String> {
    let Some(bunfig) = bunfig else { return Ok(()) };
    let table: toml::Table = String::from_utf8_lossy(bunfig).parse().unwrap_or_default();
    match table.keys().find(|key| !HARMLESS.contains(&key.as_str())) {
        Some(key) => Err(format!("bunfig.toml changes how it runs (`{key}`)")),
        None if table.is_empty() && !bunfig.trim_ascii().is_empty() => Err("bunfig.toml cannot be read".into()),
        None => Ok(()),
    }
}

/// `text`: the file that was made; `source`: one of its inputs, by path from the code folder.
/// Whether a process may load it that started for nobody in particular.
/// Errors: a part of a sentence that says why it may not be used.
pub fn after(text: &str, meta: &Meta, source: &dyn Fn(&str) -> Option<String>) -> Result<bool, String> {
    for (path, input) in &meta.inputs {
        if path.ends_with(".html") {
            return Err(format!("{path} is a page with scripts of its own"));
        }
        let outside = input.imports.iter().find(|import| import.external && is_special(import));
        if let Some(import) = outside {
            return Err(format!("{path} imports {} in a way of its own", import.path));
        }
    }
    if let Some((_, why)) = TELLING.iter().find(|(word, _)| text.contains(word)) {
        return Err(format!("it {why}"));
    }
    let names = names_of_bun(text);
    if names.len() > MOST_NAMES {
        return Err(format!("it has more than {MOST_NAMES} names for Bun"));
    }
    for bun in names {
        for (what, why) in [("main", "asks which file was started"), ("plugin", "changes how modules are loaded")] {
            if text.contains(&format!("{bun}.{what}")) {
                return Err(format!("it {why} (Bun.{what})"));
            }
        }
    }
    // In CommonJS all of it that can be told when it is made has become plain text.
    let told: &[&str] = if meta.format == "esm" { &[".main", ".require"] } else { &[] };
    if asks(text, "import.meta", told) {
        return Err("it asks import.meta for what only its source knows".into());
    }
    if asks(text, "require.main", &["==module"]) {
        return Err("it asks which file was started (require.main)".into());
    }
    if text.contains("Worker(\".") || text.contains("Worker('.") || text.contains("Worker(`") {
        return Err("it starts a worker by a path that depends on where it is".into());
    }
    let open = loads(text);
    let pooled = !OF_THE_START.iter().any(|word| text.contains(word));
    if open.is_empty() {
        return Ok(pooled);
    }
    let mut seen = 0;
    for path in meta.inputs.keys() {
        let package = package(path);
        if package.is_some_and(|name| TRUSTED.contains(&name)) {
            continue;
        }
        let here = source(path).unwrap_or_default();
        seen += here.len();
        if seen > MOST_SOURCE {
            return Err(format!("it is made of more than {} MiB of source", MOST_SOURCE >> 20));
        }
        if let Some(what) = loads(&here).into_iter().find(|what| package.is_none() || open.contains(what)) {
            return Err(format!("{path} loads what it names at run time (`{what}`)"));
        }
    }
    Ok(pooled)
}

/// Macros, databases and the like: neither in the file nor part of Bun. What a program requires and does not have
/// is missing from source too.
fn is_special(import: &Import) -> bool {
    let path = import.path.as_str();
    let is_file = path.starts_with(['.', '/']);
    is_file || (import.kind == "import-statement" && !path.contains(':') && !is_builtin(path))
}

fn is_builtin(path: &str) -> bool {
    const NAMES: &str = " bun ws undici assert async_hooks buffer child_process cluster console constants crypto dgram \
        diagnostics_channel dns domain events fs http http2 https inspector module net os path perf_hooks process \
        punycode querystring readline repl stream string_decoder sys timers tls trace_events tty url util v8 vm wasi \
        worker_threads zlib ";
    let name = path.split('/').next().unwrap_or_default();
    NAMES.contains(&format!(" {name} "))
}

/// Whether `word` stands there without something that makes it right behind it.
fn asks(text: &str, word: &str, right: &[&str]) -> bool {
    let mut after = text.match_indices(word).map(|(at, _)| &text[at + word.len()..]);
    after.any(|after| !right.iter().any(|right| after.starts_with(right)))
}

/// `Bun`, and what it was imported as.
fn names_of_bun(text: &str) -> BTreeSet<&str> {
    let before = |at: usize| {
        let start = text[..at].rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$')));
        start
            .map_or(&text[..at], |start| &text[start..at])
            .trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_')
    };
    let imported = text.match_indices("=globalThis.Bun").map(|(at, _)| before(at)).filter(|name| !name.is_empty());
    std::iter::once("Bun").chain(imported).collect()
}

/// The package a file is of: the innermost.
fn package(path: &str) -> Option<&str> {
    let (_, inside) = path.rsplit_once("node_modules/")?;
    let end = inside.match_indices('/').nth(usize::from(inside.starts_with('@'))).map_or(inside.len(), |(at, _)| at);
    Some(&inside[..end])
}

/// What stands in `import(…)` and `require(…)` where it is no plain text: the first word of each.
fn loads(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for call in ["import(", "require(", "__require("] {
        for (at, _) in text.match_indices(call) {
            let before = text[..at].chars().next_back().unwrap_or(' ');
            if before.is_alphanumeric() || matches!(before, '_' | '$' | '.') {
                continue;
            }
            let inside = without_comments(&text[at + call.len()..]);
            if !is_plain(inside) {
                let end = inside.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$' | '.')));
                let end = end.unwrap_or(inside.len()).min(60);
                found.insert(inside.get(..end.max(1)).unwrap_or_default());
            }
        }
    }
    found
}

/// All comments, or what is left of them after [`LONGEST_COMMENT`] bytes.
fn without_comments(text: &str) -> &str {
    let near = &text[..text.floor_char_boundary(LONGEST_COMMENT)];
    let mut rest = near.trim_start();
    while let Some((_, after)) = rest.strip_prefix("/*").and_then(|rest| rest.split_once("*/")) {
        rest = after.trim_start();
    }
    &text[near.len() - rest.len()..]
}

/// One text and nothing else: `"./a")`, `'a', {…})`.
fn is_plain(inside: &str) -> bool {
    let Some(quote) = inside.chars().next().filter(|c| matches!(c, '"' | '\'' | '`')) else { return false };
    let Some((name, after)) = inside[1..].split_once(quote) else { return false };
    let plain = !name.contains(['\\', '\n']) && (quote != '`' || !name.contains("${"));
    plain && after.trim_start().starts_with([')', ','])
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
