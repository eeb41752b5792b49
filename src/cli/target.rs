//! Which server, which token, which project: the command line, else this folder, else what was saved.
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::args::Global;
use super::client::Client;
use super::fail::{Done, FAILED, Fail, NOT_ALLOWED, USAGE};
use super::saved::{Saved, server_url};
use crate::base::{ProjectPath, Secret};

/// A folder stands for a project: `.steady/project.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    pub url: String,
    pub project: ProjectPath,
}

pub const LINK_FILE: &str = ".steady/project.json";

impl Link {
    /// The link of this folder or the nearest one above.
    pub fn find(from: &Path) -> Done<Option<Self>> {
        for folder in from.ancestors() {
            let path = folder.join(LINK_FILE);
            let Ok(text) = std::fs::read(&path) else { continue };
            let link: Self = serde_json::from_slice(&text).map_err(|e| {
                Fail::new(FAILED, format!("{} is not right: {e}", path.display()))
                    .hint("Write it anew with `steady link USER/PROJECT`.")
            })?;
            return Ok(Some(link));
        }
        Ok(None)
    }
}

/// A server, and how to speak to it.
pub struct Session {
    pub client: Client,
    pub url: String,
    link: Option<Link>,
    here: PathBuf,
}

impl Session {
    /// A token of the environment goes only to a server that the command line, the environment or
    /// `login` named: a stranger's folder cannot ask for it with a link of its own.
    pub fn open(global: &Global) -> Done<Self> {
        Self::open_at(global, &std::env::current_dir().map_err(Fail::io("this folder"))?)
    }

    /// Like [`Session::open`], standing in `here`.
    pub fn open_at(global: &Global, here: &Path) -> Done<Self> {
        let saved = Saved::load()?;
        let link = Link::find(here)?;
        let (url, token) = choose(global, &saved, link.as_ref())?;
        Ok(Self { client: Client::new(&url, Some(token)), url, link, here: here.to_owned() })
    }

    /// The project this command is about.
    /// Errors: usage, when nothing says which.
    pub fn project(&self, positional: Option<&str>, global: &Global) -> Done<ProjectPath> {
        if let Some(text) = positional.or(global.app.as_deref()) {
            return project_path(text);
        }
        if let Some(link) = &self.link {
            if server_url(&link.url)? == self.url {
                return Ok(link.project.clone());
            }
            return Err(Fail::usage(format!("this folder is linked to {}, not to {}", link.url, self.url))
                .hint("Name the project as USER/PROJECT."));
        }
        remote(&self.here, &self.url).ok_or_else(|| {
            Fail::usage("which project?").hint("Name it as USER/PROJECT, or `steady link` this folder to it.")
        })
    }
}

pub fn project_path(text: &str) -> Done<ProjectPath> {
    ProjectPath::parse(text).map_err(|e| Fail { code: USAGE, ..e.into() })
}

fn choose(global: &Global, saved: &Saved, link: Option<&Link>) -> Done<(String, Secret<String>)> {
    let given = global.url.as_deref().filter(|url| !url.is_empty());
    let token = global.token.as_deref().map(str::trim).filter(|token| !token.is_empty());
    let from_link = given.is_none().then(|| link.map(|link| link.url.as_str())).flatten();
    let url = given.or(from_link).or(saved.current.as_deref()).ok_or_else(|| {
        Fail::usage("which server?").hint("Sign in with `steady login URL`, or set STEADY_URL and STEADY_TOKEN.")
    })?;
    let url = server_url(url)?;
    if let Some(token) = token {
        if from_link.is_some() && !saved.servers.contains_key(&url) {
            return Err(Fail::new(NOT_ALLOWED, format!("only this folder's link says that the server is {url}"))
                .hint("Name the server with --url or STEADY_URL before the token is sent there."));
        }
        return Ok((url, Secret::new(token.to_owned())));
    }
    match saved.servers.get(&url) {
        Some(account) => Ok((url, account.token.clone())),
        None => Err(Fail::new(NOT_ALLOWED, format!("you are not signed in to {url}"))
            .hint(format!("Run `steady login {url}`, or set STEADY_TOKEN."))),
    }
}

/// The project a git remote of this folder leads to, when it is on that server.
fn remote(here: &Path, server: &str) -> Option<ProjectPath> {
    let output = Command::new("git")
        .args(["config", "--get-regexp", r"^remote\..*\.url$"])
        .current_dir(here)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut urls: Vec<_> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    urls.sort_by_key(|(name, _)| *name != "remote.origin.url");
    urls.iter().find_map(|(_, url)| project_of(url, server))
}

fn project_of(url: &str, server: &str) -> Option<ProjectPath> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_once('/')?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if server_url(&format!("{scheme}://{host}")).ok()? != server {
        return None;
    }
    let path = path.trim_end_matches('/');
    ProjectPath::parse(path.strip_suffix(".git").unwrap_or(path)).ok()
}

#[cfg(test)]
mod tests {
    use super::super::saved::Account;
    use super::*;

    fn saved() -> Saved {
        let account = Account { user: "dev".into(), token: Secret::new("kept".into()) };
        let servers = [("http://localhost:8080".to_owned(), account)].into();
        Saved { current: Some("http://localhost:8080".into()), servers }
    }

    fn link(url: &str) -> Link {
        Link { url: url.into(), project: ProjectPath::parse("dev/hello").unwrap() }
    }

    fn global(url: Option<&str>, token: Option<&str>) -> Global {
        Global { url: url.map(Into::into), token: token.map(Into::into), ..Global::default() }
    }

    #[test]
    fn the_command_line_wins_then_the_link_then_what_was_saved() {
        let (url, token) = choose(&global(None, None), &saved(), None).unwrap();
        assert_eq!((url.as_str(), token.expose().as_str()), ("http://localhost:8080", "kept"));
        let (url, token) = choose(&global(Some("http://127.0.0.1:1/"), Some(" t\n")), &saved(), None).unwrap();
        assert_eq!((url.as_str(), token.expose().as_str()), ("http://127.0.0.1:1", "t"));
        assert_eq!(choose(&global(None, None), &Saved::default(), None).unwrap_err().code, USAGE);
        let elsewhere = choose(&global(Some("http://example.com"), None), &saved(), None).unwrap_err();
        assert_eq!(elsewhere.code, NOT_ALLOWED);
    }

    #[test]
    fn a_link_cannot_ask_for_the_token_of_the_environment() {
        let evil = link("http://evil.example");
        let fail = choose(&global(None, Some("secret")), &saved(), Some(&evil)).unwrap_err();
        assert_eq!(fail.code, NOT_ALLOWED);
        assert_eq!(choose(&global(None, None), &saved(), Some(&evil)).unwrap_err().code, NOT_ALLOWED);
        let known = link("http://localhost:8080");
        assert!(choose(&global(None, Some("secret")), &saved(), Some(&known)).is_ok());
        assert!(choose(&global(Some("http://evil.example"), Some("secret")), &saved(), Some(&evil)).is_ok());
    }

    #[test]
    fn a_remote_names_a_project_of_its_own_server_only() {
        let of = |url: &str| project_of(url, "http://localhost:8080").map(|path| path.to_string());
        assert_eq!(of("http://localhost:8080/dev/hello.git").as_deref(), Some("dev/hello"));
        assert_eq!(of("http://dev:secret@localhost:8080/dev/hello").as_deref(), Some("dev/hello"));
        for other in ["http://localhost/dev/hello", "https://localhost:8080/dev/x", "git@localhost:dev/x", "/dev/x"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_link_is_found_from_below() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        assert_eq!(Link::find(&below).unwrap(), None);
        std::fs::create_dir_all(dir.path().join(".steady")).unwrap();
        let text = serde_json::to_vec(&link("http://localhost:8080")).unwrap();
        crate::base::fs::write_atomic(&dir.path().join(LINK_FILE), &text, 0o644).unwrap();
        assert_eq!(Link::find(&below).unwrap(), Some(link("http://localhost:8080")));
    }
}
