//! Clients that fell behind, and one that is not git's own.
use super::{Bench, Work};
use crate::git::other_client;

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
