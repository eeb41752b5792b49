//! How strong the walls are on this machine, and what is missing for stronger ones.
use serde::{Deserialize, Serialize};

/// From strong to weak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Own uid per app, every namespace, Landlock, seccomp, cgroups.
    Full,
    /// The same inside a user namespace: one host uid for all apps.
    Rootless,
    /// Landlock and seccomp in the server's own namespaces: for a single tenant.
    ProcessOnly,
}

impl Tier {
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Rootless => "rootless",
            Self::ProcessOnly => "process-only",
        }
    }
    /// Whether strangers' code may run beside other code.
    pub fn is_multi_tenant(self) -> bool {
        self <= Self::Rootless
    }
}

/// What was found at start.
#[derive(Clone, Debug, Serialize)]
pub struct Confinement {
    /// `None`: this kernel cannot confine anything; nothing may run.
    pub tier: Option<Tier>,
    /// One sentence.
    pub summary: String,
    pub checks: Vec<Check>,
}

impl Check {
    /// No wall and no limit of an app's memory, processes or files stands or falls with it.
    pub fn is_minor(&self) -> bool {
        matches!(self.name, "cgroup io" | "cgroup kill" | "cgroup oom events" | "cgroup reclaim" | "cgroup pressure")
    }
}

/// One feature of kernel or container.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// `landlock`, `seccomp`, `cgroup memory`
    pub name: &'static str,
    pub ok: bool,
    /// What was found: `ABI 7`, `v1`, `not allowed: EPERM`.
    pub found: String,
    /// What the owner can do about it; empty when ok.
    pub fix: String,
}
