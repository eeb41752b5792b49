//! Hostile app code: what it leaves on disk harms nobody else, neither while it is built nor while it runs.
use crate::support::Steady;

const HELLO: &str = r#"export default { fetch: () => new Response("hello\n") };"#;

/// The install runs scripts of the project. What they leave in place of the packages must not be followed: it
/// would be copied by root, opened to reading and handed to the app's next version.
#[test]
fn packages_replaced_by_a_link_bring_nothing_of_the_host() {
    let steady = Steady::start();
    let secret = steady.dir().join("secret");
    std::fs::create_dir(&secret).expect("a folder");
    std::fs::write(secret.join("key"), "TOPSECRET").expect("a file");
    let script = format!(
        "const fs = require('fs'); fs.rmSync('node_modules', {{ recursive: true, force: true }}); \
         fs.symlinkSync({:?}, 'node_modules');",
        secret.display()
    );
    let app = r#"import { readFileSync } from "fs";
        export default { fetch: () => { try { return new Response(readFileSync("/app/node_modules/key")); }
            catch { return new Response("nothing"); } } };"#;
    let work = steady.work("sly");
    work.write(&[
        ("package.json", r#"{"dependencies":{"x":"file:./x"},"scripts":{"postinstall":"bun sly.js"}}"#),
        ("x/package.json", r#"{"name":"x","version":"1.0.0"}"#),
        ("sly.js", &script),
        ("index.ts", app),
    ]);
    work.commit("First");
    work.push_ok();
    assert_eq!(steady.get("sly", "/").ok(), "nothing");
    work.write(&[("index.ts", &format!("{app}\n// again"))]);
    work.commit("Second");
    work.push_ok();
    assert_eq!(steady.get("sly", "/").ok(), "nothing");
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!(std::fs::metadata(secret.join("key")).expect("there").nlink(), 1, "it was linked");
}

/// A script may leave a pipe where Steady looks for a file: nobody waits for it.
#[test]
fn a_pipe_in_place_of_package_json_stops_no_deploy() {
    let steady = Steady::start();
    let work = steady.work("pipes");
    let script = "import { dlopen, ptr } from 'bun:ffi'; const c = dlopen('libc.so.6', { mkfifo: \
         { args: ['ptr', 'u32'], returns: 'i32' } }); require('fs').rmSync('package.json'); \
         c.symbols.mkfifo(ptr(Buffer.from('package.json\\0')), 0o600);";
    work.write(&[
        ("package.json", r#"{"dependencies":{"x":"file:./x"},"scripts":{"postinstall":"bun pipe.ts"}}"#),
        ("x/package.json", r#"{"name":"x","version":"1.0.0"}"#),
        ("pipe.ts", script),
        ("index.ts", HELLO),
    ]);
    work.commit("First");
    work.push();
    assert!(steady.log().lines().all(|line| !line.contains("panicked")));
    steady.push_new("other", &[("index.ts", HELLO)]);
    assert_eq!(steady.get("other", "/").ok(), "hello\n");
}

/// Folders nested twenty thousand deep: their removal must not end the server, nor its next start fail.
#[test]
fn folders_without_end_do_not_end_the_server() {
    let mut steady = Steady::start();
    let app = r#"import fs from "fs";
        const levels = "d/".repeat(1900);
        fs.mkdirSync("n0/" + levels, { recursive: true });
        for (let i = 1; i < 12; i++) {
            fs.mkdirSync(`n${i}/` + levels, { recursive: true });
            fs.renameSync(`n${i - 1}`, `n${i}/` + levels + "x");
        }
        throw new Error("dug");"#;
    let work = steady.work("deep");
    work.write(&[("index.ts", app)]);
    work.commit("First");
    let (success, said) = work.push();
    assert!(!success && said.contains("dug"), "{said}");
    steady.push_new("other", &[("index.ts", HELLO)]);
    assert_eq!(steady.get("other", "/").ok(), "hello\n");
    steady.restart();
    assert_eq!(steady.get("other", "/").ok(), "hello\n");
}

#[test]
fn what_runs_and_what_is_built_are_different_users() {
    let steady = Steady::start();
    let package = r#"{ "scripts": { "build": "bun build.ts" } }"#;
    let build = r#"await Bun.write("uid.txt", String(process.getuid!()));"#;
    let index = r#"const built = await Bun.file("uid.txt").text();
        export default { fetch: () => Response.json({ built, runs: String(process.getuid!()) }) };"#;
    steady.push_new("users", &[("package.json", package), ("build.ts", build), ("index.ts", index)]);
    let seen: serde_json::Value = serde_json::from_str(&steady.get("users", "/").ok()).expect("JSON");
    if rustix::process::geteuid().is_root() {
        assert_ne!(seen["built"], seen["runs"], "the live app could reach into its next version's build");
        assert_ne!(seen["runs"], "0");
    } else {
        assert_eq!(seen["built"], seen["runs"], "without root there is one user");
    }
}
