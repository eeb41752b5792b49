//! Host header → which site. Pure, fuzzed.

/// The server's own names.
#[derive(Clone, Debug)]
pub struct Domains {
    /// Apps are at `LABEL.<apps>`.
    pub apps: String,
    /// The editor's host, without port.
    pub editor: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    Editor,
    /// A label below the apps domain: an app's, or `APP--DRAFT`. Checked for shape only.
    App(String),
    /// Some other name: a custom domain, or a stranger's guess.
    Foreign(String),
    /// Not a host name at all.
    Bad,
}

/// Never panics, whatever the header holds.
pub fn classify(_host: &str, _domains: &Domains) -> Site {
    todo!()
}
