//! What a folder of code runs as: found from its files, with no configuration needed. Pure.
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::ask::{Ask, Terms};
use super::bundle::Bundle;
use super::manifest::{Manifest, Rest};
use crate::base::{Error, Kind, Result};
use crate::proxy::Manners;
use crate::runner::Entry;

/// How one version runs. Stored with the version as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub run: Run,
    /// It has a `public/` folder, which is answered without a process.
    pub public: bool,
    pub health: String,
    /// `None` = the server's setting.
    pub idle_seconds: Option<u64>,
    pub always_on: bool,
    #[serde(default)]
    pub rest: Rest,
    #[serde(default)]
    pub manners: Manners,
    /// Permissions and limits, as the committed steady.json asks for them.
    #[serde(default)]
    pub ask: Ask,
    #[serde(default, skip_serializing_if = "PageNames::is_empty")]
    pub pages: PageNames,
    /// `None`: nobody tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Bundle>,
}

/// Where the version has pages of its own for what Steady answers in its place. Relative to its code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PageNames {
    pub error: Option<String>,
    pub missing: Option<String>,
    pub maintenance: Option<String>,
}

impl PageNames {
    /// At the top, or among the files that are served.
    fn find(files: &Files<'_>, run: &Run) -> Self {
        let served = match run {
            Run::Static { root } => root,
            Run::Process(_) => "public",
        };
        let page = |name: &str| {
            let below = if served.is_empty() { name.to_owned() } else { format!("{served}/{name}") };
            [name.to_owned(), below].into_iter().find(|path| (files.exists)(path))
        };
        let missing = if matches!(run, Run::Static { .. }) { page("404.html") } else { None };
        Self { error: page("500.html"), missing, maintenance: page("maintenance.html") }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub fn all(&self) -> impl Iterator<Item = &String> {
        [&self.error, &self.missing, &self.maintenance].into_iter().flatten()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    Process(Entry),
    /// Files only, from this folder of the code (empty = all of it).
    Static {
        root: String,
    },
}

/// What preparing a version needs besides its files.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Needs {
    /// There are packages to install.
    pub install: bool,
    /// The lock file that pins them, if one is committed.
    pub lock: Option<&'static str>,
    /// A package.json script to run once.
    pub build: Option<String>,
    /// Looked at before anything of the version runs: a build cannot ask for more.
    pub ask: Ask,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Package {
    main: Option<String>,
    module: Option<String>,
    #[serde(default)]
    scripts: BTreeMap<String, String>,
    #[serde(default)]
    dependencies: BTreeMap<String, serde_json::Value>,
    #[serde(default, rename = "devDependencies")]
    dev: BTreeMap<String, serde_json::Value>,
    #[serde(default, rename = "optionalDependencies")]
    optional: BTreeMap<String, serde_json::Value>,
    workspaces: Option<serde_json::Value>,
    #[serde(default, rename = "trustedDependencies")]
    trusted: serde_json::Value,
}

/// Packages that may be named in `trustedDependencies`.
const TRUSTED: usize = 100;

const LOCKS: &[&str] = &["bun.lock", "bun.lockb", "package-lock.json", "yarn.lock", "pnpm-lock.yaml"];

/// The files of a version, as far as a plan needs them.
pub struct Files<'a> {
    /// Whether there is a regular file (or, with a trailing `/`, a folder) at that path.
    pub exists: &'a dyn Fn(&str) -> bool,
    pub package_json: Option<&'a [u8]>,
    pub steady_json: Option<&'a [u8]>,
    pub terms: &'a Terms,
}

impl Files<'_> {
    fn package(&self) -> Result<Package> {
        let Some(bytes) = self.package_json else { return Ok(Package::default()) };
        serde_json::from_slice(bytes).map_err(|e| {
            Error::new(Kind::App, format!("package.json is not right: {e}")).hint("Mend it and deploy again.")
        })
    }

    fn manifest(&self) -> Result<Manifest> {
        self.steady_json.map_or_else(|| Ok(Manifest::default()), |bytes| Manifest::parse(bytes, self.terms))
    }
}

/// Errors: `App` when package.json or steady.json cannot be read.
pub fn needs(files: &Files<'_>) -> Result<Needs> {
    let (package, manifest) = (files.package()?, files.manifest()?);
    let lock = LOCKS.iter().copied().find(|name| (files.exists)(name));
    let asked = !(package.dependencies.is_empty() && package.dev.is_empty() && package.optional.is_empty());
    if let Some(build) = &manifest.build
        && !package.scripts.contains_key(build)
    {
        return Err(Error::new(
            Kind::App,
            format!("steady.json names the build script `{build}`, which package.json does not have"),
        )
        .hint("Add it to \"scripts\" in package.json."));
    }
    // A build script of a package without a start script is how front-end projects begin; it runs when there is one.
    let build = manifest.build.or_else(|| package.scripts.contains_key("build").then(|| "build".to_owned()));
    let ask = Ask { scripts: trusted(&package.trusted)?, ..manifest.ask };
    Ok(Needs { install: asked || package.workspaces.is_some(), lock, build, ask })
}

/// Packages whose scripts run when they are installed.
fn trusted(list: &serde_json::Value) -> Result<BTreeSet<String>> {
    let name = |value: &serde_json::Value| {
        let good = |name: &&str| (1..=214).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
        value.as_str().filter(good).map(str::to_owned)
    };
    let names = match list {
        serde_json::Value::Null => Some(BTreeSet::new()),
        serde_json::Value::Array(all) if all.len() <= TRUSTED => all.iter().map(name).collect(),
        _ => None,
    };
    names.ok_or_else(|| {
        Error::new(Kind::App, "`trustedDependencies` of package.json is no list of packages")
            .hint(format!("It must be at most {TRUSTED} names, such as [\"esbuild\"], or left out."))
    })
}

/// How it runs, looked at after the build.
/// Errors: `App` saying what was looked for.
pub fn plan(files: &Files<'_>) -> Result<Plan> {
    let (package, manifest) = (files.package()?, files.manifest()?);
    let run = find_run(files, &package, &manifest)?;
    Ok(Plan {
        public: matches!(run, Run::Process(_)) && (files.exists)("public/"),
        pages: PageNames::find(files, &run),
        run,
        health: manifest.health.unwrap_or_else(|| "/".into()),
        idle_seconds: manifest.idle_seconds,
        always_on: manifest.always_on,
        rest: manifest.rest,
        manners: manifest.manners,
        ask: manifest.ask,
        bundle: None,
    })
}

fn find_run(files: &Files<'_>, package: &Package, manifest: &Manifest) -> Result<Run> {
    let module = |path: &str| Run::Process(Entry::Module { path: path.to_owned() });
    if let Some(entry) = &manifest.entry {
        if entry.ends_with(".html") && (files.exists)(entry) {
            let root = entry.rsplit_once('/').map_or("", |(folder, _)| folder);
            return Ok(Run::Static { root: root.to_owned() });
        }
        return if (files.exists)(entry) {
            Ok(module(entry))
        } else {
            Err(Error::new(Kind::App, format!("steady.json says the entry is {entry}, which is not there"))
                .hint("Correct \"entry\", or add the file."))
        };
    }
    let runnable = |path: &String| crate::base::fs::confine(path).is_ok() && (files.exists)(path);
    let named = [package.main.as_deref(), package.module.as_deref()].into_iter().flatten();
    let named = named.map(|path| path.trim_start_matches("./").to_owned());
    if let Some(path) = named.chain(spelled(&["index", "src/index"])).find(runnable) {
        return Ok(module(&path));
    }
    if package.scripts.contains_key("start") {
        return Ok(Run::Process(Entry::Script { name: "start".into() }));
    }
    // Not in the contract, but what people call it when they do not say.
    if let Some(path) = spelled(&["server", "src/server", "app", "src/app", "main", "src/main"]).find(runnable) {
        return Ok(module(&path));
    }
    for root in ["", "public", "dist"] {
        let index = if root.is_empty() { "index.html".to_owned() } else { format!("{root}/index.html") };
        if (files.exists)(&index) {
            return Ok(Run::Static { root: root.into() });
        }
    }
    Err(Error::new(Kind::App, "there is nothing to run: no index.ts (or .tsx, .js, .mjs), no start script, no index.html")
        .hint("Add an index.ts with `export default { fetch() { return new Response(\"hello\") } }`, or name another file as \"entry\" in steady.json."))
}

fn spelled(stems: &'static [&'static str]) -> impl Iterator<Item = String> {
    let endings = ["ts", "tsx", "js", "mjs", "jsx"];
    stems.iter().flat_map(move |stem| endings.map(move |ending| format!("{stem}.{ending}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_of(names: &[&str], package: &str, steady: &str) -> Result<Run> {
        let exists = |path: &str| match path.strip_suffix('/') {
            Some(folder) => names.iter().any(|n| n.starts_with(&format!("{folder}/"))),
            None => names.contains(&path),
        };
        let some = |text: &'static str| (!text.is_empty()).then_some(text.as_bytes());
        let (package, steady): (&'static str, &'static str) =
            (String::leak(package.to_owned()), String::leak(steady.to_owned()));
        let terms = Terms::boundless();
        let files = Files { exists: &exists, package_json: some(package), steady_json: some(steady), terms: &terms };
        plan(&files).map(|p| p.run)
    }

    fn module(path: &str) -> Run {
        Run::Process(Entry::Module { path: path.into() })
    }

    #[test]
    fn trusted_packages_are_names() {
        let of = |text: &str| trusted(&serde_json::from_str(text).expect("JSON"));
        assert!(of("null").expect("none").is_empty() && of("[]").expect("none").is_empty());
        assert_eq!(
            of(r#"["esbuild", "@b/c", "esbuild"]"#).expect("two").into_iter().collect::<Vec<_>>(),
            ["@b/c", "esbuild"]
        );
        for bad in [r#""esbuild""#, "{}", "[1]", r#"["a b"]"#, r#"["\u001b[31m"]"#, r#"[""]"#, "true"] {
            assert!(of(bad).expect_err(bad).public.contains("trustedDependencies"), "{bad}");
        }
        assert!(of(&serde_json::to_string(&vec!["a"; 101]).expect("JSON")).is_err());
    }

    #[test]
    fn every_shape_of_the_contract() {
        let start = r#"{"scripts":{"start":"bun main.ts"}}"#;
        for (names, package, steady, want) in [
            (&["index.ts"][..], "", "", module("index.ts")),
            (&["index.tsx", "index.html"], "", "", module("index.tsx")),
            (&["index.mjs"], "", "", module("index.mjs")),
            (&["src/index.ts"], r#"{"module":"src/index.js"}"#, "", module("src/index.ts")),
            (&["lib/a.js", "index.ts"], r#"{"main":"./lib/a.js"}"#, "", module("lib/a.js")),
            (&["main.ts"], start, "", Run::Process(Entry::Script { name: "start".into() })),
            (&["index.ts", "main.ts"], start, "", module("index.ts")),
            (&["server.ts"], start, "", Run::Process(Entry::Script { name: "start".into() })),
            (&["server.ts"], "", "", module("server.ts")),
            (&["index.html"], "", "", Run::Static { root: String::new() }),
            (&["public/index.html"], "", "", Run::Static { root: "public".into() }),
            (&["index.ts", "x.ts"], "", r#"{"entry":"x.ts"}"#, module("x.ts")),
            (
                &["index.ts", "site/index.html"],
                "",
                r#"{"entry":"site/index.html"}"#,
                Run::Static { root: "site".into() },
            ),
        ] {
            assert_eq!(run_of(names, package, steady).expect("runs"), want, "{names:?} {package} {steady}");
        }
        assert!(run_of(&["readme.md"], "", "").is_err());
        assert!(run_of(&["index.ts"], "{", "").is_err());
        assert!(run_of(&["index.ts"], "", r#"{"entry":"no.ts"}"#).is_err());
        assert!(run_of(&["index.ts"], r#"{"main":"../../etc/passwd"}"#, "").is_ok_and(|r| r == module("index.ts")));
    }
}
