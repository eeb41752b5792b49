//! `bun install` and build scripts: in the jail, as a uid of their own, network for packages only by need.
//! What was installed is kept by what was asked for, so that the next version starts from hard links.
use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use sha2::{Digest as _, Sha256};

use super::Apps;
use super::plan::Needs;
use crate::base::fs::{make_dir, open_beneath, remove_tree, rename_durable};
use crate::base::{Error, Kind, Progress, Result, ResultExt as _};
use crate::runner::{JobSpec, Limits};

const INSTALL_TIMEOUT: Duration = Duration::from_secs(300);
const BUILD_TIMEOUT: Duration = Duration::from_secs(300);
/// Sets of installed packages kept per app.
const KEEP: usize = 4;
/// Files that decide what an install gives.
const INPUTS: &[&str] =
    &["package.json", "bun.lock", "bun.lockb", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "bunfig.toml"];

impl Apps {
    pub(super) async fn install(&self, app: i64, code: &Path, needs: &Needs, progress: &Progress) -> Result<()> {
        let kept = self.dir().deps(app).join(fingerprint(code));
        // A build may write into packages; what is kept, and what runs now, must not change with that.
        let way = if needs.build.is_some() { Way::Copy } else { Way::HardLink };
        // Looked at before anything of the project runs, which may leave anything there.
        let keepable = is_keepable(code);
        let target = code.join("node_modules");
        remove_tree(&target).internal("while clearing node_modules")?;
        if kept.join("node_modules").is_dir() {
            let from = kept.join("node_modules");
            tokio::task::spawn_blocking(move || link_tree(&from, &target, way))
                .await
                .internal("while linking packages")?
                .internal("while linking packages")?;
            touch(&kept);
            return Ok(());
        }
        let mut command = vec!["bun".to_owned(), "install".into(), "--no-progress".into(), "--no-summary".into()];
        if matches!(needs.lock, Some("bun.lock" | "bun.lockb")) {
            command.push("--frozen-lockfile".into());
        }
        self.in_code(app, code, command, INSTALL_TIMEOUT, "bun install", progress).await?;
        let code = code.to_owned();
        tokio::task::spawn_blocking(move || {
            if keepable && let Err(error) = keep(&code.join("node_modules"), &kept, way) {
                tracing::warn!(%error, "installed packages could not be kept for the next version");
            }
        })
        .await
        .internal("while keeping packages")
    }

    pub(super) async fn build(&self, app: i64, code: &Path, script: &str, progress: &Progress) -> Result<()> {
        let command = vec!["bun".to_owned(), "run".into(), script.to_owned()];
        self.in_code(app, code, command, BUILD_TIMEOUT, &format!("bun run {script}"), progress).await
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
        let uid_offset = super::launch::build_uid(app)?;
        let owner = self.options().uid_base.map(|base| base + uid_offset);
        chown_tree(code, owner).internal("while handing the folder to the build")?;
        let limits = self.options().terms.limits;
        let spec = JobSpec {
            command,
            cwd: code.to_owned(),
            writable: vec![code.to_owned()],
            readable: vec![],
            env: vec![],
            limits: Limits {
                memory_bytes: limits.memory_bytes.max(1 << 30),
                pids: limits.pids.max(512),
                cpu_weight: 25,
                ..limits
            },
            uid_offset,
            timeout,
            hosts: vec![],
        };
        let report = self.runner().job(spec, progress).await?;
        chown_tree(code, owner.map(|_| 0)).internal("while taking the folder back")?;
        if report.success {
            return Ok(());
        }
        let last: Vec<&str> = report.tail.iter().rev().take(12).rev().map(String::as_str).collect();
        Err(Error::new(Kind::App, format!("`{what}` failed: {}", report.ending)).hint(last.join("\n")))
    }
}

/// Hash of the files that decide what is installed.
fn fingerprint(code: &Path) -> String {
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 << 10];
    for name in INPUTS {
        hash.update(name.as_bytes());
        hash.update([0]);
        if let Ok(mut file) = open_beneath(code, Path::new(name)) {
            hash.update(file.metadata().map_or(0, |meta| meta.len()).to_le_bytes());
            while let Ok(read @ 1..) = file.read(&mut piece) {
                hash.update(&piece[..read]);
            }
        }
    }
    hash.update(env!("CARGO_PKG_VERSION"));
    hex::encode(&hash.finalize()[..16])
}

/// Whether an install depends on nothing but [`INPUTS`] and leaves nothing outside `node_modules`: no workspaces
/// or packages that lie in the code itself, no scripts of the project's own.
fn is_keepable(code: &Path) -> bool {
    let mut text = String::new();
    let read = open_beneath(code, Path::new("package.json")).map(|file| file.take(1 << 20).read_to_string(&mut text));
    let Ok(Ok(_)) = read else { return false };
    let Ok(package) = serde_json::from_str::<serde_json::Value>(&text) else { return false };
    let scripts = ["preinstall", "install", "postinstall", "preprepare", "prepare", "postprepare"];
    let lies_here = |value: &serde_json::Value| {
        value
            .as_str()
            .is_some_and(|from| ["file:", "link:", "workspace:", ".", "/"].iter().any(|p| from.starts_with(p)))
    };
    let local = ["dependencies", "devDependencies", "optionalDependencies"]
        .iter()
        .filter_map(|kind| package[kind].as_object())
        .any(|packages| packages.values().any(lies_here));
    package["workspaces"].is_null() && !local && scripts.iter().all(|name| package["scripts"][name].is_null())
}

/// How a tree of packages is copied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    HardLink,
    Copy,
}

/// Puts a copy beside the app and drops the oldest sets above [`KEEP`].
fn keep(installed: &Path, kept: &Path, way: Way) -> std::io::Result<()> {
    // Packages run code while they are installed: a link left here leads wherever they like.
    if !fs::symlink_metadata(installed).is_ok_and(|meta| meta.is_dir()) {
        return Ok(());
    }
    let parent = kept.parent().unwrap_or(kept);
    make_dir(parent, 0o711)?;
    let temp = parent.join(format!(".{}", crate::base::secret::random_token(8)));
    make_dir(&temp, 0o711)?;
    link_tree(installed, &temp.join("node_modules"), way).inspect_err(|_| drop(remove_tree(&temp)))?;
    remove_tree(kept)?;
    rename_durable(&temp, kept)?;
    let mut sets: Vec<(i64, PathBuf)> =
        fs::read_dir(parent)?.flatten().filter_map(|e| Some((e.metadata().ok()?.mtime(), e.path()))).collect();
    sets.sort();
    let extra = sets.len().saturating_sub(KEEP);
    for (_, old) in sets.into_iter().take(extra) {
        remove_tree(&old)?;
    }
    Ok(())
}

/// Marks a set as used now, so that the oldest is the least used.
fn touch(kept: &Path) {
    let _ = fs::File::open(kept).and_then(|dir| {
        let now = std::time::UNIX_EPOCH
            + Duration::from_millis(u64::try_from(crate::base::Clock::System.now()).unwrap_or_default());
        dir.set_modified(now)
    });
}

/// Copies a folder that is no link; links in it are copied as links; where hard links do not work, files are copied.
fn link_tree(from: &Path, to: &Path, way: Way) -> std::io::Result<()> {
    make_dir(to, 0o755)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target, kind) = (entry.path(), to.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() {
            link_tree(&source, &target, way)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() && (way == Way::Copy || fs::hard_link(&source, &target).is_err()) {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}

/// Gives a tree to another owner without following links. `None` = children run as Steady's own user.
/// Another process of the uid that wrote it may still hold folders of it open (through `/proc`), so it is
/// frozen from the top before anything in it is looked at by name.
pub(super) fn chown_tree(path: &Path, owner: Option<u32>) -> std::io::Result<()> {
    let Some(owner) = owner else { return Ok(()) };
    // As many entries as the uid liked to make.
    crate::base::task::blocking(|| {
        freeze(rustix::fs::open(path, folder_flags(), Mode::empty())?, 0)?;
        if owner == 0 { Ok(()) } else { give(path, owner) }
    })
}

/// Folders nested deeper are nobody's packages.
const DEPTH: u32 = 256;

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Makes a folder root's and writable by nobody else, then all that is in it.
fn freeze(folder: OwnedFd, depth: u32) -> std::io::Result<()> {
    if depth > DEPTH {
        return Err(std::io::Error::other(format!("folders are nested deeper than {DEPTH} levels")));
    }
    let (root, group) = (Some(Uid::ROOT), Some(Gid::ROOT));
    rustix::fs::fchown(&folder, root, group)?;
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&folder)?.st_mode & 0o755);
    rustix::fs::fchmod(&folder, mode | Mode::RUSR | Mode::XUSR)?;
    // From here on no entry of it can be exchanged.
    for entry in rustix::fs::Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            freeze(rustix::fs::openat(&folder, name, folder_flags(), Mode::empty())?, depth + 1)?;
        } else {
            rustix::fs::chownat(&folder, name, root, group, AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(())
}

/// Of a frozen tree; the top last, so that it stays frozen until then.
fn give(path: &Path, owner: u32) -> std::io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), owner)?;
        }
    }
    std::os::unix::fs::lchown(path, Some(owner), Some(owner))
}

/// Code is read by the app's uid and written by nobody: whatever modes a build left are made plain.
pub(super) fn open_to_reading(path: &Path) -> Result<()> {
    fn walk(path: &Path) -> std::io::Result<()> {
        let meta = fs::symlink_metadata(path)?;
        if meta.is_dir() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
            for entry in fs::read_dir(path)? {
                walk(&entry?.path())?;
            }
        } else if meta.is_file() {
            let mode = if meta.mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            if meta.mode() & 0o7777 != mode {
                fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
            }
        } else if !meta.is_symlink() {
            // A socket, pipe or device has no place in code.
            fs::remove_file(path)?;
        }
        Ok(())
    }
    walk(path).internal("while closing the version folder")
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // files that may tear
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_is_kept_as_packages() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (secret, code, kept) = (dir.path().join("secret"), dir.path().join("code"), dir.path().join("deps/1"));
        for folder in [&secret, &code] {
            fs::create_dir(folder).expect("folder");
        }
        fs::write(secret.join("key"), b"k").expect("file");
        let modules = code.join("node_modules");
        std::os::unix::fs::symlink(&secret, &modules).expect("link");
        keep(&modules, &kept, Way::HardLink).expect("skipped");
        assert!(!kept.exists(), "a link was followed");
        fs::remove_file(&modules).expect("remove");
        fs::create_dir(&modules).expect("folder");
        std::os::unix::fs::symlink(&secret, modules.join("inner")).expect("link");
        fs::write(modules.join("a.js"), b"1").expect("file");
        keep(&modules, &kept, Way::HardLink).expect("kept");
        assert!(fs::symlink_metadata(kept.join("node_modules/inner")).expect("there").is_symlink());
        assert_eq!(fs::metadata(modules.join("a.js")).expect("meta").nlink(), 2);
        keep(&modules, &kept, Way::Copy).expect("kept");
        assert_eq!(fs::metadata(kept.join("node_modules/a.js")).expect("meta").nlink(), 1, "a build may write it");
    }

    #[test]
    fn a_tree_is_frozen_before_it_is_given_away() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().expect("temp dir");
        let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
        fs::create_dir_all(tree.join("a/b")).expect("folder");
        fs::write(&outside, b"1").expect("file");
        fs::set_permissions(tree.join("a"), fs::Permissions::from_mode(0o777)).expect("chmod");
        std::os::unix::fs::symlink(&outside, tree.join("a/link")).expect("link");
        chown_tree(&tree, Some(4711)).expect("given");
        let inner = fs::metadata(tree.join("a/b")).expect("meta");
        assert_eq!((inner.uid(), inner.gid()), (4711, 4711));
        assert_eq!(fs::symlink_metadata(tree.join("a/link")).expect("meta").uid(), 4711);
        assert_eq!(fs::metadata(&outside).expect("meta").uid(), 0, "a link was followed");
        chown_tree(&tree, Some(0)).expect("taken back");
        let folder = fs::metadata(tree.join("a")).expect("meta");
        assert_eq!((folder.uid(), folder.mode() & 0o777), (0, 0o755), "others may still write it");
    }

    #[test]
    fn only_what_the_inputs_decide_is_kept() {
        let dir = tempfile::tempdir().expect("temp dir");
        let is = |package: &str| {
            fs::write(dir.path().join("package.json"), package).expect("file");
            is_keepable(dir.path())
        };
        assert!(is(r#"{"dependencies":{"hono":"^4"},"scripts":{"start":"x"}}"#));
        for bad in [
            "",
            "[",
            r#"{"workspaces":["a"]}"#,
            r#"{"dependencies":{"x":"file:./x"}}"#,
            r#"{"devDependencies":{"x":"../x"}}"#,
            r#"{"scripts":{"postinstall":"x"}}"#,
        ] {
            assert!(!is(bad), "{bad}");
        }
        fs::remove_file(dir.path().join("package.json")).expect("remove");
        std::os::unix::fs::symlink("/dev/zero", dir.path().join("package.json")).expect("link");
        assert!(!is_keepable(dir.path()), "a link out must not be read");
        fs::remove_file(dir.path().join("package.json")).expect("remove");
        nix::unistd::mkfifo(&dir.path().join("package.json"), nix::sys::stat::Mode::S_IRWXU).expect("pipe");
        assert!(!is_keepable(dir.path()), "a pipe must not be waited for");
    }
}
