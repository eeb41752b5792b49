//! Repositories on a disk of their own: files, history, refs. Hostile packs are in `attacks`.
mod attacks;

use std::path::{Path, PathBuf};

use super::{Change, CheckoutLimits, Identity, Oid, Options, Repo, Repos};
use crate::base::{DataDir, Kind, Progress};

pub(super) struct Bench {
    pub(super) repos: Repos,
    pub(super) dir: tempfile::TempDir,
}

pub(super) fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    let options = Options { max_pack: 8 << 20, max_object: 4 << 20, import_private: false };
    Bench { repos: Repos::new(data, options), dir }
}

pub(super) fn who() -> Identity {
    Identity { name: "Dev <x>".to_owned(), email: "dev@example.com".to_owned(), at: 1_700_000_000_000 }
}

fn write(path: &str, text: &str) -> Change {
    Change::Write { path: PathBuf::from(path), bytes: text.as_bytes().to_vec(), executable: false }
}

/// A commit of `base` with changes.
fn commit(repo: &Repo, base: Option<Oid>, changes: &[Change]) -> Oid {
    let tree = repo.change(base, changes).unwrap();
    repo.commit(tree, base.as_slice(), &who(), "a change").unwrap()
}

fn paths(repo: &Repo, commit: Oid) -> Vec<String> {
    repo.list(commit).unwrap().into_iter().map(|e| e.path).collect()
}

#[test]
fn files_are_written_moved_and_removed() {
    let bench = bench();
    let repo = bench.repos.create(1).unwrap();
    let one = commit(&repo, None, &[write("a.ts", "a"), write("src/b.ts", "b"), write("src/deep/c.ts", "c")]);
    assert_eq!(paths(&repo, one), ["a.ts", "src/b.ts", "src/deep/c.ts"]);
    let (src, lib) = (PathBuf::from("src"), PathBuf::from("lib/x"));
    let two = commit(&repo, Some(one), &[Change::Move { from: src, to: lib }, write("a.ts", "new")]);
    assert_eq!(paths(&repo, two), ["a.ts", "lib/x/b.ts", "lib/x/deep/c.ts"]);
    let three = commit(&repo, Some(two), &[Change::Remove { path: "lib/x/deep".into() }]);
    assert_eq!(paths(&repo, three), ["a.ts", "lib/x/b.ts"]);
    assert_eq!(repo.changed(two, three).unwrap(), ["lib/x/deep/c.ts"]);
    assert_eq!(repo.read(three, Path::new("a.ts"), 10).unwrap().bytes, b"new");
    assert_eq!(repo.read(three, Path::new("a.ts"), 2).err().map(|e| e.kind), Some(Kind::TooLarge));
    assert_eq!(repo.read(three, Path::new("lib"), 10).err().map(|e| e.kind), Some(Kind::NotFound));
    for (change, kind) in [
        (write("a.ts/x", ""), Kind::Conflict),
        (write("lib", ""), Kind::Conflict),
        (Change::Remove { path: "no".into() }, Kind::NotFound),
        (Change::Move { from: "no".into(), to: "b".into() }, Kind::NotFound),
        (Change::Move { from: "a.ts".into(), to: "lib".into() }, Kind::Conflict),
        (Change::Move { from: "lib".into(), to: "lib/y".into() }, Kind::Conflict),
        (Change::Write { path: "big".into(), bytes: vec![0; 5 << 20], executable: false }, Kind::TooLarge),
    ] {
        let shown = format!("{change:.100?}").chars().take(100).collect::<String>();
        assert_eq!(repo.change(Some(three), &[change]).err().map(|e| e.kind), Some(kind), "{shown}");
    }
    let empty =
        commit(&repo, Some(three), &[Change::Remove { path: "lib".into() }, Change::Remove { path: "a.ts".into() }]);
    assert!(paths(&repo, empty).is_empty());
    let exact = repo.tree_from(&[("x/run.sh".into(), b"#!".to_vec(), true)]).unwrap();
    let exact = repo.commit(exact, &[], &who(), "exact").unwrap();
    assert!(repo.list(exact).unwrap()[0].executable);
}

#[test]
fn history_and_names() {
    let bench = bench();
    let repo = bench.repos.create(1).unwrap();
    let one = commit(&repo, None, &[write("a", "1")]);
    let two = commit(&repo, Some(one), &[write("a", "2")]);
    repo.set_ref("refs/heads/main", None, Some(two), "test").unwrap();
    repo.set_ref("refs/tags/v1", None, Some(one), "test").unwrap();
    assert_eq!(
        repo.log(two, 10).unwrap().iter().map(|c| c.id.clone()).collect::<Vec<_>>(),
        [two.to_string(), one.to_string()]
    );
    assert_eq!(repo.commit_info(one).unwrap().author, "Dev x");
    assert!(repo.is_ancestor(one, two).unwrap() && !repo.is_ancestor(two, one).unwrap());
    for (text, id) in [("main", two), ("v1", one), (&two.to_string()[..7], two), (&one.to_string(), one)] {
        assert_eq!(repo.resolve(text).unwrap(), id, "{text}");
    }
    for bad in ["", "nope", "HEAD", "main~1", "main@{0}", "../../x", &two.to_string()[..6], "--all", ":/a"] {
        assert_eq!(repo.resolve(bad).err().map(|e| e.kind), Some(Kind::NotFound), "{bad}");
    }
}

#[test]
fn a_ref_moves_only_from_where_it_was() {
    let bench = bench();
    let repo = bench.repos.create(1).unwrap();
    let one = commit(&repo, None, &[write("a", "1")]);
    let two = commit(&repo, Some(one), &[write("a", "2")]);
    let main = "refs/heads/main";
    let kind = |r: crate::base::Result<()>| r.err().map(|e| e.kind);
    repo.set_ref(main, None, Some(one), "made").unwrap();
    assert_eq!(kind(repo.set_ref(main, None, Some(two), "x")), Some(Kind::Conflict));
    assert_eq!(kind(repo.set_ref(main, Some(two), Some(one), "x")), Some(Kind::Conflict));
    assert_eq!(kind(repo.set_ref(main, Some(two), None, "x")), Some(Kind::Conflict));
    repo.set_ref(main, Some(one), Some(two), "moved\nforged line").unwrap();
    assert_eq!(repo.branch("main").unwrap(), Some(two));
    let log = std::fs::read_to_string(bench.repos.path(1).join("logs/refs/heads/main")).unwrap();
    assert!(log.lines().count() == 2 && log.contains("moved forged line"), "{log}");
    repo.set_ref(main, Some(two), None, "x").unwrap();
    assert_eq!(repo.branch("main").unwrap(), None);
    assert_eq!(kind(repo.set_ref("refs/../x", None, Some(one), "x")), Some(Kind::BadInput));
    repo.set_ref("refs/steady/drafts/3", None, Some(one), "x").unwrap();
    assert_eq!(repo.draft(3).unwrap(), Some(one));
    let mut shown = Vec::new();
    repo.advertise(super::Service::UploadPack, 0, &mut shown).unwrap();
    assert!(!String::from_utf8_lossy(&shown).contains("steady/drafts"), "drafts are hidden");
}

#[test]
fn a_merge_marks_what_both_changed() {
    let bench = bench();
    let repo = bench.repos.create(1).unwrap();
    let base = commit(
        &repo,
        None,
        &[write("both", "1\n2\n3\n"), write("far", "1\n2\n3\n4\n5\n6\n7\n"), write("gone", "x"), write("bin", "\0a")],
    );
    let ours = commit(
        &repo,
        Some(base),
        &[
            write("both", "1\nours\n3\n"),
            write("far", "one\n2\n3\n4\n5\n6\n7\n"),
            write("gone", "y"),
            write("bin", "\0b"),
            write("mine", "m"),
        ],
    );
    let theirs = commit(
        &repo,
        Some(base),
        &[
            write("both", "1\ntheirs\n3\n"),
            write("far", "1\n2\n3\n4\n5\n6\nseven\n"),
            Change::Remove { path: "gone".into() },
            write("bin", "\0c"),
            write("yours", "t"),
        ],
    );
    let merged = repo.merge(ours, theirs).unwrap();
    assert_eq!(merged.conflicts, ["bin", "both", "gone"]);
    let result = repo.commit(merged.tree, &[ours, theirs], &who(), "merge").unwrap();
    let text = |path: &str| String::from_utf8(repo.read(result, Path::new(path), 1000).unwrap().bytes).unwrap();
    assert_eq!(text("both"), "1\n<<<<<<< yours\nours\n=======\ntheirs\n>>>>>>> main\n3\n");
    assert_eq!(text("far"), "one\n2\n3\n4\n5\n6\nseven\n");
    assert_eq!((text("gone").as_str(), text("bin").as_str()), ("y", "\0b"));
    assert_eq!((text("mine").as_str(), text("yours").as_str()), ("m", "t"));
    // A file against a folder of that name, and no common history at all.
    let file = commit(&repo, Some(base), &[write("x", "file")]);
    let folder = commit(&repo, Some(base), &[write("x/y", "folder")]);
    let merged = repo.merge(file, folder).unwrap();
    assert!(!merged.conflicts.is_empty());
    let stranger = commit(&repo, None, &[write("both", "else\n")]);
    assert_eq!(repo.merge(base, stranger).unwrap().conflicts, ["both"]);
}

#[test]
fn a_checkout_writes_plain_files_only() {
    let bench = bench();
    let repo = bench.repos.create(1).unwrap();
    let run = Change::Write { path: "bin/run".into(), bytes: b"#!".to_vec(), executable: true };
    let plain = commit(&repo, None, &[write("a/b/c.ts", "c"), run]);
    let mut index = git2::Index::new().unwrap();
    index.read_tree(&repo.tree(repo.tree_of(plain).unwrap()).unwrap()).unwrap();
    let links = [("in", "a/b"), ("a/up", "../bin/run"), ("out", "/etc"), ("a/out", "../../etc"), ("loop", "in/../..")];
    for (name, target) in links {
        let blob = repo.git.blob(target.as_bytes()).unwrap();
        super::tree::add(&mut index, name.as_bytes().to_vec(), blob, 0o120_000).unwrap();
    }
    super::tree::add(&mut index, b"sub".to_vec(), plain, 0o160_000).unwrap();
    let tree = repo.write_index(&mut index).unwrap();
    let full = repo.commit(tree, &[], &who(), "links").unwrap();
    let into = bench.dir.path().join("out");
    std::fs::create_dir(&into).unwrap();
    let report = repo.checkout(full, &into, CheckoutLimits { files: 100, bytes: 1000 }).unwrap();
    assert_eq!(std::fs::read_link(into.join("in")).unwrap(), Path::new("a/b"));
    assert_eq!(std::fs::read(into.join("a/up")).unwrap(), b"#!");
    for left_out in ["out", "a/out", "loop", "sub"] {
        assert!(std::fs::symlink_metadata(into.join(left_out)).is_err(), "{left_out}");
        assert!(report.notes.iter().any(|n| n.starts_with(left_out)), "{:?}", report.notes);
    }
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &str| std::fs::metadata(into.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("bin/run"), mode("a/b/c.ts"), mode("a")), (0o755, 0o644, 0o755));
    for limits in [CheckoutLimits { files: 1, bytes: 1000 }, CheckoutLimits { files: 100, bytes: 2 }] {
        let fresh = tempfile::tempdir().unwrap();
        assert_eq!(repo.checkout(full, fresh.path(), limits).err().map(|e| e.kind), Some(Kind::TooLarge));
    }
}

#[test]
#[allow(clippy::disallowed_methods)]
fn a_fork_shares_nothing_and_a_sweep_cleans() {
    let bench = bench();
    let repo = bench.repos.create(1).unwrap();
    let one = commit(&repo, None, &[write("a", "1")]);
    repo.set_ref("refs/heads/main", None, Some(one), "x").unwrap();
    repo.set_ref("refs/heads/other", None, Some(one), "x").unwrap();
    repo.set_ref("refs/tags/v1", None, Some(one), "x").unwrap();
    let fork = bench.repos.fork(1, 2001).unwrap();
    assert_eq!((fork.branch("main").unwrap(), fork.branch("other").unwrap()), (Some(one), None));
    assert_eq!(fork.resolve("v1").unwrap(), one);
    assert!(!bench.repos.path(2001).join("objects/info/alternates").exists());
    assert!(bench.repos.size(2001) > 0);
    crate::base::fs::remove_tree(&bench.repos.path(1)).unwrap();
    assert_eq!(paths(&fork, one), ["a"]);
    assert_eq!(bench.repos.open(1).err().map(|e| e.kind), Some(Kind::NotFound));
    assert_eq!(bench.repos.create(2001).err().map(|e| e.kind), Some(Kind::Conflict));
    let path = bench.repos.path(2001);
    fork.set_ref("refs/heads/tmp_x.keep", None, Some(one), "a name that looks temporary").unwrap();
    std::fs::create_dir_all(path.join("objects/incoming-x/pack")).unwrap();
    for left in ["refs/heads/main.lock", "objects/pack/tmp_idx_1", "packed-refs.lock", "objects/pack/a.keep"] {
        std::fs::write(path.join(left), b"").unwrap();
    }
    bench.repos.sweep().unwrap();
    for left in ["refs/heads/main.lock", "objects/pack/tmp_idx_1", "objects/incoming-x", "objects/pack/a.keep"] {
        assert!(!path.join(left).exists(), "{left}");
    }
    let swept = bench.repos.open(2001).unwrap();
    assert_eq!((swept.branch("main").unwrap(), swept.branch("tmp_x.keep").unwrap()), (Some(one), Some(one)));
    assert!(bench.repos.is_main(2001, &one.to_string()) && !bench.repos.is_main(2001, &"0".repeat(40)));
    assert!(!bench.repos.is_main(1, &one.to_string()), "there is no such repository");
}

#[test]
fn nothing_private_is_imported() {
    let bench = bench();
    for url in ["http://127.0.0.1:1/x", "http://localhost:1/x", "http://[::1]:1/x", "http://169.254.169.254/x"] {
        let error = bench.repos.import(5, url, &Progress::silent()).err().unwrap();
        assert!(error.public.contains("no public address"), "{url}: {error:?}");
        assert!(!bench.repos.path(5).exists(), "nothing is left");
    }
    assert_eq!(bench.repos.import(5, "file:///etc", &Progress::silent()).err().map(|e| e.kind), Some(Kind::BadInput));
}
