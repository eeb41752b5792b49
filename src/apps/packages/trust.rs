//! Whose scripts run when packages are installed: those that package.json names in `trustedDependencies`, and the
//! project's own. Bun has a list of its own for projects that name none; an empty list puts it away.
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
    /// Writes the empty list where there is none. `text` is what stands in the file. Nobody else may write
    /// the folder now.
    pub fn begin(code: &Path, text: &[u8]) -> io::Result<Option<Self>> {
        let Some(during) = without_defaults(text) else { return Ok(None) };
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

/// `None` when it names its own, or is nothing that Bun would read.
fn without_defaults(text: &[u8]) -> Option<Vec<u8>> {
    let package: serde_json::Value = serde_json::from_slice(text).ok()?;
    let package = package.as_object()?;
    if package.contains_key("trustedDependencies") || package.is_empty() {
        return None;
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
        let added = without_defaults(b" {\n \"name\": \"a\" }").expect("added");
        assert_eq!(added, b" {\"trustedDependencies\":[],\n \"name\": \"a\" }");
        serde_json::from_slice::<serde_json::Value>(&added).expect("JSON");
        for same in ["{}", "[]", "{", r#"{"trustedDependencies":["x"]}"#, r#"{"trustedDependencies":null}"#] {
            assert_eq!(without_defaults(same.as_bytes()), None, "{same}");
        }
    }

    #[test]
    fn it_is_put_back_unless_a_script_wrote_it() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (path, text) = (dir.path().join("package.json"), br#"{"name":"a"}"#);
        std::fs::write(&path, text).expect("file");
        let strict = Strict::begin(dir.path(), text).expect("written").expect("changed");
        assert!(std::fs::read_to_string(&path).expect("text").contains("trustedDependencies"));
        strict.end().expect("put back");
        assert_eq!(std::fs::read(&path).expect("text"), text);
        let strict = Strict::begin(dir.path(), text).expect("written").expect("changed");
        std::fs::write(&path, "{}").expect("file");
        strict.end().expect("left");
        assert_eq!(std::fs::read(&path).expect("text"), b"{}");
    }
}
