//! What goes over the wire that `apps::view` does not already have: written by the API, read by the CLI.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::accounts::{Role, Scope};
use crate::apps::door::Access;
use crate::apps::view::LinkView;
use crate::base::{AppName, DomainName, Millis, ProjectName, ProjectPath, Secret};

/// Bytes of a JSON request body.
pub const MAX_JSON: usize = 1 << 20;
/// Bytes of an uploaded folder as sent.
pub const MAX_UPLOAD: u64 = 64 << 20;
/// Bytes of an uploaded folder unpacked.
pub const MAX_UNPACKED: u64 = 256 << 20;
/// Files of an uploaded folder.
pub const MAX_FILES: usize = 10_000;
/// Carries the current `USER/PROJECT` when an old one was asked for.
pub const MOVED_HEADER: &str = "steady-moved-to";
/// Streams that have nothing to say send a blank line this often, in seconds.
pub const KEEP_ALIVE_SECONDS: u64 = 15;

#[derive(Debug, Serialize, Deserialize)]
pub struct Me {
    pub user: String,
    pub admin: bool,
    pub guest: bool,
    /// What the token presented may do.
    pub scopes: Vec<Scope>,
    /// The server's version.
    pub server: String,
}

/// At most one of `template`, `git` and `fork`; none makes an empty project.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateProject {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<ProjectName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<AppName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<ProjectPath>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct ProjectView {
    pub project: ProjectPath,
    /// The app's host label.
    pub host: String,
    pub url: String,
    pub git_url: String,
    pub public_code: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeProject {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<ProjectName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<AppName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_code: Option<bool>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployCommit {
    /// Main's tip when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// An owner's yes to all that the commit's steady.json asks for.
    #[serde(default)]
    pub approve: bool,
}

/// A yes to what one waiting deploy asks for, which is deployed then.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// Its number: another one that took its place meanwhile is not approved.
    pub deploy: i64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// A deploy's number; the newest good one before the live one when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<i64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeSnapshot {
    /// Pins it under this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinSnapshot {
    /// `null` lets it go with its age.
    pub name: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeEnv {
    #[serde(default)]
    pub set: BTreeMap<String, Secret<String>>,
    #[serde(default)]
    pub unset: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct EnvView {
    /// Rises by one with each change.
    pub version: i64,
    pub names: Vec<String>,
}

/// Who may come to an app; `password` with that access only.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeAccess {
    pub access: Access,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret<String>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateLink {
    #[serde(default)]
    pub name: String,
    /// For ever when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_days: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct NewLink {
    pub link: LinkView,
    /// The address with the secret: shown once.
    pub url: String,
}

/// Takes an app down with this text for its visitors.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    #[serde(default)]
    pub text: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeMember {
    pub role: Role,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddDomain {
    pub host: DomainName,
    /// Another domain of the project, which visitors are sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<DomainName>,
    /// Also `www.HOST`, which sends its visitors to `host`.
    #[serde(default)]
    pub www: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    pub name: String,
    pub scopes: Vec<Scope>,
    /// Good for this project only.
    #[serde(default)]
    pub project: Option<ProjectPath>,
    #[serde(default)]
    pub expires_days: Option<u32>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateInvite {
    #[serde(default)]
    pub note: String,
    #[serde(default)]
    pub admin: bool,
}

/// A day, in the unit of every stored time.
pub const DAY: Millis = 24 * 60 * 60 * 1000;
