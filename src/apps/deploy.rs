//! Deploy: commit → version → live. The one pipeline behind editor, API, CLI, push, rollback and
//! environment changes. A failure at any stage leaves the old version serving.
use super::view::DeployView;
use super::{Apps, DeployFrom, Project};
use crate::accounts::Actor;
use crate::base::{Error, Progress, Result, ResultExt as _};
use crate::git::{Oid, RepoLock};

/// What one run of the pipeline is about.
#[derive(Clone, Debug)]
pub(super) struct Intent {
    pub commit: Oid,
    pub who: String,
    pub why: String,
    pub message: String,
    /// `None` = the newest set.
    pub env_version: Option<i64>,
    pub moves_main: bool,
    /// Whoever deploys is an owner who says yes to whatever the commit asks for.
    pub approves: bool,
}

/// What goes with a deploy besides its files.
#[derive(Clone, Debug)]
pub struct Said {
    pub why: String,
    /// A yes to all that the commit asks for.
    pub approves: bool,
}

impl Apps {
    /// One at a time per app. On failure the old version is still live; the record keeps why.
    /// The act goes on to its end even when the caller goes away.
    pub async fn deploy(
        &self,
        who: &Actor,
        project: &Project,
        from: DeployFrom,
        why: &str,
        progress: &Progress,
    ) -> Result<DeployView> {
        self.deploy_saying(who, project, from, Said { why: why.to_owned(), approves: false }, progress).await
    }

    /// The same, and with `approves` a yes to all that the commit asks for: the caller has asked for
    /// `Action::Approve`.
    pub async fn deploy_saying(
        &self,
        who: &Actor,
        project: &Project,
        from: DeployFrom,
        said: Said,
        progress: &Progress,
    ) -> Result<DeployView> {
        let (apps, project, who, progress) = (self.clone(), project.clone(), who.clone(), progress.clone());
        self.tasks()
            .spawn("deploy", async move { apps.deploy_from(&who, &project, from, &said, &progress).await })
            .await
            .internal("while deploying")?
    }

    async fn deploy_from(
        &self,
        who: &Actor,
        project: &Project,
        from: DeployFrom,
        said: &Said,
        progress: &Progress,
    ) -> Result<DeployView> {
        let intent = |commit, message, moves_main| Intent {
            commit,
            who: who.user.name.to_string(),
            why: said.why.clone(),
            message,
            env_version: None,
            moves_main,
            approves: said.approves,
        };
        match from {
            DeployFrom::Commit(text) => {
                let (commit, message) = {
                    let repo = self.repos().open(project.id)?;
                    let commit = match &text {
                        Some(text) => repo.resolve(text)?,
                        None => repo.branch("main")?.ok_or_else(|| nothing_yet(project))?,
                    };
                    (commit, repo.commit_info(commit)?.summary)
                };
                self.pipeline(project, intent(commit, message, false), progress).await
            }
            DeployFrom::Draft { message } => {
                let lock = self.repos().lock_async(project.id).await;
                let (commit, main) = self.commit_draft(who, project, &message)?;
                let view = self.deploy_onto_main(project, intent(commit, message, true), main, progress, &lock).await?;
                self.drop_draft_ref(who, project)?;
                Ok(view)
            }
            DeployFrom::Files { files, message } => {
                let lock = self.repos().lock_async(project.id).await;
                let (commit, main) = self.commit_files(who, project, files, &message)?;
                let outcome =
                    self.deploy_onto_main(project, intent(commit, message, true), main, progress, &lock).await;
                match outcome {
                    Err(error) if main != Some(commit) && self.keep_as_draft(who, project, commit, main)? => {
                        let kept = "The files are kept as your draft in the editor.";
                        let hint = error.hint.as_ref().map_or_else(|| kept.to_owned(), |h| format!("{h}\n{kept}"));
                        Err(error.hint(hint))
                    }
                    outcome => outcome,
                }
            }
        }
    }

    /// Main follows once the commit is live; `main` is where it stands while the lock is held.
    pub(super) async fn deploy_onto_main(
        &self,
        project: &Project,
        intent: Intent,
        main: Option<Oid>,
        progress: &Progress,
        _lock: &RepoLock,
    ) -> Result<DeployView> {
        let (commit, why) = (intent.commit, format!("{} by {}", intent.why, intent.who));
        let view = self.pipeline(project, intent, progress).await?;
        if main != Some(commit) {
            self.repos().open(project.id)?.set_ref("refs/heads/main", main, Some(commit), &why)?;
        }
        Ok(view)
    }

    /// For a push that holds the repository's lock: deploys `commit` without touching refs.
    pub async fn deploy_pushed(
        &self,
        who: &Actor,
        project: &Project,
        commit: Oid,
        progress: &Progress,
    ) -> Result<DeployView> {
        let message = self.repos().open(project.id)?.commit_info(commit)?.summary;
        let intent = Intent {
            commit,
            who: who.user.name.to_string(),
            why: "push".into(),
            message,
            env_version: None,
            moves_main: true,
            approves: false,
        };
        let (apps, project, progress) = (self.clone(), project.clone(), progress.clone());
        self.tasks()
            .spawn("push", async move { apps.pipeline(&project, intent, &progress).await })
            .await
            .internal("while deploying a push")?
    }
}

fn nothing_yet(project: &Project) -> Error {
    Error::conflict(format!("{} has no commits on main yet", project.path))
        .hint("Push to it, or save a file in the editor, first.")
}
