//! Folders that stand for a project: clone one, link one.
use std::path::Path;
use std::process::{Command, Stdio};

use super::args::Global;
use super::client::of;
use super::fail::{Done, FAILED, Fail};
use super::out;
use super::target::{LINK_FILE, Link, Session, project_path};
use crate::api::wire::ProjectView;
use crate::base::fs;

/// The clone asks `steady credential` for its token: none is in a URL, a command line or the repository.
pub fn clone(project: &str, dir: Option<&Path>, global: &Global) -> Done {
    let project = project_path(project)?;
    let session = Session::open(global)?;
    let view: ProjectView = session.client.get(&of(&project, ""))?;
    let project = view.project;
    let url = format!("{}/{project}.git", session.url);
    let name = project.project.to_string();
    let dir = dir.unwrap_or(Path::new(&name));
    let steady = std::env::current_exe().map_err(Fail::io("this program"))?;
    let steady = steady.to_str().ok_or_else(|| Fail::new(FAILED, "this program's path is not UTF-8"))?;
    let key = format!("credential.{}.helper", session.url);
    let mut git = Command::new("git");
    git.arg("clone")
        // The empty one keeps helpers set elsewhere from storing the token.
        .args(["--config", &format!("{key}=")])
        .args(["--config", &format!("{key}=!{} credential", shell_quote(steady))])
        .arg("--")
        .arg(&url)
        .arg(dir)
        .env("STEADY_URL", &session.url)
        .env("GIT_TERMINAL_PROMPT", "0");
    if let Some(token) = global.token.as_ref().filter(|token| !token.trim().is_empty()) {
        git.env("STEADY_TOKEN", token);
    }
    if global.json {
        git.stdout(Stdio::null());
    }
    let status = git.status().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Fail::new(FAILED, "there is no git on this machine").hint("Install git."),
        _ => Fail::io("git")(e),
    })?;
    if !status.success() {
        return Err(Fail::new(FAILED, format!("git could not clone {project}")));
    }
    write_link(dir, &Link { url: session.url, project })?;
    if global.json {
        return out::json(&serde_json::json!({ "dir": dir, "git_url": url }));
    }
    Ok(())
}

fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

pub fn link(project: &str, global: &Global) -> Done {
    let project = project_path(project)?;
    let session = Session::open(global)?;
    let view: ProjectView = session.client.get(&of(&project, ""))?;
    write_link(Path::new("."), &Link { url: session.url, project: view.project.clone() })?;
    out::note(&format!("This folder is {}", view.project));
    if global.json { out::json(&view) } else { Ok(()) }
}

fn write_link(dir: &Path, link: &Link) -> Done {
    let path = dir.join(LINK_FILE);
    let text = serde_json::to_vec_pretty(link).map_err(|e| Fail::new(FAILED, e.to_string()))?;
    fs::make_dir(&dir.join(".steady"), 0o755).map_err(Fail::io(path.display()))?;
    fs::write_atomic(&path, &text, 0o644).map_err(Fail::io(path.display()))?;
    keep_out_of_git(dir)
}

/// The link is this person's, not the project's.
fn keep_out_of_git(dir: &Path) -> Done {
    let mut git = Command::new("git");
    git.args(["rev-parse", "--git-path", "info/exclude"]).current_dir(dir).stdin(Stdio::null()).stderr(Stdio::null());
    let Ok(output) = git.output() else { return Ok(()) };
    let Some(path) = String::from_utf8(output.stdout).ok().filter(|_| output.status.success()) else { return Ok(()) };
    let path = dir.join(path.trim_end_matches('\n'));
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    if text.lines().any(|line| matches!(line.trim(), ".steady" | ".steady/" | "/.steady" | "/.steady/")) {
        return Ok(());
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    if let Some(folder) = path.parent() {
        fs::make_dir(folder, 0o755).map_err(Fail::io(folder.display()))?;
    }
    fs::write_atomic(&path, format!("{text}{gap}.steady/\n").as_bytes(), 0o644).map_err(Fail::io(path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ProjectPath;

    #[test]
    fn a_link_stays_out_of_git_and_is_noted_once() {
        let dir = tempfile::tempdir().unwrap();
        let link = Link { url: "http://localhost:8080".into(), project: ProjectPath::parse("dev/hello").unwrap() };
        write_link(dir.path(), &link).unwrap();
        let init = Command::new("git").args(["init", "-q"]).current_dir(dir.path()).status().unwrap();
        assert!(init.success());
        write_link(dir.path(), &link).unwrap();
        write_link(dir.path(), &link).unwrap();
        let exclude = std::fs::read_to_string(dir.path().join(".git/info/exclude")).unwrap();
        assert_eq!(exclude.lines().filter(|line| *line == ".steady/").count(), 1);
        assert_eq!(Link::find(dir.path()).unwrap(), Some(link));
    }

    #[test]
    fn a_path_survives_gits_shell() {
        let odd = "/a b/it's/$(x)";
        let output = Command::new("sh").args(["-c", &format!("printf %s {}", shell_quote(odd))]).output().unwrap();
        assert_eq!(output.stdout, odd.as_bytes());
    }
}
