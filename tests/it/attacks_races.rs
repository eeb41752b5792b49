//! Acts that cross each other: the last word is what was asked for last, and half of nothing stays.
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::{JoinHandle, spawn};

use serde_json::{Value, json};

use crate::support::http::connect;
use crate::support::{Request, Steady, until};

/// Takes a while to start, so that a deploy of it can be met half-way.
const SLOW: &str = r#"await Bun.sleep(2500);
export default { fetch: () => new Response("slow " + process.env.STEADY_URL) };"#;

fn api(steady: &Steady, method: &str, path: &str, body: &Value) -> JoinHandle<u16> {
    let request = Request::new(steady.port, method, &steady.host(), &format!("/api/v1/projects/dev{path}"))
        .header("authorization", &format!("Bearer {}", steady.token))
        .json(body);
    spawn(move || request.send().status)
}

/// Begins a deploy of main over the API and returns once its stage `check` has begun.
fn deploy_until_check(steady: &Steady, project: &str) -> TcpStream {
    let mut stream = connect(steady.port).expect("connect");
    let head = format!(
        "POST /api/v1/projects/dev/{project}/deploys HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}",
        steady.host(),
        steady.token
    );
    stream.write_all(head.as_bytes()).expect("send");
    let mut heard = String::new();
    let mut piece = [0; 4096];
    while !heard.contains("\"check\"") {
        let n = stream.read(&mut piece).expect("read");
        assert!(n > 0, "the deploy ended before its check: {heard}");
        heard.push_str(&String::from_utf8_lossy(&piece[..n]));
    }
    stream
}

fn to_the_end(mut stream: TcpStream) -> String {
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("read");
    rest
}

#[test]
fn a_deploy_that_waited_does_not_bring_a_deleted_app_back() {
    let steady = Steady::start();
    steady.push_new("gone", &[("index.ts", SLOW)]);
    let first = deploy_until_check(&steady, "gone");
    let delete = api(&steady, "DELETE", "/gone", &json!({}));
    // The turn is taken in the order it was asked for; nothing shows who stands in the queue.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let second = api(&steady, "POST", "/gone/deploys", &json!({}));
    to_the_end(first);
    assert_eq!(delete.join().expect("delete"), 200);
    let _ = second.join().expect("second");
    let reply = steady.get("gone", "/");
    assert_eq!(reply.status, 404, "a deleted app answers: {}", reply.text());
}

#[test]
fn a_rename_during_a_deploy_stands() {
    let steady = Steady::start();
    steady.push_new("early", &[("index.ts", SLOW)]);
    let deploy = deploy_until_check(&steady, "early");
    let rename = api(&steady, "PATCH", "/early", &json!({ "host": "late" }));
    let said = to_the_end(deploy);
    assert!(said.contains("\"live\""), "{said}");
    assert_eq!(rename.join().expect("rename"), 200);
    assert_eq!(steady.get("late", "/").ok(), format!("slow http://{}", steady.app_host("late")));
    let old = steady.get("early", "/x");
    assert_eq!((old.status, old.header("location")), (308, Some(&*format!("http://{}/x", steady.app_host("late")))));
}

/// What a browser that leaves had asked for is done whole or not at all.
#[test]
fn a_browser_that_leaves_leaves_no_half_project() {
    let steady = Steady::start();
    let session = crate::support::Session::sign_in(&steady, "dev");
    for n in 0..8 {
        session.form_and_leave("/new", &format!("template=hello&name=left-{n}"));
    }
    assert_eq!(session.form("/new", "template=hello&name=stayed").status, 303);
    until("every project there is has its files", || {
        let all: Value = serde_json::from_str(&steady.cli_ok(&["list", "--json"])).expect("JSON");
        let paths = all.as_array().expect("a list").iter().map(|one| one["path"].as_str().expect("a path").to_owned());
        let whole = |path: String| session.get(&format!("/{path}/edit")).text().contains("index.ts");
        paths.map(whole).all(|whole| whole).then_some(())
    });
}
