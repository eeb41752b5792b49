//! What is answered without a running app: files, redirects, and pages that say why there is none.
use steady::proxy::Target;
use steady::runner::State;

use super::support::{status, world};

const HELLO: &str = "export default { fetch: () => new Response('from the app') }";

#[tokio::test]
async fn public_files_start_no_process() {
    let world = world().await;
    let files = [("index.ts", HELLO), ("public/a.txt", "a file"), ("public/.env", "SECRET")];
    let spec = world.app("files", &files, false);
    let answer = world.get("files", "/a.txt?x=1", "").await;
    assert!(status(&answer) == 200 && answer.ends_with("a file"), "{answer}");
    let line = world.recorded(&spec, 1).await;
    assert_eq!((line.path.as_str(), line.boot_us, line.bytes_out, line.error), ("/a.txt", 0, 6, None));
    let answer = world.get("files", "/a.txt", "Range: bytes=2-\r\n").await;
    assert!(status(&answer) == 206 && answer.ends_with("\r\n\r\nfile"), "{answer}");
    let state = || world.base.runner.status(&spec.key).unwrap();
    assert_eq!((state().state, state().cold_starts), (State::Asleep, 0));
    let answer = world.get("files", "/.env", "").await;
    assert!(status(&answer) == 404 && answer.contains("x-steady: asleep"), "{answer}");
    for path in ["/", "/.env", "/../index.ts"] {
        assert!(world.get("files", path, "").await.ends_with("from the app"), "{path}");
    }
    assert_eq!(state().cold_starts, 1);
}

#[tokio::test]
async fn a_site_of_files_needs_no_process_at_all() {
    let world = world().await;
    let files = [("index.html", "<h1>home</h1>"), ("docs/index.html", "docs"), ("404.html", "lost")];
    let spec = world.site("site", &files);
    assert!(world.get("site", "/", "").await.ends_with("<h1>home</h1>"));
    let answer = world.get("site", "/docs?a=b", "").await;
    assert!(status(&answer) == 308 && answer.contains("location: /docs/?a=b\r\n"), "{answer}");
    let answer = world.get("site", "/nope", "").await;
    assert!(status(&answer) == 404 && answer.ends_with("lost"), "{answer}");
    let mut client = world.client().await;
    client.say("POST / HTTP/1.1\r\nHost: site.localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    let answer = client.hear_all().await;
    assert!(status(&answer) == 405 && answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    world.recorded(&spec, 4).await;
    assert_eq!(world.base.runner.status(&spec.key).unwrap().cold_starts, 0);
}

#[tokio::test]
async fn names_without_an_app_say_so() {
    let world = world().await;
    let answer = world.get("nobody", "/", "").await;
    assert!(status(&answer) == 404 && answer.contains("there is no app at this address"), "{answer}");
    world.route("fresh", Target::Empty, false);
    let answer = world.get("fresh", "/", "Accept: text/html\r\n").await;
    assert!(status(&answer) == 404 && answer.contains("nothing is deployed here yet"), "{answer}");
    assert!(answer.contains("content-security-policy: default-src 'none'; style-src 'sha256-"), "{answer}");
    world.route("old", Target::Moved { to: "new".into() }, false);
    let answer = world.get("old", "//evil.example/a?b=c", "").await;
    let target = "location: http://new.localhost:8080//evil.example/a?b=c\r\n";
    assert!(status(&answer) == 308 && answer.contains(target), "{answer}");
}

#[tokio::test]
async fn a_crash_is_told_to_authors_only() {
    let world = world().await;
    let broken = [("index.ts", "console.error('<i>the reason</i>'); process.exit(1)")];
    for draft in [true, false] {
        let name = if draft { "draft" } else { "live" };
        let spec = world.app(name, &broken, draft);
        for (accept, escaped) in [("Accept: text/html\r\n", true), ("", false)] {
            let answer = world.get(name, "/", accept).await;
            let reason = if escaped { "&lt;i&gt;the reason" } else { "<i>the reason" };
            let told = answer.contains(reason) || answer.contains("&#60;i&#62;the reason");
            assert_eq!((status(&answer), told), (502, draft), "{answer}");
            assert!(!escaped || !answer.contains("<i>"), "{answer}");
            assert!(answer.contains("http://localhost:8080/dev/"), "{answer}");
        }
        assert_eq!(world.recorded(&spec, 2).await.error.as_deref(), Some("boot"));
    }
}

#[tokio::test]
async fn a_paused_app_is_busy_not_broken() {
    let world = world().await;
    let spec = world.app("paused", &[("index.ts", HELLO)], false);
    world.base.runner.pause(&spec.key).await;
    let answer = world.get("paused", "/", "Accept: application/json\r\n").await;
    assert!(
        status(&answer) == 503 && answer.contains("retry-after: ") && answer.contains(r#""kind":"busy""#),
        "{answer}"
    );
    world.base.runner.resume(&spec.key).await;
    assert!(world.get("paused", "/", "").await.ends_with("from the app"));
}

#[tokio::test]
async fn too_many_connections_are_said_to_be_that() {
    let world = world().await;
    let mut spec = world.app("crowded", &[("index.ts", HELLO)], false);
    spec.limits.connections = 0;
    world.base.runner.register(spec.clone());
    let answer = world.get("crowded", "/", "Accept: application/json\r\n").await;
    assert!(status(&answer) == 503 && answer.contains("too many connections"), "{answer}");
    assert_eq!(world.recorded(&spec, 1).await.error.as_deref(), Some("connections"));
}
