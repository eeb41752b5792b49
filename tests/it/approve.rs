//! Permissions and limits: what steady.json asks for, and the owner's yes.
use std::process::Command;

use serde_json::{Value, json};

use crate::support::work::remote_lines;
use crate::support::{Reply, Request, Session, Steady, output_within, signal, steady_command, text, until};

const HELLO: &str = r#"export default { fetch: () => new Response("one\n") };"#;

fn hello(word: &str) -> String {
    HELLO.replace("one", word)
}

fn asks(hosts: &[&str], limits: &Value) -> String {
    json!({ "permissions": { "net": hosts }, "limits": limits }).to_string()
}

fn permissions(steady: &Steady, project: &str) -> Value {
    let text = steady.cli_ok(&["permissions", project, "--json"]);
    serde_json::from_str(&text).expect("JSON")
}

/// The newest deploy.
fn newest(steady: &Steady, project: &str) -> Value {
    let text = steady.cli_ok(&["deploys", project, "-n", "1", "--json"]);
    serde_json::from_str::<Value>(&text).expect("JSON")[0].clone()
}

#[test]
fn a_push_that_asks_for_more_stops_until_an_owner_says_yes() {
    let steady = Steady::start();
    let work = steady.push_new("mine", &[("index.ts", HELLO)]);
    let first = work.head();
    work.write(&[
        ("index.ts", &hello("two")),
        ("steady.json", &asks(&["api.example.com"], &json!({"memory_mb": 1024}))),
    ]);
    let second = work.commit("Call an API");
    let (pushed, said) = work.push();
    assert!(!pushed && said.contains("remote rejected"), "{said}");
    let lines = remote_lines(&said).join("\n");
    for part in [
        "net: api.example.com",
        "limits: memory_mb 1024, up from 512",
        "`steady approve dev/mine`",
        &format!("{}/dev/mine/deploys", steady.url()),
    ] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    assert!(!lines.contains("==> install") && !lines.contains("==> start"), "nothing of it ran: {lines}");
    assert_eq!(lines.matches("==>").count(), 1, "only the checkout: {lines}");
    assert_eq!(steady.get("mine", "/").ok(), "one\n", "what was live still is");
    let deploy = newest(&steady, "dev/mine");
    assert_eq!((&deploy["state"], &deploy["commit"]), (&json!("waiting"), &json!(second)));
    let waits = &permissions(&steady, "dev/mine")["waiting"];
    assert_eq!(waits["deploy"], deploy["number"]);
    assert_eq!(waits["more"], json!(["net: api.example.com", "limits: memory_mb 1024, up from 512"]));
    assert!(steady.cli_ok(&["list"]).contains("waits for approval"));

    // Without a terminal nobody is asked, so nothing is approved; the difference is shown all the same.
    let unasked = steady.cli(&["approve", "dev/mine"]);
    assert_eq!(unasked.status.code(), Some(2));
    assert!(text(&unasked.stderr).contains("+ net: api.example.com"), "{}", text(&unasked.stderr));
    assert_eq!(permissions(&steady, "dev/mine")["approved"], json!([]));

    let url = steady.cli_ok(&["approve", "dev/mine", "--yes"]);
    assert_eq!(url, format!("http://{}\n", steady.app_host("mine")));
    assert_eq!(steady.get("mine", "/").ok(), "two\n");
    let status = steady.status("mine");
    assert_eq!(status["memory_limit"], json!(1024u64 << 20));
    assert_eq!(status["permissions"], json!(["net: api.example.com"]));
    assert_eq!(status["commit"], json!(second));
    let now = permissions(&steady, "dev/mine");
    assert_eq!(now["approved"], json!(["net: api.example.com", "limits: memory_mb 1024"]));
    assert_eq!(now["waiting"], Value::Null);
    let states = steady.cli_ok(&["deploys", "dev/mine"]);
    assert!(states.contains("stopped") && !states.contains("failed"), "{states}");
    let one = &now["history"][0];
    assert_eq!((&one["who"], &one["commit"], &one["deploy"]), (&json!("dev"), &json!(second), &deploy["number"]));
    assert_eq!(one["added"], waits["more"]);
    // Main followed, as after any deploy.
    let said = work.push_ok();
    assert!(said.contains("up-to-date") || said.contains("up to date"), "{said}");

    let again = steady.cli(&["approve", "dev/mine", "--yes"]);
    assert!(!again.status.success() && text(&again.stderr).contains("no deploy"), "{}", text(&again.stderr));

    // The same, or less, never stops: neither a push nor the way back.
    work.write(&[
        ("index.ts", &hello("three")),
        ("steady.json", &asks(&["api.example.com:443"], &json!({"processes": 64}))),
    ]);
    work.commit("Ask for less");
    work.push_ok();
    assert_eq!(steady.get("mine", "/").ok(), "three\n");
    steady.cli_ok(&["rollback", "dev/mine"]);
    assert_eq!(steady.get("mine", "/").ok(), "two\n");

    // After a revocation what is live goes on without, and the way back to it stops.
    let left: Value =
        serde_json::from_str(&steady.cli_ok(&["approve", "dev/mine", "--revoke", "--yes", "--json"])).expect("JSON");
    assert_eq!((&left["approved"], &left["history"][0]["revoked"]), (&json!([]), &json!(true)));
    until("the app is back", || (steady.get("mine", "/").text() == "two\n").then_some(()));
    let status = steady.status("mine");
    assert_eq!(status["memory_limit"], json!(512u64 << 20));
    assert_eq!(status["permissions"], json!(["net: none"]));
    let log = steady.cli_ok(&["logs", "dev/mine"]);
    assert!(log.contains("revoked") && log.contains("net: api.example.com"), "{log}");
    work.write(&[("index.ts", &hello("four")), ("steady.json", "{}")]);
    work.commit("Ask for nothing");
    work.push_ok();
    let back = steady.cli(&["rollback", "dev/mine", "--to", "2"]);
    assert!(!back.status.success(), "deploy 2 only waited");
    let back = steady.cli(&["rollback", "dev/mine"]);
    assert_eq!(back.status.code(), Some(5), "{}", text(&back.stderr));
    assert!(text(&back.stderr).contains("net: api.example.com"), "{}", text(&back.stderr));
    assert_eq!(steady.get("mine", "/").ok(), "four\n");
    // Approving a rollback leaves main where it is.
    steady.cli_ok(&["approve", "dev/mine", "--yes"]);
    assert_eq!(steady.get("mine", "/").ok(), "two\n");
    assert_eq!(work.git_ok(&["ls-remote", "origin", "main"]).split_whitespace().next(), Some(work.head().as_str()));
    assert_ne!(first, work.head());
}

#[test]
fn a_first_deploy_stops_too_unless_an_owner_says_yes_with_it() {
    let steady = Steady::start();
    steady.add_user("bob", false);
    let work = steady.work("fresh");
    work.write(&[("index.ts", HELLO), ("steady.json", r#"{"permissions": {"net": "public"}}"#)]);
    let dir = work.path.to_str().expect("plain");
    let stopped = steady.cli(&["deploy", "--app", "dev/fresh", dir]);
    assert_eq!(stopped.status.code(), Some(5), "{}", text(&stopped.stderr));
    assert!(text(&stopped.stderr).contains("net: public"), "{}", text(&stopped.stderr));
    assert_eq!(steady.status("fresh")["state"], "not deployed");

    // A deployer may deploy, and may not say yes.
    steady.cli_ok(&["members", "set", "bob", "deployer", "dev/fresh"]);
    let bob = steady.new_token("bob");
    let as_bob = |args: &[&str]| {
        let mut command = steady.client(steady.dir());
        output_within(command.env("STEADY_TOKEN", &bob).args(args), None)
    };
    let refused = as_bob(&["deploy", "--approve", "--app", "dev/fresh", dir]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    let refused = as_bob(&["approve", "dev/fresh", "--yes"]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    let refused = as_bob(&["approve", "dev/fresh", "--revoke", "--yes"]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    assert_eq!(steady.status("fresh")["state"], "not deployed");

    steady.cli_ok(&["deploy", "--approve", "--app", "dev/fresh", dir]);
    assert_eq!(steady.get("fresh", "/").ok(), "one\n");
    assert_eq!(permissions(&steady, "dev/fresh")["approved"], json!(["net: public"]));
    // From here on a deployer's deploys of the same go through.
    work.write(&[("index.ts", &hello("two"))]);
    let output = as_bob(&["deploy", "--app", "dev/fresh", dir]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(steady.get("fresh", "/").ok(), "two\n");
}

#[test]
fn only_what_was_shown_is_approved_and_what_is_newer_is_not_replaced() {
    let steady = Steady::start();
    let work = steady.push_new("mine", &[("index.ts", HELLO)]);
    let ask = |number: i64| -> Reply {
        Request::new(steady.port, "POST", &steady.host(), "/api/v1/projects/dev/mine/approve")
            .header("authorization", &format!("Bearer {}", steady.token))
            .json(&json!({ "deploy": number }))
            .send()
    };
    for host in ["a.example.com", "b.example.com"] {
        work.write(&[("steady.json", &asks(&[host], &json!({})))]);
        work.commit(host);
        assert!(!work.push().0);
    }
    let reply = ask(2).text();
    assert!(reply.contains("does not wait"), "the one that was replaced: {reply}");
    assert_eq!(permissions(&steady, "dev/mine")["approved"], json!([]));
    assert_eq!(permissions(&steady, "dev/mine")["waiting"]["more"], json!(["net: b.example.com"]));
    // New variables are no new version: it goes on waiting.
    steady.cli_ok(&["env", "set", "dev/mine", "X=1"]);
    assert_eq!(permissions(&steady, "dev/mine")["waiting"]["deploy"], json!(3));
    // A later version that asks for nothing takes its place.
    work.write(&[("index.ts", &hello("five")), ("steady.json", "{}")]);
    work.commit("Without");
    work.push_ok();
    assert_eq!(permissions(&steady, "dev/mine")["waiting"], Value::Null);
    assert!(ask(3).text().contains("does not wait"));
    assert_eq!(steady.get("mine", "/").ok(), "five\n");
}

#[test]
fn a_draft_runs_with_what_is_approved_and_says_so() {
    let steady = Steady::start();
    steady.push_new("mine", &[("index.ts", HELLO)]);
    let dev = Session::sign_in(&steady, "dev");
    let commit = dev.workspace("mine")["commit"].as_str().expect("a commit").to_owned();
    let asks = asks(&["api.example.com"], &json!({ "memory_mb": 2048 }));
    let saved = dev.save("mine", &commit, "steady.json", &asks).send();
    assert_eq!(saved.status, 200, "{}", saved.text());
    let ran = dev.run("mine").send().text();
    for part in ["not approved, so this draft runs without it: net: api.example.com", "\"result\""] {
        assert!(ran.contains(part), "{part}: {ran}");
    }
    let log = until("the draft's log says it too", || {
        let logs = std::fs::read_dir(steady.data().join("drafts")).ok()?.flatten();
        let files = logs.flat_map(|draft| std::fs::read_dir(draft.path().join("logs")).into_iter().flatten().flatten());
        let all: String = files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
        all.contains("memory_mb").then_some(all)
    });
    assert!(log.contains("runs without it: limits: memory_mb 2048"), "{log}");
    // Deployed from the editor it stops, and the answer says how to go on.
    let stopped = dev.deploy("mine", "x").text();
    assert!(stopped.contains("\"kind\":\"unapproved\"") && stopped.contains("steady approve dev/mine"), "{stopped}");
    let page = dev.get("/dev/mine/deploys").ok();
    assert!(page.contains("Approve and deploy") && page.contains("net: api.example.com"), "{page}");
    let approved = dev.form("/dev/mine/approve", "deploy=2");
    assert_eq!(approved.status, 303, "{}", approved.text());
    assert_eq!(steady.status("mine")["version"], "v2");
    // The draft became main: there is nothing left to deploy.
    assert_eq!(dev.workspace("mine")["is_draft"], json!(false));
    assert_eq!(dev.workspace("mine")["moved"], Value::Null);
}

#[test]
fn a_guest_says_yes_to_nothing() {
    let mut steady = Steady::prepare(&[]);
    steady.env("STEADY_GUESTS", "true");
    steady.add_user("dev", true);
    steady.token = steady.new_token("dev");
    steady.launch();
    let guest = Session::play(&steady, "Otter");
    let made = guest.form("/new", "template=hello&name=otters");
    let at = made.header("location").expect("to the editor").trim_end_matches("/edit").to_owned();
    let project = at.trim_start_matches('/').to_owned();
    let commit = guest.get(&format!("{at}/files")).json()["commit"].clone();
    let change = json!({ "op": "write", "path": "steady.json", "text": asks(&["api.example.com"], &json!({})) });
    let saved = guest.post(&format!("{at}/files"), &json!({ "on": commit, "changes": [change] })).send();
    assert_eq!(saved.status, 200, "{}", saved.text());
    let said = guest.form(&format!("{at}/deploy"), "message=x").text();
    assert!(said.contains("net: api.example.com"), "{said}");
    let reply = guest.form(&format!("{at}/approve"), "deploy=1");
    assert_eq!(reply.status, 403, "{}", reply.text());
    assert!(!guest.get(&format!("{at}/deploys")).ok().contains("Approve and deploy"));
    assert_eq!(permissions(&steady, &project)["approved"], json!([]));
    // The server's owner answers for it, if they want to.
    steady.cli_ok(&["approve", &project, "--yes"]);
    assert_eq!(permissions(&steady, &project)["approved"], json!(["net: api.example.com"]));
}

#[test]
fn a_bad_manifest_is_refused_with_its_line_and_what_is_allowed() {
    let mut steady = Steady::prepare(&[]);
    steady.env("STEADY_DEFAULT_NET", "public");
    steady.env("STEADY_MAX_MEMORY_MB", "1024");
    steady.add_user("dev", true);
    steady.token = steady.new_token("dev");
    steady.launch();
    let work =
        steady.push_new("mine", &[("index.ts", HELLO), ("steady.json", "{\"permissions\": {\"net\": \"public\"}}")]);
    assert_eq!(steady.status("mine")["permissions"], json!(["net: public"]), "the server gives it");
    for (manifest, parts) in [
        ("{\n  \"permisions\": {}\n}", ["steady.json, line 2, column 3", "Did you mean `permissions`?"]),
        ("{\n  \"limits\": {\n    \"memory_mb\": 4096 } }", ["line 3, column 18", "from 64 to 1024"]),
        ("{ \"permissions\": { \"net\": [\"http://a\"] } }", ["line 1, column 28", "\"none\", \"public\", or a list"]),
    ] {
        work.write(&[("steady.json", manifest)]);
        work.commit("Bad");
        let (pushed, said) = work.push();
        assert!(!pushed, "{said}");
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    assert_eq!(steady.get("mine", "/").ok(), "one\n");
    // What was approved while the server allowed it is cut when it does no more, and cannot be deployed again.
    work.write(&[("steady.json", "{\"limits\": {\"memory_mb\": 1024}}")]);
    let large = work.commit("Large");
    assert!(!work.push().0);
    steady.cli_ok(&["approve", "dev/mine", "--yes"]);
    assert_eq!(steady.status("mine")["memory_limit"], json!(1024u64 << 20));
    steady.env("STEADY_MAX_MEMORY_MB", "600");
    steady.restart();
    assert_eq!(steady.get("mine", "/").ok(), "one\n");
    assert_eq!(steady.status("mine")["memory_limit"], json!(600u64 << 20));
    let again = steady.cli(&["deploy", "--app", "dev/mine", "--commit", &large]);
    let said = text(&again.stderr);
    assert!(said.contains("more than this server allows") && said.contains("memory_mb 1024, up from 600"), "{said}");
    let schema = Request::get(steady.port, &steady.host(), "/schema/steady.json").send();
    assert_eq!(schema.header("content-type"), Some("application/schema+json"));
    assert_eq!(schema.json()["properties"]["limits"]["properties"]["memory_mb"]["maximum"], 600);
}

/// Whatever this machine is: `doctor` foretells what `serve` does, as root and as an ordinary user.
#[test]
fn serve_starts_where_doctor_says_so_and_else_names_what_is_missing() {
    let users: &[Option<u32>] = if rustix::process::geteuid().is_root() { &[None, Some(65_534)] } else { &[None] };
    for user in users {
        for sandbox in ["auto", "single-tenant"] {
            let folder = tempfile::tempdir().expect("a folder");
            let data = folder.path().join("data");
            std::fs::create_dir(&data).expect("a data folder");
            // Copies in a folder of that user's: the project itself may lie where only root can look.
            let (steady, bun) = (folder.path().join("steady"), folder.path().join("bun"));
            std::fs::copy(env!("CARGO_BIN_EXE_steady"), &steady).expect("a copy");
            let found = steady::runner::bun::find(None, folder.path()).expect("run `npm ci` first");
            std::fs::copy(found, &bun).expect("a copy");
            let command = |verb: &str| {
                let mut command = Command::new(&steady);
                command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
                command.env("HOME", "/nonexistent").env("STEADY_BUN", &bun);
                command.arg(verb).arg("--data").arg(&data).env("STEADY_LISTEN", "127.0.0.1:0");
                command.env("STEADY_SANDBOX", sandbox).current_dir("/");
                if let Some(user) = user {
                    use std::os::unix::process::CommandExt as _;
                    command.uid(*user).gid(*user);
                }
                command
            };
            for path in [folder.path(), &data] {
                std::os::unix::fs::chown(path, *user, *user).expect("chown");
            }
            let doctor = output_within(command("doctor").arg("--json"), None);
            let report: Value = serde_json::from_slice(&doctor.stdout)
                .unwrap_or_else(|e| panic!("{e}: {}{}", text(&doctor.stdout), text(&doctor.stderr)));
            let (log, err) = (folder.path().join("out"), folder.path().join("err"));
            let file = |path: &std::path::Path| std::fs::File::create(path).expect("a log");
            let mut server = command("serve").stdout(file(&log)).stderr(file(&err)).spawn().expect("it runs");
            let address = data.join("address");
            let ended = until("the server serves or ends", || match server.try_wait().expect("wait") {
                Some(status) => Some(Some(status)),
                None => address.exists().then_some(None),
            });
            let said = std::fs::read_to_string(&log).expect("log") + &std::fs::read_to_string(&err).expect("log");
            let case = format!("uid {user:?}, sandbox = {sandbox}: {report:#}\n{said}");
            match ended {
                None => {
                    assert_eq!(report["ok"], true, "{case}");
                    let tier = report["tier"].as_str().expect("a tier");
                    assert!(said.contains(&format!("jail    {tier}")), "{case}");
                    assert_eq!(said.contains("run only code you trust"), sandbox == "single-tenant", "{case}");
                    signal(server.id(), "TERM");
                    assert!(server.wait().expect("wait").success(), "{case}");
                }
                Some(status) => {
                    assert!(report["ok"] == false && !status.success(), "{case}");
                    for check in report["checks"].as_array().expect("checks") {
                        let named = said.contains(check["found"].as_str().expect("found"));
                        assert!(
                            check["needed"] != true || check["ok"] == true || named,
                            "{check} is not named: {case}"
                        );
                    }
                    assert!(sandbox == "single-tenant" || said.contains("sandbox = \"single-tenant\""), "{case}");
                }
            }
        }
    }
}

#[test]
fn doctor_looks_without_a_server_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let output = steady_command()
        .args(["doctor", "--json", "--data"])
        .arg(&data)
        .env("STEADY_LISTEN", "127.0.0.1:0")
        .output()
        .expect("it runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(i32::from(report["ok"] != true)), "{report:#}");
    let names: Vec<&str> =
        report["checks"].as_array().expect("checks").iter().filter_map(|check| check["name"].as_str()).collect();
    for name in ["kernel", "bun", "data folder", "free disk", "port", "time"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    for check in report["checks"].as_array().expect("checks") {
        assert!(check["ok"] == true || check["fix"] != "", "what is missing says what to do: {check}");
    }
    assert!(!data.exists(), "looking makes nothing");
}
