//! Export: one `.tar.gz` that holds code, what the app wrote, and the git history, and runs under plain `bun`.
use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::ask::Terms;
use super::draft::CopyHow;
use super::plan::{self, Plan, Run};
use super::prepare::look;
use super::record::Recorder;
use super::{Apps, Project};
use crate::base::clock::rfc3339;
use crate::base::{Error, Kind, Progress, Result, ResultExt as _, UserName};
use crate::git::{CheckoutLimits, Oid};
use crate::runner::Entry;

/// An export that leaves data out is none.
const WHOLE: CopyHow = CopyHow { limit: 32 << 30, timeout: Duration::from_secs(3600), whole: true };
const LIMITS: CheckoutLimits = CheckoutLimits { files: 100_000, bytes: 4 << 30 };

/// Exports at once on a server: each takes disk and, as long as its reader likes, a thread.
const AT_ONCE: usize = 8;

/// Whose projects are being exported now.
#[derive(Default)]
pub(super) struct Exports(Arc<Mutex<HashSet<UserName>>>);

/// Ends when dropped.
struct Place(Arc<Mutex<HashSet<UserName>>>, UserName);

impl Exports {
    /// Errors: `Busy` when one of that owner's projects is being exported, or too many are.
    fn begin(&self, owner: &UserName) -> Result<Place> {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.contains(owner) || now.len() >= AT_ONCE {
            return Err(Error::new(Kind::Busy, "another export is still running").hint("Try again when it has ended."));
        }
        now.insert(owner.clone());
        Ok(Place(self.0.clone(), owner.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl Apps {
    /// Writes the archive to `out`. The code is the live version's, or main's before the first deploy;
    /// installed packages are left out (`bun install` brings them), secrets too (their names are listed).
    pub async fn export(&self, project: &Project, out: Box<dyn Write + Send>) -> Result<()> {
        let place = self.0.exports.begin(&project.path.user)?;
        let record = Recorder::new(Progress::silent());
        let scratch = self.dir().temp_dir()?;
        let home = scratch.path().join("home");
        self.make_home(&home, super::launch::app_uid(project.app)?)?;
        self.copy_home(project.app, &home, WHOLE, record.progress()).await?;
        let live = self.live(project.app)?;
        let commit = match &live {
            Some((deploy, ..)) => Some(Oid::from_str(&deploy.commit).internal("while reading a commit id")?),
            None => self.repos().open(project.id)?.branch("main")?,
        };
        let mut manifest = json!({
            "steady": env!("CARGO_PKG_VERSION"),
            "project": project.path,
            "commit": commit.map(|c| c.to_string()),
            "exported": rfc3339(self.clock().now()),
            "environment": self.env_names(project)?.into_iter().map(|v| v.name).collect::<Vec<_>>(),
        });
        let plan = live.map(|(_, _, plan)| plan);
        let (repos, project) = (self.repos().clone(), project.clone());
        let work = move || {
            let _place = place;
            let code = scratch.path().join("code");
            crate::base::fs::make_dir(&code, 0o700).internal("while exporting")?;
            let index = scratch.path().join("index");
            if let Some(commit) = commit {
                let repo = repos.open(project.id)?;
                repo.checkout(commit, &code, LIMITS)?;
                // The archive's HEAD is main, which a rollback leaves ahead of what is live.
                repo.write_checkout_index(repo.branch("main")?.unwrap_or(commit), &index)?;
            }
            manifest["run"] = json!(run_command(&code, plan)?);
            let manifest = serde_json::to_vec_pretty(&manifest).internal("while exporting")?;
            write_archive(out, project.path.project.as_str(), &code, &home, &repos.path(project.id), &index, &manifest)
                .internal("while writing the export")
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("while exporting").because(e))?
    }
}

/// What a person types in the unpacked folder.
fn run_command(code: &Path, live: Option<Plan>) -> Result<String> {
    let look = look(code)?;
    let terms = Terms::boundless();
    let needs = plan::needs(&look.files(&terms)).unwrap_or_default();
    let mut steps = Vec::new();
    if needs.install {
        steps.push("bun install".to_owned());
    }
    steps.extend(needs.build.map(|script| format!("bun run {script}")));
    let found = live.or_else(|| plan::plan(&look.files(&terms)).ok()).map(|plan| plan.run);
    steps.push(match found {
        Some(Run::Process(Entry::Module { path })) => format!("bun {path}"),
        Some(Run::Process(Entry::Script { name })) => format!("bun run {name}"),
        Some(Run::Static { root }) => format!("bun {}", Path::new(".").join(root).join("index.html").display()),
        None => "bun .".to_owned(),
    });
    Ok(steps.join(" && "))
}

#[allow(clippy::too_many_arguments)]
fn write_archive(
    out: Box<dyn Write + Send>,
    top: &str,
    code: &Path,
    home: &Path,
    repo: &Path,
    index: &Path,
    manifest: &[u8],
) -> std::io::Result<()> {
    let mut tar = tar::Builder::new(GzEncoder::new(out, Compression::default()));
    tar.follow_symlinks(false);
    // Owners of this server mean nothing elsewhere, and git refuses a folder of a stranger.
    tar.mode(tar::HeaderMode::Deterministic);
    let top = Path::new(top);
    tar.append_dir_all(top, code)?;
    // What the app wrote lies over the code, as it does when the app runs.
    append_plain(&mut tar, home, top)?;
    let git = top.join(".git");
    append_bytes(&mut tar, &git.join("HEAD"), b"ref: refs/heads/main\n")?;
    if index.is_file() {
        tar.append_path_with_name(index, git.join("index"))?;
    }
    append_bytes(&mut tar, &git.join("info/exclude"), b"steady-export.json\n")?;
    let packed = fs::read_to_string(repo.join("packed-refs")).unwrap_or_default();
    append_bytes(&mut tar, &git.join("packed-refs"), public_refs(&packed).as_bytes())?;
    append_bytes(&mut tar, &git.join("config"), b"[core]\n\trepositoryformatversion = 0\n\tbare = false\n")?;
    append_plain(&mut tar, &repo.join("objects"), &git.join("objects"))?;
    // Drafts and pins under refs/steady stay behind.
    for kind in ["heads", "tags"] {
        append_plain(&mut tar, &repo.join("refs").join(kind), &git.join("refs").join(kind))?;
    }
    append_bytes(&mut tar, &top.join("steady-export.json"), manifest)?;
    tar.into_inner()?.finish()?.flush()
}

/// packed-refs without what lies under refs/steady, nor the peeled lines that belong to it.
fn public_refs(packed: &str) -> String {
    let mut keeping = true;
    let mut out = String::new();
    for line in packed.lines() {
        if !line.starts_with('^') {
            keeping = !line.contains(" refs/steady/");
        }
        if keeping {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

fn append_bytes<W: Write>(tar: &mut tar::Builder<W>, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, bytes)
}

/// Folders and regular files; links, sockets and unfinished incoming packs are left out.
fn append_plain<W: Write>(tar: &mut tar::Builder<W>, from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    tar.append_dir(to, from)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let name = to.join(entry.file_name());
        if kind.is_dir() && !entry.file_name().to_string_lossy().starts_with("incoming-") {
            append_plain(tar, &entry.path(), &name)?;
        } else if kind.is_file() {
            tar.append_path_with_name(entry.path(), name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn drafts_do_not_leave_the_server() {
        let packed =
            "# pack-refs with: peeled\naa refs/heads/main\nbb refs/steady/drafts/1\n^cc\ndd refs/tags/v1\n^ee\n";
        assert_eq!(super::public_refs(packed), "# pack-refs with: peeled\naa refs/heads/main\ndd refs/tags/v1\n^ee\n");
    }
}
