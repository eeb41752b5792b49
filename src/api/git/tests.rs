//! Real git against this host, with a gate that lets everybody in and decides by the commit's message.
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hyper::HeaderMap;

use super::{Gate, routes};
use crate::base::{DataDir, Error, Progress, ProjectPath, Result};
use crate::git::{Decision, Identity, Options, RefUpdate, Repo, Repos, Service, other_client};

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
fn until(done: impl Fn() -> bool) {
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

/// One request by hand; gives status and body.
fn request(bench: &Bench, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
    use std::io::{Read as _, Write as _};
    let host = bench.url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let mut stream = std::net::TcpStream::connect(&host).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer[9..12].parse().unwrap(), answer)
}

#[test]
fn doors_are_narrow() {
    let bench = Bench::new();
    let ask = |path: &str| request(&bench, "GET", path, "", b"");
    assert_eq!(ask("/dev/hello/info/refs?service=git-upload-pack").0, 200, "with and without .git");
    assert_eq!(ask("/dev/hello.git/info/refs").0, 403, "the dumb protocol");
    assert_eq!(ask("/dev/hello.git/info/refs?service=git-evil").0, 403);
    for path in ["/dev/none.git", "/..%2f/hello.git", "/dev/%2e%2e", "/dev/hello%00.git", "/DEV/hello.git"] {
        assert_eq!(ask(&format!("{path}/info/refs?service=git-upload-pack")).0, 404, "{path}");
    }
    for path in ["config", "HEAD", "objects/info/packs", "hooks/x"] {
        assert_eq!(ask(&format!("/dev/hello.git/{path}")).0, 404, "{path}");
    }
    let (status, _) =
        request(&bench, "POST", "/dev/hello.git/git-receive-pack", "content-type: text/plain\r\n", b"0000");
    assert_eq!(status, 415);
    let push = "content-type: application/x-git-receive-pack-request\r\n";
    let (status, answer) = request(&bench, "POST", "/dev/hello.git/git-receive-pack", push, b"0000");
    assert!(status == 200 && answer.contains("no-cache, max-age=0, must-revalidate"), "the probe: {answer}");
    for junk in ["", "zzzz", "0003", "0032want x", "0009done\n", "fff0"] {
        for service in ["upload", "receive"] {
            let kind = format!("content-type: application/x-git-{service}-pack-request\r\n");
            let path = format!("/dev/hello.git/git-{service}-pack");
            assert_eq!(request(&bench, "POST", &path, &kind, junk.as_bytes()).0, 200, "{junk} to {service}");
        }
    }
    // A request that inflates to more than a fetch can have to say.
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..4096 {
        std::io::Write::write_all(&mut zip, &[&b"fff0"[..], &[b'x'; 65_516]].concat()).unwrap();
    }
    let fetch = "content-type: application/x-git-upload-pack-request\r\ncontent-encoding: gzip\r\n";
    let (_, answer) = request(&bench, "POST", "/dev/hello.git/git-upload-pack", fetch, &zip.finish().unwrap());
    assert!(answer.contains("ERR this is not a fetch"), "{answer}");
    let refs = bench.url.replace("hello", "copy");
    assert_eq!(bench.clone_to("still-here", &[]).ok(&["ls-remote", &refs]), "");
    bench.sound();
}

#[test]
fn a_client_that_leaves_stops_nothing() {
    let bench = Bench::new();
    let work = bench.work("work");
    let place = bench.path("");
    let slow = work.commit("a", b"1", &format!("wait in {}", place.display()));
    // It leaves while the push is decided: the push goes on.
    let mut child = work.command(&["push", "-q", "origin", "main"]).spawn().unwrap();
    until(|| place.join("deciding").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let mut next = {
        work.commit("a", b"2", "next");
        work.command(&["push", "-q", "origin", "main:other"]).spawn().unwrap()
    };
    std::fs::File::create(place.join("go")).unwrap();
    until(|| bench.tip("main") == Some(slow.clone()));
    assert!(next.wait().unwrap().success(), "a push that waited its turn");
    // It leaves in the middle of its pack: nothing stays.
    let mut noise = vec![0u8; 20 << 20];
    crate::base::secret::fill_random(&mut noise);
    work.commit("noise", &noise, "noise");
    let host = bench.url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let mut stream = std::net::TcpStream::connect(&host).unwrap();
    let command = format!("{} {} refs/heads/half\0report-status", "0".repeat(40), work.id("HEAD"));
    let head = format!(
        "POST /dev/hello.git/git-receive-pack HTTP/1.1\r\nhost: {host}\r\ncontent-length: 20000000\r\n\
         content-type: application/x-git-receive-pack-request\r\n\r\n{:04x}{command}0000PACK",
        command.len() + 4
    );
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    let objects = bench.repos.path(PROJECT).join("objects");
    let incoming = || {
        let entries = std::fs::read_dir(&objects).unwrap();
        entries.flatten().any(|e| e.file_name().to_string_lossy().starts_with("incoming-"))
    };
    until(incoming);
    drop(stream);
    until(|| !incoming());
    assert_eq!(bench.tip("half"), None);
    bench.sound();
}

/// Branches, merges, rewinds and clones that fell behind, in an order drawn by `seed`: whatever a client has,
/// a fetch makes it whole.
#[test]
fn histories_drawn_at_random_arrive_whole() {
    let bench = Bench::new();
    let work = bench.work("work");
    work.commit("base", b"0", "base");
    work.ok(&["push", "-q", "origin", "main"]);
    let clones: Vec<Work> =
        ["0", "2"].map(|v| bench.clone_to(&format!("c{v}"), &["-c", &format!("protocol.version={v}")])).into();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = |n: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % n
    };
    for step in 0..40 {
        let branch = format!("b{}", draw(3));
        let known = work.git(&["rev-parse", "-q", "--verify", &branch]).status.success();
        match draw(6) {
            0 | 1 if known => drop(work.ok(&["checkout", "-q", &branch])),
            0 | 1 => drop(work.ok(&["checkout", "-q", "-b", &branch])),
            2 if known => drop(work.git(&["merge", "-q", "-X", "ours", "-m", "merge", &branch])),
            3 => drop(work.ok(&["commit", "-q", "--amend", "--date", "2001-01-01T00:00:00", "-m", "rewound"])),
            _ => {
                let lines: String = (0..50).map(|n| format!("{n} {}\n", draw(9))).collect();
                work.commit(&format!("d{}/f{}", draw(3), draw(4)), lines.as_bytes(), &format!("step {step}"));
            }
        }
        if draw(2) == 0 {
            work.ok(&["push", "-q", "--force", "--all", "origin"]);
        }
        let clone = &clones[draw(2) as usize];
        if draw(3) == 0 {
            clone.ok(&["fetch", "-q", "origin"]);
            clone.ok(&["fsck", "--strict"]);
        }
        if draw(5) == 0 {
            clone.commit(&format!("own{step}"), b"x", "work of its own");
        }
    }
    work.ok(&["push", "-q", "--force", "--all", "origin"]);
    for clone in &clones {
        clone.ok(&["fetch", "-q", "origin"]);
        clone.ok(&["fsck", "--strict"]);
        let tips = |work: &Work, space: &str| work.ok(&["for-each-ref", "--format=%(objectname)", space]);
        assert!(tips(&work, "refs/heads/b*").lines().count() > 1);
        assert_eq!(tips(clone, "refs/remotes/origin/b*"), tips(&work, "refs/heads/b*"));
    }
    bench.sound();
}

/// libgit2 as a client: other packs (deltas that name their base by id), other habits.
#[test]
fn another_client_clones_and_pushes() {
    let bench = Bench::new();
    let work = bench.work("work");
    let text: String = (0..3000).map(|n| format!("line {n}\n")).collect();
    work.commit("a", text.as_bytes(), "one");
    work.ok(&["push", "-q", "origin", "main"]);
    let repo = other_client::Repository::clone(&bench.url, bench.path("theirs")).unwrap();
    let who = other_client::Signature::now("Other", "other@example.com").unwrap();
    let mut tip = repo.head().unwrap().peel_to_commit().unwrap();
    for n in 0..5 {
        let blob = repo.blob(format!("{text}more {n}\n").as_bytes()).unwrap();
        let mut tree = repo.treebuilder(Some(&tip.tree().unwrap())).unwrap();
        for name in ["a", "b"] {
            tree.insert(name, blob, 0o100_644).unwrap();
        }
        let tree = repo.find_tree(tree.write().unwrap()).unwrap();
        let id = repo.commit(Some("HEAD"), &who, &who, "more", &tree, &[&tip]).unwrap();
        tip = repo.find_commit(id).unwrap();
    }
    let mut answers = Vec::new();
    {
        let mut calls = other_client::RemoteCallbacks::new();
        calls.push_update_reference(|name, why| {
            answers.push((name.to_owned(), why.map(str::to_owned)));
            Ok(())
        });
        let mut options = other_client::PushOptions::new();
        options.remote_callbacks(calls);
        repo.find_remote("origin").unwrap().push(&["refs/heads/main"], Some(&mut options)).unwrap();
    }
    assert_eq!(answers, [("refs/heads/main".to_owned(), None)]);
    assert_eq!(bench.tip("main"), Some(tip.id().to_string()));
    bench.sound();
    work.commit("c", b"x", "local");
    work.ok(&["fetch", "-q"]);
    assert_eq!(work.id("origin/main"), tip.id().to_string());
}
