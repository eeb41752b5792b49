//! Many new refs at once: one file written and synced, instead of one per ref.
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write as _};

use super::{Oid, Repo};
use crate::base::{Error, Result, ResultExt as _, fs as durable};

/// From so many on it pays.
pub(super) const MANY: usize = 8;

impl Repo {
    /// Adds refs that do not exist yet, all or none, durable. No reflog. Errors: `Conflict` when somebody else
    /// packs refs right now.
    pub(super) fn add_packed(&self, new: &[(&str, Oid)]) -> Result<()> {
        let (path, lock) = (self.path.join("packed-refs"), self.path.join("packed-refs.lock"));
        let mut file = File::create_new(&lock).map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => Error::conflict("refs are being changed by somebody else").because(e),
            _ => Error::internal("while adding refs").because(e),
        })?;
        let mut write = || -> std::io::Result<()> {
            let old = match std::fs::read_to_string(&path) {
                Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
                other => other?,
            };
            let mut lines = parse(&old);
            for (name, id) in new {
                lines.insert((*name).to_owned(), (id.to_string(), self.peeled(*id)));
            }
            let mut text = String::from("# pack-refs with: peeled fully-peeled sorted \n");
            for (name, (id, peeled)) in lines {
                text.push_str(&format!("{id} {name}\n"));
                text.extend(peeled.map(|p| format!("^{p}\n")));
            }
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            durable::rename_durable(&lock, &path)
        };
        let written = write();
        if written.is_err() {
            let _ = std::fs::remove_file(&lock);
        }
        written.internal("while adding refs")
    }

    /// What an annotated tag points to in the end.
    fn peeled(&self, id: Oid) -> Option<String> {
        let object = self.git.find_object(id, None).ok()?;
        let end = object.peel(git2::ObjectType::Any).ok()?.id();
        (object.kind() == Some(git2::ObjectType::Tag)).then(|| end.to_string())
    }
}

/// Name → id, and what it peels to. Lines git would not write are dropped.
fn parse(text: &str) -> BTreeMap<String, (String, Option<String>)> {
    let mut out: BTreeMap<String, (String, Option<String>)> = BTreeMap::new();
    let mut last: Option<String> = None;
    for line in text.lines() {
        if let Some(peeled) = line.strip_prefix('^') {
            if let Some(entry) = last.as_ref().and_then(|name| out.get_mut(name)) {
                entry.1 = Some(peeled.to_owned());
            }
        } else if let Some((id, name)) = line.split_once(' ').filter(|(id, _)| id.len() == 40) {
            out.insert(name.to_owned(), (id.to_owned(), None));
            last = Some(name.to_owned());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_file_is_taken_apart() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let lines = parse(&format!("# pack-refs with: peeled\n{a} refs/tags/v1\n^{b}\n{b} refs/heads/x\n"));
        assert_eq!(lines["refs/tags/v1"], (a, Some(b.clone())));
        assert_eq!(lines["refs/heads/x"], (b, None));
    }
}
