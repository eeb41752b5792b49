//! A commit made ready to run: checked out, packages installed, built, looked at.
use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::Apps;
use super::ask::{Ask, Terms};
use super::packages::freeze::open_to_reading;
use super::plan::{self, Files, Plan};
use super::record::Recorder;
use crate::base::fs::{TempDir, open_beneath, remove_tree, rename_durable, tree_size};
use crate::base::{Error, Kind, Result, ResultExt as _};
use crate::git::{CheckoutLimits, Oid};
use crate::proxy::door::page::{self, Page};

const CHECKOUT: CheckoutLimits = CheckoutLimits { files: 50_000, bytes: 1 << 30 };

/// Asked, before any of the version's own code runs, whether it may have what it asks for; says which packages'
/// scripts may run.
pub(super) type Permit<'a> = &'a (dyn Fn(&Ask) -> Result<BTreeSet<String>> + Send + Sync);

/// A prepared folder, not yet anybody's: dropped, it is gone.
pub(super) struct Prepared {
    pub dir: TempDir,
    pub plan: Plan,
    /// Bytes on disk.
    pub bytes: u64,
}

impl Prepared {
    /// Moves the folder to `to`, replacing what is left of an earlier attempt.
    pub(super) fn place(self, to: &Path) -> Result<()> {
        let parent = to.parent().ok_or_else(|| Error::internal("a version folder has a parent"))?;
        crate::base::fs::make_dir(parent, 0o711).internal("while making the versions folder")?;
        remove_tree(to).internal("while clearing a version folder")?;
        rename_durable(self.dir.path(), to).internal("while placing a version")?;
        // The folder has a new name: nothing is left for the lease to remove.
        let _moved: PathBuf = self.dir.keep();
        Ok(())
    }
}

impl Apps {
    /// Stages `checkout`, `install`, `build`. Nothing live is touched.
    /// Errors: `App` with what is wrong in the project, `TooLarge`.
    pub(super) async fn prepare(
        &self,
        project: i64,
        app: i64,
        commit: Oid,
        record: &Recorder,
        permit: Permit<'_>,
    ) -> Result<Prepared> {
        let dir = self.dir().temp_dir()?;
        {
            let _stage = record.stage("checkout");
            let report = {
                let (repos, into) = (self.repos().clone(), dir.path().to_owned());
                tokio::task::spawn_blocking(move || repos.open(project)?.checkout(commit, &into, CHECKOUT))
                    .await
                    .internal("while checking out")??
            };
            for note in report.notes {
                record.progress().line(note);
            }
        }
        let terms = &self.options().terms;
        let needs = plan::needs(&look(dir.path())?.files(terms))?;
        let trusted = permit(&needs.ask)?;
        if needs.install {
            let _stage = record.stage("install");
            self.install(app, dir.path(), &needs, &trusted, record.progress()).await?;
        }
        if let Some(script) = &needs.build {
            let _stage = record.stage("build");
            self.build(app, dir.path(), script, record.progress()).await?;
        }
        let plan = Plan { ask: needs.ask, ..plan::plan(&look(dir.path())?.files(terms))? };
        for page in plan.pages.all().filter(|page| Page::read(dir.path(), page).is_none()) {
            record
                .progress()
                .line(format!("{page} is not used: it is not UTF-8, or larger than {} KiB", page::MAX >> 10));
        }
        let path = dir.path().to_owned();
        let bytes = tokio::task::spawn_blocking(move || {
            open_to_reading(&path)?;
            Ok::<_, Error>(tree_size(&path))
        })
        .await
        .internal("while measuring a version")??;
        Ok(Prepared { dir, plan, bytes })
    }
}

/// The two small files a plan reads, and where to ask for the others.
pub(super) struct Look {
    exists: Box<dyn Fn(&str) -> bool>,
    package: Option<Vec<u8>>,
    steady: Option<Vec<u8>>,
}

impl Look {
    pub(super) fn files<'a>(&'a self, terms: &'a Terms) -> Files<'a> {
        let (package_json, steady_json) = (self.package.as_deref(), self.steady.as_deref());
        Files { exists: &*self.exists, package_json, steady_json, terms }
    }
}

pub(super) fn look(root: &Path) -> Result<Look> {
    let small = |name: &str| -> Result<Option<Vec<u8>>> {
        let Ok(file) = open_beneath(root, Path::new(name)) else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take((1 << 20) + 1).read_to_end(&mut bytes).internal(format!("while reading {name}"))?;
        if bytes.len() > 1 << 20 {
            return Err(Error::new(Kind::App, format!("{name} is larger than 1 MiB")));
        }
        Ok(Some(bytes))
    };
    let (package, steady) = (small("package.json")?, small("steady.json")?);
    let root = root.to_owned();
    let exists = move |path: &str| match path.strip_suffix('/') {
        Some(folder) => fs::symlink_metadata(root.join(folder)).is_ok_and(|m| m.is_dir()),
        None => open_beneath(&root, Path::new(path)).is_ok(),
    };
    Ok(Look { exists: Box::new(exists), package, steady })
}
