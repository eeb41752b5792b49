//! All files of a folder that never changes, by the path that asks for them. Pure.
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::super::compress::Coding;
use super::path::{Wanted, is_plain, wanted};

/// Files of one folder that are remembered; of one with more nothing is, and each request looks on the disk.
pub const MOST_FILES: usize = 4000;
/// Bytes of their names.
const MOST_NAMES: usize = 256 << 10;

/// One file, and the forms it can be sent in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the folder.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// Seconds since 1970.
    pub modified: u64,
    /// The strong tag, in its quotes.
    pub tag: String,
    /// Smaller ones, at most one of each coding.
    pub forms: Vec<Form>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    #[serde(with = "coding")]
    pub coding: Coding,
    /// Relative to the folder of packed files, or to the folder itself.
    pub name: String,
    /// Made by Steady, not by the project.
    pub packed: bool,
    pub length: u64,
    pub tag: String,
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    File(&'a Entry),
    /// A folder with a page, without its slash.
    Folder,
    Nothing,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    At(u32),
    Folder,
}

#[derive(Debug, Default)]
pub struct Index {
    entries: Vec<Entry>,
    /// By what stands after the first slash of a path.
    paths: HashMap<Box<str>, Place>,
}

impl Index {
    /// `None` when there are too many.
    pub fn new(entries: Vec<Entry>) -> Option<Self> {
        let names: usize = entries.iter().map(|entry| entry.name.len()).sum();
        if entries.len() > MOST_FILES || names > MOST_NAMES {
            return None;
        }
        let mut paths = HashMap::with_capacity(entries.len());
        for (n, entry) in (0..).zip(&entries) {
            // What no path can mean is not there.
            if !entry.name.split('/').enumerate().all(|(depth, part)| is_plain(part, depth)) {
                continue;
            }
            if let Some(folder) = entry.name.strip_suffix("index.html")
                && (folder.is_empty() || folder.ends_with('/'))
            {
                paths.insert(folder.into(), Place::At(n));
                if let Some(bare) = folder.strip_suffix('/') {
                    // A file cannot have the name of a folder.
                    paths.insert(bare.into(), Place::Folder);
                }
            }
            paths.insert(entry.name.as_str().into(), Place::At(n));
        }
        Some(Self { entries, paths })
    }

    /// What a request's path, with its slash and its escapes, leads to.
    pub fn find(&self, path: &str) -> Found<'_> {
        let Some(rest) = path.strip_prefix('/') else { return Found::Nothing };
        let decoded;
        let rest = match rest.contains('%') {
            false => rest,
            true => {
                let Some(wanted) = wanted(path) else { return Found::Nothing };
                decoded = match wanted {
                    Wanted::File(file) => file.to_string_lossy().into_owned(),
                    Wanted::Folder(folder) => format!("{}/", folder.display()),
                };
                decoded.as_str()
            }
        };
        match self.paths.get(rest) {
            Some(Place::At(n)) => self.entries.get(*n as usize).map_or(Found::Nothing, Found::File),
            Some(Place::Folder) => Found::Folder,
            None => Found::Nothing,
        }
    }

    /// The file of this name.
    pub fn named(&self, name: &str) -> Option<&Entry> {
        match self.paths.get(name) {
            Some(Place::At(n)) => self.entries.get(*n as usize),
            _ => None,
        }
    }
}

mod coding {
    use super::Coding;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(coding: &Coding, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(coding.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Coding, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = Coding::SMALL.into_iter().find(|coding| coding.name() == name);
        known.ok_or_else(|| serde::de::Error::custom("no coding of this name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn index(names: &[&str]) -> Index {
        let entry = |name: &&str| Entry {
            name: (*name).to_owned(),
            length: 1,
            modified: 0,
            tag: format!("\"{name}\""),
            forms: vec![],
        };
        Index::new(names.iter().map(entry).collect()).unwrap()
    }

    #[test]
    fn paths_lead_to_files_pages_and_folders() {
        let index = index(&[
            "index.html",
            "a/index.html",
            "a/b.js",
            "ü x.txt",
            "100%.txt",
            ".env",
            "d/.git/x",
            ".well-known/y",
            "noindex.html",
        ]);
        let name = |path: &str| match index.find(path) {
            Found::File(entry) => entry.name.clone(),
            Found::Folder => "redirect".to_owned(),
            Found::Nothing => "nothing".to_owned(),
        };
        for (path, leads) in [
            ("/", "index.html"),
            ("/index.html", "index.html"),
            ("/a/", "a/index.html"),
            ("/a", "redirect"),
            ("/a/b.js", "a/b.js"),
            ("/a/b.js/", "nothing"),
            ("/%61/b%2ejs", "a/b.js"),
            ("/%C3%BC%20x.txt", "ü x.txt"),
            ("/100%25.txt", "100%.txt"),
            ("/100%.txt", "100%.txt"),
            ("/.env", "nothing"),
            ("/%2eenv", "nothing"),
            ("/d/.git/x", "nothing"),
            ("/.well-known/y", ".well-known/y"),
            ("/no", "nothing"),
            ("//", "nothing"),
            ("/a//b.js", "nothing"),
            ("", "nothing"),
            ("*", "nothing"),
        ] {
            assert_eq!(name(path), leads, "{path}");
        }
        assert!(Index::new(vec![index.entries[0].clone(); MOST_FILES + 1]).is_none());
    }

    proptest! {
        /// What the index says is what looking on the disk would say.
        #[test]
        fn it_agrees_with_the_reading_of_paths(path in "/(a|b|%61|%2e|\\.|/|index.html|ü|%C3%BC|%2f|%25){0,6}") {
            let files = ["index.html", "a", "b/index.html", "b/a", "b/b/a", "ü", "%"];
            let index = index(&files);
            let there = |name: &str| files.contains(&name);
            let expected = match wanted(&path) {
                None => None,
                Some(Wanted::File(file)) => file.to_str().filter(|name| there(name)).map(str::to_owned),
                Some(Wanted::Folder(folder)) => {
                    folder.join("index.html").to_str().filter(|name| there(name)).map(str::to_owned)
                }
            };
            let found = match index.find(&path) {
                Found::File(entry) => Some(entry.name.clone()),
                Found::Folder | Found::Nothing => None,
            };
            prop_assert_eq!(found, expected);
        }
    }
}
