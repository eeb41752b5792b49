//! Names, stamps and tags by which browsers keep files. Pure.
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

/// A strong tag. Version folders never change, so a file's stamps within a version stand for its bytes.
pub fn etag(version: &str, name: &str, meta: &Metadata) -> String {
    let stamps = [meta.size(), meta.mtime().cast_unsigned(), meta.mtime_nsec().cast_unsigned(), meta.ino()];
    let mut hash = Sha256::new();
    hash.update(version);
    hash.update([0]);
    hash.update(name);
    hash.update([0]);
    for stamp in stamps {
        hash.update(stamp.to_le_bytes());
    }
    format!("\"{}\"", hex::encode(&hash.finalize()[..10]))
}

/// Whole seconds since 1970, as HTTP dates are.
pub fn seconds(meta: &Metadata) -> u64 {
    u64::try_from(meta.mtime()).unwrap_or(0)
}

/// What a client holds already. `If-None-Match` wins over the date; a date must be exactly ours, because a
/// rollback brings back files that are older than what a client has.
pub fn is_held(none_match: Option<&str>, since: Option<&str>, etag: &str, modified: SystemTime) -> bool {
    match (none_match, since) {
        (Some(tags), _) => tags.trim() == "*" || tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag),
        (None, Some(since)) => httpdate::parse_http_date(since).is_ok_and(|at| at == modified),
        (None, None) => false,
    }
}

/// Whether a `Range` is meant for the file as it is now.
pub fn range_applies(if_range: Option<&str>, etag: &str, modified: SystemTime) -> bool {
    if_range.is_none_or(|held| held.trim() == etag || httpdate::parse_http_date(held).is_ok_and(|at| at == modified))
}

/// `Cache-Control` for a file of this name.
pub fn policy(name: &str, is_html: bool) -> &'static str {
    match (is_html, has_hash(name)) {
        (true, _) => "no-cache",
        (false, true) => "public, max-age=31536000, immutable",
        (false, false) => "public, max-age=0, must-revalidate",
    }
}

/// Whether a bundler put a hash of the contents into this name (`index-B1kW9x2q.js`, `app.3f2a9c1b.css`).
/// A wrong yes would freeze a file in browsers for a year, so words, dates and the like must not pass; a
/// wrong no costs a revalidation.
fn has_hash(name: &str) -> bool {
    let Some((stem, _extension)) = name.rsplit_once('.') else { return false };
    let parts = || stem.split(['.', '-', '_']).skip(1);
    // Vite's and Rollup's eight characters may hold the separators themselves.
    let last_eight =
        stem.len().checked_sub(9).and_then(|cut| stem.get(cut..)).and_then(|end| end.strip_prefix(['.', '-']));
    parts().any(is_hex_hash) || parts().chain(last_eight).any(is_base64_hash)
}

fn is_hex_hash(part: &str) -> bool {
    part.len() >= 8 && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) && changes(part) >= 3
}

fn is_base64_hash(part: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    part.len() == 8 && part.bytes().all(plain) && part.bytes().any(|b| b.is_ascii_digit()) && changes(part) >= 4
}

/// How often neighbours are of different sorts (digit, upper case, lower case, other): seldom in words.
fn changes(part: &str) -> usize {
    let sort = |b: &u8| (b.is_ascii_digit(), b.is_ascii_uppercase(), b.is_ascii_lowercase());
    part.as_bytes().windows(2).filter(|pair| sort(&pair[0]) != sort(&pair[1])).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn names_with_a_hash() {
        for name in [
            "index-B1kW9x2q.js",
            "index-a-1B_c2D.js",
            "app.3f2a9c1b.css",
            "chunk-8xk2m4qp.js",
            "main.8f14e45fceea167a5a36.js",
            "logo.d41d8cd98f00b204e9800998ecf8427e.svg",
            "app.3f2a9c1b.min.js",
        ] {
            assert!(has_hash(name), "{name}");
        }
        for name in [
            "index.js",
            "user-settings.js",
            "report-20241122.pdf",
            "photo-iPhone15.jpg",
            "photo-iPhone15ProMax.jpg",
            "photo-2024Summer.jpg",
            "hero-facade.png",
            "icon-deadbeef.png",
            "3f2a9c1b.js",
            "a.b",
            "3f2a9c1b",
            ".3f2a9c1b",
            "jquery-3.7.1.min.js",
            "data-12345678.json",
        ] {
            assert!(!has_hash(name), "{name}");
        }
    }

    #[test]
    fn what_is_held() {
        let at = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let later = "Sun, 06 Nov 1994 08:49:38 GMT";
        assert!(is_held(Some("\"a\", W/\"b\""), None, "\"b\"", at));
        assert!(is_held(Some("*"), None, "\"b\"", at));
        assert!(!is_held(Some("\"a\""), Some(date), "\"b\"", at), "the tag wins");
        assert!(is_held(None, Some(date), "\"b\"", at));
        assert!(!is_held(None, Some(later), "\"b\"", at), "a rollback must be seen");
        assert!(!is_held(None, None, "\"b\"", at));
        assert!(range_applies(None, "\"b\"", at));
        assert!(range_applies(Some("\"b\""), "\"b\"", at));
        assert!(range_applies(Some(date), "\"b\"", at));
        assert!(!range_applies(Some("W/\"b\""), "\"b\"", at), "weak tags never match here");
        assert!(!range_applies(Some("\"a\""), "\"b\"", at));
    }
}
