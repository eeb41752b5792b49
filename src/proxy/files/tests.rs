use std::path::PathBuf;

use super::*;
use http_body_util::BodyExt as _;
use proptest::prelude::*;

/// A site, and beside it things nobody may see.
fn site() -> (tempfile::TempDir, Folder) {
    let (dir, root) = site_at();
    let folder = Folder::new(root, None, "v1");
    (dir, folder)
}

fn site_at() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let put = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        #[allow(clippy::disallowed_methods)] // a torn file in a test's own folder is harmless
        std::fs::write(path, text).unwrap();
    };
    put("secret", "SECRET");
    put("root/.env", "SECRET");
    put("root/.git/config", "SECRET");
    put("root/.well-known/x", "open");
    put("root/index.html", "<h1>home</h1>");
    put("root/a/index.html", "<h1>a</h1>");
    put("root/app.js", "0123456789");
    put("root/app.js.br", "brotli");
    put("root/app.js.gz", "gzip");
    put("root/app-B1kW9x2q.css", "css");
    put("root/big.bin", &"x".repeat(200_000));
    put("root/a.ts", "let a");
    std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
    std::os::unix::fs::symlink("/etc", root.join("etc")).unwrap();
    std::os::unix::fs::symlink("app.js", root.join("inside.js")).unwrap();
    (dir, root)
}

fn ask(method: &str, uri: &str, headers: &[(&'static str, &str)]) -> Ask {
    let headers = headers.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_str(v).unwrap()));
    Ask { method: method.parse().unwrap(), uri: uri.parse().unwrap(), headers: headers.collect() }
}

struct Got {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

async fn read(response: Response<Body>) -> Got {
    let (parts, body) = response.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Got { status: parts.status.as_u16(), headers: parts.headers, body }
}

async fn get(root: &Folder, uri: &str, headers: &[(&'static str, &str)]) -> Option<Got> {
    match find(root, ask("GET", uri, headers)).await.unwrap() {
        Some(response) => Some(read(response).await),
        None => None,
    }
}

#[tokio::test]
async fn files_come_with_what_browsers_need() {
    let (_dir, root) = site();
    let got = get(&root, "/app.js?x=1", &[]).await.unwrap();
    assert_eq!((got.status, got.body.as_str()), (200, "0123456789"));
    assert_eq!(got.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    assert_eq!(got.header("cache-control"), "public, max-age=0, must-revalidate");
    assert_eq!(got.header("vary"), "accept-encoding");
    assert_eq!(got.header("content-length"), "10");
    let html = get(&root, "/", &[]).await.unwrap();
    assert_eq!((html.body.as_str(), html.header("cache-control")), ("<h1>home</h1>", "no-cache"));
    let hashed = get(&root, "/app-B1kW9x2q.css", &[]).await.unwrap();
    assert_eq!(hashed.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(get(&root, "/a.ts", &[]).await.unwrap().header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(get(&root, "/.well-known/x", &[]).await.unwrap().body, "open");
    assert_eq!(get(&root, "/inside.js", &[]).await.unwrap().body, "0123456789");
    assert_eq!(get(&root, "/big.bin", &[]).await.unwrap().body.len(), 200_000);
}

#[tokio::test]
async fn a_folder_gets_its_slash_and_never_another_host() {
    let (_dir, root) = site();
    let got = get(&root, "/a?b=c", &[]).await.unwrap();
    assert_eq!((got.status, got.header("location")), (308, "/a/?b=c"));
    assert_eq!(get(&root, "/a/", &[]).await.unwrap().body, "<h1>a</h1>");
    assert!(get(&root, "//a", &[]).await.is_none());
}

#[tokio::test]
async fn hidden_and_outside_files_are_not_there() {
    let (_dir, root) = site();
    for path in
        ["/.env", "/.git/config", "/out", "/etc/passwd", "/../secret", "/%2e%2e/secret", "/a/../../secret", "/nope"]
    {
        assert!(get(&root, path, &[]).await.is_none(), "{path}");
    }
}

#[tokio::test]
async fn what_is_held_is_not_sent_again() {
    let (_dir, root) = site();
    let got = get(&root, "/app.js", &[]).await.unwrap();
    let (tag, date) = (got.header("etag"), got.header("last-modified"));
    assert!(tag.starts_with('"'));
    for headers in [[("if-none-match", tag)], [("if-modified-since", date)]] {
        let again = get(&root, "/app.js", &headers).await.unwrap();
        assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", tag));
    }
    assert_eq!(get(&root, "/app.js", &[("if-none-match", "\"other\"")]).await.unwrap().status, 200);
    let other = Folder::new(root.root().to_owned(), None, "v2");
    assert_eq!(
        find(&other, ask("GET", "/app.js", &[("if-none-match", tag)])).await.unwrap().unwrap().status(),
        200,
        "another version's file"
    );
}

#[tokio::test]
async fn parts_of_files() {
    let (_dir, root) = site();
    let tag = get(&root, "/app.js", &[]).await.unwrap().header("etag").to_owned();
    let got = get(&root, "/app.js", &[("range", "bytes=2-4"), ("if-range", &tag)]).await.unwrap();
    assert_eq!((got.status, got.body.as_str(), got.header("content-range")), (206, "234", "bytes 2-4/10"));
    let got = get(&root, "/app.js", &[("range", "bytes=-3")]).await.unwrap();
    assert_eq!((got.status, got.body.as_str()), (206, "789"));
    let got = get(&root, "/app.js", &[("range", "bytes=10-")]).await.unwrap();
    assert_eq!((got.status, got.body.as_str(), got.header("content-range")), (416, "", "bytes */10"));
    let got = get(&root, "/app.js", &[("range", "bytes=2-4"), ("if-range", "\"old\"")]).await.unwrap();
    assert_eq!((got.status, got.body.len()), (200, 10));
    let got = get(&root, "/big.bin", &[("range", "bytes=100000-")]).await.unwrap();
    assert_eq!((got.status, got.body.len()), (206, 100_000));
}

#[tokio::test]
async fn a_compressed_form_is_sent_to_who_accepts_it() {
    let (_dir, root) = site();
    let plain = get(&root, "/app.js", &[]).await.unwrap();
    for (accepted, body, encoding) in [
        ("gzip, br", "brotli", "br"),
        ("gzip", "gzip", "gzip"),
        ("zstd", "0123456789", ""),
        ("br;q=0", "0123456789", ""),
    ] {
        let got = get(&root, "/app.js", &[("accept-encoding", accepted)]).await.unwrap();
        assert_eq!((got.body.as_str(), got.header("content-encoding")), (body, encoding), "{accepted}");
        assert_eq!(got.header("vary"), "accept-encoding");
        assert_eq!(got.header("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(got.header("etag") == plain.header("etag"), encoding.is_empty(), "each form has its own tag");
    }
}

#[tokio::test]
async fn head_and_other_methods() {
    let (_dir, root) = site();
    let head = read(find(&root, ask("HEAD", "/app.js", &[])).await.unwrap().unwrap()).await;
    assert_eq!((head.status, head.header("content-length"), head.body.as_str()), (200, "10", ""));
    assert!(find(&root, ask("POST", "/app.js", &[])).await.unwrap().is_none());
    let post = read(missing(&root, ask("POST", "/app.js", &[])).await.unwrap().unwrap()).await;
    assert_eq!((post.status, post.header("allow")), (405, "GET, HEAD"));
    assert!(missing(&root, ask("GET", "/nope", &[])).await.unwrap().is_none());
    #[allow(clippy::disallowed_methods)] // a test's own folder
    std::fs::write(root.root().join("404.html"), "lost").unwrap();
    // A folder never changes once it is served; this one was.
    let root = Folder::new(root.root().to_owned(), None, "v1");
    let lost = read(missing(&root, ask("GET", "/nope", &[])).await.unwrap().unwrap()).await;
    assert_eq!((lost.status, lost.body.as_str(), lost.header("etag")), (404, "lost", ""));
}

/// Paths made of what matters: names that exist, ways out, and ways to write them.
fn path() -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &[
        "a",
        "app.js",
        "out",
        "etc",
        "passwd",
        "secret",
        "root",
        "index.html",
        ".env",
        ".git",
        "config",
        "..",
        ".",
        "",
        "%2e%2e",
        "%2e",
        "%2f",
        "..%2f",
        "%5c..",
        "%00",
        "inside.js",
    ];
    proptest::collection::vec(proptest::sample::select(PARTS), 0..7).prop_map(|parts| format!("/{}", parts.join("/")))
}

proptest! {
    #[test]
    fn nothing_outside_the_root_is_ever_sent(paths in proptest::collection::vec(path(), 1..20)) {
        let (_dir, root) = site_at();
        let real_root = root.canonicalize().unwrap();
        for path in paths {
            let Some(wanted) = wanted(&path) else { continue };
            let (Wanted::File(name) | Wanted::Folder(name)) = wanted;
            for name in [name.clone(), name.join("index.html")] {
                if let Some((file, _)) = choose::open(&root, &name) {
                    let mut text = String::new();
                    std::io::Read::read_to_string(&mut &file, &mut text).unwrap();
                    prop_assert!(!text.contains("SECRET"), "{path}");
                    let real = root.join(&name).canonicalize().unwrap();
                    prop_assert!(real.starts_with(&real_root), "{path} opened {}", real.display());
                }
            }
        }
    }

    /// With an index and without one, packed and not, the same is said of every path.
    #[test]
    fn an_index_says_what_the_disk_says(paths in proptest::collection::vec(path(), 1..20)) {
        let (dir, root) = site_at();
        std::fs::remove_file(root.join("etc")).unwrap(); // a link to a folder: then there is no index
        let packed = dir.path().join("packed");
        let budget = pack::Budget { time: Duration::from_secs(60), bytes: 1 << 20 };
        pack::pack(&root, &packed, budget, &|| false).unwrap().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let walked = Folder::new(root.clone(), None, "v1");
        let packed = Folder::new(root.clone(), Some(packed), "v1");
        for path in paths {
            let Ok(uri) = path.parse::<Uri>() else { continue };
            let ask = Ask { method: Method::GET, uri, headers: HeaderMap::new() };
            let disk = wanted(ask.uri.path()).and_then(|wanted| look(&walked, &wanted, &ask).unwrap());
            let disk = disk.map(|response| runtime.block_on(async { read(send::send(response).await.unwrap()).await }));
            for folder in [&walked, &packed] {
                let found = runtime.block_on(find(folder, ask.clone())).unwrap();
                let found = found.map(|response| runtime.block_on(read(response)));
                let said = |got: &Option<Got>| got.as_ref().map(|got| (got.status, got.body.clone()));
                prop_assert_eq!(said(&found), said(&disk), "{}", path);
                prop_assert_eq!(folder.surely_lacks(&path), found.is_none(), "{}", path);
            }
        }
    }
}

#[tokio::test]
async fn packed_forms_go_to_who_accepts_them() {
    let (dir, root) = site_at();
    #[allow(clippy::disallowed_methods)] // a test's own folder
    std::fs::write(root.join("page.html"), "<p>a line</p>\n".repeat(1000)).unwrap();
    std::fs::remove_file(root.join("etc")).unwrap();
    let packed = dir.path().join("packed");
    let budget = pack::Budget { time: Duration::from_secs(60), bytes: 1 << 20 };
    pack::pack(&root, &packed, budget, &|| false).unwrap().unwrap();
    let folder = Folder::new(root, Some(packed), "v1");
    let plain = get(&folder, "/page.html", &[]).await.unwrap();
    assert_eq!((plain.body.len(), plain.header("content-encoding")), (14_000, ""));
    for accepted in ["br", "zstd", "gzip"] {
        let ask = ask("GET", "/page.html", &[("accept-encoding", accepted)]);
        let got = find(&folder, ask).await.unwrap().unwrap();
        let header = |name: &str| got.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((header("content-encoding"), header("vary")), (accepted.into(), "accept-encoding".into()));
        let (tag, length) = (header("etag"), header("content-length"));
        assert!(tag != plain.header("etag") && !tag.starts_with("W/"), "{tag}");
        let body = got.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(length, body.len().to_string());
        assert!(body.len() < 1000);
        let again =
            get(&folder, "/page.html", &[("accept-encoding", accepted), ("if-none-match", &tag)]).await.unwrap();
        assert_eq!((again.status, again.body.as_str()), (304, ""));
        let range = [("accept-encoding", accepted), ("range", "bytes=0-3"), ("if-range", tag.as_str())];
        let request = ask_of(&range);
        let part = find(&folder, request).await.unwrap().unwrap();
        assert_eq!(part.status(), 206);
        assert_eq!(part.into_body().collect().await.unwrap().to_bytes(), body.slice(..4));
    }
}

fn ask_of(headers: &[(&'static str, &str)]) -> Ask {
    ask("GET", "/page.html", headers)
}
