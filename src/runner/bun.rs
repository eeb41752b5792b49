//! Finding the pinned Bun: carried inside this program, named with `--bun`, in `node_modules`, in `PATH`.
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::base::name::clip;
use crate::base::{Error, Result};

/// The version package.json pins.
pub const VERSION: &str = env!("STEADY_BUN_VERSION");

#[cfg(embed_bun)]
static EMBEDDED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bun.zst"));
#[cfg(embed_bun)]
const EMBEDDED_SHA256: &str = env!("STEADY_BUN_SHA256");

/// A Bun of the pinned version that runs here. Errors: `BadInput` with the way out.
pub fn find(explicit: Option<&Path>, data_bun_dir: &Path) -> Result<PathBuf> {
    if let Some(path) = explicit {
        return real(path).and_then(|path| checked(&path).map(|()| path)).map_err(|why| {
            Error::bad_input(format!("{} is not Bun {VERSION}: {why}", path.display()))
                .hint(format!("Give the path of Bun {VERSION} with --bun, or leave --bun out."))
        });
    }
    if let Some(path) = embedded(data_bun_dir)? {
        // A processor or system that cannot run it is said now, not by every app.
        return checked(&path).map(|()| path.clone()).map_err(|why| {
            Error::bad_input(format!("the Bun inside Steady, unpacked to {}, cannot be used: {why}", path.display()))
                .hint(format!("See that the folder's file system allows programs (no `noexec`), or name another Bun {VERSION} with --bun."))
        });
    }
    let mut reasons = Vec::new();
    for path in candidates() {
        match real(&path).and_then(|path| checked(&path).map(|()| path)) {
            Ok(path) => return Ok(path),
            Err(why) => reasons.push(format!("{}: {why}", path.display())),
        }
    }
    let tried = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
    Err(Error::bad_input(format!("Bun {VERSION} was not found{tried}"))
        .hint("Run `npm ci` in Steady's source folder, or name the program with --bun PATH."))
}

#[cfg(embed_bun)]
fn embedded(dir: &Path) -> Result<Option<PathBuf>> {
    super::bun_unpack::unpack(EMBEDDED, EMBEDDED_SHA256, dir).map(Some)
}

#[cfg(not(embed_bun))]
fn embedded(_dir: &Path) -> Result<Option<PathBuf>> {
    Ok(None)
}

/// Where a development build looks, in order; only what exists.
fn candidates() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let here = std::env::current_dir().into_iter();
    for folder in here.chain([PathBuf::from(env!("CARGO_MANIFEST_DIR"))]) {
        let modules = folder.join("node_modules");
        for name in ["@oven/bun-linux-x64", "@oven/bun-linux-x64-baseline", "@oven/bun-linux-aarch64"] {
            found.push(modules.join(name).join("bin/bun"));
        }
        found.push(modules.join("bun/bin/bun.exe"));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&path).map(|dir| dir.join("bun")));
    found.retain(|path| path.is_file());
    found.dedup();
    found
}

/// The program behind links; what is a script (npm's stand-in before its install ran) is not one.
fn real(path: &Path) -> Result<PathBuf, String> {
    let path = path.canonicalize().map_err(|e| e.to_string())?;
    super::sandbox::elf::interpreter(&path).map_err(|e| e.to_string())?;
    Ok(path)
}

fn checked(path: &Path) -> Result<(), String> {
    let output = Command::new(path).arg("--version").env_clear().stdin(Stdio::null()).output();
    let output = output.map_err(|e| e.to_string())?;
    judged(&String::from_utf8_lossy(&output.stdout), output.status.signal().is_some())
}

/// What a program that was asked for its version `said`, and whether it was `killed` instead of ending.
fn judged(said: &str, killed: bool) -> Result<(), String> {
    match said.lines().next().unwrap_or_default().trim() {
        v if v == VERSION => Ok(()),
        _ if killed => Err("it does not run on this processor or system".into()),
        v if v.starts_with(|c: char| c.is_ascii_digit()) => Err(format!("it is version {}", clip(v))),
        _ => Err("it is another program".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_bun_is_a_clear_error() {
        let dir = tempfile::tempdir().expect("temp dir");
        let error = find(Some(Path::new("/bin/true")), dir.path()).expect_err("not Bun");
        assert!(error.public.ends_with("it is another program"), "{error:?}");
        assert!(error.hint.is_some_and(|hint| hint.contains("--bun")));
        let missing = find(Some(&dir.path().join("none")), dir.path()).expect_err("missing");
        assert!(missing.public.contains("No such file"), "{missing:?}");
        let folder = find(Some(dir.path()), dir.path()).expect_err("a folder");
        assert!(folder.public.contains("is not Bun"), "{folder:?}");
    }

    #[test]
    fn a_version_is_judged_by_what_it_says() {
        assert_eq!(judged(&format!("{VERSION}\n"), false), Ok(()));
        assert_eq!(judged("1.0.0\n", false), Err("it is version 1.0.0".into()));
        assert_eq!(judged("true (GNU coreutils) 9.1\nCopyright", false), Err("it is another program".into()));
        assert!(judged("", true).is_err_and(|why| why.contains("does not run on this processor")));
    }

    #[test]
    fn the_pinned_one_is_found() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = find(None, dir.path()).expect("run `npm ci` first");
        assert!(path.is_file());
    }
}
