//! What stands before an app: maintenance, and an app's own pages.
use serde_json::json;

use crate::support::{Reply, Request, Session, Steady, until};

const HELLO: &str = r#"export default { fetch: () => new Response("hello\n") };"#;

fn html(steady: &Steady, label: &str, path: &str) -> Reply {
    Request::get(steady.port, &steady.app_host(label), path).header("accept", "text/html").send()
}

#[test]
fn maintenance_answers_for_the_app_and_wakes_nothing() {
    let steady = Steady::start();
    let work = steady.push_new("shop", &[("index.ts", HELLO), ("public/a.txt", "a file")]);
    steady.cli_ok(&["restart", "dev/shop"]);
    let starts = || steady.status("shop")["process"]["cold_starts"].clone();
    let before = starts();
    let said = steady.cli_ok(&["maintenance", "on", "dev/shop", "--text", "<b>Back</b> at nine."]);
    assert_eq!(said, "dev/shop is down for maintenance: <b>Back</b> at nine.\n");
    for path in ["/", "/a.txt", "/nope"] {
        let reply = html(&steady, "shop", path);
        assert_eq!(reply.status, 503, "{path}");
        assert_eq!(reply.header("retry-after"), Some("120"));
        let text = reply.text();
        assert!(text.contains("down for maintenance") && !text.contains("<b>Back"), "{text}");
    }
    let machine = Request::get(steady.port, &steady.app_host("shop"), "/").header("accept", "application/json").send();
    assert_eq!((machine.status, &machine.json()["error"]["kind"]), (503, &json!("busy")));
    assert_eq!(starts(), before, "nothing wakes");

    // Deploys go on, and bring a page along.
    work.write(&[("maintenance.html", "<h1>Ours</h1> {{request_id}}")]);
    work.commit("Say it our way");
    work.push_ok();
    let reply = html(&steady, "shop", "/");
    let id = reply.header("x-request-id").expect("an id");
    assert_eq!((reply.status, reply.text()), (503, format!("<h1>Ours</h1> {id}")));
    assert_eq!(reply.header("retry-after"), Some("120"));

    // It lasts over a restart of the server, and ends at once.
    let mut steady = steady;
    steady.restart();
    assert_eq!(html(&steady, "shop", "/").status, 503);
    assert_eq!(steady.cli_ok(&["maintenance", "off", "dev/shop"]), "dev/shop is up\n");
    assert_eq!(steady.get("shop", "/").ok(), "hello\n");

    // By the page, as its owner; nobody else may.
    let owner = Session::sign_in(&steady, "dev");
    assert_eq!(owner.form("/dev/shop/settings/maintenance", "text=Soon").status, 303);
    assert!(owner.get("/dev/shop/settings").ok().contains("Soon"));
    assert_eq!(steady.get("shop", "/").status, 503);
    let line = until("the refusal is in the request log", || {
        let lines: Vec<serde_json::Value> =
            serde_json::from_str(&steady.cli_ok(&["requests", "dev/shop", "--json"])).expect("JSON");
        lines.into_iter().find(|line| line["error"] == "maintenance")
    });
    assert_eq!(line["status"], 503);
    assert_eq!(owner.form("/dev/shop/settings/maintenance", "up=1").status, 303);
    assert_eq!(steady.get("shop", "/").ok(), "hello\n");
}

#[test]
fn an_apps_own_error_page_stands_in_for_steadys_alone() {
    let steady = Steady::start();
    let app = r#"let n = 0;
        export default { fetch(request) {
            const path = new URL(request.url).pathname;
            if (path === "/die") process.exit(1);
            if (path === "/own") return new Response("my own trouble", { status: 500 });
            return new Response("hello\n");
        } };"#;
    steady.push_new("shop", &[("index.ts", app), ("public/500.html", "<p>Sorry. <i>{{request_id}}</i></p>")]);
    let reply = html(&steady, "shop", "/die");
    let id = reply.header("x-request-id").expect("an id");
    assert_eq!((reply.status, reply.text()), (502, format!("<p>Sorry. <i>{id}</i></p>")));
    let reply = Request::get(steady.port, &steady.app_host("shop"), "/die").header("accept", "application/json").send();
    assert_eq!((reply.status, &reply.json()["error"]["kind"]), (502, &json!("app")));
    let reply = html(&steady, "shop", "/own");
    assert_eq!((reply.status, reply.text().as_str()), (500, "my own trouble"));

    // A site of files: what it does not have.
    steady.push_new("site", &[("index.html", "<h1>home</h1>"), ("404.html", "<p>Lost: {{request_id}}</p>")]);
    let reply = html(&steady, "site", "/nope");
    let id = reply.header("x-request-id").expect("an id");
    assert_eq!((reply.status, reply.text()), (404, format!("<p>Lost: {id}</p>")));
    assert_eq!(html(&steady, "site", "/").ok(), "<h1>home</h1>");

    // One that is too large is not used, and the deploy says so.
    let work = steady.push_new("large", &[("index.ts", app), ("500.html", "x")]);
    work.write(&[("500.html", &"x".repeat(70 << 10))]);
    work.commit("A large page");
    assert!(work.push_ok().contains("500.html is not used"));
    assert!(html(&steady, "large", "/die").text().contains("Bad Gateway"));
}
