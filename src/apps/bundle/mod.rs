//! A version's entry and all it imports as one file, with bytecode where that can be: what makes frameworks start
//! fast. Made in the jail of builds, of what is checked out; nothing that was pushed is ever taken for it.
//! Where one file could behave otherwise than its source, there is none, and the deploy's log says why.
mod rules;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Apps;
use super::plan::{Plan, Run};
use super::record::Recorder;
use crate::base::fs::{TempDir, make_dir, open_beneath, remove_tree, rename_durable, write_atomic};
use crate::base::{Progress, Result, ResultExt as _, Secret};
use crate::runner::{Entry, JobSpec, Limits, MAIN, bun};
use rules::Meta;

const MAKE: &str = include_str!("make.js");
const TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of one file; more would gain nothing.
const MAX: u64 = 64 << 20;
/// Bytes of what is told about it.
const MAX_META: u64 = 16 << 20;
/// What `make.js` says that cannot be one file.
const CANNOT: &str = "exit 3";
/// All that may lie in the folder afterwards.
const MADE: [&str; 5] = ["index.js", "index.js.jsc", "index.js.map", "make.js", "meta.json"];

/// Whether a version runs from one file. Stored in its plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bundle {
    Made {
        /// The version of Bun that made it. Another one runs the source.
        bun: String,
        bytecode: bool,
        /// A process that started before its app was known may load it.
        #[serde(default)]
        pooled: bool,
    },
    /// It runs from its source.
    Without { why: String },
}

impl Bundle {
    pub fn is_pooled(&self) -> bool {
        matches!(self, Self::Made { pooled: true, .. })
    }
    pub fn is_usable(&self) -> bool {
        matches!(self, Self::Made { bun, .. } if bun == bun::VERSION)
    }
}

impl Apps {
    /// Stage `bundle`, for what runs a module. Never fails: without a bundle the source runs, as before.
    pub(super) async fn bundle(&self, app: i64, code: &Path, plan: &mut Plan, record: &Recorder) -> Option<TempDir> {
        let Run::Process(Entry::Module { path }) = &plan.run else { return None };
        // Where code has another path when it runs than when it is built, paths in it would be wrong.
        if !self.runner().has_root() {
            return None;
        }
        let _stage = record.stage("bundle");
        let made = self.make_bundle(app, code, path).await.unwrap_or_else(|error| {
            tracing::warn!(app, ?error, "a version could not be bundled");
            Err("Steady could not; the server's log says why".into())
        });
        let (bundle, folder) = match made {
            Ok((folder, made)) => {
                if matches!(made, Bundle::Made { bytecode: false, .. }) {
                    record.progress().line("bundled without bytecode: its top level awaits");
                }
                (made, Some(folder))
            }
            Err(why) => {
                record.progress().line(format!("not bundled, so it starts from its source: {why}"));
                (Bundle::Without { why }, None)
            }
        };
        plan.bundle = Some(bundle);
        folder
    }

    /// Beside the version it is of, in place of an earlier one; `None`: there is none any more.
    pub(super) fn place_bundle(&self, app: i64, version: i64, folder: Option<TempDir>) -> Result<()> {
        let to = self.dir().bundle(app, version);
        remove_tree(&to).internal("while removing a bundle")?;
        let Some(folder) = folder else { return Ok(()) };
        if let Some(parent) = to.parent() {
            make_dir(parent, 0o711).internal("while making the bundles folder")?;
        }
        rename_durable(folder.path(), &to).internal("while placing a bundle")?;
        folder.keep();
        Ok(())
    }

    /// Or why there is none.
    async fn make_bundle(
        &self,
        app: i64,
        code: &Path,
        entry: &str,
    ) -> Result<std::result::Result<(TempDir, Bundle), String>> {
        if let Err(why) = rules::before(small(code, "bunfig.toml").as_deref()) {
            return Ok(Err(why));
        }
        let work = self.dir().temp_dir()?;
        write_atomic(&work.path().join("make.js"), MAKE.as_bytes(), 0o644).internal("while preparing a bundle")?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let limits = self.options().terms.limits;
        let spec = JobSpec {
            command: vec!["bun".into(), text(&work.path().join("make.js")), text(&code.join(entry))],
            cwd: code.to_owned(),
            writable: vec![work.path().to_owned()],
            readable: vec![code.to_owned()],
            // As when it runs: what else it says there keeps the source.
            env: vec![("NODE_ENV".into(), Secret::new("production".into()))],
            limits: Limits {
                memory_bytes: limits.memory_bytes.max(1 << 30),
                disk_bytes: 4 * MAX,
                cpu_weight: 25,
                ..limits
            },
            uid_offset: super::launch::build_uid(app)?,
            timeout: TIMEOUT,
            hosts: Vec::new(),
        };
        let report = self.runner().job(spec, &Progress::silent()).await?;
        if !report.success {
            let said = report.tail.last().filter(|_| report.ending == CANNOT);
            return Ok(Err(said.cloned().unwrap_or_else(|| format!("Bun ended with {}", report.ending))));
        }
        let (folder, code) = (self.dir().temp_dir()?, code.to_owned());
        tokio::task::spawn_blocking(move || {
            let taken = take(work.path(), &code, folder.path())?;
            Ok(taken.map(|made| (folder, made)))
        })
        .await
        .internal("while looking at a bundle")?
    }
}

/// Copies what was made, if the rules allow it: a job wrote there, which the version's macros may have steered.
fn take(work: &Path, code: &Path, folder: &Path) -> Result<std::result::Result<Bundle, String>> {
    let names = fs::read_dir(work).internal("while looking at a bundle")?.flatten().map(|entry| entry.file_name());
    if let Some(more) = names.into_iter().find(|name| !MADE.iter().any(|made| name == made)) {
        return Ok(Err(format!("it brings files of its own ({})", more.to_string_lossy())));
    }
    let (Some(script), Some(meta)) = (file(work, "index.js"), read(work, "meta.json", MAX_META)) else {
        return Ok(Err("Bun made no file, or too large a one".into()));
    };
    let text = String::from_utf8_lossy(&script);
    let Ok(meta) = serde_json::from_slice::<Meta>(&meta) else {
        return Ok(Err("Bun does not say what is in it".into()));
    };
    let source = |path: &str| small(code, path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let pooled = match rules::after(&text, &meta, &source) {
        Ok(pooled) => pooled,
        Err(why) => return Ok(Err(why)),
    };
    let bytecode = file(work, "index.js.jsc");
    // Bun leaves it out without a word where the engine does not take the file as it is.
    if meta.format == "cjs" && bytecode.is_none() {
        return Ok(Err("Bun could not make bytecode of it".into()));
    }
    let put =
        |name: &str, bytes: &[u8]| write_atomic(&folder.join(name), bytes, 0o644).internal("while writing a bundle");
    put(MAIN, &script)?;
    if let Some(map) = file(work, "index.js.map") {
        put("index.js.map", &map)?;
    }
    if let Some(bytecode) = &bytecode {
        put("index.js.jsc", bytecode)?;
    }
    // Packages that look for others when they are used find those of the code.
    std::os::unix::fs::symlink("/app/node_modules", folder.join("node_modules")).internal("while writing a bundle")?;
    // The program's own user lists it.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).internal("while writing a bundle")?;
    Ok(Ok(Bundle::Made { bun: bun::VERSION.to_owned(), bytecode: bytecode.is_some(), pooled }))
}

fn file(folder: &Path, name: &str) -> Option<Vec<u8>> {
    read(folder, name, MAX)
}

/// A source file; `None` for what is not there, or is no text anybody wrote.
fn small(folder: &Path, name: &str) -> Option<Vec<u8>> {
    read(folder, name, 8 << 20)
}

fn read(folder: &Path, name: &str, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    open_beneath(folder, Path::new(name)).ok()?.take(most + 1).read_to_end(&mut bytes).ok()?;
    (u64::try_from(bytes.len()).is_ok_and(|length| length <= most)).then_some(bytes)
}
