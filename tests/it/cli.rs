//! The command line: every form that people's scripts stand on.
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::work::git_command;
use crate::support::{PASSWORD, Steady, ok, output_within, steady_command, text, until};

const SHOW: &str = r#"export default { fetch: () => new Response("colour is " + (process.env.COLOUR ?? "unset")) };"#;

fn folder(steady: &Steady, name: &str, files: &[(&str, &str)]) -> String {
    let path = steady.dir().join(name);
    for (file, content) in files {
        let file = path.join(file);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("folders");
        std::fs::write(file, content).expect("a file of the test");
    }
    path.to_str().expect("plain").to_owned()
}

#[test]
fn tokens_and_users_are_added_with_the_server_running_or_not() {
    let mut steady = Steady::prepare(&[]);
    steady.add_user("dev", true);
    let output = steady.local(&["token", "add", "dev", "--name", "ci"], "");
    let printed = ok(&output, "token add");
    let token = printed.trim_end();
    assert!(token.starts_with("steady_") && token.len() == 50, "the token and nothing else: {printed:?}");
    assert_eq!(printed, format!("{token}\n"));
    steady.token = token.to_owned();
    steady.launch();
    steady.cli_ok(&["whoami"]);
    // And while it runs.
    steady.add_user("ann", false);
    let second = steady.new_token("ann");
    assert_ne!(second, token);
    steady.token = second;
    assert!(steady.cli_ok(&["whoami"]).contains("ann"));

    let twice = steady.local(&["user", "add", "ann", "--password-stdin"], &format!("{PASSWORD}\n"));
    assert!(!twice.status.success() && text(&twice.stderr).contains("ann"), "{}", text(&twice.stderr));
    assert!(!steady.local(&["token", "add", "nobody", "--name", "x"], "").status.success());
    let short = steady.local(&["user", "add", "bob", "--password-stdin"], "short\n");
    assert!(!short.status.success() && text(&short.stderr).contains("password"), "{}", text(&short.stderr));
}

#[test]
fn login_reads_the_token_from_a_pipe() {
    let steady = Steady::start();
    let home = steady.dir().join("home");
    std::fs::create_dir_all(&home).expect("a home");
    let run = |args: &[&str], environment: Option<&str>, stdin: &str| {
        let mut command = steady_command();
        command.current_dir(steady.dir()).env("HOME", &home).args(args);
        if let Some(token) = environment {
            command.env("STEADY_TOKEN", token);
        }
        output_within(&mut command, Some(stdin))
    };
    let (url, token) = (steady.url(), format!("{}\n", steady.token));
    let nothing = run(&["login", &url], None, "");
    assert!(nothing.status.code() == Some(2) && text(&nothing.stderr).contains("no token"), "{nothing:?}");
    ok(&run(&["login", &url], None, &token), "login from a pipe");
    assert!(ok(&run(&["whoami"], None, ""), "whoami").contains("dev"));
    ok(&run(&["logout"], None, ""), "logout");
    assert!(!run(&["login", &url], Some("steady_wrong"), &token).status.success(), "the environment comes first");
    ok(&run(&["login", &url, "--token-stdin"], Some("steady_wrong"), &token), "login --token-stdin");
    assert!(ok(&run(&["whoami"], None, ""), "whoami").contains("dev"));
}

#[test]
fn deploy_env_logs_status_rollback() {
    let steady = Steady::start();
    let dir = folder(&steady, "app", &[("index.ts", SHOW), ("node_modules/x/index.js", "no"), (".git/config", "no")]);
    let said = steady.cli_ok(&["deploy", "--app", "dev/colours", &dir]);
    let url = format!("http://{}", steady.app_host("colours"));
    assert!(said.contains(&url), "{said}");
    assert_eq!(steady.get("colours", "/").ok(), "colour is unset");

    steady.cli_ok(&["env", "set", "dev/colours", "COLOUR=deep blue"]);
    until("the variable is there", || (steady.get("colours", "/").text() == "colour is deep blue").then_some(()));
    let listed = steady.cli_ok(&["env", "list", "dev/colours"]);
    assert!(listed.contains("COLOUR") && !listed.contains("blue"), "values are write-only: {listed}");

    let status = steady.status("colours");
    assert_eq!(status["url"], url.as_str());
    assert!(["ready", "asleep", "starting"].contains(&status["state"].as_str().expect("a state")), "{status}");
    assert!(status["version"].as_str().is_some_and(|v| v.starts_with('v')));
    assert!(status["commit"].as_str().is_some_and(|c| c.len() == 40 && c.bytes().all(|b| b.is_ascii_hexdigit())));
    assert!(steady.cli_ok(&["status", "dev/colours"]).contains(&url), "and for people");

    folder(&steady, "app", &[("index.ts", &SHOW.replace("colour is", "now it is"))]);
    steady.cli_ok(&["deploy", "--app", "dev/colours", &dir]);
    assert_eq!(steady.get("colours", "/").ok(), "now it is deep blue");
    folder(&steady, "app", &[("index.ts", "throw new Error('on purpose')")]);
    let failed = steady.cli(&["deploy", "--app", "dev/colours", &dir]);
    let said = text(&failed.stderr) + &text(&failed.stdout);
    assert!(!failed.status.success() && said.contains("on purpose"), "{said}");
    assert_eq!(steady.get("colours", "/").ok(), "now it is deep blue");

    steady.cli_ok(&["rollback", "dev/colours"]);
    let back = steady.get("colours", "/").ok();
    assert!(back.starts_with("colour is"), "back to the code before: {back}");
    steady.cli_ok(&["rollback", "dev/colours"]);
    assert_eq!(steady.get("colours", "/").ok(), "now it is deep blue", "a rollback can be rolled back");

    steady.cli_ok(&["env", "unset", "dev/colours", "COLOUR"]);
    until("the variable is gone", || (steady.get("colours", "/").text() == "now it is unset").then_some(()));
    let deploys = steady.cli_ok(&["deploys", "dev/colours", "--json"]);
    let deploys: serde_json::Value = serde_json::from_str(&deploys).expect("JSON");
    let states: Vec<_> =
        deploys.as_array().expect("a list").iter().map(|d| d["state"].as_str().unwrap_or("")).collect();
    assert!(states.contains(&"failed") && states.contains(&"live"), "{states:?}");
}

#[test]
fn secrets_are_never_logged_nor_stored_in_the_open() {
    let mut steady = Steady::start();
    let secret = "tr0ub4dor-and-3-horses";
    let code = r#"
      console.log("my key is " + process.env.API_KEY);
      export default { fetch: () => { console.error("again " + process.env.API_KEY); return new Response("told"); } };"#;
    steady.push_new("teller", &[("index.ts", code)]);
    steady.cli_ok(&["env", "set", "dev/teller", &format!("API_KEY={secret}")]);
    until("it runs with it", || {
        steady.get("teller", "/").ok();
        let log = steady.cli_ok(&["logs", "dev/teller", "-n", "100"]);
        (log.matches("my key is").count() >= 2 && log.contains("again")).then_some(())
    });
    let log = steady.cli_ok(&["logs", "dev/teller", "-n", "100", "--json"]);
    assert!(!log.contains(secret), "the log tells the secret:\n{log}");
    assert!(steady.terminate());
    let found = output_within(Command::new("grep").args(["-r", "-l", "-a", "-F", secret]).arg(steady.data()), None);
    assert_eq!(text(&found.stdout), "", "these files hold the secret in the open");
    assert!(!steady.log().contains(secret), "the server's own log tells the secret");
}

#[test]
fn logs_follow() {
    let steady = Steady::start();
    let code = r#"export default { fetch: (r: Request) => { console.log("line " + new URL(r.url).pathname); return new Response("ok"); } };"#;
    steady.push_new("speaker", &[("index.ts", code)]);
    steady.get("speaker", "/before").ok();
    let mut command = steady.client(steady.dir());
    let mut child = command.args(["logs", "dev/speaker", "-f"]).stdout(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("line /before")), "what was there comes first");
    steady.get("speaker", "/after").ok();
    assert!(lines.any(|line| line.contains("line /after")), "then what is new");
    child.kill().expect("kill");
    child.wait().expect("wait");
}

#[test]
fn create_list_clone_link_rename() {
    let steady = Steady::start();
    steady.cli_ok(&["create", "garden", "--template", "sqlite"]);
    let listed = steady.cli_ok(&["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed[0]["path"], "dev/garden", "{listed}");

    let home = steady.dir().join("home");
    std::fs::create_dir_all(&home).expect("a home");
    let with_home = |args: &[&str], cwd: &Path| {
        let mut command = steady.client(cwd);
        command.env("HOME", &home).args(args);
        output_within(&mut command, None)
    };
    ok(&with_home(&["clone", "dev/garden", "garden"], steady.dir()), "clone");
    let clone = steady.dir().join("garden");
    assert!(clone.join("index.ts").is_file() && clone.join("README.md").is_file());
    // The folder stands for the project: no name needed.
    let status = ok(&with_home(&["status", "--json"], &clone), "status in the clone");
    assert!(status.contains("dev/garden"), "{status}");
    ok(&with_home(&["deploy"], &clone), "deploy of the current folder");
    assert!(steady.get("garden", "/count").ok().contains("count"));

    let other = folder(&steady, "elsewhere", &[("index.html", "<p>linked")]);
    ok(&with_home(&["link", "dev/garden"], Path::new(&other)), "link");
    assert!(ok(&with_home(&["status", "--json"], Path::new(&other)), "status when linked").contains("dev/garden"));

    steady.cli_ok(&["rename", "dev/garden", "meadow"]);
    assert_eq!(steady.status("meadow")["project"], "dev/meadow");
    assert!(steady.cli(&["status", "dev/garden", "--json"]).status.success(), "the old name leads on");

    // Made up when not given, and a fork is a project of its own.
    let made = steady.cli_ok(&["create", "--template", "hello", "--json"]);
    let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    let path = made["project"].as_str().expect("a name").to_owned();
    assert!(path.starts_with("dev/") && path.matches('-').count() == 2, "{path}");
    steady.cli_ok(&["create", "copy", "--fork", &path]);
    for bad in [&["create", "meadow"][..], &["create", "Bad_Name"], &["create", "x", "--template", "no-such"]] {
        let output = steady.cli(bad);
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains("error:"), "{bad:?}: {said}");
    }
}

#[test]
fn delete_keeps_all_for_a_week() {
    let steady = Steady::start();
    steady.push_new("counter", &[("index.ts", crate::data::COUNTER)]);
    assert_eq!(steady.post("counter", "/").status, 303);
    assert_eq!(steady.get("counter", "/count").json()["count"], 1);
    steady.cli_ok(&["delete", "dev/counter", "--yes"]);
    assert_eq!(steady.get("counter", "/count").status, 404);
    assert!(!steady.cli(&["status", "dev/counter"]).status.success());
    assert!(steady.cli_ok(&["recover"]).contains("dev/counter"));
    steady.cli_ok(&["recover", "dev/counter"]);
    let reply = steady.get("counter", "/count");
    assert_eq!(reply.json()["count"], 1, "{}", reply.text());
}

#[test]
fn an_export_runs_under_plain_bun() {
    let steady = Steady::start();
    let work = steady.push_new("counter", &[("index.ts", crate::data::COUNTER)]);
    for _ in 0..3 {
        assert_eq!(steady.post("counter", "/").status, 303);
    }
    let file = steady.dir().join("counter.tar.gz");
    let file = file.to_str().expect("plain");
    steady.cli_ok(&["export", "dev/counter", "-o", file]);
    let out = steady.dir().join("exported");
    std::fs::create_dir_all(&out).expect("a folder");
    ok(&output_within(Command::new("tar").args(["-xzf", file, "-C"]).arg(&out), None), "tar");
    // All in one folder, or in the archive's root.
    let root =
        std::fs::read_dir(&out).expect("unpacked").flatten().map(|e| e.path()).find(|p| p.join("index.ts").is_file());
    let root = root.unwrap_or(out);
    assert!(root.join("index.ts").is_file(), "the code is at the top of {}", root.display());
    let head = output_within(git_command().current_dir(&root).args(["rev-parse", "HEAD"]), None);
    assert_eq!(ok(&head, "git in the export").trim(), work.head());
    ok(&output_within(git_command().current_dir(&root).args(["fsck", "--strict"]), None), "git fsck in the export");
    let status = output_within(git_command().current_dir(&root).args(["status", "--porcelain"]), None);
    let status = ok(&status, "git status in the export");
    assert!(status.lines().all(|line| line.starts_with("??")), "only data is new to git: {status}");
    assert!(!status.contains("steady-export.json") && !status.contains(".bun"), "{status}");
    let manifest = std::fs::read(root.join("steady-export.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["run"], "bun index.ts");

    let bun = Path::new(env!("CARGO_MANIFEST_DIR")).join("node_modules/.bin/bun");
    let script = r#"const app = (await import(process.cwd() + "/index.ts")).default;
        console.log(await (await app.fetch(new Request("http://x/count"))).text());"#;
    let ran = output_within(Command::new(bun).current_dir(&root).args(["-e", script]), None);
    assert_eq!(ok(&ran, "bun in the export").trim(), r#"{"count":3}"#);
}

#[test]
fn a_first_deploy_that_fails_keeps_its_files_as_a_draft() {
    let steady = Steady::start();
    let session = crate::support::Session::sign_in(&steady, "dev");
    let dir = folder(&steady, "crash", &[("index.ts", "throw new Error('no start');"), ("lib/a.ts", "export {};")]);
    let refused = steady.cli(&["deploy", "--app", "dev/crash", &dir]);
    assert_eq!(refused.status.code(), Some(5), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("kept as your draft"), "{}", text(&refused.stderr));
    let draft = session.workspace("crash");
    let paths: Vec<&str> =
        draft["files"].as_array().expect("files").iter().filter_map(|file| file["path"].as_str()).collect();
    assert_eq!(paths, ["index.ts", "lib/a.ts"]);
    assert_eq!(steady.status("crash")["state"], "not deployed");
}

#[test]
fn the_editors_way_and_gits_way_are_one() {
    let steady = Steady::start();
    let session = crate::support::Session::sign_in(&steady, "dev");
    let work = steady.push_new("shared", &[("index.ts", r#"export default { fetch: () => new Response("pushed") };"#)]);
    let first = session.workspace("shared");
    let commit = first["commit"].as_str().expect("a commit");
    assert_eq!(commit, work.head());

    // Save, Run: on a link of its own, while visitors still see the pushed version.
    let edited = r#"export default { fetch: () => new Response("edited") };"#;
    let saved = session.save("shared", commit, "index.ts", edited).send();
    assert_eq!(saved.status, 200, "{}", saved.text());
    let stale = session.save("shared", commit, "index.ts", "other").send();
    assert_eq!(stale.status, 409, "another tab's save must not be lost: {}", stale.text());
    assert_eq!(session.forged("/dev/shared/run", &serde_json::json!({})).status, 403);
    let ran = session.run("shared").send();
    let draft = crate::support::session::result(&ran).unwrap_or_else(|| panic!("{}", ran.text()));
    let url = draft["url"].as_str().expect("a URL");
    assert!(url.contains("shared--"), "{url}");
    assert_eq!(session.draft_get(url, "/").text(), "edited");
    assert_eq!(steady.get("shared", "/").ok(), "pushed");

    // Deploy: the draft is a commit on main, which git pulls.
    let deployed = session.deploy("shared", "From+the+browser");
    assert!(crate::support::session::result(&deployed).is_some(), "{}", deployed.text());
    assert_eq!(steady.get("shared", "/").ok(), "edited");
    work.git_ok(&["pull", "-q", "--ff-only", "origin", "main"]);
    assert!(work.git_ok(&["log", "-1", "--format=%s"]).contains("From the browser"));
    assert_eq!(std::fs::read_to_string(work.path.join("index.ts")).expect("pulled"), edited);
}
