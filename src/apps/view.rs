//! What the verbs answer with: shown by the editor, sent by the API, read back by the CLI.
use serde::{Deserialize, Serialize};

use super::door::Access;
use crate::base::{Millis, ProjectPath};
use crate::runner::Status;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProjectSummary {
    pub path: ProjectPath,
    pub url: String,
    /// The same words as in [`AppStatus`].
    pub state: String,
    /// `v12`; `None` before the first deploy.
    pub version: Option<String>,
    pub deployed: Option<Millis>,
    /// The newest deploy failed.
    pub failing: bool,
    /// The newest deploy waits for an owner's approval.
    #[serde(default)]
    pub waiting: bool,
    /// Bytes.
    pub data_bytes: u64,
}

/// `url`, `state`, `version` and `commit` are fixed: scripts stand on them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AppStatus {
    pub project: ProjectPath,
    pub url: String,
    /// `not deployed`, `asleep`, `starting`, `ready`, `frozen`, `reclaimed` (frozen, and its memory in swap),
    /// `draining`, `crashed`, `paused`, `static`.
    pub state: String,
    pub version: Option<String>,
    pub commit: Option<String>,
    pub message: Option<String>,
    pub deployed: Option<Millis>,
    pub git_url: String,
    /// Bytes of what the app wrote, of its code with packages, and of its repository.
    pub data_bytes: u64,
    pub code_bytes: u64,
    pub repo_bytes: u64,
    /// Bytes; processes and threads; hundredths of a processor. `None`: this machine cannot limit it.
    #[serde(default)]
    pub memory_limit: Option<u64>,
    #[serde(default)]
    pub pids_limit: Option<u64>,
    #[serde(default)]
    pub cpu_percent: Option<u32>,
    pub log_limit: u64,
    /// Seconds; `None` = never stopped.
    pub idle_seconds: Option<u64>,
    /// Seconds; `None` = never stands still.
    #[serde(default)]
    pub freeze_seconds: Option<u64>,
    pub env_version: i64,
    pub env_names: Vec<String>,
    pub process: Option<Status>,
    /// `full`, `rootless` or `process-only`, and what that means here.
    pub confinement: String,
    pub confinement_note: String,
    /// Names of the walls and limits that are not here: `cgroups`, `disk quota`.
    #[serde(default)]
    pub confinement_missing: Vec<String>,
    /// What the live version may reach, in the words of steady.json.
    #[serde(default)]
    pub permissions: Vec<String>,
    /// The number of the deploy that waits for an owner's approval.
    #[serde(default)]
    pub waiting: Option<i64>,
    pub disk_limit: u64,
    pub public_code: bool,
}

/// What stands before an app.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DoorView {
    pub access: Access,
    pub links: Vec<LinkView>,
    /// What visitors are told while it is down; `None` = it is up.
    pub maintenance: Option<String>,
}

/// A link that opens an app: never its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LinkView {
    pub id: i64,
    pub name: String,
    /// Who made it.
    pub who: String,
    pub created: Millis,
    /// `None`: until it is revoked.
    pub expires: Option<Millis>,
    pub over: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeployView {
    pub number: i64,
    /// `None` when it failed before there was one.
    pub version: Option<String>,
    pub commit: String,
    pub message: String,
    pub who: String,
    /// `push`, `editor`, `cli`, `api`, `rollback to v3`, `environment`.
    pub why: String,
    /// `running`, `live` (it went live), `failed`, `waiting` (for an owner's
    /// approval), `stopped` (it waited; it was approved, or another took its place).
    pub state: String,
    /// It is what visitors get now.
    pub current: bool,
    pub error: Option<String>,
    pub stages: Vec<Stage>,
    pub started: Millis,
    pub finished: Option<Millis>,
    pub url: String,
}

/// `id` is fixed: scripts stand on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SnapshotView {
    /// Rises with each of the app's.
    pub id: i64,
    pub taken: Millis,
    /// `asked`, `deploy`, `stop`, `schedule`, `restore` (the data as it was before one).
    pub why: String,
    /// Pinned under this name: it stays.
    pub name: Option<String>,
    /// The deploy it was taken just before.
    pub deploy: Option<i64>,
    /// Bytes it added on the server's disk.
    pub added: u64,
    /// Bytes of the data when it is laid out.
    pub bytes: u64,
    /// What could not be taken, a sentence each.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stage {
    pub name: String,
    pub ms: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Workspace {
    /// The commit these files are of: what `save` must name.
    pub commit: String,
    /// Main's tip when the draft was begun.
    pub base: Option<String>,
    /// There are saved changes that main has not.
    pub is_draft: bool,
    /// Main has moved since: paths changed there.
    pub moved: Option<Moved>,
    pub files: Vec<FileEntry>,
    /// Paths that still hold conflict markers after a merge.
    pub conflicts: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Moved {
    pub to: String,
    pub summary: String,
    pub author: String,
    pub paths: Vec<String>,
    /// Of these, also changed in the draft.
    pub both: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileEntry {
    pub path: String,
    pub size: u64,
    pub executable: bool,
    pub link: bool,
    pub blob: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileView {
    pub path: String,
    pub size: u64,
    pub binary: bool,
    /// `None` when binary or too large.
    pub text: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpdateHow {
    /// Three-way; where both changed a line, conflict markers are written for the author to settle.
    Merge,
    /// Throw the draft away.
    Discard,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DraftView {
    pub url: String,
    pub commit: String,
    /// Nothing changed since it was last run: the same process answers.
    pub reused: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnvName {
    pub name: String,
    pub set: Millis,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    pub user: String,
    pub role: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deleted {
    pub id: i64,
    pub project: ProjectPath,
    pub deleted: Millis,
    /// When it is gone for good.
    pub until: Millis,
}

/// What a project may do beyond what every app may. Lines are in the words of steady.json: `net: api.example.com`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PermissionsView {
    pub project: ProjectPath,
    /// What every app of this server may reach.
    pub server: Vec<String>,
    /// What the live version asks for.
    pub live: Vec<String>,
    /// What owners approved, all in all.
    pub approved: Vec<String>,
    pub waiting: Option<Waiting>,
    /// Newest first.
    pub history: Vec<ApprovalView>,
}

/// A deploy that waits for an owner's yes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Waiting {
    /// Its number.
    pub deploy: i64,
    pub commit: String,
    pub message: String,
    pub who: String,
    pub why: String,
    /// What it asks for beyond what is approved.
    pub more: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApprovalView {
    pub at: Millis,
    pub who: String,
    /// Everything approved before was taken back.
    pub revoked: bool,
    pub deploy: Option<i64>,
    pub commit: Option<String>,
    pub added: Vec<String>,
}
