//! `bun install` and build scripts: in the jail, as a uid of their own, with a way to the package registry only.
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::Apps;
use super::packages::freeze::chown_tree;
use super::packages::inputs::{Inputs, Scope};
use super::packages::kept::{self, Way};
use super::packages::trust::Strict;
use super::plan::Needs;
use crate::base::fs::remove_tree;
use crate::base::{Error, Kind, Millis, Progress, Result, ResultExt as _};
use crate::runner::egress::HostRule;
use crate::runner::{JobReport, JobSpec, Limits};

const INSTALL_TIMEOUT: Duration = Duration::from_secs(300);
const BUILD_TIMEOUT: Duration = Duration::from_secs(300);
/// Sets of installed packages kept per app.
const KEEP: usize = 4;
/// Lines of a failed command that are shown.
const SHOWN: usize = 12;

impl Apps {
    /// `trusted`: packages whose scripts may run, of those that package.json names.
    pub(super) async fn install(
        &self,
        app: i64,
        code: &Path,
        needs: &Needs,
        trusted: &BTreeSet<String>,
        progress: &Progress,
    ) -> Result<()> {
        let registry = self.runner().registry().await?;
        // Looked at before anything of the project runs, which may leave anything there.
        let inputs = Inputs::read(code, &registry);
        // With less than its files say it is nothing to keep for when it gets all.
        let scope = if *trusted == needs.ask.scripts { inputs.scope } else { Scope::Nobody };
        let kept = match scope {
            Scope::Everybody => Some(self.packages().set(&inputs.key)),
            Scope::App => Some(self.dir().deps(app).join(&inputs.key)),
            Scope::Nobody => None,
        };
        // A build may write into packages; what is kept, and what runs now, must not change with that.
        let way = if needs.build.is_some() { Way::Copy } else { Way::HardLink };
        let target = code.join("node_modules");
        remove_tree(&target).internal("while clearing node_modules")?;
        if let Some(kept) = &kept {
            let (store, kept, target) = (self.packages().clone(), kept.clone(), target.clone());
            let taken = tokio::task::spawn_blocking(move || {
                let _hold = store.hold();
                kept::take(&kept, &target, way)
            });
            if taken.await.internal("while linking packages")?.internal("while linking packages")? {
                progress.line("the same packages were installed before: they are taken from there");
                return Ok(());
            }
        }
        let strict = Strict::begin(code, &inputs.package, trusted).internal("while reading package.json")?;
        let mut command = vec!["bun".to_owned(), "install".into(), "--no-progress".into(), "--no-summary".into()];
        if matches!(needs.lock, Some("bun.lock" | "bun.lockb")) {
            command.push("--frozen-lockfile".into());
        }
        if scope == Scope::Everybody {
            // There is none to run; what others will use must not hang on that being right.
            command.push("--ignore-scripts".into());
        }
        self.in_code(app, code, command, INSTALL_TIMEOUT, "bun install", progress).await?;
        if let Some(strict) = strict {
            strict.end().internal("while putting package.json back")?;
        }
        let store = self.packages().clone();
        let deps = self.dir().deps(app);
        tokio::task::spawn_blocking(move || {
            let kept = {
                let hold = store.hold();
                // What a build may write is shared after it.
                let shared = if way == Way::HardLink { store.share(&hold, &target) } else { Ok(()) };
                let keep = |kept| kept::keep(&target, kept, way, |set| store.share(&hold, set));
                shared.and_then(|()| kept.as_deref().map_or(Ok(()), keep))
            };
            if let Err(error) = kept.and_then(|()| store.prune(&deps, KEEP)) {
                tracing::warn!(%error, "installed packages could not be kept for the next version");
            }
        })
        .await
        .internal("while keeping packages")
    }

    pub(super) async fn build(&self, app: i64, code: &Path, script: &str, progress: &Progress) -> Result<()> {
        let command = vec!["bun".to_owned(), "run".into(), script.to_owned()];
        self.in_code(app, code, command, BUILD_TIMEOUT, &format!("bun run {script}"), progress).await?;
        let (store, modules) = (self.packages().clone(), code.join("node_modules"));
        let shared = tokio::task::spawn_blocking(move || store.share(&store.hold(), &modules));
        if let Err(error) = shared.await.internal("while sharing packages")? {
            tracing::warn!(%error, "the packages of a build take room of their own");
        }
        Ok(())
    }

    /// Now and then: packages that nobody has any more go.
    pub(super) async fn sweep_packages(&self, now: Millis) -> Result<()> {
        let store = self.packages().clone();
        if !store.is_due(now) {
            return Ok(());
        }
        let gone = tokio::task::spawn_blocking(move || store.sweep()).await.internal("while sweeping packages")?;
        tracing::debug!(gone = gone.internal("while sweeping packages")?, "unused files of packages went");
        Ok(())
    }

    /// A command that may write the version's folder while it is nobody's yet.
    async fn in_code(
        &self,
        app: i64,
        code: &Path,
        command: Vec<String>,
        timeout: Duration,
        what: &str,
        progress: &Progress,
    ) -> Result<()> {
        let hosts = [self.runner().registry().await?.hosts, self.options().build_hosts.clone()].concat();
        let uid_offset = super::launch::build_uid(app)?;
        let owner = self.options().uid_base.map(|base| base + uid_offset);
        chown_tree(code, owner).internal("while handing the folder to the build")?;
        let limits = self.options().terms.limits;
        let spec = JobSpec {
            command,
            cwd: code.to_owned(),
            writable: vec![code.to_owned()],
            readable: vec![],
            // Nothing of the app's own variables: packages are other people's code.
            env: vec![],
            limits: Limits {
                memory_bytes: limits.memory_bytes.max(1 << 30),
                pids: limits.pids.max(512),
                disk_bytes: limits.disk_bytes.max(4 << 30),
                cpu_weight: 25,
                ..limits
            },
            uid_offset,
            timeout,
            hosts: hosts.clone(),
        };
        let report = self.runner().job(spec, progress).await?;
        chown_tree(code, owner.map(|_| 0)).internal("while taking the folder back")?;
        if report.success { Ok(()) } else { Err(failed(what, &report, &hosts)) }
    }
}

/// The last lines, the hosts that were refused, and the limits that were met.
fn failed(what: &str, report: &JobReport, hosts: &[HostRule]) -> Error {
    let mut public = format!("`{what}` failed: {}", report.ending);
    if !report.limits.is_empty() {
        public.push_str(&format!("; it met its limit of {}", report.limits.join(" and ")));
    }
    let mut hint: Vec<String> = report.tail.iter().rev().take(SHOWN).rev().cloned().collect();
    if !report.refused.is_empty() {
        let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        hint.push(format!("Refused: {}.", report.refused.join(", ")));
        hint.push(format!(
            "Installs and builds reach only {}. The server's owner decides: build_hosts in steady.toml.",
            names.join(", ")
        ));
    }
    Error::new(Kind::App, public).hint(hint.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_was_refused_and_which_limit_was_met() {
        let report = JobReport {
            success: false,
            ending: "signal 9 (out of memory)".into(),
            tail: (0..30).map(|n| format!("line {n}")).collect(),
            refused: vec!["evil.example:443".into()],
            limits: vec!["memory (1 GiB)".into()],
        };
        let error = failed("bun install", &report, &[HostRule::parse("npm.example").expect("a host")]);
        assert_eq!(error.public, "`bun install` failed: signal 9 (out of memory); it met its limit of memory (1 GiB)");
        let hint = error.hint.expect("a hint");
        assert!(hint.starts_with("line 18\n") && hint.contains("line 29\nRefused: evil.example:443."), "{hint}");
        assert!(hint.contains("reach only npm.example.") && hint.contains("build_hosts"), "{hint}");
    }
}
