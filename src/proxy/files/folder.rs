//! A folder of files that never changes: `public/` of a version, or all of a static site.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::index::{Found, Index};
use super::{pack, walk};
use crate::base::{Result, ResultExt as _};

/// Cheap to clone. What is in it is read when first asked for: an app that nobody visits costs nothing.
#[derive(Clone, Debug)]
pub struct Folder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Where its packed files are, or will be.
    packed: Option<PathBuf>,
    version: String,
    known: ArcSwapOption<Known>,
}

#[derive(Debug)]
pub(super) enum Known {
    All(Index),
    /// It has too many files: each request looks on the disk.
    TooMany,
}

impl Folder {
    /// `version` is a part of tags where nothing was packed.
    pub fn new(root: PathBuf, packed: Option<PathBuf>, version: &str) -> Self {
        Self(Arc::new(Inner { root, packed, version: version.to_owned(), known: ArcSwapOption::empty() }))
    }

    pub fn root(&self) -> &Path {
        &self.0.root
    }

    pub(super) fn version(&self) -> &str {
        &self.0.version
    }

    /// Where the forms made by Steady are.
    pub(super) fn packed(&self) -> &Path {
        self.0.packed.as_deref().unwrap_or(&self.0.root)
    }

    /// Forgets what is in it; the next request reads it again.
    pub fn reread(&self) {
        self.0.known.store(None);
    }

    /// Whether a request's path certainly leads to no file here. Asks no disk; false when that is not known yet.
    pub fn surely_lacks(&self, path: &str) -> bool {
        match self.0.known.load().as_deref() {
            Some(Known::All(index)) => index.find(path) == Found::Nothing,
            Some(Known::TooMany) | None => false,
        }
    }

    /// What is in it, read from the disk the first time.
    pub(super) async fn known(&self) -> Result<Arc<Known>> {
        if let Some(known) = self.0.known.load_full() {
            return Ok(known);
        }
        let this = self.clone();
        let known =
            tokio::task::spawn_blocking(move || Arc::new(this.read())).await.internal("while reading a folder")?;
        self.0.known.store(Some(known.clone()));
        Ok(known)
    }

    fn read(&self) -> Known {
        let packed = self.0.packed.as_deref().and_then(pack::read);
        let entries = packed.or_else(|| walk::walk(&self.0.root).map(|files| walk::entries(&self.0.version, &files)));
        entries.and_then(Index::new).map_or(Known::TooMany, Known::All)
    }
}
