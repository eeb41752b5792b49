use super::*;
use proptest::prelude::*;

/// Path, kind, and whether it stays outside.
type Imports<'a> = &'a [(&'a str, &'a str, bool)];

fn meta(format: &str, inputs: &[(&str, Imports<'_>)]) -> Meta {
    let import = |(path, kind, external): &(&str, &str, bool)| Import {
        path: (*path).into(),
        kind: (*kind).into(),
        external: *external,
    };
    let inputs = inputs
        .iter()
        .map(|(path, imports)| ((*path).to_owned(), Input { imports: imports.iter().map(import).collect() }));
    Meta { format: format.into(), inputs: inputs.collect() }
}

fn why(text: &str, meta: &Meta, sources: &[(&str, &str)]) -> Option<String> {
    let source = |path: &str| sources.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned());
    after(text, meta, &source).err()
}

#[test]
fn what_asks_for_its_source_keeps_it() {
    let cjs = meta("cjs", &[("index.ts", &[])]);
    let esm = meta("esm", &[("index.ts", &[])]);
    assert_eq!(why("Bun.serve({fetch:()=>new Response(\"x\")})", &cjs, &[]), None);
    assert_eq!(why("if(require.main==module)main()", &cjs, &[]), None);
    assert_eq!(why("if(import.meta.main)main()", &esm, &[]), None);
    for (text, part) in [
        ("x=Bun.main", "Bun.main"),
        ("var import_bun=globalThis.Bun,y=import_bun.main", "Bun.main"),
        ("var é={},$b=globalThis.Bun;$b.plugin({})", "Bun.plugin"),
        ("require.main.filename", "require.main"),
        ("import.meta.env.X", "import.meta"),
        ("delete require.cache[x]", "require.cache"),
        ("new Worker(\"./w.ts\")", "worker"),
        ("new Worker(`./${x}`)", "worker"),
        ("import_node_module.createRequire(x)", "createRequire"),
    ] {
        assert!(why(text, &cjs, &[]).is_some_and(|why| why.contains(part)), "{text}");
    }
    assert!(why("import.meta.dir", &esm, &[]).is_some());
    assert_eq!(why("var __require=import.meta.require;__require(\"fs\")", &esm, &[]), None);
}

#[test]
fn what_a_process_that_waited_would_do_otherwise() {
    let plain = meta("cjs", &[("index.ts", &[("node:fs", "import-statement", true)])]);
    let pooled = |text: &str, meta: &Meta| after(text, meta, &|_| None);
    assert_eq!(pooled("Bun.serve({})", &plain), Ok(true));
    assert_eq!(pooled("new Worker(\"file:///app/w.ts\")", &plain), Ok(false));
    assert_eq!(pooled("require(\"bun:ffi\")", &plain), Ok(false));
    let optional = meta("cjs", &[("node_modules/debug/src/node.js", &[("supports-color", "require-call", true)])]);
    assert_eq!(pooled("", &optional), Ok(true), "it is looked for when it is asked for");
}

#[test]
fn what_stays_outside_keeps_it() {
    let macro_ = meta("cjs", &[("index.ts", &[("./mac", "import-statement", true)])]);
    assert_eq!(why("", &macro_, &[]).as_deref(), Some("index.ts imports ./mac in a way of its own"));
    let packaged = meta("cjs", &[("index.ts", &[("some-macro", "import-statement", true)])]);
    assert!(why("", &packaged, &[]).is_some());
    let page = meta("cjs", &[("index.ts", &[("page.html", "import-statement", false)]), ("page.html", &[])]);
    assert!(why("", &page, &[]).is_some_and(|why| why.contains("page.html")));
    let usual: Imports<'_> = &[
        ("fs", "import-statement", true),
        ("node:fs/promises", "import-statement", true),
        ("bun:sqlite", "import-statement", true),
        ("supports-color", "require-call", true),
    ];
    assert_eq!(why("", &meta("cjs", &[("node_modules/debug/src/node.js", usual)]), &[]), None);
}

#[test]
fn what_is_named_at_run_time_keeps_it() {
    let own = meta("cjs", &[("index.ts", &[]), ("node_modules/express/lib/view.js", &[])]);
    let text = "var fn=require(mod).__express";
    let express = ("node_modules/express/lib/view.js", "var fn = require(mod).__express");
    assert_eq!(why(text, &own, &[express, ("index.ts", "import x from 'express'")]), None);
    let routes = ("index.ts", "const f = './routes/' + x; await import(f)");
    assert!(why("import(f)", &own, &[express, routes]).is_some_and(|why| why.contains("index.ts")));
    let other = meta("cjs", &[("node_modules/@fastify/autoload/index.js", &[])]);
    let loads = ("node_modules/@fastify/autoload/index.js", "// import(anything)\nimport(/* x */ file)");
    assert!(why("import(file)", &other, &[loads]).is_some_and(|why| why.contains("`file`")));
    assert_eq!(why("require(\"fs\")", &other, &[loads]), None, "comments alone keep nothing");
}

#[test]
fn what_bunfig_may_hold() {
    assert_eq!(before(None), Ok(()));
    assert_eq!(before(Some(b"[install]\nexact = true\n[test]\npreload = \"./t.ts\"")), Ok(()));
    assert!(before(Some(b"preload = [\"./x.ts\"]")).is_err_and(|why| why.contains("`preload`")));
    assert!(before(Some(b"[serve.static]\nplugins = []")).is_err());
    assert!(before(Some(b"preload = [")).is_err());
}

#[test]
fn the_innermost_package_counts() {
    assert_eq!(package("src/index.ts"), None);
    assert_eq!(package("node_modules/a/node_modules/@b/c/x.js"), Some("@b/c"));
    assert_eq!(package("node_modules/a/x.js"), Some("a"));
}

proptest! {
    #[test]
    fn any_text_is_read(text in "\\PC{0,200}", format in "cjs|esm") {
        let _ = why(&text, &meta(&format, &[("index.ts", &[])]), &[("index.ts", &text)]);
    }

    #[test]
    fn plain_loads_are_plain(name in "[a-z./@-]{1,20}", quote in "['\"`]") {
        let text = format!("x=require({quote}{name}{quote});import({quote}{name}{quote},{{}})");
        prop_assert!(loads(&text).is_empty());
    }

    #[test]
    fn named_loads_are_found(name in "[a-z]{1,9}", call in "import|require") {
        let text = format!(";{call}( /* c */ {name} )");
        prop_assert_eq!(loads(&text), BTreeSet::from([name.as_str()]));
    }
}

/// Strangers write what is judged here: none of it may take a processor for hours.
#[test]
fn no_text_takes_long_to_judge() {
    let begun = crate::base::Clock::stopwatch();
    let many = |piece: &dyn Fn(usize) -> String| (0..200_000).map(piece).collect::<String>();
    let cjs = meta("cjs", &[("index.ts", &[])]);
    let names = many(&|n| format!("var a{n}=globalThis.Bun;"));
    assert!(why(&names, &cjs, &[]).is_some_and(|why| why.contains("names for Bun")));
    let comments = many(&|_| "import(/*".into());
    assert!(why(&comments, &cjs, &[("index.ts", &comments)]).is_some());
    let package = meta("cjs", &[("node_modules/p/a.js", &[])]);
    let (made, source) = (many(&|n| format!("import(a{n});")), many(&|n| format!("import(b{n});")));
    assert_eq!(why(&made, &package, &[("node_modules/p/a.js", &source)]), None);
    let paths: Vec<String> = (0..100).map(|n| format!("node_modules/p/{n}.js")).collect();
    let inputs: Vec<(&str, Imports<'_>)> = paths.iter().map(|path| (path.as_str(), &[][..])).collect();
    let same = |_: &str| Some("x".repeat(1 << 20));
    let judged = after("import(a)", &meta("cjs", &inputs), &same);
    assert!(judged.is_err_and(|why| why.contains("MiB of source")));
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
