//! Packs made to hurt. Each is pushed through the real intake and must be refused, leaving nothing.
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use super::super::pack_write::entry_header;
use super::super::{Decision, Oid, Repo, pktline};
use super::{Bench, bench, who};

/// One entry of a pack, and the id of its object where it is whole.
struct Pack {
    entries: Vec<Vec<u8>>,
}

impl Pack {
    fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// `kind`: 1 commit, 2 tree, 3 blob.
    fn add(&mut self, kind: u8, body: &[u8]) -> Oid {
        let mut entry = Vec::new();
        entry_header(kind, body.len() as u64, &mut entry);
        entry.extend(zip(body));
        self.entries.push(entry);
        let kind = [git2::ObjectType::Commit, git2::ObjectType::Tree, git2::ObjectType::Blob][usize::from(kind) - 1];
        Oid::hash_object(kind, body).unwrap()
    }

    fn delta(&mut self, base: Oid, delta: &[u8]) {
        let mut entry = Vec::new();
        entry_header(7, delta.len() as u64, &mut entry);
        entry.extend(base.as_bytes());
        entry.extend(zip(delta));
        self.entries.push(entry);
    }

    fn commit(&mut self, tree: Oid) -> Oid {
        self.add(1, format!("tree {tree}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nx\n").as_bytes())
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = b"PACK\0\0\0\x02".to_vec();
        out.extend((self.entries.len() as u32).to_be_bytes());
        self.entries.iter().for_each(|e| out.extend(e));
        let mut hash = gix_hash::hasher(gix_hash::Kind::Sha1);
        hash.update(&out);
        out.extend(hash.try_finalize().unwrap().as_bytes());
        out
    }
}

fn zip(body: &[u8]) -> Vec<u8> {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(body).unwrap();
    zlib.finish().unwrap()
}

fn tree(entries: &[(&str, &[u8], Oid)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (mode, name, id) in entries {
        out.extend(format!("{mode} ").as_bytes());
        out.extend(*name);
        out.push(0);
        out.extend(id.as_bytes());
    }
    out
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Pushes a pack to a ref; gives the report.
fn push(repo: &Repo, name: &str, new: Oid, pack: &[u8]) -> String {
    let mut input = Vec::new();
    pktline::text(&mut input, &format!("{} {new} {name}\0report-status", "0".repeat(40))).unwrap();
    pktline::flush(&mut input).unwrap();
    input.extend(pack);
    let sink = Sink::default();
    let mut asked = 0;
    let out = Box::new(sink.clone());
    repo.receive_pack(&who(), &mut &input[..], out, &mut |_, updates, _| {
        asked += 1;
        updates.iter().map(|_| Decision::Accept).collect()
    })
    .unwrap();
    let report = String::from_utf8_lossy(&sink.0.lock().unwrap()).into_owned();
    assert_eq!(asked > 0, report.contains("ok refs/"), "nobody is asked about a bad push: {report}");
    report
}

fn refused(bench: &Bench, pack: &[u8], tip: Oid) -> String {
    let repo = bench.repos.open(1).unwrap();
    let report = push(&repo, "refs/heads/x", tip, pack);
    assert!(!report.contains("unpack ok") && report.contains("ng refs/heads/x"), "{report}");
    assert_eq!(repo.branch("x").unwrap(), None);
    let objects = bench.repos.path(1).join("objects");
    assert_eq!(std::fs::read_dir(objects.join("pack")).unwrap().count(), 0, "no pack is left");
    assert_eq!(std::fs::read_dir(&objects).unwrap().count(), 2, "only info and pack are left");
    report
}

#[test]
fn a_good_pack_is_taken() {
    let bench = bench();
    let repo = bench.repos.create(1).unwrap();
    let mut pack = Pack::new();
    let blob = pack.add(3, b"hello");
    let inner = pack.add(2, &tree(&[("100644", b"a", blob)]));
    let root = pack.add(2, &tree(&[("100644", b"a.b", blob), ("40000", b"a", inner), ("120000", b"l", blob)]));
    let tip = pack.commit(root);
    let report = push(&repo, "refs/heads/x", tip, &pack.bytes());
    assert!(report.contains("unpack ok") && report.contains("ok refs/heads/x"), "{report}");
    assert_eq!(repo.branch("x").unwrap(), Some(tip));
    let report = push(&repo, "refs/heads/y", blob, &Pack::new().bytes());
    assert!(report.contains("ng refs/heads/y a branch must point to a commit"), "{report}");
    for hidden in ["refs/steady/drafts/1", "refs/steady/x", "refs/remotes/a/b", "HEAD", "refs/heads/a..b"] {
        let report = push(&repo, hidden, tip, &Pack::new().bytes());
        assert!(report.contains("ng "), "{hidden}: {report}");
        assert_eq!(repo.git.refname_to_id(hidden).ok(), None, "{hidden}");
    }
}

#[test]
fn trees_that_would_hurt_a_checkout() {
    let bench = bench();
    bench.repos.create(1).unwrap();
    let names: [&[u8]; 12] = [
        b".git",
        b".GIT",
        b".git ",
        b"git~1",
        b"..",
        b".",
        b"a/b",
        b"../x",
        b"",
        ".g\u{200c}it".as_bytes(),
        b"a\\b",
        b".git::$INDEX_ALLOCATION",
    ];
    for name in names {
        let mut pack = Pack::new();
        let blob = pack.add(3, b"x");
        let bad = pack.add(2, &tree(&[("100644", name, blob)]));
        let tip = pack.commit(bad);
        refused(&bench, &pack.bytes(), tip);
    }
    type Entries<'a> = &'a dyn Fn(Oid, Oid) -> Vec<u8>;
    let shapes: [(&str, Entries<'_>); 9] = [
        ("setuid", &|b, _| tree(&[("104755", b"a", b)])),
        ("no mode", &|b, _| tree(&[("0", b"a", b)])),
        ("not sorted", &|b, _| tree(&[("100644", b"b", b), ("100644", b"a", b)])),
        ("twice", &|b, _| tree(&[("100644", b"a", b), ("100644", b"a", b)])),
        ("file and folder", &|b, t| tree(&[("100644", b"a", b), ("100644", b"a.b", b), ("40000", b"a", t)])),
        (".gitmodules link", &|b, _| tree(&[("120000", b".gitmodules", b)])),
        ("folder that is a file", &|b, _| tree(&[("40000", b"a", b)])),
        ("nothing", &|_, _| tree(&[("100644", b"a", Oid::ZERO_SHA1)])),
        ("cut", &|b, _| tree(&[("100644", b"a", b)])[..20].to_vec()),
    ];
    for (what, shape) in shapes {
        let mut pack = Pack::new();
        let blob = pack.add(3, b"x");
        let inner = pack.add(2, &tree(&[("100644", b"a", blob)]));
        let bad = pack.add(2, &shape(blob, inner));
        let tip = pack.commit(bad);
        let report = refused(&bench, &pack.bytes(), tip);
        assert!(!report.contains("panicked"), "{what}: {report}");
    }
}

#[test]
fn missing_objects_and_malformed_commits() {
    let bench = bench();
    bench.repos.create(1).unwrap();
    let ghost = Oid::hash_object(git2::ObjectType::Blob, b"never sent").unwrap();
    let mut pack = Pack::new();
    let root = pack.add(2, &tree(&[("100644", b"a", ghost)]));
    let tip = pack.commit(root);
    assert!(refused(&bench, &pack.bytes(), tip).contains("was not sent"));
    let mut pack = Pack::new();
    let empty = pack.add(2, b"");
    let parent = format!("tree {empty}\nparent {ghost}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nx");
    let tip = pack.add(1, parent.as_bytes());
    assert!(refused(&bench, &pack.bytes(), tip).contains("shallow"));
    for body in ["", "tree x\n", "author A <a> 1 +0000\n"] {
        let mut pack = Pack::new();
        pack.add(2, b"");
        let tip = pack.add(1, format!("{body}\n").as_bytes());
        refused(&bench, &pack.bytes(), tip);
    }
}

#[test]
fn packs_that_are_broken() {
    let bench = bench();
    bench.repos.create(1).unwrap();
    let mut pack = Pack::new();
    let blob = pack.add(3, b"hello");
    let root = pack.add(2, &tree(&[("100644", b"a", blob)]));
    let tip = pack.commit(root);
    let good = pack.bytes();
    for cut in [0, 4, 11, 12, 13, good.len() / 2, good.len() - 20, good.len() - 1] {
        refused(&bench, &good[..cut], tip);
    }
    let mut flipped = good.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    refused(&bench, &flipped, tip);
    refused(&bench, &[good.clone(), b"more".to_vec()].concat(), tip);
    // Deltas: without a base, onto themselves, reading beyond the base, making less than they say.
    for delta in [&[5, 5, 0x90, 9][..], &[5, 3, 0x90, 5], &[4, 5, 0x90, 5], &[5, 5, 0], &[5, 5]] {
        let mut pack = Pack::new();
        let base = pack.add(3, b"hello");
        pack.delta(base, delta);
        let root = pack.add(2, b"");
        let tip = pack.commit(root);
        refused(&bench, &pack.bytes(), tip);
    }
    let mut pack = Pack::new();
    pack.delta(Oid::hash_object(git2::ObjectType::Blob, b"nowhere").unwrap(), &[5, 5, 0x90, 5]);
    refused(&bench, &pack.bytes(), tip);
}

#[test]
fn bombs() {
    let bench = bench();
    bench.repos.create(1).unwrap();
    let nothing = Oid::hash_object(git2::ObjectType::Blob, b"").unwrap();
    let mut pack = Pack::new();
    pack.add(3, &vec![0; 5 << 20]);
    assert!(refused(&bench, &pack.bytes(), nothing).contains("at most"), "one object over the limit");
    // Each delta copies its whole base twice: 1 KiB doubles with every entry.
    let mut pack = Pack::new();
    let mut body = vec![0u8; 1 << 10];
    let mut base = pack.add(3, &body);
    for _ in 0..13 {
        let copy = copy_all(body.len());
        let delta = [size(body.len()), size(body.len() * 2), copy.clone(), copy].concat();
        pack.delta(base, &delta);
        body = [&body[..], &body[..]].concat();
        base = Oid::hash_object(git2::ObjectType::Blob, &body).unwrap();
    }
    assert!(refused(&bench, &pack.bytes(), nothing).contains("at most"), "a chain that doubles");
    // Many objects under the limit that are too much together.
    let mut pack = Pack::new();
    let body = vec![0u8; 4 << 20];
    let base = pack.add(3, &body);
    let delta = [size(body.len()), size(body.len()), copy_all(body.len())].concat();
    for _ in 0..600 {
        pack.delta(base, &delta);
    }
    assert!(refused(&bench, &pack.bytes(), nothing).contains("together"), "many large objects");
    // Ten folders in each of ten folders, nine levels deep: a checkout would never end.
    let mut pack = Pack::new();
    let blob = pack.add(3, b"");
    let mut inner = pack.add(2, &tree(&[("100644", b"a", blob)]));
    for _ in 0..9 {
        let names: [&[u8]; 10] = [b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"];
        inner = pack.add(2, &tree(&names.map(|name| ("40000", name, inner))));
    }
    let tip = pack.commit(inner);
    assert!(refused(&bench, &pack.bytes(), tip).contains("more than"), "a tree that multiplies");
    let mut pack = Pack::new();
    let mut inner = pack.add(2, b"");
    for _ in 0..5000 {
        inner = pack.add(2, &tree(&[("40000", b"d", inner)]));
    }
    let tip = pack.commit(inner);
    assert!(refused(&bench, &pack.bytes(), tip).contains("deeper"), "a tree without bottom");
    let mut noise = vec![0u8; 3 << 20];
    let mut pack = Pack::new();
    for _ in 0..3 {
        crate::base::secret::fill_random(&mut noise);
        pack.add(3, &noise);
    }
    assert!(refused(&bench, &pack.bytes(), nothing).contains("larger than"), "more bytes than a push may have");
}

fn size(mut n: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

/// Instructions that copy a base of `n` bytes, at most 64 KiB each.
fn copy_all(n: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for at in (0..n).step_by(0xffff) {
        let take = (n - at).min(0xffff);
        out.push(0x80 | 0x0f | 0x30);
        out.extend((at as u32).to_le_bytes());
        out.extend((take as u16).to_le_bytes());
    }
    out
}
