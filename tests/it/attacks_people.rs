//! People against people: what each may see and do of somebody else's project, on every route.
use serde_json::json;

use crate::support::{Reply, Request, Session, Steady};

const HELLO: &str = r#"console.log("a line of the log"); export default { fetch: () => new Response("hello\n") };"#;

/// Pages and scripts' endpoints of one project, and what they take.
const PAGES: &[(&str, &str)] = &[
    ("GET", ""),
    ("GET", "/deploys"),
    ("GET", "/logs"),
    ("GET", "/logs/stream"),
    ("GET", "/requests"),
    ("GET", "/settings"),
    ("GET", "/edit"),
    ("GET", "/files"),
    ("GET", "/file?commit=HEAD&path=index.ts"),
    ("GET", "/raw?commit=HEAD&path=index.ts"),
    ("GET", "/draft/logs"),
    ("GET", "/export"),
    ("POST", "/settings/env"),
    ("POST", "/settings/rename"),
    ("POST", "/settings/code"),
    ("POST", "/settings/members"),
    ("POST", "/settings/maintenance"),
    ("POST", "/settings/access"),
    ("POST", "/settings/links"),
    ("POST", "/settings/links/revoke"),
    ("POST", "/settings/delete"),
    ("POST", "/restart"),
    ("POST", "/pause"),
    ("POST", "/fork"),
    ("POST", "/files"),
    ("POST", "/draft/update"),
    ("POST", "/draft/stop"),
    ("POST", "/run"),
    ("POST", "/deploy"),
    ("POST", "/rollback"),
    ("POST", "/approve"),
    ("POST", "/settings/revoke"),
];
const API: &[(&str, &str)] = &[
    ("GET", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("GET", "/status"),
    ("GET", "/deploys"),
    ("POST", "/deploys"),
    ("POST", "/rollback"),
    ("GET", "/permissions"),
    ("DELETE", "/permissions"),
    ("POST", "/approve"),
    ("GET", "/logs"),
    ("GET", "/logs?follow=1"),
    ("GET", "/requests"),
    ("GET", "/env"),
    ("PATCH", "/env"),
    ("GET", "/members"),
    ("GET", "/members/dev"),
    ("PUT", "/members/eve"),
    ("DELETE", "/members/eve"),
    ("GET", "/door"),
    ("PUT", "/access"),
    ("POST", "/links"),
    ("DELETE", "/links/1"),
    ("PUT", "/maintenance"),
    ("DELETE", "/maintenance"),
    ("POST", "/restart"),
    ("POST", "/pause"),
    ("POST", "/resume"),
    ("GET", "/export"),
];

fn body(path: &str) -> serde_json::Value {
    match path {
        "" => json!({ "public_code": true }),
        "/env" => json!({ "set": { "X": "1" } }),
        "/access" => json!({ "access": "members" }),
        "/files" => json!({ "on": "", "changes": [{ "op": "remove", "path": "index.ts" }] }),
        "/draft/update" => json!({ "how": "discard" }),
        "/approve" => json!({ "deploy": 1 }),
        _ if path.starts_with("/members") => json!({ "role": "owner" }),
        _ => json!({}),
    }
}

fn form(path: &str) -> &'static str {
    match path {
        "/settings/env" => "name=X&value=1",
        "/settings/rename" => "name=stolen",
        "/settings/code" => "public=1",
        "/settings/members" => "user=eve&role=owner",
        "/settings/delete" => "confirm=mine",
        "/settings/access" => "access=members",
        "/settings/links/revoke" => "link=1",
        "/pause" => "pause=1",
        "/approve" => "deploy=1",
        _ => "x=1",
    }
}

fn page(session: Option<&Session>, steady: &Steady, method: &str, path: &str) -> Reply {
    let full = format!("/dev/mine{path}");
    let is_json = matches!(path, "/files" | "/draft/update");
    match (session, method) {
        (Some(session), "GET") => session.get(&full),
        (Some(session), _) if is_json => session.post(&full, &body(path)).send(),
        (Some(session), _) => session.form(&full, form(path)),
        (None, "GET") => Request::get(steady.port, &steady.host(), &full).send(),
        (None, _) if is_json => Request::new(steady.port, method, &steady.host(), &full).json(&body(path)).send(),
        (None, _) => Request::new(steady.port, method, &steady.host(), &full)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form(path))
            .send(),
    }
}

fn api(steady: &Steady, token: &str, method: &str, path: &str) -> Reply {
    let request = Request::new(steady.port, method, &steady.host(), &format!("/api/v1/projects/dev/mine{path}"))
        .header("authorization", &format!("Bearer {token}"));
    if method == "GET" { request.send() } else { request.json(&body(path)).send() }
}

fn token(steady: &Steady, user: &str, flags: &[&str]) -> String {
    let args = [&["token", "add", user, "--name", "t"], flags].concat();
    crate::support::ok(&steady.local(&args, ""), "token add").trim().to_owned()
}

fn unharmed(steady: &Steady, after: &str) {
    assert_eq!(steady.get("mine", "/").ok(), "hello\n", "after {after}");
    let status = steady.status("mine");
    assert_eq!((&status["version"], &status["env_version"]), (&json!("v1"), &json!(1)), "after {after}");
    let members = steady.cli_ok(&["members", "list", "dev/mine", "--json"]);
    assert!(!members.contains("eve"), "after {after}: {members}");
}

fn set_up() -> Steady {
    let steady = Steady::start();
    for user in ["eve", "vic"] {
        steady.add_user(user, false);
    }
    steady.push_new("mine", &[("index.ts", HELLO)]);
    steady.cli_ok(&["env", "set", "dev/mine", "SECRET_NAME=secret-value"]);
    // The environment restarted it; its version stays.
    assert_eq!(steady.get("mine", "/").ok(), "hello\n");
    steady
}

#[test]
fn nobody_else_gets_through_any_door_of_a_private_project() {
    let steady = set_up();
    let eve = Session::sign_in(&steady, "eve");
    let eves = token(&steady, "eve", &[]);
    let other = steady.push_new("other", &[("index.ts", HELLO)]);
    let bound = token(&steady, "dev", &["--project", "dev/other"]);
    drop(other);
    for (method, path) in PAGES {
        let reply = page(Some(&eve), &steady, method, path);
        assert_eq!(reply.status, 404, "eve: {method} {path}: {}", reply.text());
        let reply = page(None, &steady, method, path);
        assert!(matches!(reply.status, 303 | 401), "nobody: {method} {path} gave {}", reply.status);
        if reply.status == 303 {
            let to = reply.header("location").expect("a location");
            assert!(to.starts_with("/signin?next="), "{to}");
        }
    }
    for (method, path) in API {
        for (who, token) in [("eve", &eves), ("a token of another project", &bound)] {
            let reply = api(&steady, token, method, path);
            assert_eq!(reply.status, 404, "{who}: {method} {path}: {}", reply.text());
        }
    }
    for path in ["/info/refs?service=git-upload-pack", "/info/refs?service=git-receive-pack"] {
        for (token, status) in [(&eves, 404), (&bound, 404)] {
            let reply = Request::get(steady.port, &steady.host(), &format!("/dev/mine.git{path}"))
                .header("authorization", &format!("Bearer {token}"))
                .send();
            assert_eq!(reply.status, status, "{path}: {}", reply.text());
        }
    }
    unharmed(&steady, "strangers");
}

#[test]
fn who_may_look_changes_nothing() {
    let steady = set_up();
    steady.cli_ok(&["members", "set", "vic", "viewer", "dev/mine"]);
    let vic = Session::sign_in(&steady, "vic");
    let (vics, read) = (token(&steady, "vic", &[]), token(&steady, "dev", &["--scope", "read"]));
    for (method, path) in PAGES.iter().filter(|(method, path)| *method == "POST" && *path != "/fork") {
        let reply = page(Some(&vic), &steady, method, path);
        assert_eq!(reply.status, 403, "{method} {path}: {}", reply.text());
    }
    assert_eq!(page(Some(&vic), &steady, "GET", "/export").status, 403);
    for (method, path) in API.iter().filter(|(method, path)| *method != "GET" || *path == "/export") {
        for token in [&vics, &read] {
            let reply = api(&steady, token, method, path);
            assert_eq!(reply.status, 403, "{method} {path}: {}", reply.text());
        }
    }
    unharmed(&steady, "viewers");
}

/// Public code is no public app: logs carry what visitors did, settings what the app is given.
#[test]
fn readers_of_public_code_see_the_code_and_no_more() {
    let steady = set_up();
    let reply = Request::new(steady.port, "PATCH", &steady.host(), "/api/v1/projects/dev/mine")
        .header("authorization", &format!("Bearer {}", steady.token))
        .json(&json!({ "public_code": true }))
        .send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let eve = Session::sign_in(&steady, "eve");
    for path in ["/deploys", "/logs", "/logs/stream", "/requests", "/settings"] {
        assert_eq!(page(Some(&eve), &steady, "GET", path).status, 403, "eve: {path}");
        assert!(matches!(page(None, &steady, "GET", path).status, 303 | 401), "nobody: {path}");
    }
    for session in [Some(&eve), None] {
        let overview = page(session, &steady, "GET", "").ok();
        for secret in ["a line of the log", "SECRET_NAME"] {
            assert!(!overview.contains(secret), "{secret} is on the page");
        }
    }
    assert_eq!(page(Some(&eve), &steady, "GET", "/edit").status, 200);
    for (method, path) in PAGES.iter().filter(|(method, path)| *method == "POST" && *path != "/fork") {
        assert_eq!(page(Some(&eve), &steady, method, path).status, 403, "{method} {path}");
    }
    let eves = token(&steady, "eve", &[]);
    for (method, path) in API.iter().filter(|(_, path)| !path.is_empty()) {
        assert_eq!(api(&steady, &eves, method, path).status, 403, "{method} {path}");
    }
    unharmed(&steady, "readers");
}

/// Whoever finds a token must not be able to make one that outlives it.
#[test]
fn a_token_makes_no_tokens_and_no_admins() {
    let steady = Steady::start();
    let ask = |path: &str, body: serde_json::Value| {
        Request::new(steady.port, "POST", &steady.host(), path)
            .header("authorization", &format!("Bearer {}", steady.token))
            .json(&body)
            .send()
            .status
    };
    assert_eq!(ask("/api/v1/tokens", json!({ "name": "for ever", "scopes": ["admin"] })), 403);
    assert_eq!(ask("/api/v1/invites", json!({ "note": "me", "admin": true })), 403);
}
