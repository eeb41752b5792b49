//! Which stored form of a file to send: itself, or a precompressed sibling the client accepts.
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};

use crate::base::fs::open_beneath;

/// A file below the root, open for reading.
pub struct Chosen {
    pub file: File,
    pub meta: Metadata,
    /// Relative to the root, of the form sent.
    pub name: PathBuf,
    pub encoding: Option<&'static str>,
    /// Other clients get other forms.
    pub varies: bool,
}

/// Best first.
const FORMS: [(&str, &str); 3] = [("br", "br"), ("zstd", "zst"), ("gzip", "gz")];

/// `None` when there is no such regular file inside.
pub fn choose(root: &Path, name: &Path, accept_encoding: Option<&str>) -> Option<Chosen> {
    let (file, meta) = open(root, name)?;
    let mut chosen = Chosen { file, meta, name: name.to_owned(), encoding: None, varies: false };
    if !compressible(name) {
        return Some(chosen);
    }
    for (encoding, extension) in FORMS {
        let mut sibling = name.as_os_str().to_owned();
        sibling.push(".");
        sibling.push(extension);
        let sibling = PathBuf::from(sibling);
        let Some((file, meta)) = open(root, &sibling) else { continue };
        chosen.varies = true;
        if accepts(accept_encoding, encoding) {
            return Some(Chosen { file, meta, name: sibling, encoding: Some(encoding), varies: true });
        }
    }
    Some(chosen)
}

fn open(root: &Path, name: &Path) -> Option<(File, Metadata)> {
    let file = open_beneath(root, name).ok()?;
    let meta = file.metadata().ok()?;
    Some((file, meta))
}

/// `Accept-Encoding` names it, with a weight above zero. `*` is not taken as a wish.
fn accepts(header: Option<&str>, encoding: &str) -> bool {
    header.unwrap_or_default().split(',').any(|item| {
        let mut halves = item.split(';').map(str::trim);
        let named = halves.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let refused = halves.any(|weight| {
            let weight = weight.strip_prefix(['q', 'Q']).and_then(|w| w.trim_start().strip_prefix('='));
            weight.is_some_and(|w| w.trim().parse::<f32>().is_ok_and(|w| w <= 0.0))
        });
        named && !refused
    })
}

/// Pictures, films and archives have no compressed siblings worth looking for.
fn compressible(name: &Path) -> bool {
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    match kind.type_().as_str() {
        "image" => kind.subtype() == "svg" || kind.subtype() == "bmp" || kind.subtype() == "x-icon",
        "audio" | "video" => name.extension().is_some_and(|e| e == "ts"),
        "application" => !matches!(kind.subtype().as_str(), "zip" | "gzip" | "zstd" | "x-gzip"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_encodings() {
        for (header, yes) in [
            (Some("gzip, deflate, br"), true),
            (Some("BR;q=0.5"), true),
            (Some("br;q=0"), false),
            (Some("br; q=0.000"), false),
            (Some("brotli"), false),
            (Some("*"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(accepts(header, "br"), yes, "{header:?}");
        }
    }
}
