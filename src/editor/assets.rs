//! `static/`: inside the binary in a release, read from disk in development.
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use rust_embed::RustEmbed;

use super::Ctx;
use crate::apps::manifest::schema;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Static;

/// Logical name (`app.js`) → hashed one. Written by `web/build.ts`.
type Manifest = HashMap<String, String>;

fn read_manifest() -> Manifest {
    Static::get("dist/manifest.json").and_then(|f| serde_json::from_slice(&f.data).ok()).unwrap_or_default()
}

/// The address of a built file. In development the manifest is read anew, so that a rebuild is seen.
pub fn url(name: &str) -> String {
    static ONCE: OnceLock<Manifest> = OnceLock::new();
    let hashed = if cfg!(debug_assertions) {
        read_manifest().get(name).cloned()
    } else {
        ONCE.get_or_init(read_manifest).get(name).cloned()
    };
    format!("/static/{}", hashed.as_deref().unwrap_or(name))
}

/// `/static/NAME`: a built file, whose name changes with its content.
pub async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let name = if name.contains('/') { "" } else { name.as_str() };
    serve(&format!("dist/{name}"), &headers, "public, max-age=31536000, immutable")
}

pub async fn favicon(headers: HeaderMap) -> Response {
    serve("favicon.svg", &headers, "public, max-age=86400")
}

/// The JSON Schema of steady.json under this server's terms. Any page may read it: other editors do.
pub async fn schema(State(ctx): State<Ctx>) -> Response {
    let options = ctx.apps.options();
    let id = format!("{}{}", options.editor_url, schema::PATH);
    let headers = [
        (header::CONTENT_TYPE, "application/schema+json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, schema::schema(&options.terms, &id).to_string()).into_response()
}

fn serve(path: &str, headers: &HeaderMap, cache: &'static str) -> Response {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or("");
    let takes = |coding: &str| accepted.split(',').any(|c| c.trim().split(';').next() == Some(coding));
    let found = [("br", ".br"), ("gzip", ".gz")]
        .into_iter()
        .filter(|(coding, _)| takes(coding))
        .find_map(|(coding, ext)| Some((Some(coding), Static::get(&format!("{path}{ext}"))?)))
        .or_else(|| Some((None, Static::get(path)?)));
    let Some((coding, file)) = found else {
        return (StatusCode::NOT_FOUND, "There is no such file.\n").into_response();
    };
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    // In a release the bytes are part of the program: sent from there, not copied.
    let mut response = match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes).into_response(),
        Cow::Owned(bytes) => bytes.into_response(),
    };
    let out = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(kind.as_ref()) {
        out.insert(header::CONTENT_TYPE, kind);
    }
    if let Some(coding) = coding {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    out.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    out.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_outside_the_folder_do_not_exist() {
        for bad in
            ["../favicon.svg", "../../Cargo.toml", "..%2fCargo.toml", "", "manifest.json/../../favicon.svg", "nope.js"]
        {
            let answer = file(Path(bad.to_owned()), HeaderMap::new()).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{bad:?} must not be served");
        }
        assert_eq!(favicon(HeaderMap::new()).await.headers()[header::CONTENT_TYPE], "image/svg+xml");
    }
}
