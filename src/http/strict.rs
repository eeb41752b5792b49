//! What no request may be, whatever version of HTTP it came in. Pure; HTTP/1 lines are [`super::wire`]'s.
use hyper::header::CONTENT_LENGTH;
use hyper::{HeaderMap, Uri, Version};

/// Whether a parsed request is one that can be passed on: its target is ASCII and of HTTP's own schemes, and what
/// HTTP/2 forbids and its parser lets through is not there (RFC 9113 sections 8.1.1 and 8.2.1).
pub fn is_plain(version: Version, uri: &Uri, headers: &HeaderMap) -> bool {
    let ours = uri.scheme_str().is_none_or(|scheme| matches!(scheme, "http" | "https"));
    let ascii = uri.path_and_query().is_none_or(|path| path.as_str().is_ascii());
    ours && ascii && (version < Version::HTTP_2 || fields_are_plain(headers))
}

fn fields_are_plain(headers: &HeaderMap) -> bool {
    let blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    let one_length = headers.get_all(CONTENT_LENGTH).iter().nth(1).is_none();
    // Who writes such a value onto a line of HTTP/1 has changed it.
    one_length && headers.values().all(|value| !blank(value.as_bytes().first()) && !blank(value.as_bytes().last()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn plain(version: Version, uri: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().version(version).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        is_plain(request.version(), request.uri(), request.headers())
    }

    #[test]
    fn targets_are_ascii_and_http() {
        for good in ["/a?b=%C3%A9", "*", "http://a.localhost/x", "HTTPS://a.localhost/x", "a.localhost:80"] {
            assert!(plain(Version::HTTP_11, good, &[]), "{good}");
        }
        for bad in ["/\u{e9}", "ftp://a.localhost/x", "ws://a.localhost/"] {
            assert!(!plain(Version::HTTP_11, bad, &[]), "{bad}");
        }
    }

    #[test]
    fn http_2_has_one_length_and_trimmed_values() {
        let two = [("content-length", "5"), ("content-length", "5")];
        assert!(!plain(Version::HTTP_2, "/", &two));
        assert!(plain(Version::HTTP_2, "/", &two[..1]));
        for (value, right) in [("a b", true), ("", true), (" a", false), ("a\t", false), (" ", false)] {
            assert_eq!(plain(Version::HTTP_2, "/", &[("x", value)]), right, "{value:?}");
        }
    }
}
