//! The walls an ordinary user's server can build, with and without user namespaces. As root each test makes
//! itself such a user; as an ordinary user the first is what every other test runs on already.
use crate::support::Steady;

/// Not root, not anybody who has files here.
const NOBODY: u32 = 65534;
const BE_NOBODY: &[&str] = &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
/// A user namespace in which no other can be made; all uids are as outside.
const NO_NAMESPACES: &str = r#"
  space=$(readlink /proc/self/ns/user)
  ( while [ "$(readlink /proc/$$/ns/user)" = "$space" ]; do sleep 0.05; done
    echo '0 0 100000' > /proc/$$/uid_map; echo '0 0 100000' > /proc/$$/gid_map ) &
  exec unshare -U -- sh -c '
    until grep -q . /proc/self/gid_map; do sleep 0.05; done
    exec sh -c "echo 0 > /proc/sys/user/max_user_namespaces
      exec setpriv --reuid=65534 --regid=65534 --clear-groups \"\$@\"" sh "$@"' sh "$@"
"#;

const CODE: &str = r#"
    import { readFileSync, readdirSync, writeFileSync } from "node:fs";
    import { Database } from "bun:sqlite";
    const why = (act: () => unknown) => { try { act(); return "done"; } catch (error: any) { return error.code ?? String(error); } };
    export default {
      async fetch(request: Request) {
        const to = new URL(request.url).searchParams.get("to");
        if (to) return new Response(await fetch(to).then((r) => r.text(), (error) => error.code));
        const db = new Database("a.sqlite");
        db.run("CREATE TABLE IF NOT EXISTS t(x)");
        return Response.json({
          shadow: why(() => readFileSync("/etc/shadow")),
          key: why(() => readFileSync(process.env.KEY!)),
          outside: why(() => writeFileSync("/tmp/steady-was-here", "")),
          code: why(() => writeFileSync(import.meta.dir + "/x", "")),
          home: why(() => writeFileSync("x", "")),
          temp: why(() => writeFileSync(process.env.TMPDIR + "/x", "")),
          server: why(() => process.kill(Number(process.env.SERVER), 0)),
          pids: why(() => readdirSync("/proc")),
          uid: process.getuid!(),
        });
      },
    };
"#;

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Deploys the program above, which knows where the server's key and process are.
fn look(steady: &mut Steady) -> serde_json::Value {
    steady.token = {
        steady.add_user("dev", true);
        steady.new_token("dev")
    };
    steady.launch();
    steady.push_new("look", &[("index.ts", CODE)]);
    let key = format!("KEY={}", steady.data().join("secret.key").display());
    steady.cli_ok(&["env", "set", "dev/look", &key, &format!("SERVER={}", steady.pid())]);
    let seen = steady.get("look", "/").json();
    for to in [steady.url(), "http://169.254.169.254/".to_owned(), "http://example.com/".to_owned()] {
        let got = steady.get("look", &format!("/?to={to}")).text();
        assert!(["ECONNREFUSED", "EACCES", "ENOTFOUND", "FailedToOpenSocket"].contains(&got.as_str()), "{to}: {got}");
    }
    let log = steady.cli_ok(&["logs", "dev/look", "-n", "100"]);
    assert!(log.contains(r#""permissions": { "net": ["example.com"] }"#), "{log}");
    seen
}

#[test]
fn rootless_apps_have_a_world_of_their_own() {
    let mut steady = Steady::prepare(&[]);
    if root() {
        steady.run_by(BE_NOBODY, NOBODY);
    }
    let seen = look(&mut steady);
    let banner = steady.log();
    assert!(banner.contains("jail    rootless") && banner.contains("missing root"), "{banner}");
    for (what, want) in [
        ("shadow", "ENOENT"),
        ("key", "ENOENT"),
        // Its own `/tmp`.
        ("outside", "done"),
        ("code", "EROFS"),
        ("home", "done"),
        ("temp", "done"),
        ("pids", "done"),
    ] {
        assert_eq!(seen[what], want, "{what} in {seen}");
    }
    assert!(["ESRCH", "EPERM"].contains(&seen["server"].as_str().expect("a word")), "{seen}");
    assert_eq!(seen["uid"], 1000);
    // Nobody gave this user control groups: no limit is shown that is not enforced.
    if root() {
        assert!(banner.contains("memory and process limits are not enforced"), "{banner}");
        let status: serde_json::Value =
            serde_json::from_str(&steady.cli_ok(&["status", "dev/look", "--json"])).expect("JSON");
        for limit in ["memory_limit", "pids_limit", "cpu_percent"] {
            assert!(status[limit].is_null(), "{limit} in {status}");
        }
        let shown = steady.cli_ok(&["status", "dev/look"]);
        assert!(shown.contains("memory, processes, processor not limited"), "{shown}");
    }
    assert!(!std::path::Path::new("/tmp/steady-was-here").exists());
}

#[test]
fn without_namespaces_one_tenant_is_served_and_no_more() {
    if !root() {
        return eprintln!("as an ordinary user nobody can take user namespaces away: this needs root");
    }
    let mut steady = Steady::prepare(&[]);
    steady.run_by(&["sh", "-c", NO_NAMESPACES, "sh"], NOBODY);
    let refused = steady.serve_output(&[]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{said}");
    for word in ["process-only", "user namespaces", "sandbox = \"single-tenant\""] {
        assert!(said.contains(word), "{word} in {said}");
    }
    steady.env("STEADY_SANDBOX", "single-tenant");
    let seen = look(&mut steady);
    for (what, want) in [
        ("shadow", "EACCES"),
        ("key", "EACCES"),
        ("outside", "EACCES"),
        ("code", "EACCES"),
        ("home", "done"),
        ("temp", "done"),
        ("server", "EPERM"),
        // Names of processes, and no more: tests/runner looks closer.
        ("pids", "done"),
    ] {
        assert_eq!(seen[what], want, "{what} in {seen}");
    }
    assert_eq!(seen["uid"], NOBODY);
}
