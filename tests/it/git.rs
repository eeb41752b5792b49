//! Pushing, cloning, and what a push says.
use crate::support::work::{git_command, remote_lines};
use crate::support::{PASSWORD, Steady, ok, output_within, text};

const HELLO: &str = r#"export default { fetch: () => new Response("hello one\n") };"#;

#[test]
fn a_push_creates_deploys_and_ends_with_the_url() {
    let steady = Steady::start();
    let work = steady.work("hello");
    work.write(&[("index.ts", HELLO)]);
    let commit = work.commit("First");
    let said = work.push_ok();
    let url = format!("http://{}", steady.app_host("hello"));
    assert_eq!(remote_lines(&said).last().map(String::as_str), Some(url.as_str()), "the URL comes last:\n{said}");
    assert_eq!(steady.get("hello", "/").ok(), "hello one\n");

    let status = steady.status("hello");
    assert_eq!(status["url"], url.as_str());
    assert_eq!(status["version"], "v1");
    assert_eq!(status["commit"], commit.as_str());
    assert_eq!(status["state"], "ready");

    work.write(&[("index.ts", &HELLO.replace("one", "two"))]);
    let commit = work.commit("Second");
    work.push_ok();
    assert_eq!(steady.get("hello", "/").ok(), "hello two\n");
    let status = steady.status("hello");
    assert_eq!((&status["version"], &status["commit"]), (&"v2".into(), &commit.as_str().into()));
}

#[test]
fn a_broken_version_is_rejected_and_the_old_one_stays() {
    let steady = Steady::start();
    let work = steady.push_new("steadfast", &[("index.ts", HELLO)]);
    let good = work.head();
    for (broken, reason) in [
        ("throw new Error('broken on purpose');", "broken on purpose"),
        ("export default { fetch( };", "index.ts"),
        ("export const nothing = 1;", ""),
        ("import './missing';\nexport default { fetch: () => new Response('x') };", "missing"),
        ("export default { fetch: () => new Response('no', { status: 500 }) };", "500"),
    ] {
        work.write(&[("index.ts", broken)]);
        work.commit("Broken");
        let (success, said) = work.push();
        assert!(!success, "a version that does not start must be rejected: {broken}\n{said}");
        assert!(said.contains("remote rejected"), "git must show that it was refused:\n{said}");
        assert!(said.contains(reason), "the push must say why ({reason}):\n{said}");
        assert_eq!(steady.get("steadfast", "/").ok(), "hello one\n", "the old version must still answer");
        let status = steady.status("steadfast");
        assert_eq!((&status["version"], &status["commit"]), (&"v1".into(), &good.as_str().into()));
    }
    let remote = work.git_ok(&["ls-remote", "origin", "refs/heads/main"]);
    assert!(remote.starts_with(&good), "a rejected push moves no branch: {remote}");

    work.write(&[("index.ts", &HELLO.replace("one", "mended"))]);
    work.commit("Mended");
    work.push_ok();
    assert_eq!(steady.get("steadfast", "/").ok(), "hello mended\n");
}

#[test]
fn a_broken_first_push_says_why_and_a_second_try_works() {
    let steady = Steady::start();
    let work = steady.work("again");
    work.write(&[("notes.txt", "nothing to run here")]);
    work.commit("Nothing");
    let (success, said) = work.push();
    assert!(!success && said.contains("nothing to run"), "{said}");
    work.write(&[("index.ts", HELLO)]);
    work.commit("Something");
    work.push_ok();
    assert_eq!(steady.get("again", "/").ok(), "hello one\n");
}

#[test]
fn what_was_pushed_can_be_cloned_and_fetched() {
    let steady = Steady::start();
    let long = "a line\n".repeat(40_000);
    let work = steady.push_new("library", &[("index.ts", HELLO), ("docs/long.txt", &long), ("ü/ß.txt", "names")]);
    let clone = steady.dir().join("clone");
    let path = clone.to_str().expect("plain");
    ok(&output_within(git_command().args(["clone", "-q", &work.remote, path]), None), "git clone");
    for file in ["index.ts", "docs/long.txt", "ü/ß.txt"] {
        assert_eq!(
            std::fs::read(clone.join(file)).expect("cloned"),
            std::fs::read(work.path.join(file)).expect("pushed"),
            "{file} came back different"
        );
    }
    ok(&output_within(git_command().current_dir(&clone).args(["fsck", "--strict"]), None), "git fsck");

    work.write(&[("index.ts", &HELLO.replace("one", "fetched"))]);
    let head = work.commit("Second");
    work.push_ok();
    ok(&output_within(git_command().current_dir(&clone).args(["pull", "-q", "--ff-only"]), None), "git pull");
    let pulled = ok(&output_within(git_command().current_dir(&clone).args(["rev-parse", "HEAD"]), None), "rev-parse");
    assert_eq!(pulled.trim(), head);
}

#[test]
fn other_branches_and_tags_are_kept_and_do_not_deploy() {
    let steady = Steady::start();
    let work = steady.push_new("branchy", &[("index.ts", HELLO)]);
    work.write(&[("index.ts", &HELLO.replace("one", "feature"))]);
    let feature = work.commit("Feature");
    work.git_ok(&["tag", "v0.1.0"]);
    work.git_ok(&["push", "-q", "origin", "HEAD:refs/heads/feature", "v0.1.0"]);
    assert_eq!(steady.get("branchy", "/").ok(), "hello one\n");
    let refs = work.git_ok(&["ls-remote", "origin"]);
    assert!(refs.contains(&format!("{feature}\trefs/heads/feature")), "{refs}");
    assert!(refs.contains("refs/tags/v0.1.0"), "{refs}");
    assert!(!refs.contains("refs/steady/"), "drafts are not on the wire:\n{refs}");
}

#[test]
fn wrong_tokens_and_other_people_get_nothing() {
    let steady = Steady::start();
    let work = steady.push_new("private", &[("index.ts", HELLO)]);
    steady.add_user("eve", false);
    let eve = steady.new_token("eve");
    let host = steady.host();
    for (who, url) in [
        ("nobody", format!("http://{host}/dev/private.git")),
        ("a wrong token", format!("http://dev:steady_{}@{host}/dev/private.git", "x".repeat(43))),
        ("a password for a token", format!("http://dev:{}@{host}/dev/private.git", PASSWORD.replace(' ', "%20"))),
        ("another name with dev's token", format!("http://eve:{}@{host}/dev/private.git", steady.token)),
        ("somebody else", format!("http://eve:{eve}@{host}/dev/private.git")),
    ] {
        let fetched = output_within(git_command().args(["ls-remote", &url]), None);
        assert!(!fetched.status.success(), "{who} could fetch");
        let pushed = work.git(&["push", &url, "HEAD:refs/heads/theirs"]);
        assert!(!pushed.status.success(), "{who} could push:\n{}", text(&pushed.stderr));
    }
    // Nor may eve make projects under another's name.
    let url = format!("http://eve:{eve}@{host}/dev/taken.git");
    assert!(!work.git(&["push", &url, "main"]).status.success());
    assert!(!work.git_ok(&["ls-remote", "origin"]).contains("theirs"));
    assert_eq!(steady.get("taken", "/").status, 404);
}

#[test]
fn rewriting_history_needs_force() {
    let steady = Steady::start();
    let work = steady.push_new("history", &[("index.ts", HELLO)]);
    work.write(&[("index.ts", &HELLO.replace("one", "rewritten"))]);
    work.git_ok(&["commit", "-q", "-a", "--amend", "-m", "Rewritten"]);
    let (success, said) = work.push();
    assert!(!success && said.contains("non-fast-forward"), "{said}");
    assert_eq!(steady.get("history", "/").ok(), "hello one\n");
    work.git_ok(&["push", "-q", "--force", "origin", "main"]);
    assert_eq!(steady.get("history", "/").ok(), "hello rewritten\n");
}

#[test]
fn packages_are_installed_from_the_lock() {
    let steady = Steady::start();
    let work = steady.work("routes");
    let template = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/projects/hono");
    for name in ["index.ts", "package.json", "bun.lock"] {
        std::fs::copy(template.join(name), work.path.join(name)).expect("the template's files");
    }
    work.commit("Hono");
    work.push_ok();
    assert!(steady.get("routes", "/notes").ok().contains("Hono"));
}
