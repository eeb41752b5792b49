//! A person's working folder: real git, with none of this machine's settings.
use std::path::PathBuf;
use std::process::{Command, Output};

use super::{Steady, ok, output_within, text};

pub struct Work {
    pub path: PathBuf,
    /// Where it pushes to.
    pub remote: String,
}

impl Work {
    pub fn new(steady: &Steady, project: &str) -> Self {
        let path = steady.dir().join(format!("work-{project}"));
        std::fs::create_dir_all(&path).expect("a working folder");
        let work = Self { path, remote: steady.git_url(project) };
        work.git_ok(&["init", "-q", "-b", "main"]);
        work.git_ok(&["remote", "add", "origin", &work.remote]);
        work
    }

    pub fn write(&self, files: &[(&str, &str)]) {
        for (name, content) in files {
            let path = self.path.join(name);
            std::fs::create_dir_all(path.parent().expect("inside the folder")).expect("folders");
            std::fs::write(path, content).expect("a file of the test");
        }
    }

    pub fn git(&self, args: &[&str]) -> Output {
        output_within(git_command().current_dir(&self.path).args(args), None)
    }
    pub fn git_ok(&self, args: &[&str]) -> String {
        ok(&self.git(args), &format!("git {}", args.join(" ")))
    }
    /// Commits all there is; gives back the commit's id.
    pub fn commit(&self, message: &str) -> String {
        self.git_ok(&["add", "-A"]);
        self.git_ok(&["commit", "-q", "-m", message]);
        self.head()
    }
    pub fn head(&self) -> String {
        self.git_ok(&["rev-parse", "HEAD"]).trim().to_owned()
    }
    /// Success, and what git showed (its stderr, where `remote:` lines are).
    pub fn push(&self) -> (bool, String) {
        let output = self.git(&["push", "origin", "main"]);
        (output.status.success(), text(&output.stderr))
    }
    pub fn push_ok(&self) -> String {
        let (success, said) = self.push();
        assert!(success, "the push failed:\n{said}");
        said
    }
}

pub fn git_command() -> Command {
    let mut command = Command::new("git");
    command
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_AUTHOR_NAME", "Dev")
        .env("GIT_AUTHOR_EMAIL", "dev@example.com")
        .env("GIT_COMMITTER_NAME", "Dev")
        .env("GIT_COMMITTER_EMAIL", "dev@example.com")
        .env_remove("GIT_DIR")
        .stdin(std::process::Stdio::null());
    command
}

/// The `remote:` lines of a push, without their prefix and trailing spaces.
pub fn remote_lines(said: &str) -> Vec<String> {
    said.lines()
        .flat_map(|line| line.split('\r'))
        .filter_map(|line| line.trim_end().strip_prefix("remote:"))
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}
