//! Files that are answered without a process: `public/` of an app, and static sites.
use crate::support::{Reply, Request, Steady, until};

fn get(steady: &Steady, label: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let request = Request::get(steady.port, &steady.app_host(label), path);
    headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send()
}

#[test]
fn files_are_packed_after_a_deploy_and_sent_small() {
    let steady = Steady::start();
    let page = "<p>one line of a page that is like the next</p>\n".repeat(500);
    let app =
        r#"export default { fetch: (request: Request) => new Response("app " + new URL(request.url).pathname) };"#;
    let files = [
        ("index.ts", app),
        ("public/page.html", page.as_str()),
        ("public/app-B1kW9x2q.js", "let a = 1;\n"),
        ("public/a/index.html", "a"),
    ];
    let work = steady.push_new("files", &files);
    let packed = |version: u64| {
        let small = until("the page is packed", || {
            let reply = get(&steady, "files", "/page.html", &[("accept-encoding", "br")]);
            assert_eq!(reply.header("content-encoding"), Some("br"), "first on the way, then beforehand");
            // What was compressed beforehand has a tag of its own.
            reply.header("etag").is_some_and(|tag| tag.ends_with("-br\"")).then_some(reply)
        });
        assert!(small.body.len() < 200, "version {version}: {}", small.body.len());
        small.header("etag").expect("a tag").to_owned()
    };
    let tag = packed(1);
    let plain = get(&steady, "files", "/page.html", &[]);
    assert_eq!((plain.text(), plain.header("vary")), (page.clone(), Some("accept-encoding")));
    let held = get(&steady, "files", "/page.html", &[("accept-encoding", "br"), ("if-none-match", &tag)]);
    assert_eq!((held.status, held.body.len()), (304, 0));
    let part = get(&steady, "files", "/page.html", &[("range", "bytes=0-2")]);
    assert_eq!((part.status, part.text().as_str()), (206, "<p>"));
    let hashed = get(&steady, "files", "/app-B1kW9x2q.js", &[]);
    assert_eq!(hashed.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(get(&steady, "files", "/a", &[]).header("location"), Some("/a/"));
    assert_eq!(get(&steady, "files", "/a/", &[]).ok(), "a");
    assert_eq!(get(&steady, "files", "/other", &[]).ok(), "app /other");

    // The same content has the same tag in the next version; nobody loads it again.
    work.write(&[("index.ts", &format!("{app}\n// changed\n"))]);
    work.commit("Second");
    work.push_ok();
    assert_eq!(packed(2), tag);
    let folder = steady.data().join("apps/1/packed");
    let count = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
    assert_eq!(count(), 2);
    // After a restart they are found again.
    let mut steady = steady;
    steady.restart();
    let reply = get(&steady, "files", "/page.html", &[("accept-encoding", "br")]);
    assert_eq!(reply.header("etag"), Some(tag.as_str()));
}
