//! The spec of a program that waits for its app, and what makes it that app's later.
use std::path::{Path, PathBuf};

use super::{Base, MAIN, default, set, text};
use crate::runner::pool::WARM;
use crate::runner::sandbox::cgroup::Group;
use crate::runner::sandbox::park::{ABOVE_CODE, Assignment, Given, above_home};
use crate::runner::sandbox::tier::Tier;
use crate::runner::sandbox::{self, Bind, JailSpec};
use crate::runner::{LaunchSpec, Limits, Options};

/// Begin the names of variables that Bun (or what it is made of) reads for itself when it starts, or later in its own
/// copy: a process that started without them would not see them.
const READ_AT_START: &[&str] = &[
    "BUN_",
    "NODE_",
    "JSC_",
    "MIMALLOC_",
    "MALLOC_",
    "GLIBC_",
    "LD_",
    "UV_",
    "SSL_",
    "LC_",
    "XDG_",
    "S3_",
    "AWS_",
    "REDIS_",
    "VALKEY_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "TLS_",
];
const READ_AT_START_WHOLE: &[&str] = &[
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LANGUAGE",
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "FORCE_COLOR",
    "DO_NOT_TRACK",
    "CI",
    "GITHUB_ACTIONS",
    "SHELL",
    "USER",
];
/// Files that Bun reads where it is started.
const READ_AT_HOME: &[&str] = &[".env", ".env.local", ".env.production", ".env.production.local"];

impl Base {
    /// Whether a process can be made an app's after it has started: where it has a root of its own, and its uid need
    /// not be the one its files have on disk.
    pub fn can_park(&self) -> bool {
        match self.tier {
            Tier::Full => self.mapped,
            Tier::Rootless => true,
            Tier::ProcessOnly => false,
        }
    }

    /// Whether this app cannot tell such a process from one that was started for it.
    pub fn may_park(&self, spec: &LaunchSpec) -> bool {
        let there = |folder: &Path, name: &str| folder.join(name).symlink_metadata().is_ok();
        let bundled = spec.pooled && spec.bundle.as_deref().is_some_and(|folder| there(folder, MAIN));
        bundled
            && self.can_park()
            && !spec.env.iter().any(|(name, value)| is_read_at_start(name, value.expose()))
            && !READ_AT_HOME.iter().any(|name| there(&spec.home, name) || there(&spec.code, name))
            // A link is to the code's, which is harmless where there is a bundle.
            && !spec.home.join("bunfig.toml").symlink_metadata().is_ok_and(|meta| meta.is_file())
    }

    /// What a process is that waits. `uid_offset` is its own.
    pub fn parked(&self, options: &Options, uid_offset: u32, limits: &Limits, group: Option<&Group>) -> JailSpec {
        let bun = PathBuf::from(sandbox::BUN);
        let main = Path::new(sandbox::BUNDLE).join(MAIN);
        let mut argv = vec![text(&bun), "--no-install".into()];
        for preload in [sandbox::POOL, sandbox::WRAPPER] {
            argv.extend(["--preload".into(), preload.into()]);
        }
        argv.push(text(&main));
        let mut env = Vec::new();
        for (name, value) in super::RUNNING {
            default(&mut env, name, value);
        }
        default(&mut env, "HOME", sandbox::HOME);
        self.surroundings(options, &mut env, &bun, "/tmp");
        set(&mut env, "STEADY_WARM", format!("{}/{WARM}", sandbox::RUN));
        let mut spec =
            self.assemble(options, group, (uid_offset, *limits), Vec::new(), (argv, env, sandbox::HOME.into()));
        spec.walls.execute.push(ABOVE_CODE.into());
        spec.walls.write.extend([above_home().to_owned(), sandbox::RUN.into()]);
        // An app's own limit comes later, and may be anything up to there.
        spec.file_bytes = None;
        if let Some(root) = &mut spec.root {
            root.socket = true;
        }
        spec
    }

    /// What makes it this app's.
    pub fn assignment(&self, options: &Options, spec: &LaunchSpec) -> Assignment {
        let (code, home) = (PathBuf::from(sandbox::CODE), PathBuf::from(sandbox::HOME));
        let (_, env) = self.program(options, spec, (&code, &home, Path::new(sandbox::RUN)), true);
        let mut binds = vec![Bind::read(&spec.code, &code), Bind::write(&spec.home, &home)];
        binds.extend(spec.bundle.as_ref().map(|folder| Bind::read(folder, sandbox::BUNDLE)));
        Assignment {
            open_files: spec.limits.open_files,
            file_bytes: Some(spec.limits.disk_bytes),
            tmp_bytes: spec.limits.tmp_bytes,
            binds,
            own: if self.tier == Tier::Full { vec![spec.home.clone()] } else { Vec::new() },
            links: (code, home.clone()),
            given: Given { env, cwd: home },
        }
    }
}

fn is_read_at_start(name: &str, value: &str) -> bool {
    // What a bundle wants is what a process that waits has.
    if (name, value) == ("NODE_ENV", "production") {
        return false;
    }
    let upper = name.to_ascii_uppercase();
    READ_AT_START.iter().any(|start| upper.starts_with(start)) || READ_AT_START_WHOLE.contains(&upper.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bun_reads_for_itself_is_known() {
        for name in
            ["BUN_JSC_useJIT", "NODE_EXTRA_CA_CERTS", "NODE_ENV", "http_proxy", "S3_BUCKET", "REDIS_URL", "NO_COLOR"]
        {
            assert!(is_read_at_start(name, "x"), "{name}");
        }
        for name in ["DATABASE_URL", "SECRET", "TZ", "DEBUG", "GREETING", "PATHS"] {
            assert!(!is_read_at_start(name, "x"), "{name}");
        }
        assert!(!is_read_at_start("NODE_ENV", "production"));
    }
}
