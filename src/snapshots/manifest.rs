//! What one snapshot consists of: every database, file and folder an app keeps.
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use serde::{Deserialize, Serialize};

use crate::base::fs::confine;
use crate::base::secret::sha256_hex;
use crate::base::{Error, Result};

/// Entries one snapshot may have.
pub const MOST: usize = 200_000;
/// Bytes of its JSON.
pub const MOST_BYTES: u64 = 64 << 20;

/// Bytes of a name that are written as `%41`: a name need not be text.
const UNSAFE: &AsciiSet = &CONTROLS.add(b'%');

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of this app; rises by one or more with each snapshot.
    pub moment: u64,
    pub epoch: u64,
    pub databases: Vec<Database>,
    pub files: Vec<Plain>,
    pub folders: Vec<Folder>,
    /// What could not be taken, a sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    pub path: Name,
    /// The moment whose pages it is made of; older than the snapshot when nothing has changed since.
    pub moment: u64,
    pub page_size: u32,
    pub pages: u32,
    /// Of the whole database.
    pub sum: u64,
    pub journal: String,
    pub mode: u32,
    pub stamp: Stamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plain {
    pub path: Name,
    pub mode: u32,
    pub bytes: u64,
    /// Of its content, in order.
    pub chunks: Vec<String>,
    pub stamp: Stamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    pub path: Name,
    pub mode: u32,
}

/// A file that has the same one has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stamp {
    pub inode: u64,
    pub modified_ns: i64,
    pub changed_ns: i64,
}

/// A path below the home, in a form that JSON can hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    pub fn new(path: &Path) -> Self {
        Self(percent_encode(path.as_os_str().as_bytes(), UNSAFE).to_string())
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Errors: `BadInput` when it would lead out of the home.
    pub fn path(&self) -> Result<PathBuf> {
        let bytes: Vec<u8> = percent_decode_str(&self.0).collect();
        match std::str::from_utf8(&bytes) {
            Ok(text) => confine(text),
            // The same rule without a text: plain components alone.
            Err(_) => {
                let path = Path::new(OsStr::from_bytes(&bytes));
                let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
                if plain { Ok(path.to_owned()) } else { Err(Error::bad_input("a path leads out of its folder")) }
            }
        }
    }
    /// Names a database's folder among the app's snapshots.
    pub fn id(&self) -> String {
        sha256_hex(self.0.as_bytes())[..16].to_owned()
    }
}

impl Manifest {
    /// What a job wrote, as untrusted as the app.
    /// Errors: `BadInput` when it is not one of ours.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let manifest: Self = serde_json::from_slice(bytes)
            .map_err(|e| Error::bad_input("a snapshot's list cannot be read").because(e))?;
        let Self { databases, files, folders, notes, .. } = &manifest;
        if databases.len() + files.len() + folders.len() + notes.len() > MOST {
            return Err(Error::bad_input("a snapshot's list is too long"));
        }
        let names = databases.iter().map(|d| &d.path).chain(files.iter().map(|f| &f.path));
        let mut seen = std::collections::HashSet::new();
        for name in names.chain(folders.iter().map(|f| &f.path)) {
            name.path()?;
            if !seen.insert(name) {
                return Err(Error::bad_input("a snapshot's list names a path twice"));
            }
        }
        for chunk in files.iter().flat_map(|file| &file.chunks) {
            if chunk.len() != 64 || !chunk.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()) {
                return Err(Error::bad_input("a snapshot's list names a chunk that cannot be"));
            }
        }
        Ok(manifest)
    }

    /// Bytes the app's data takes when it is laid out again.
    pub fn bytes(&self) -> u64 {
        let databases = self.databases.iter().map(|d| u64::from(d.pages) * u64::from(d.page_size));
        let files = self.files.iter().map(|file| file.bytes);
        databases.chain(files).fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_not_be_text_and_never_lead_out() {
        let odd = Path::new(OsStr::from_bytes(b"data/\xff%\n.db"));
        assert_eq!(Name::new(odd).path().expect("plain"), odd);
        for bad in ["../x", "/etc/passwd", "a/../../b", "%2e%2e/x", "a/%2e%2e/%ff"] {
            assert!(Name(bad.into()).path().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_forged_list_is_refused() {
        let list = |files: &str| {
            format!(r#"{{"moment":1,"epoch":1,"databases":[],"files":[{files}],"folders":[],"notes":[]}}"#)
        };
        let file = |path: &str, chunk: &str| {
            format!(
                r#"{{"path":"{path}","mode":420,"bytes":1,"chunks":["{chunk}"],"stamp":{{"inode":1,"modified_ns":1,"changed_ns":1}}}}"#
            )
        };
        let (good, hash) = ("notes.txt", "a".repeat(64));
        assert!(Manifest::parse(list(&file(good, &hash)).as_bytes()).is_ok());
        for bad in [
            list(&file("../notes.txt", &hash)),
            list(&file(good, "../../../etc/passwd")),
            list(&format!("{},{}", file(good, &hash), file(good, &hash))),
            "{".into(),
        ] {
            assert!(Manifest::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
