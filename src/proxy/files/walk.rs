//! Finds the files of a folder, for its index.
use std::fs::{self, Metadata};
use std::path::Path;

use super::super::compress::Coding;
use super::index::{Entry, Form, MOST_FILES};
use super::{cache, choose};

/// Folders in folders that are looked into.
const DEEPEST: usize = 32;

/// Every regular file below `root`, in the order of their names; a link counts as what it leads to. `None` when there are
/// too many, or something (a link to a folder) that only looking on the disk gets right.
pub fn walk(root: &Path) -> Option<Vec<(String, Metadata)>> {
    let mut found = Vec::new();
    let mut waiting = vec![(String::new(), 0)];
    while let Some((folder, depth)) = waiting.pop() {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            // Hidden ones are never served.
            if name.starts_with('.') && !(depth == 0 && name == ".well-known") {
                continue;
            }
            let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let kind = entry.file_type().ok()?;
            if kind.is_dir() {
                (depth < DEEPEST).then_some(())?;
                waiting.push((name, depth + 1));
            } else if let Some((_, meta)) = choose::open(root, Path::new(&name)) {
                found.push((name, meta));
            } else if kind.is_symlink() && fs::metadata(root.join(&name)).is_ok_and(|meta| meta.is_dir()) {
                return None;
            }
            (found.len() + waiting.len() <= MOST_FILES).then_some(())?;
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Some(found)
}

/// What an index says of these files, where nothing was packed: tags by their stamps, and the compressed forms that the
/// project brought along.
pub fn entries(version: &str, files: &[(String, Metadata)]) -> Vec<Entry> {
    let tag = |name: &str, meta: &Metadata| cache::etag(version, name, meta);
    files
        .iter()
        .map(|(name, meta)| Entry {
            name: name.clone(),
            length: meta.len(),
            modified: cache::seconds(meta),
            tag: tag(name, meta),
            forms: siblings(files, name).map(|(form, meta)| Form { tag: tag(&form.name, meta), ..form }).collect(),
        })
        .collect()
}

/// The forms of a file that lie beside it, without their tags.
pub fn siblings<'a>(
    files: &'a [(String, Metadata)],
    name: &'a str,
) -> impl Iterator<Item = (Form, &'a Metadata)> + use<'a> {
    Coding::SMALL.into_iter().filter_map(move |coding| {
        let sibling = format!("{name}.{}", coding.extension());
        let at = files.binary_search_by(|(other, _)| other.as_str().cmp(&sibling)).ok()?;
        let meta = &files[at].1;
        Some((Form { coding, name: sibling, packed: false, length: meta.len(), tag: String::new() }, meta))
    })
}
