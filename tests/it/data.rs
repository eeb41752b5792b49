//! An app's own files: there after a restart, a kill -9 and a new version.
use crate::support::{Request, Steady, until};

/// The template, so that what is offered to people is what is tested.
pub const COUNTER: &str = include_str!("../../templates/projects/sqlite/index.ts");

fn count(steady: &Steady) -> u64 {
    let reply = steady.get("counter", "/count");
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["count"].as_u64().expect("a number")
}

fn add(steady: &Steady) {
    let reply = steady.post("counter", "/");
    assert_eq!(reply.status, 303, "{}", reply.text());
}

#[test]
fn a_sqlite_counter_survives_restart_kill_and_deploy() {
    let mut steady = Steady::start();
    let work = steady.push_new("counter", &[("index.ts", COUNTER)]);
    assert_eq!(count(&steady), 0, "the health check must not count");
    add(&steady);
    add(&steady);
    assert_eq!(count(&steady), 2);

    steady.restart();
    assert_eq!(count(&steady), 2, "after a restart");
    add(&steady);

    let below = crate::support::procs::below(steady.pid());
    steady.kill();
    steady.launch();
    assert_eq!(count(&steady), 3, "after kill -9 of the server");
    let left = crate::support::procs::alive(&below);
    assert!(left.is_empty(), "the next start must end what kill -9 left: {left:?}");
    add(&steady);

    work.write(&[("index.ts", &COUNTER.replace("Add one", "One more"))]);
    work.commit("Other words");
    work.push_ok();
    assert_eq!(count(&steady), 4, "after a deploy");
    assert!(steady.get("counter", "/").ok().contains("One more"));

    // Kill -9 of the app itself: noticed, and the next request starts it again.
    let child = steady.status("counter")["process"]["pid"].as_u64().expect("it runs");
    crate::support::signal(u32::try_from(child).expect("a pid"), "KILL");
    until("the app answers again", || {
        let request = Request::get(steady.port, &steady.app_host("counter"), "/count");
        request.try_send().ok().filter(|reply| reply.status == 200 && reply.json()["count"] == 4)
    });
}

#[test]
fn relative_names_and_data_dir_are_kept_and_code_is_read_only() {
    let steady = Steady::start();
    let code = r#"
        import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
        export default {
          async fetch(request: Request) {
            const { pathname } = new URL(request.url);
            if (pathname === "/add") {
              appendFileSync("plain.txt", "a");
              appendFileSync(process.env.DATA_DIR + "/dir.txt", "b");
              appendFileSync("./data/dir.txt", "c");
              return new Response("added");
            }
            if (pathname === "/read") {
              return new Response(readFileSync("plain.txt", "utf8") + readFileSync("data/dir.txt", "utf8"));
            }
            if (pathname === "/view") return new Response(Bun.file("views/page.txt"));
            if (pathname === "/code") {
              try {
                writeFileSync(import.meta.path, "// gone");
                return new Response("wrote", { status: 500 });
              } catch (error) {
                return new Response("refused");
              }
            }
            return new Response("version 1");
          },
        };"#;
    let work = steady.push_new("files", &[("index.ts", code), ("views/page.txt", "a view")]);
    assert_eq!(steady.get("files", "/add").ok(), "added");
    assert_eq!(steady.get("files", "/read").ok(), "abc");
    assert_eq!(steady.get("files", "/view").ok(), "a view", "committed files are there under relative names");
    assert_eq!(steady.get("files", "/code").ok(), "refused");
    work.write(&[("index.ts", &code.replace("version 1", "version 2")), ("views/page.txt", "another view")]);
    work.commit("Second");
    work.push_ok();
    assert_eq!(steady.get("files", "/").ok(), "version 2");
    assert_eq!(steady.get("files", "/add").ok(), "added");
    assert_eq!(steady.get("files", "/read").ok(), "aabcbc");
    assert_eq!(steady.get("files", "/view").ok(), "another view");
}
