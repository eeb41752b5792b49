//! Which content types shrink. Pure.

/// `application/…` that is text by another name, or a format without compression of its own.
const APPLICATION: [&str; 23] = [
    "json",
    "javascript",
    "x-javascript",
    "ecmascript",
    "xml",
    "wasm",
    "manifest+json",
    "x-ndjson",
    "ndjson",
    "jsonl",
    "json-seq",
    "graphql",
    "yaml",
    "x-yaml",
    "toml",
    "sql",
    "rtf",
    "postscript",
    "x-sh",
    "x-font-ttf",
    "x-font-otf",
    "font-sfnt",
    "vnd.ms-fontobject",
];

/// Whether bodies of this `Content-Type` are worth compressing. Events are not: each would have to be flushed by
/// itself, and what reads them waits for single ones.
pub fn shrinks(content_type: &[u8]) -> bool {
    let essence = content_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let Some(slash) = essence.iter().position(|b| *b == b'/') else { return false };
    let (kind, sub) = (&essence[..slash], &essence[slash + 1..]);
    let is = |text: &[u8], name: &str| text.eq_ignore_ascii_case(name.as_bytes());
    let ends = |name: &str| sub.len() > name.len() && is(&sub[sub.len() - name.len()..], name);
    if is(kind, "text") {
        return !is(sub, "event-stream");
    }
    if ends("+json") || ends("+xml") || ends("+yaml") {
        return true;
    }
    match kind {
        _ if is(kind, "application") => APPLICATION.iter().any(|name| is(sub, name)),
        _ if is(kind, "font") => ["ttf", "otf", "sfnt", "collection"].iter().any(|name| is(sub, name)),
        _ if is(kind, "image") => ["bmp", "x-icon", "vnd.microsoft.icon"].iter().any(|name| is(sub, name)),
        _ if is(kind, "model") => ["obj", "gltf-binary", "stl"].iter().any(|name| is(sub, name)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for kind in [
            "text/html; charset=utf-8",
            "TEXT/CSS",
            "text/javascript",
            "application/json;charset=utf-8",
            "application/problem+json",
            "application/atom+xml",
            "image/svg+xml",
            "application/wasm",
            "application/x-ndjson",
            "font/ttf",
            "image/x-icon",
            "model/gltf+json",
        ] {
            assert!(shrinks(kind.as_bytes()), "{kind}");
        }
        for kind in [
            "text/event-stream",
            "text/event-stream; charset=utf-8",
            "image/png",
            "image/webp",
            "video/mp4",
            "font/woff2",
            "application/octet-stream",
            "application/zip",
            "application/grpc+proto",
            "multipart/form-data; boundary=x",
            "json",
            "+json",
            "",
        ] {
            assert!(!shrinks(kind.as_bytes()), "{kind}");
        }
    }
}
