//! What a new project can start from. The files are in `templates/projects/NAME/`, embedded.

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

/// The files of a template, relative path and bytes.
pub fn files(_name: &str) -> Option<Vec<(String, Vec<u8>)>> {
    todo!()
}
