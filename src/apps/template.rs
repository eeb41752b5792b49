//! What a new project can start from. The files are in `templates/projects/NAME/`, embedded.
use rust_embed::RustEmbed;

#[derive(Clone, Debug, serde::Serialize)]
pub struct Template {
    pub name: &'static str,
    pub title: &'static str,
    pub about: &'static str,
}

/// In the order the page shows them.
pub const TEMPLATES: &[Template] = &[
    Template { name: "hello", title: "Hello", about: "One file that answers every request" },
    Template { name: "hono", title: "Hono", about: "Routes and middleware with Hono" },
    Template { name: "elysia", title: "Elysia", about: "A typed API with Elysia" },
    Template { name: "jsx", title: "JSX page", about: "HTML from JSX, rendered on the server" },
    Template { name: "sqlite", title: "SQLite counter", about: "A page that counts, in its own database" },
    Template { name: "chat", title: "WebSocket chat", about: "Everybody on the page talks to everybody" },
    Template { name: "static", title: "Static site", about: "HTML and CSS, served without a process" },
];

/// Development builds read the folder, release builds carry it.
#[derive(RustEmbed)]
#[folder = "templates/projects"]
struct Projects;

/// The files of one template as (path with `/`, bytes), sorted by path; `None` when there is no such template.
pub fn files(name: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let template = TEMPLATES.iter().find(|template| template.name == name)?;
    let prefix = format!("{}/", template.name);
    let mut files: Vec<_> = Projects::iter()
        .filter_map(|path| Some((path.strip_prefix(&prefix)?.to_owned(), Projects::get(&path)?.data.into_owned())))
        .filter(|(path, _)| !path.split('/').any(|part| part == "node_modules"))
        .collect();
    files.sort();
    Some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_a_whole_project() {
        for template in TEMPLATES {
            let files = files(template.name).expect("it is listed, so it exists");
            let has = |name: &str| files.iter().any(|(path, _)| path == name);
            assert!(has("README.md") && has(".gitignore"), "{} lacks README.md or .gitignore", template.name);
            assert!(
                has("index.ts") || has("index.tsx") || has("index.html"),
                "{} has nothing to start or serve",
                template.name
            );
            for (path, bytes) in &files {
                assert!(crate::base::fs::confine(path).is_ok(), "{path} cannot be saved into a project");
                assert!(bytes.len() < 64 << 10, "{}/{path} is too large for a template", template.name);
            }
        }
        assert!(files("no-such").is_none() && files("../hello").is_none());
    }

    #[test]
    fn packages_are_pinned_and_locked() {
        for template in TEMPLATES {
            let files = files(template.name).expect("it is listed, so it exists");
            let Some((_, package)) = files.iter().find(|(path, _)| path == "package.json") else { continue };
            let package: serde_json::Value = serde_json::from_slice(package).expect("package.json is JSON");
            let Some(dependencies) = package.get("dependencies").and_then(|d| d.as_object()) else { continue };
            let lock = files.iter().find(|(path, _)| path == "bun.lock").map(|(_, bytes)| bytes.as_slice());
            let lock = std::str::from_utf8(lock.expect("dependencies need a bun.lock")).expect("it is text");
            assert!(!lock.contains("://"), "{}/bun.lock names a host", template.name);
            for (name, version) in dependencies {
                let version = version.as_str().expect("a version is a string");
                assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{name} is not pinned: {version}");
                assert!(lock.contains(&format!("\"{name}@{version}\"")), "{name} is not in bun.lock");
            }
        }
    }
}
