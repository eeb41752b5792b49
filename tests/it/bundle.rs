//! Versions started from one file made of their source: what must stay as it was, what keeps the source, and that
//! nothing which was pushed is taken for such a file.
use std::fs;

use crate::support::{Steady, until};

/// Whether it runs from a bundle, beside what else it answers.
const SEEN: &str = "const bundled = require('fs').existsSync('/lib/bundle/index.js.map');";

fn push(steady: &Steady, project: &str, files: &[(&str, &str)]) -> String {
    let work = steady.work(project);
    work.write(files);
    work.commit("First");
    work.push_ok()
}

#[test]
fn what_a_program_asks_of_its_surroundings_is_as_from_source() {
    let steady = Steady::start();
    let index = r#"
        import { join } from "node:path";
        import text from "./note.txt" with { type: "text" };
        import data from "./data.json";
        import { aliased } from "@lib/aliased";
        import { existsSync } from "node:fs";
        export class Shown {}
        const worker = () => new Promise((done) => {
            const worker = new Worker(new URL("./worker.ts", import.meta.url));
            worker.onmessage = (event) => { done(event.data); worker.terminate(); };
        });
        const main = import.meta.main;
        export default {
            async fetch(request: Request) {
                if (new URL(request.url).pathname === "/throw") fail();
                return Response.json({
                    bundled: existsSync("/lib/bundle/index.js.map"), main, argv: process.argv.slice(1), cwd: process.cwd(),
                    dir: import.meta.dir, file: __filename, url: import.meta.url, name: Shown.name, text, data, aliased,
                    relative: await Bun.file("./note.txt").text(), beside: await Bun.file(join(__dirname, "note.txt")).text(),
                    strict: (function (this: unknown) { return this === undefined })(), worker: await worker(),
                    variable: process.env.GREETING ?? null, entry: process.env.STEADY_ENTRY ?? null,
                });
            },
        };
        function fail(): never {
            throw new Error("on purpose");
        }
    "#;
    let files: &[(&str, &str)] = &[
        ("index.ts", index),
        ("note.txt", "a note"),
        ("data.json", r#"{"n":1}"#),
        ("tsconfig.json", r#"{"compilerOptions":{"baseUrl":".","paths":{"@lib/*":["lib/*"]}}}"#),
        ("lib/aliased.ts", "export const aliased = import.meta.main ? 'wrong' : 'aliased';"),
        ("worker.ts", "postMessage('from a worker');"),
        // What somebody pushes under these names is theirs, and nothing to Steady.
        ("index.js.jsc", "not bytecode"),
        ("index.ts.jsc", "not bytecode"),
    ];
    let said = push(&steady, "same", files);
    assert!(!said.contains("not bundled"), "{said}");
    let answer = steady.get("same", "/").json();
    assert_eq!(answer["bundled"], true, "{answer}");
    // The same from source: the variable keeps a version with it.
    steady.cli_ok(&["env", "set", "dev/same", "NODE_ENV=test"]);
    let source = steady.get("same", "/").json();
    assert_eq!(source["bundled"], false, "{source}");
    let without = |mut value: serde_json::Value| {
        value.as_object_mut().expect("an object").remove("bundled");
        value
    };
    assert_eq!(without(answer.clone()), without(source));
    assert_eq!(answer["argv"], serde_json::json!(["/app/index.ts"]));
    assert_eq!(
        (&answer["main"], &answer["aliased"], &answer["name"]),
        (&true.into(), &"aliased".into(), &"Shown".into())
    );
    steady.cli_ok(&["env", "unset", "dev/same", "NODE_ENV"]);
    assert_eq!(steady.get("same", "/").json()["bundled"], true);
    // A trace names the line that was written, not the one that was made of it.
    assert_eq!(steady.get("same", "/throw").status, 500);
    let line = 1 + index.lines().position(|line| line.contains("on purpose")).expect("the line");
    until("the place in the log", || {
        steady.cli_ok(&["logs", "dev/same"]).contains(&format!("/app/index.ts:{line}:")).then_some(())
    });
}

#[test]
fn what_one_file_would_change_runs_from_source() {
    let steady = Steady::start();
    let answer = "export default { fetch: async () => new Response(`${bundled} ${await what()}`) };";
    let with = |code: &str| format!("{SEEN} {code}\n{answer}");
    type Case<'a> = (&'a str, String, &'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: &[Case<'_>] = &[
        (
            "dynamic",
            with("const name = './rou' + 'tes/a'; const what = async () => (await import(name)).a;"),
            &[("routes/a.ts", "export const a = 'a';")],
            "index.ts loads what it names at run time",
            "false a",
        ),
        (
            "macro",
            format!("import {{ now }} from './now' with {{ type: 'macro' }};\n{}", with("const what = () => now();")),
            &[("now.ts", "export const now = () => 'made';")],
            "imports ./now in a way of its own",
            "false made",
        ),
        (
            "preload",
            with("const what = () => globalThis.before;"),
            &[("bunfig.toml", "preload = ['./before.ts']"), ("before.ts", "globalThis.before = 'before';")],
            "bunfig.toml changes how it runs",
            "false before",
        ),
        ("main", with("const what = () => Bun.main;"), &[], "Bun.main", "false /app/index.ts"),
        (
            "page",
            "import page from './page.html'; Bun.serve({ routes: { '/page': page, '/': new Response('served') } });"
                .into(),
            &[("page.html", "<p>page</p><script src='./page.ts'></script>"), ("page.ts", "console.log('page')")],
            "more than one file",
            "served",
        ),
        (
            "waits",
            format!("{SEEN} const what = await Promise.resolve(() => 'waited');\n{answer}"),
            &[],
            "bundled without bytecode",
            "true waited",
        ),
        (
            "fails",
            with("if (bundled) process.exit(9); const what = () => 'source';"),
            &[],
            "only its source came up: exited with 9",
            "false source",
        ),
    ];
    for (project, index, more, said, answer) in cases {
        let files: Vec<(&str, &str)> = [("index.ts", index.as_str())].into_iter().chain(more.iter().copied()).collect();
        let log = push(&steady, project, &files);
        assert!(log.contains(said), "{project}: {log}");
        assert_eq!(steady.get(project, "/").ok(), *answer, "{project}");
    }
    assert!(steady.get("page", "/page").ok().contains("<script"));
}

#[test]
fn a_bundle_is_made_again_when_it_is_gone_and_goes_with_its_project() {
    let steady = Steady::start();
    let index = format!("{SEEN} export default {{ fetch: () => new Response(String(bundled)) }};");
    push(&steady, "gone", &[("index.ts", &index)]);
    assert_eq!(steady.get("gone", "/").ok(), "true");
    let bundles = || {
        let apps = fs::read_dir(steady.data().join("apps")).expect("apps").flatten();
        let made = apps.flat_map(|app| fs::read_dir(app.path().join("bundles")).into_iter().flatten().flatten());
        made.map(|made| made.path()).collect::<Vec<_>>()
    };
    let made = bundles();
    assert_eq!(made.len(), 1, "{made:?}");
    assert!(made[0].join("index.js.jsc").is_file());
    // Whoever loses it starts the source.
    fs::remove_dir_all(&made[0]).expect("removed");
    steady.cli_ok(&["restart", "dev/gone"]);
    assert_eq!(steady.get("gone", "/").ok(), "false");
}
