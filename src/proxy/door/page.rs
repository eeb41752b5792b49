//! Pages of a version's own for what Steady answers in its place: `500.html`, `404.html`, `maintenance.html`.
use std::io::Read as _;
use std::path::Path;

use axum::body::Body;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use crate::base::fs::open_beneath;

/// Bytes; a larger page is not used.
pub const MAX: u64 = 64 << 10;
/// Stands for the request's id.
const PLACE: &str = "{{request_id}}";

/// Those a version has. Read when its route is made.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// For every 5xx that Steady makes.
    pub error: Option<Page>,
    /// For a path that a site of files does not have.
    pub missing: Option<Page>,
    pub maintenance: Option<Page>,
}

/// HTML in pieces, with the request's id between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page(Vec<String>);

impl Page {
    /// `None` when it is not there, not UTF-8, or larger than [`MAX`].
    pub fn read(root: &Path, name: &str) -> Option<Self> {
        let file = open_beneath(root, Path::new(name)).ok()?;
        let mut html = String::new();
        file.take(MAX + 1).read_to_string(&mut html).ok()?;
        (html.len() as u64 <= MAX).then(|| Self::of(&html))
    }

    pub fn of(html: &str) -> Self {
        Self(html.split(PLACE).map(str::to_owned).collect())
    }

    /// `Accept` must name HTML: programs get what they always got.
    pub fn wanted(accept: Option<&str>) -> bool {
        accept.is_some_and(|accept| accept.to_ascii_lowercase().contains("text/html"))
    }

    /// An id is letters and digits, made here: it can be put anywhere in a page.
    pub fn response(&self, status: StatusCode, request_id: &str) -> Response<Body> {
        let mut response = Response::new(Body::from(self.0.join(request_id)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        response
    }

    /// The same in place of one of Steady's own pages: what its head says beyond the form stays.
    pub fn instead_of(&self, own: &Response<Body>, request_id: &str) -> Response<Body> {
        let mut response = self.response(own.status(), request_id);
        for name in [RETRY_AFTER, hyper::header::CONNECTION] {
            if let Some(value) = own.headers().get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn text(page: &Page, id: &str) -> String {
        let body = page.response(StatusCode::BAD_GATEWAY, id).into_body();
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_id_is_put_wherever_it_is_wanted() {
        for (html, shown) in [
            ("", ""),
            ("plain", "plain"),
            ("{{request_id}}", "abc"),
            ("a {{request_id}} b {{request_id}}", "a abc b abc"),
            ("{{{request_id}}}", "{abc}"),
            ("{{ request_id }} {{request_i", "{{ request_id }} {{request_i"),
        ] {
            assert_eq!(text(&Page::of(html), "abc").await, shown, "{html}");
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // of a folder that is thrown away
    fn a_page_is_small_text_inside_of_its_version() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("code");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(dir.path().join("out.html"), "outside").unwrap();
        std::os::unix::fs::symlink("../out.html", root.join("link.html")).unwrap();
        std::fs::write(root.join("500.html"), "x".repeat(MAX as usize)).unwrap();
        std::fs::write(root.join("404.html"), "x".repeat(MAX as usize + 1)).unwrap();
        std::fs::write(root.join("bytes.html"), b"\xff\xfe").unwrap();
        assert!(Page::read(&root, "500.html").is_some());
        for none in ["404.html", "bytes.html", "link.html", "../out.html", "nothing.html"] {
            assert_eq!(Page::read(&root, none), None, "{none}");
        }
    }

    #[test]
    fn only_who_reads_html_gets_one() {
        assert!(Page::wanted(Some("text/html,*/*")) && Page::wanted(Some("TEXT/HTML")));
        assert!(!Page::wanted(Some("application/json")) && !Page::wanted(Some("*/*")) && !Page::wanted(None));
    }
}
