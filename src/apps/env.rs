//! The environment: names are shown, values are write-only.
use super::deploy::Intent;
use super::view::EnvName;
use super::{Apps, Project};
use crate::accounts::Actor;
use crate::base::name::clip;
use crate::base::{Error, Progress, Result, ResultExt as _, Secret};
use crate::git::Oid;
use crate::store::env::{self, Variable};
use crate::store::{apps, env as rows};

const MAX_VARIABLES: usize = 200;
const MAX_VALUE: usize = 32 << 10;
/// Given by Steady itself, or able to change how the child is started.
const GIVEN: &[&str] = &[
    "PORT",
    "DATA_DIR",
    "PATH",
    "HOME",
    "TMPDIR",
    "STEADY_URL",
    "STEADY_PROJECT",
    "STEADY_VERSION",
    "STEADY_SOCKET",
    "STEADY_ENTRY",
    "STEADY_INSTANCE",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "BUN_OPTIONS",
    "BUN_INSPECT",
    "BUN_INSPECT_PRELOAD",
];

impl Apps {
    pub fn env_names(&self, project: &Project) -> Result<Vec<EnvName>> {
        let set = self.store().read(|db| {
            let version = apps::by_id(db, project.app)?.env_version;
            rows::load(db, self.key(), project.app, version)
        })?;
        Ok(set.into_iter().map(|v| EnvName { name: v.name, set: v.set }).collect())
    }

    /// One new environment version, which is returned; `None` unsets. A live app is restarted with it by the
    /// same pipeline as any deploy: when it does not come up, the old environment stays live and the error says so.
    pub async fn env_change(
        &self,
        who: &Actor,
        project: &Project,
        changes: Vec<(String, Option<Secret<String>>)>,
    ) -> Result<i64> {
        if changes.is_empty() {
            return Err(Error::bad_input("no variable was named"));
        }
        for (name, value) in &changes {
            check(name, value.as_ref())?;
        }
        let by = who.user.name.to_string();
        let now = self.clock().now();
        let version = self.store().write(|db| {
            let newest = apps::by_id(db, project.app)?.env_version;
            let mut set = rows::load(db, self.key(), project.app, newest)?;
            for (name, value) in changes {
                if value.is_none() && !set.iter().any(|v| v.name == name) {
                    return Err(Error::not_found(format!("{name} is not set")));
                }
                set.retain(|v| v.name != name);
                set.extend(value.map(|value| Variable { name, value, set: now }));
            }
            if set.len() > MAX_VARIABLES {
                return Err(Error::bad_input(format!("an app can have at most {MAX_VARIABLES} variables")));
            }
            set.sort_by(|a, b| a.name.cmp(&b.name));
            env::store(db, self.key(), project.app, &set, &by, now)
        })?;
        let Some((deploy, _, plan)) = self.live(project.app)? else { return Ok(version) };
        if plan.is_static() {
            return Ok(version);
        }
        let intent = Intent {
            commit: Oid::from_str(&deploy.commit).internal("while reading a commit id")?,
            who: by,
            why: "environment".into(),
            message: deploy.message,
            env_version: Some(version),
            moves_main: false,
            approves: false,
        };
        let (apps, project) = (self.clone(), project.clone());
        let outcome = self
            .tasks()
            .spawn("environment", async move { apps.pipeline(&project, intent, &Progress::silent()).await })
            .await
            .internal("while restarting with a new environment")?;
        outcome.map(|_| version).map_err(|mut error| {
            error.public = format!("the variables are saved, but the app did not start with them: {}", error.public);
            error
        })
    }
}

fn check(name: &str, value: Option<&Secret<String>>) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let good = !name.is_empty() && name.len() <= 128 && name.bytes().all(plain) && !name.as_bytes()[0].is_ascii_digit();
    if !good {
        return Err(Error::bad_input(format!("`{}` is not a variable name", clip(name)))
            .hint("Use letters, digits and underscores, not beginning with a digit."));
    }
    if GIVEN.contains(&name) || name.starts_with("STEADY_") {
        return Err(
            Error::bad_input(format!("{name} is given by Steady and cannot be set")).hint("Choose another name.")
        );
    }
    // Its length and whether it holds a NUL are looked at, nothing else.
    if value.is_some_and(|v| v.expose().len() > MAX_VALUE || v.expose().contains('\0')) {
        return Err(Error::bad_input(format!("the value of {name} is longer than 32 KiB or has a NUL byte")));
    }
    Ok(())
}
