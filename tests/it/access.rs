//! Who may come to an app, attacked: forged, replayed and foreign papers, smuggled names, open redirects, guessing.
use std::io::{Read as _, Write as _};

use serde_json::json;

use crate::support::http::connect;
use crate::support::{Reply, Request, Session, Steady, ok, output_within, until};

const APP: &str = r#"
    export default {
      fetch(request, server) {
        if (server.upgrade(request)) return;
        return Response.json(Object.fromEntries(request.headers), { headers: { "cache-control": "public, max-age=60" } });
      },
      websocket: { message() {} },
    };"#;

/// A browser at one app's host.
struct Browser<'a> {
    steady: &'a Steady,
    host: String,
    cookies: Vec<String>,
}

impl<'a> Browser<'a> {
    fn at(steady: &'a Steady, label: &str) -> Self {
        Self { steady, host: steady.app_host(label), cookies: vec![] }
    }
    fn request(&self, path: &str) -> Request {
        let request = Request::get(self.steady.port, &self.host, path).header("accept", "text/html");
        if self.cookies.is_empty() { request } else { request.header("cookie", &self.cookies.join("; ")) }
    }
    /// Keeps the cookies it is given.
    fn visit(&mut self, path: &str) -> Reply {
        let reply = self.request(path).send();
        for (_, value) in reply.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let pair = value.split(';').next().expect("a pair").to_owned();
            let name = pair.split('=').next().expect("a name").to_owned();
            self.cookies.retain(|kept| !kept.starts_with(&format!("{name}=")));
            self.cookies.push(pair);
            assert!(
                value.contains("HttpOnly") && value.contains("SameSite=Lax") && !value.contains("Domain"),
                "{value}"
            );
        }
        reply
    }
    /// The path on the editor's host that the door sends to.
    fn knock(&mut self, path: &str) -> String {
        let reply = self.visit(path);
        assert_eq!(reply.status, 303, "{}", reply.text());
        let to = reply.header("location").expect("a location");
        to.strip_prefix(&self.steady.url()).unwrap_or_else(|| panic!("{to} is elsewhere")).to_owned()
    }
    /// All the way in, as somebody who is signed in.
    fn come_in(&mut self, session: &Session, path: &str) -> Reply {
        let knock = self.knock(path);
        let ticket = way_back(&session.get(&knock));
        let reply = self.visit(&self.path_of(&ticket));
        assert_eq!(reply.status, 303, "{}", reply.text());
        assert_eq!(reply.header("location"), Some(&*format!("http://{}{path}", self.host)));
        self.visit(path)
    }
    fn path_of(&self, url: &str) -> String {
        url.strip_prefix(&format!("http://{}", self.host)).unwrap_or_else(|| panic!("{url} is elsewhere")).to_owned()
    }
}

/// Where the editor's page leads.
fn way_back(page: &Reply) -> String {
    let html = page.ok();
    let link = html.split("rel=\"noreferrer\"").next().and_then(|rest| rest.rsplit("href=\"").next());
    let href = link.and_then(|rest| rest.split('"').next()).expect("a way back");
    href.replace("&amp;", "&").replace("&#38;", "&")
}

fn steady() -> Steady {
    let steady = Steady::start();
    for user in ["eve", "vic"] {
        steady.add_user(user, false);
    }
    steady.push_new("shop", &[("index.ts", APP), ("public/a.0123abcd9f.txt", "a file")]);
    steady
}

#[test]
fn a_wall_lets_members_in_and_tells_the_app_who_they_are() {
    let steady = steady();
    steady.cli_ok(&["members", "set", "vic", "viewer", "dev/shop"]);
    assert_eq!(steady.get("shop", "/").status, 200);
    let said = steady.cli_ok(&["access", "members", "dev/shop"]);
    assert_eq!(said, "dev/shop is open to members of the project\n");

    // Nobody, by anything that is no visit of a page: told plainly, with no way to sign in.
    let plain = |request: Request| request.send();
    let host = steady.app_host("shop");
    for path in ["/", "/a.0123abcd9f.txt", "/nope"] {
        let reply = steady.get("shop", path);
        assert_eq!(reply.status, 401, "{path}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"dev/shop\""));
    }
    let preflight = Request::new(steady.port, "OPTIONS", &host, "/").header("origin", "http://x.example");
    assert_eq!(plain(preflight.header("access-control-request-method", "PUT")).status, 401);
    assert_eq!(
        plain(Request::new(steady.port, "POST", &host, "/").header("accept", "text/html").body("x")).status,
        401
    );
    let socket = Request::get(steady.port, &host, "/").header("accept", "text/html").header("upgrade", "websocket");
    assert_eq!(plain(socket).status, 401);

    // A viewer, by a browser.
    let vic = Session::sign_in(&steady, "vic");
    let mut browser = Browser::at(&steady, "shop");
    let seen = browser.come_in(&vic, "/hello?a=b");
    let headers = seen.json();
    assert_eq!(headers["x-steady-user"], "vic");
    assert_eq!(headers["cookie"], json!(null), "the app sees none of the door's cookies");
    assert_eq!(seen.header("cache-control"), Some("private, max-age=60"));
    let file = browser.visit("/a.0123abcd9f.txt");
    let cached = file.header("cache-control").expect("one").to_owned();
    assert!(file.ok() == "a file" && cached.starts_with("private") && !cached.contains("public"), "{cached}");

    // A stranger and a guest of nothing: signed in, and refused on the editor's host.
    let eve = Session::sign_in(&steady, "eve");
    let mut others = Browser::at(&steady, "shop");
    let refused = eve.get(&others.knock("/"));
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.text().contains("eve"));
    steady.cli_ok(&["access", "users", "dev/shop"]);
    // Whoever can be lured to an address goes no further than the editor's page: no app learns a name without a click.
    let page = eve.get(&others.knock("/"));
    assert!(
        page.ok().contains("may know that you were there") && !page.text().contains("http-equiv"),
        "{}",
        page.text()
    );
    assert!(vic.get(&Browser::at(&steady, "shop").knock("/")).ok().contains("http-equiv"), "a member goes on at once");
    assert_eq!(others.come_in(&eve, "/").json()["x-steady-user"], "eve");
    steady.cli_ok(&["access", "members", "dev/shop"]);
    assert_eq!(others.visit("/").status, 303, "access changed: at once");

    // Nobody claims a name from outside, over HTTP/1.1 or 2, nor in odd spellings.
    let pass = browser.cookies.iter().find(|cookie| cookie.starts_with("steady-pass=")).expect("a pass").clone();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let output = output_within(
            std::process::Command::new("curl")
                .args(["-s", version, &format!("http://127.0.0.1:{}/", steady.port)])
                .args([
                    "-H",
                    &format!("host: {host}"),
                    "-H",
                    &format!("cookie: {pass}"),
                    "-H",
                    "x-steady-user: root",
                    "-H",
                    "X_Steady_User: root",
                    "-H",
                    "x-steady-role: owner",
                ]),
            None,
        );
        let told: serde_json::Value = serde_json::from_str(&ok(&output, "curl")).expect("JSON");
        assert_eq!(told["x-steady-user"], "vic", "{version}: {told}");
        assert!(told.get("x_steady_user").is_none() && told.get("x-steady-role").is_none(), "{told}");
    }

    // With the pass a socket opens.
    let mut socket = connect(steady.port).expect("connect");
    let handshake = format!(
        "GET / HTTP/1.1\r\nhost: {host}\r\ncookie: {pass}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(handshake.as_bytes()).expect("send");
    let mut status = [0; 12];
    socket.read_exact(&mut status).expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 101");

    // Within seconds after the membership ends, the pass opens nothing.
    steady.cli_ok(&["members", "remove", "vic", "dev/shop"]);
    until("the removed member is outside", || (browser.visit("/").status == 303).then_some(()));
    steady.cli_ok(&["members", "set", "vic", "viewer", "dev/shop"]);
    until("and back in", || (browser.visit("/").status == 200).then_some(()));
    assert_eq!(vic.form("/signout", "x=1").status, 303);
    until("who signed out is outside", || (browser.visit("/").status == 303).then_some(()));
}

#[test]
fn no_paper_opens_another_door() {
    let steady = steady();
    steady.push_new("other", &[("index.ts", APP)]);
    for app in ["dev/shop", "dev/other"] {
        steady.cli_ok(&["access", "members", app]);
    }
    let dev = Session::sign_in(&steady, "dev");
    let mut browser = Browser::at(&steady, "shop");
    let knock = browser.knock("/a");
    let ticket = browser.path_of(&way_back(&dev.get(&knock)));

    // In another browser, at another app, at another port: nothing. And it does not use the ticket up.
    let mut thief = Browser::at(&steady, "shop");
    assert_eq!(thief.visit(&ticket).status, 403, "without the cookie of the knock");
    thief.knock("/");
    assert_eq!(thief.visit(&ticket).status, 403, "with another browser's cookie");
    let mut elsewhere = Browser::at(&steady, "other");
    elsewhere.cookies = browser.cookies.clone();
    assert_eq!(elsewhere.visit(&ticket).status, 403, "at another app");
    // Once for whom it was made, and never again.
    assert_eq!(browser.visit(&ticket).status, 303);
    assert_eq!(browser.visit("/").status, 200);
    let mut again = Browser::at(&steady, "shop");
    again.cookies = browser.cookies.iter().filter(|cookie| cookie.starts_with("steady-knock")).cloned().collect();
    let replayed = again.visit(&ticket);
    assert!(replayed.status == 403 && replayed.text().contains("used already"), "{}", replayed.text());

    // Forged, cut and foreign papers.
    let pass =
        browser.cookies.iter().find_map(|cookie| cookie.strip_prefix("steady-pass=")).expect("a pass").to_owned();
    let paper = ticket.split("steady_ticket=").nth(1).expect("a ticket").to_owned();
    let mut bent = pass.clone().into_bytes();
    bent[40] = if bent[40] == b'A' { b'B' } else { b'A' };
    let bent = String::from_utf8(bent).expect("ASCII");
    for forged in [bent.as_str(), &pass[..pass.len() - 2], &paper, "", "x", "{\"app\":1}"] {
        let mut browser = Browser::at(&steady, "shop");
        browser.cookies = vec![format!("steady-pass={forged}")];
        assert_eq!(browser.visit("/").status, 303, "{forged}");
        let mut browser = Browser::at(&steady, "shop");
        browser.knock("/");
        assert_eq!(
            browser.visit(&format!("/?steady_ticket={}", forged.replace(['{', '}', '"', ':'], "x"))).status,
            403
        );
    }
    let mut other = Browser::at(&steady, "other");
    other.cookies = vec![format!("steady-pass={pass}")];
    assert_eq!(other.visit("/").status, 303, "the pass of one app at another");
    // A knock is no ticket and leads nowhere but to its own door; one with a foreign host cannot be made.
    for at in ["", "x", &paper, &pass] {
        assert_eq!(dev.get(&format!("/enter?at={at}")).status, 400, "{at}");
    }
    let knocked = |host: &str, path: &str| {
        let reply = Request::get(steady.port, host, path).header("accept", "text/html").send();
        let to = reply.header("location").map(|to| to.replace(&steady.url(), ""));
        to.map(|to| way_back(&dev.get(&to)))
    };
    let home = format!("http://{}/", steady.app_host("shop"));
    for (host, path) in [
        ("shop.localhost:9".to_owned(), "/"),
        ("SHOP.localhost.".to_owned(), "/"),
        (steady.app_host("shop"), "//evil.example/%2e%2e"),
        (steady.app_host("shop"), "/?steady_ticket=x&next=//evil.example"),
        (steady.app_host("shop"), "/\\evil.example"),
    ] {
        if let Some(back) = knocked(&host, path) {
            assert!(back.starts_with(&home), "{host}{path} leads to {back}");
        }
    }
    // Signed out, the way leads by the sign-in page of this server.
    let reply = Request::get(steady.port, &steady.host(), &knock).header("accept", "text/html").send();
    assert!(reply.status == 303 && reply.header("location").is_some_and(|to| to.starts_with("/signin?next=%2Fenter")));
}

#[test]
fn programs_come_by_token() {
    let steady = steady();
    steady.cli_ok(&["members", "set", "vic", "viewer", "dev/shop"]);
    steady.cli_ok(&["access", "members", "dev/shop"]);
    let token = |user: &str, flags: &[&str]| {
        let args = [&["token", "add", user, "--name", "t"], flags].concat();
        ok(&steady.local(&args, ""), "token add").trim().to_owned()
    };
    steady.push_new("other", &[("index.ts", APP)]);
    let get = |token: &str| {
        Request::get(steady.port, &steady.app_host("shop"), "/")
            .header("authorization", &format!("Bearer {token}"))
            .send()
    };
    for (good, name) in [(token("vic", &["--scope", "read"]), "vic"), (steady.token.clone(), "dev")] {
        let told = get(&good).json();
        assert_eq!((&told["x-steady-user"], &told["authorization"]), (&json!(name), &json!(null)));
    }
    for bad in [token("eve", &[]), token("dev", &["--project", "dev/other"]), "steady_x".into(), "app-token".into()] {
        assert_eq!(get(&bad).status, 401, "{bad}");
    }
    // A public app gets whatever its visitors send.
    steady.cli_ok(&["access", "public", "dev/shop"]);
    assert_eq!(get("app-token").json()["authorization"], "Bearer app-token");
}

#[test]
fn a_password_is_asked_for_and_guessing_is_slowed() {
    let steady = steady();
    let set = |password: &str| {
        let mut command = steady.client(steady.dir());
        command.args(["access", "password", "dev/shop", "--password-stdin"]);
        output_within(&mut command, Some(&format!("{password}\n")))
    };
    assert!(!set("short").status.success());
    assert_eq!(ok(&set("open sesame"), "access"), "dev/shop asks for a password\n");
    let basic = |password: &str| {
        use base64::Engine as _;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("anybody:{password}"));
        Request::get(steady.port, &steady.app_host("shop"), "/").header("authorization", &format!("Basic {pair}"))
    };
    let asked = steady.get("shop", "/");
    assert_eq!(asked.status, 401);
    assert_eq!(asked.header("www-authenticate"), Some("Basic realm=\"dev/shop\", charset=\"UTF-8\""));
    let came = basic("open sesame").send();
    assert_eq!((came.status, &came.json()["authorization"]), (200, &json!(null)));
    assert!(came.header("cache-control").is_some_and(|said| said.starts_with("private")));
    let pass = came.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a pass").to_owned();
    // The cookie is enough, and leaves the header to the app.
    let with_pass = || Request::get(steady.port, &steady.app_host("shop"), "/").header("cookie", &pass);
    assert_eq!(with_pass().header("authorization", "Bearer mine").send().json()["authorization"], "Bearer mine");
    // Guessing: refused, then slowed, the right one too; who is in stays in.
    let slowed = (0..200).map(|n| basic(&format!("guess number {n}")).send().status).find(|status| *status != 401);
    assert_eq!(slowed, Some(429));
    let right = basic("open sesame").send();
    assert!(right.status == 429 && right.header("retry-after").is_some(), "{}", right.text());
    assert_eq!(with_pass().send().status, 200);
    let lines = until("a line speaks for many", || {
        basic("one more guess").send();
        let lines = steady.cli_ok(&["requests", "dev/shop", "-n", "1000", "--json"]);
        let lines: Vec<serde_json::Value> = serde_json::from_str(&lines).expect("JSON");
        let many =
            |line: &serde_json::Value| line["error"].as_str().is_some_and(|error| error.contains("more refused"));
        lines.iter().any(many).then_some(lines)
    });
    assert!(lines.len() < 100, "{} lines for more than 100 guesses", lines.len());
    // A new password ends the cookies of the old one.
    ok(&set("close sesame"), "access");
    assert_eq!(with_pass().send().status, 401);
    let data = std::fs::read(steady.data().join("steady.db")).expect("the database");
    assert!(!data.windows(12).any(|window| window == b"close sesame"), "the password lies in the database");
}

#[test]
fn links_open_until_they_are_revoked() {
    let steady = steady();
    let make = |flags: &[&str]| steady.cli_ok(&[&["access", "link", "dev/shop"], flags].concat()).trim().to_owned();
    let url = make(&["--name", "Robin"]);
    let mut robin = Browser::at(&steady, "shop");
    let path = robin.path_of(&url).replacen('/', "/page", 1);
    assert_eq!(steady.get("shop", "/").status, 403, "a public app is closed by its first link");
    let came = robin.visit(&format!("{path}&a=b"));
    assert_eq!(
        (came.status, came.header("location")),
        (303, Some(&*format!("http://{}/page?a=b", steady.app_host("shop"))))
    );
    let seen = robin.visit("/page?a=b");
    assert!(seen.ok().contains("host") && !seen.text().contains("steady"), "{}", seen.text());
    // A second one, for somebody else, also through a wall of members.
    steady.cli_ok(&["access", "members", "dev/shop"]);
    let mut kim = Browser::at(&steady, "shop");
    assert_eq!(kim.visit(&kim.path_of(&make(&["--expires-days", "1"]))).status, 303);
    assert!(kim.visit("/").status == 200 && robin.visit("/").status == 200);
    let door: serde_json::Value =
        serde_json::from_str(&steady.cli_ok(&["access", "show", "dev/shop", "--json"])).expect("JSON");
    let robins =
        door["links"].as_array().expect("links").iter().find(|link| link["name"] == "Robin").expect("hers").clone();
    assert!(!door.to_string().contains(url.split('=').next_back().expect("a secret")), "secrets are shown once");
    steady.cli_ok(&["access", "revoke", &robins["id"].to_string(), "dev/shop"]);
    // Before a wall of a password a link gives no right to that password's cookie.
    let walled = Request::new(steady.port, "PUT", &steady.host(), "/api/v1/projects/dev/shop/access")
        .header("authorization", &format!("Bearer {}", steady.token))
        .json(&json!({ "access": "password", "password": "open sesame" }));
    assert_eq!(walled.send().status, 200);
    let reply = kim.request("/").header("authorization", "Basic OndoYXRldmVy").send();
    assert!(reply.status == 200 && reply.header("set-cookie").is_none(), "{:?}", reply.headers);
    steady.cli_ok(&["access", "members", "dev/shop"]);
    assert_eq!(robin.visit("/").status, 303, "revoked: at once");
    assert_eq!(robin.visit(&path).status, 403);
    assert_eq!(kim.visit("/").status, 200);
}

#[test]
fn owners_pass_during_maintenance() {
    let steady = steady();
    steady.cli_ok(&["members", "set", "vic", "viewer", "dev/shop"]);
    steady.cli_ok(&["maintenance", "on", "dev/shop"]);
    let (dev, vic) = (Session::sign_in(&steady, "dev"), Session::sign_in(&steady, "vic"));
    let mut owner = Browser::at(&steady, "shop");
    let down = owner.visit("/");
    assert!(down.status == 503 && down.text().contains("/?steady_enter"), "{}", down.text());
    let ticket = way_back(&dev.get(&owner.knock("/?steady_enter")));
    assert_eq!(owner.visit(&owner.path_of(&ticket)).status, 303);
    assert_eq!(owner.visit("/").status, 200);
    let mut viewer = Browser::at(&steady, "shop");
    assert_eq!(vic.get(&viewer.knock("/?steady_enter")).status, 403);
    assert_eq!(viewer.visit("/").status, 503);
}

#[test]
fn too_many_requests_are_refused_by_name() {
    let steady = Steady::start();
    let app = r#"export default { async fetch(request) {
        if (new URL(request.url).pathname === "/slow") await Bun.sleep(3000);
        return new Response("hello\n");
    } };"#;
    steady.push_new("busy", &[("index.ts", app), ("steady.json", r#"{ "limits": { "rate": 5 } }"#)]);
    let get = |label: &str, path: &str| Request::get(steady.port, &steady.app_host(label), path).send();
    let refused = (0..100).map(|_| get("busy", "/")).find(|reply| reply.status != 200).expect("one too many");
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.text().contains("5 a second from one network"), "{}", refused.text());
    assert_eq!(refused.header("ratelimit-policy"), Some("\"client\";q=10;w=2"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(refused.header("ratelimit").is_some_and(|said| said.starts_with("\"client\";r=0;t=")));
    until("it answers again", || (get("busy", "/").status == 200).then_some(()));
    let log = steady.cli_ok(&["logs", "dev/busy"]);
    assert!(log.contains("limits.rate in steady.json"), "{log}");

    steady.push_new("crowded", &[("index.ts", app), ("steady.json", r#"{ "limits": { "concurrency": 2 } }"#)]);
    assert_eq!(get("crowded", "/").status, 200);
    let crowd = std::thread::scope(|scope| {
        let many: Vec<_> = (0..4).map(|_| scope.spawn(|| get("crowded", "/slow"))).collect();
        many.into_iter().map(|one| one.join().expect("no panic")).collect::<Vec<_>>()
    });
    let crowded = crowd.iter().find(|reply| reply.status == 429).expect("one too many at once");
    assert!(crowd.iter().any(|reply| reply.status == 200));
    assert_eq!(crowded.header("ratelimit-policy"), Some("\"at-once\";q=2;qu=\"concurrent-requests\""));
    until("places are given back", || (get("crowded", "/").status == 200).then_some(()));

    // What was approved is a limit of the server, never more than it.
    let (pushed, said) = {
        let work = steady.work("greedy");
        work.write(&[("index.ts", app), ("steady.json", r#"{ "limits": { "rate": 2000000 } }"#)]);
        work.commit("More than there is");
        work.push()
    };
    assert!(!pushed && said.contains("`rate` is 2000000"), "{said}");
}
