//! Programs that a deploy runs, in the build jail; what they write is looked at.
use std::fs;
use std::path::Path;

use libtest_mimic::{Failed, Trial};

use super::fixture::Place;

pub fn trials(place: &Place) -> Vec<Trial> {
    let build = |name: &'static str, project: &'static str, check: fn(&Path) -> Result<(), Failed>| {
        let place = place.clone();
        Trial::test(format!("package {name}"), move || check(&place.build(project, name)?))
    };
    vec![
        build("vite", "site", |at| {
            let page = fs::read_to_string(at.join("dist/index.html"))?;
            let script = page.split("src=\"/").nth(1).and_then(|rest| rest.split('"').next());
            holds(&at.join("dist").join(script.ok_or("the page has no script")?), "the answer is ")
        }),
        build("tailwind", "site", |at| holds(&at.join("out/style.css"), ".underline{text-decoration-line:underline}")),
        build("tsc", "site", |at| holds(&at.join("out/tsc/sum.js"), "export const sum = (a, b) => a + b;\n")),
        build("esbuild-cli", "site", |at| holds(&at.join("out/bundle.js"), "the answer is ")),
        build("astro", "pages", |at| holds(&at.join("dist/index.html"), ">built in the jail</p>")),
    ]
}

fn holds(path: &Path, what: &str) -> Result<(), Failed> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    if text.contains(what) { Ok(()) } else { Err(format!("no {what:?} in {}:\n{text:.2000}", path.display()).into()) }
}
