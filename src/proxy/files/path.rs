//! A request's path → a file's. Pure.
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// What a path asks for, relative to the root. Holds plain names only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    File(PathBuf),
    /// It ended in a slash (or was one): the folder's `index.html`.
    Folder(PathBuf),
}

/// Decodes once, and refuses whatever could mean another place or a hidden file: `.`, `..`, empty parts,
/// encoded slashes, backslashes, control characters, names that begin with a dot (but `.well-known`).
pub fn wanted(path: &str) -> Option<Wanted> {
    let rest = path.strip_prefix('/')?;
    if path.len() > 4096 {
        return None;
    }
    let (rest, is_folder) = match rest.strip_suffix('/') {
        Some(rest) => (rest, true),
        None => (rest, rest.is_empty()),
    };
    let mut file = PathBuf::new();
    if !rest.is_empty() {
        for (depth, part) in rest.split('/').enumerate() {
            let name = percent_decode_str(part).decode_utf8().ok()?;
            if !is_plain(&name, depth) {
                return None;
            }
            file.push(&*name);
        }
    } else if path.len() > 1 {
        return None; // `//`
    }
    Some(if is_folder { Wanted::Folder(file) } else { Wanted::File(file) })
}

/// Whether a part of a path, decoded, may name something: `depth` folders lie above it.
pub fn is_plain(name: &str, depth: usize) -> bool {
    let hidden = name.starts_with('.') && !(depth == 0 && name == ".well-known");
    let odd = name.chars().any(|c| c.is_control() || c == '/' || c == '\\');
    !(name.is_empty() || name.len() > 255 || hidden || odd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Component;

    #[test]
    fn paths_and_what_they_mean() {
        let file = |p: &str| Some(Wanted::File(p.into()));
        let folder = |p: &str| Some(Wanted::Folder(p.into()));
        for (path, means) in [
            ("/", folder("")),
            ("/a/", folder("a")),
            ("/a.js", file("a.js")),
            ("/a%20b/%C3%BC.txt", file("a b/ü.txt")),
            ("/100%25", file("100%")),
            ("/%252e%252e/x", file("%2e%2e/x")),
            ("/.well-known/acme", file(".well-known/acme")),
            ("/a/.well-known/acme", None),
            ("/.well-known/.env", None),
            ("/.env", None),
            ("/a/.git/config", None),
            ("/%2eenv", None),
            ("/..", None),
            ("/a/../b", None),
            ("/a/%2e%2e/b", None),
            ("/a/..%2fb", None),
            ("/a%2Fb", None),
            ("/a%5cb", None),
            ("/a\\b", None),
            ("/a%00b", None),
            ("/a%0ab", None),
            ("/%ff", None),
            ("//", None),
            ("//evil.example/", None),
            ("/a//b", None),
            ("/a//", None),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(wanted(path), means, "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn only_plain_names_come_out(path in "(/|%2[eEfF]|%5c|\\.|%00|[a-z]|\\PC){0,24}") {
            if let Some(Wanted::File(file) | Wanted::Folder(file)) = wanted(&format!("/{path}")) {
                for part in file.components() {
                    let Component::Normal(name) = part else { panic!("{file:?} is not plain") };
                    prop_assert!(!name.to_str().unwrap().starts_with('.') || name == ".well-known");
                }
            }
        }
    }
}
