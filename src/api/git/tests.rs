//! Real git against this host, with a gate that lets everybody in and decides by the commit's message.
mod clients;
mod doors;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hyper::HeaderMap;

use super::{Gate, routes};
use crate::base::{DataDir, Error, Progress, ProjectPath, Result};
use crate::git::{Decision, Identity, Options, RefUpdate, Repo, Repos, Service};

const PROJECT: i64 = 7;

#[derive(Clone)]
struct Open;

impl Gate for Open {
    type Pass = i64;

    async fn admit(&self, _: &HeaderMap, path: &ProjectPath, _: Service, _: bool) -> Result<i64> {
        match path.to_string().as_str() {
            "dev/hello" => Ok(PROJECT),
            "dev/copy" => Ok(PROJECT + 1),
            _ => Err(Error::not_found("there is no such project")),
        }
    }
    fn project(&self, pass: &i64) -> i64 {
        *pass
    }
    fn identity(&self, _: &i64) -> Identity {
        Identity { name: "dev".to_owned(), email: "dev@steady".to_owned(), at: 1_700_000_000_000 }
    }
    fn decide(&self, _: &i64, repo: &Repo, updates: &[RefUpdate], progress: &Progress) -> Vec<Decision> {
        let decide = |u: &RefUpdate| {
            let (true, Some(new)) = (u.name == "refs/heads/main", u.new) else { return Decision::Accept };
            progress.stage("install");
            progress.line("\x1b[31mred\x1b[0m");
            let summary = repo.commit_info(new).expect("a pushed commit can be read").summary;
            if let Some(folder) = summary.strip_prefix("wait in ") {
                std::fs::File::create(format!("{folder}/deciding")).unwrap();
                until(|| Path::new(&format!("{folder}/go")).exists());
            }
            match summary.strip_prefix("reject ") {
                Some(why) => Decision::Reject(why.to_owned()),
                None => Decision::Accept,
            }
        };
        updates.iter().map(decide).collect()
    }
}

/// Polls, a minute at most.
pub(super) fn until(done: impl Fn() -> bool) {
    for _ in 0..3000 {
        if done() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("it did not come to pass within a minute");
}

/// A host on a free port, its data, and a place for clones.
pub(super) struct Bench {
    pub(super) repos: Repos,
    pub(super) url: String,
    dir: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Bench {
    #[allow(clippy::disallowed_methods)]
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        let repos = Repos::new(data, Options { max_pack: 64 << 20, max_object: 48 << 20, import_private: true });
        repos.create(PROJECT).unwrap();
        repos.create(PROJECT + 1).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/dev/hello.git", listener.local_addr().unwrap());
        let app = routes(Open, repos.clone());
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { repos, url, dir, _runtime: runtime }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A work tree that has `name` as its folder and this host as `origin`.
    pub(super) fn work(&self, name: &str) -> Work {
        let path = self.path(name);
        let work = Work { path, home: self.dir.path().to_owned() };
        std::fs::create_dir(&work.path).unwrap();
        work.ok(&["init", "-q", "-b", "main"]);
        work.ok(&["remote", "add", "origin", &self.url]);
        work
    }

    pub(super) fn clone_to(&self, name: &str, more: &[&str]) -> Work {
        let work = Work { path: self.path(name), home: self.dir.path().to_owned() };
        let target = work.path.to_str().unwrap().to_owned();
        let here = Work { path: self.dir.path().to_owned(), home: self.dir.path().to_owned() };
        here.ok(&[&["clone", "-q"], more, &[&self.url, &target]].concat());
        work
    }

    /// Stock git finds nothing wrong with the repository on disk, and nothing is left lying about.
    pub(super) fn sound(&self) {
        let path = self.repos.path(PROJECT);
        let work = Work { path: path.clone(), home: self.dir.path().to_owned() };
        work.ok(&["fsck", "--strict", "--full"]);
        for entry in std::fs::read_dir(path.join("objects")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with("incoming-"), "{name} is left");
        }
        for entry in std::fs::read_dir(path.join("objects/pack")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name.ends_with(".pack") || name.ends_with(".idx"), "{name} is left");
        }
    }

    pub(super) fn tip(&self, branch: &str) -> Option<String> {
        self.repos.open(PROJECT).unwrap().branch(branch).unwrap().map(|id| id.to_string())
    }
}

pub(super) struct Work {
    pub(super) path: PathBuf,
    home: PathBuf,
}

impl Work {
    pub(super) fn git(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(&self.path).env("HOME", &self.home).env("GIT_TERMINAL_PROMPT", "0");
        for (key, value) in [("NAME", "Dev"), ("EMAIL", "dev@example.com")] {
            command.env(format!("GIT_AUTHOR_{key}"), value).env(format!("GIT_COMMITTER_{key}"), value);
        }
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C");
        command
    }

    /// Gives what was printed, both streams.
    pub(super) fn ok(&self, arguments: &[&str]) -> String {
        let out = self.git(arguments);
        let text = [out.stdout, out.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
        assert!(out.status.success(), "git {arguments:?} failed:\n{text}");
        text
    }

    pub(super) fn fails(&self, arguments: &[&str]) -> String {
        let out = self.git(arguments);
        let text = [out.stdout, out.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
        assert!(!out.status.success(), "git {arguments:?} should have failed:\n{text}");
        text
    }

    #[allow(clippy::disallowed_methods)]
    pub(super) fn commit(&self, file: &str, text: &[u8], message: &str) -> String {
        let path = self.path.join(file);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, text).unwrap();
        self.ok(&["add", "-A"]);
        self.ok(&["commit", "-q", "-m", message]);
        self.id("HEAD")
    }

    pub(super) fn id(&self, what: &str) -> String {
        self.ok(&["rev-parse", what]).trim().to_owned()
    }
}

#[test]
fn a_project_is_pushed_cloned_and_fetched() {
    let bench = Bench::new();
    let empty = bench.clone_to("empty", &[]);
    assert_eq!(empty.ok(&["symbolic-ref", "HEAD"]).trim(), "refs/heads/main", "an empty clone is on main");
    let work = bench.work("work");
    let first = work.commit("src/index.ts", b"export default {}", "first");
    let said = work.ok(&["push", "origin", "main"]);
    assert!(said.contains("remote: ==> install") && said.contains("remote: red "), "{said}");
    assert_eq!(bench.tip("main"), Some(first.clone()));
    bench.sound();
    for version in ["0", "1", "2"] {
        let clone = bench.clone_to(&format!("clone{version}"), &["-c", &format!("protocol.version={version}")]);
        assert_eq!(clone.id("HEAD"), first);
        clone.ok(&["fsck", "--strict"]);
    }
    // An update travels as a thin pack; every clone gets only what it lacks.
    for n in 0..5 {
        let text: String = (0..400).map(|line| format!("line {line} of {n}\n")).collect();
        work.commit("src/big.ts", text.as_bytes(), &format!("change {n}"));
        work.ok(&["push", "-q", "origin", "main"]);
        bench.sound();
    }
    for version in ["0", "1", "2"] {
        let clone = Work { path: bench.path(&format!("clone{version}")), home: bench.path("") };
        clone.commit(&format!("mine{version}"), b"x", "local work the host has not");
        clone.ok(&["fetch", "-q"]);
        assert_eq!(clone.id("origin/main"), work.id("main"));
        clone.ok(&["fsck", "--strict"]);
    }
}

#[test]
fn a_rejected_push_says_why_and_changes_nothing() {
    let bench = Bench::new();
    let work = bench.work("work");
    let good = work.commit("a", b"1", "good");
    work.ok(&["push", "-q", "origin", "main"]);
    work.commit("a", b"2", "reject it did not start: GET / -> 500");
    work.ok(&["branch", "other"]);
    let said = work.fails(&["push", "origin", "main", "other"]);
    assert!(said.contains("! [remote rejected] main -> main (it did not start: GET / -> 500)"), "{said}");
    assert_eq!(bench.tip("main"), Some(good.clone()));
    assert_eq!(bench.tip("other"), Some(work.id("other")), "without --atomic the other branch moves");
    work.ok(&["branch", "third"]);
    let said = work.fails(&["push", "--atomic", "origin", "main", "third"]);
    assert!(said.contains("third (atomic push failed)"), "{said}");
    assert_eq!(bench.tip("third"), None);
    work.ok(&["push", "-q", "--atomic", "origin", "third", "other:fourth"]);
    assert_eq!(bench.tip("fourth"), Some(work.id("other")));
    bench.sound();
}

#[test]
fn branches_tags_and_force() {
    let bench = Bench::new();
    let work = bench.work("work");
    work.commit("a", b"1", "one");
    work.ok(&["tag", "-a", "-m", "release", "v1"]);
    work.ok(&["tag", "light"]);
    work.ok(&["branch", "feat/x"]);
    work.ok(&["push", "-q", "origin", "main", "feat/x", "--tags"]);
    bench.sound();
    let clone = bench.clone_to("clone", &["-c", "protocol.version=0"]);
    assert_eq!(clone.id("v1^{}"), work.id("main"));
    // Tags follow what is fetched.
    work.commit("a", b"2", "two");
    work.ok(&["tag", "-a", "-m", "release", "v2"]);
    work.ok(&["push", "-q", "--follow-tags", "origin", "main"]);
    clone.ok(&["fetch", "-q"]);
    assert_eq!(clone.id("v2^{}"), work.id("main"));
    work.ok(&["commit", "-q", "--amend", "-m", "another two"]);
    let said = work.fails(&["push", "origin", "main"]);
    assert!(said.contains("non-fast-forward") || said.contains("fetch first"), "{said}");
    work.ok(&["push", "-q", "--force", "origin", "main"]);
    assert_eq!(bench.tip("main"), Some(work.id("main")));
    work.ok(&["push", "-q", "origin", ":feat/x", ":refs/tags/light"]);
    assert_eq!(bench.tip("feat/x"), None);
    work.ok(&["push", "-q", "origin", "main:feat"]);
    let said = work.fails(&["push", "origin", "main:feat/y"]);
    assert!(said.contains("in the way"), "{said}");
    // Somebody pushed in between.
    clone.commit("b", b"1", "late");
    let said = clone.fails(&["push", "--force-with-lease=main:light", "origin", "HEAD:main"]);
    assert!(said.contains("stale info") || said.contains("cannot parse"), "{said}");
    bench.sound();
}

#[test]
fn two_thousand_refs_and_thirty_megabytes() {
    let bench = Bench::new();
    let work = bench.work("work");
    let mut noise = vec![0u8; 30 << 20];
    crate::base::secret::fill_random(&mut noise);
    work.commit("noise.bin", &noise, "noise");
    work.ok(&["push", "-q", "origin", "main"]);
    bench.sound();
    let id = work.id("HEAD");
    let input: String = (0..2000).map(|n| format!("{id} refs/tags/t{n}\n")).collect();
    let packed = work.path.join(".git/packed-refs");
    #[allow(clippy::disallowed_methods)]
    std::fs::write(packed, format!("# pack-refs with: peeled fully-peeled sorted \n{}", sorted(&input))).unwrap();
    work.ok(&["push", "-q", "--tags", "origin"]);
    let clone = bench.clone_to("clone", &[]);
    assert_eq!(clone.ok(&["tag"]).lines().count(), 2000);
    work.ok(&["push", "-q", "origin", ":refs/tags/t7", "main:refs/heads/t7"]);
    assert_eq!(bench.tip("t7"), Some(id));
    assert_eq!(work.ok(&["ls-remote", "--tags", "origin"]).lines().count(), 1999);
    let copy = bench.repos.import(PROJECT + 2, &bench.url, &Progress::silent()).unwrap();
    assert_eq!(copy.resolve("t1999").unwrap(), copy.branch("main").unwrap().unwrap());
    assert_eq!(std::fs::read(clone.path.join("noise.bin")).unwrap(), noise);
    bench.sound();
}

fn sorted(lines: &str) -> String {
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable_by_key(|line| line.split(' ').nth(1).unwrap_or_default().to_owned());
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_shallow_clone_deepens() {
    let bench = Bench::new();
    let work = bench.work("work");
    for n in 0..6 {
        work.commit("a", format!("{n}").as_bytes(), &format!("commit {n}"));
    }
    work.ok(&["push", "-q", "origin", "main"]);
    for version in ["0", "2"] {
        let clone =
            bench.clone_to(&format!("s{version}"), &["-c", &format!("protocol.version={version}"), "--depth", "1"]);
        let count = |clone: &Work| clone.ok(&["rev-list", "--count", "HEAD"]).trim().to_owned();
        assert_eq!(count(&clone), "1");
        clone.ok(&["fetch", "-q", "--depth", "3"]);
        assert_eq!(count(&clone), "3");
        clone.ok(&["fsck"]);
        clone.ok(&["fetch", "-q", "--unshallow"]);
        assert_eq!(count(&clone), "6");
        clone.ok(&["fsck"]);
    }
    let clone = bench.clone_to("again", &["--depth", "1"]);
    clone.commit("b", b"x", "from a shallow clone");
    clone.ok(&["push", "-q", "origin", "main"]);
    assert_eq!(bench.tip("main"), Some(clone.id("main")), "its parent is known here, so it may be pushed");
    bench.sound();
}

#[test]
fn a_project_is_imported() {
    let bench = Bench::new();
    let work = bench.work("work");
    work.commit("a", b"1", "one");
    work.ok(&["tag", "-a", "-m", "release", "v1"]);
    work.commit("a", b"2", "two");
    work.ok(&["push", "-q", "origin", "main", "main:feat/x", "v1"]);
    let copy = bench.repos.import(50, &bench.url, &Progress::silent()).unwrap();
    assert_eq!(copy.branch("main").unwrap().unwrap().to_string(), work.id("main"));
    assert_eq!(copy.branch("feat/x").unwrap().unwrap().to_string(), work.id("main"));
    assert_eq!(copy.resolve("v1").unwrap().to_string(), work.id("v1^{}"));
    let on_disk = Work { path: bench.repos.path(50), home: bench.path("") };
    on_disk.ok(&["fsck", "--strict"]);
    for (url, why) in [("/dev/copy.git", "empty"), ("/dev/nothing.git", "404"), ("/", "404")] {
        let url = bench.url.replace("/dev/hello.git", url);
        let error = bench.repos.import(51, &url, &Progress::silent()).err().unwrap();
        assert!(error.public.contains(why), "{error:?}");
        assert!(!bench.repos.path(51).exists());
    }
}
