//! Whose scripts run when packages are installed: those that package.json names in `trustedDependencies` and an owner
//! approved, and the project's own. Bun has a list of its own for projects that name none; an empty list puts it away.
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::fs::write_atomic;

/// A package.json that says what was left unsaid, for as long as an install takes.
pub struct Strict {
    path: PathBuf,
    before: Vec<u8>,
    during: Vec<u8>,
}

impl Strict {
    /// Writes the empty list where there is none, and leaves those out that are not `trusted`. `text` is what stands in
    /// the file. Nobody else may write the folder now.
    pub fn begin(code: &Path, text: &[u8], trusted: &BTreeSet<String>) -> io::Result<Option<Self>> {
        let Some(during) = with_only(text, trusted) else { return Ok(None) };
        let path = code.join("package.json");
        write_atomic(&path, &during, 0o644)?;
        Ok(Some(Self { path, before: text.to_owned(), during }))
    }

    /// Puts back what was there, unless a script of the project's own has changed it: that is then what it wants.
    pub fn end(self) -> io::Result<()> {
        let parent = self.path.parent().unwrap_or(&self.path);
        let Ok(file) = crate::base::fs::open_beneath(parent, Path::new("package.json")) else { return Ok(()) };
        let mut now = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, self.during.len() as u64 + 1), &mut now)?;
        if now == self.during { write_atomic(&self.path, &self.before, 0o644) } else { Ok(()) }
    }
}

/// `None` when it names only such, or is nothing that Bun would read.
fn with_only(text: &[u8], trusted: &BTreeSet<String>) -> Option<Vec<u8>> {
    let mut package: serde_json::Value = serde_json::from_slice(text).ok()?;
    let package = package.as_object_mut()?;
    if package.is_empty() {
        return None;
    }
    if let Some(named) = package.get_mut("trustedDependencies") {
        let names = named.as_array()?;
        let good = |name: &&serde_json::Value| name.as_str().is_some_and(|name| trusted.contains(name));
        let kept: Vec<serde_json::Value> = names.iter().filter(good).cloned().collect();
        if kept.len() == names.len() {
            return None;
        }
        *named = kept.into();
        return serde_json::to_vec(package).ok();
    }
    let begin = text.iter().position(|byte| *byte == b'{')? + 1;
    Some([&text[..begin], b"\"trustedDependencies\":[],", &text[begin..]].concat())
}

/// Whether packages may run scripts of theirs here.
pub fn trusts_any(package: &serde_json::Value) -> bool {
    let trusted = &package["trustedDependencies"];
    !trusted.is_null() && trusted.as_array().is_none_or(|list| !list.is_empty())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // files that may tear
mod tests {
    use super::*;

    #[test]
    fn only_what_is_unsaid_is_added() {
        let none = BTreeSet::new();
        let added = with_only(b" {\n \"name\": \"a\" }", &none).expect("added");
        assert_eq!(added, b" {\"trustedDependencies\":[],\n \"name\": \"a\" }");
        serde_json::from_slice::<serde_json::Value>(&added).expect("JSON");
        let x = BTreeSet::from(["x".to_owned()]);
        for same in ["{}", "[]", "{", r#"{"trustedDependencies":["x"]}"#, r#"{"trustedDependencies":null}"#] {
            assert_eq!(with_only(same.as_bytes(), &x), None, "{same}");
        }
        for cut in [r#"{"trustedDependencies":["x","y"]}"#, r#"{"name":"a","trustedDependencies":["y","x"]}"#] {
            let cut = with_only(cut.as_bytes(), &x).expect("cut");
            let cut: serde_json::Value = serde_json::from_slice(&cut).expect("JSON");
            assert_eq!(cut["trustedDependencies"], serde_json::json!(["x"]));
        }
    }

    #[test]
    fn it_is_put_back_unless_a_script_wrote_it() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (path, text) = (dir.path().join("package.json"), br#"{"name":"a"}"#);
        std::fs::write(&path, text).expect("file");
        let strict = Strict::begin(dir.path(), text, &BTreeSet::new()).expect("written").expect("changed");
        assert!(std::fs::read_to_string(&path).expect("text").contains("trustedDependencies"));
        strict.end().expect("put back");
        assert_eq!(std::fs::read(&path).expect("text"), text);
        let strict = Strict::begin(dir.path(), text, &BTreeSet::new()).expect("written").expect("changed");
        std::fs::write(&path, "{}").expect("file");
        strict.end().expect("left");
        assert_eq!(std::fs::read(&path).expect("text"), b"{}");
    }
}
