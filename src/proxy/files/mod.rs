//! Files of a version folder, answered without a process.
pub mod cache;
pub mod choose;
pub mod folder;
pub mod index;
pub mod pack;
pub mod path;
pub mod range;
pub mod send;
pub mod walk;

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use hyper::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED,
    LOCATION, RANGE, VARY,
};
use hyper::{Method, Response, StatusCode, Uri};

use crate::base::{Result, ResultExt as _};
pub use folder::Folder;
use folder::Known;
use index::{Entry, Found};
use path::{Wanted, wanted};
use range::{Part, part};
use send::Contents;

/// A request as far as files are concerned.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
}

/// The file `ask` names in the folder, if there is one and it may be had. `None`: let somebody else answer.
/// Errors: `Internal` when a file that is there cannot be read.
pub async fn find(folder: &Folder, ask: Ask) -> Result<Option<Response<Body>>> {
    if !readable(&ask.method) || folder.surely_lacks(ask.uri.path()) {
        return Ok(None);
    }
    let response = match &*folder.known().await? {
        Known::All(index) => match index.find(ask.uri.path()) {
            Found::File(entry) => respond(folder, entry, &ask)?,
            Found::Folder => to_folder(&ask.uri)?,
            Found::Nothing => return Ok(None),
        },
        Known::TooMany => {
            let Some(wanted) = wanted(ask.uri.path()) else { return Ok(None) };
            let folder = folder.clone();
            let looked = tokio::task::spawn_blocking(move || look(&folder, &wanted, &ask));
            match looked.await.internal("while looking up a static file")?? {
                Some(response) => response,
                None => return Ok(None),
            }
        }
    };
    send::send(response).await.map(Some)
}

/// What a site of files alone says when [`find`] found nothing: 405, or its own `404.html`, or `None`.
/// Errors: `Internal` when that page is there and cannot be read.
pub async fn missing(folder: &Folder, ask: Ask) -> Result<Option<Response<Body>>> {
    if !readable(&ask.method) {
        let mut response = Response::new(Body::from("error: this site can only be read\nhint: Use GET or HEAD.\n"));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        return Ok(Some(response));
    }
    // Whatever the request says of what it has, or of parts, is not about this page.
    let mut plain = Ask { headers: HeaderMap::new(), ..ask.clone() };
    plain.headers.extend(ask.headers.get(ACCEPT_ENCODING).map(|accepted| (ACCEPT_ENCODING, accepted.clone())));
    const PAGE: &str = "404.html";
    let response = match &*folder.known().await? {
        Known::All(index) => index.named(PAGE).map(|entry| respond(folder, entry, &plain)).transpose()?,
        Known::TooMany => {
            let folder = folder.clone();
            let looked = tokio::task::spawn_blocking(move || look(&folder, &Wanted::File(PAGE.into()), &plain));
            looked.await.internal("while looking up a static file")??
        }
    };
    let Some(mut response) = response else { return Ok(None) };
    *response.status_mut() = StatusCode::NOT_FOUND;
    for header in [ETAG, LAST_MODIFIED, ACCEPT_RANGES] {
        response.headers_mut().remove(header);
    }
    send::send(response).await.map(Some)
}

pub fn readable(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The same without an index. Waits for the disk.
fn look(folder: &Folder, wanted: &Wanted, ask: &Ask) -> Result<Option<Response<Contents>>> {
    let file = match wanted {
        Wanted::File(file) => file.clone(),
        Wanted::Folder(folder) => folder.join("index.html"),
    };
    if let Some(entry) = choose::look(folder.root(), &file, folder.version()) {
        return respond(folder, &entry, ask).map(Some);
    }
    match wanted {
        Wanted::File(file) if choose::open(folder.root(), &file.join("index.html")).is_some() => {
            Ok(Some(to_folder(&ask.uri)?))
        }
        _ => Ok(None),
    }
}

/// Relative links of a folder's page only work below its slash. The path was checked: it does not begin with
/// two slashes, so it cannot lead to another host.
fn to_folder(uri: &Uri) -> Result<Response<Contents>> {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(Contents::Nothing);
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    set(&mut response, LOCATION, &format!("{}/{query}", uri.path()))?;
    set(&mut response, CACHE_CONTROL, "no-cache")?;
    Ok(response)
}

/// Touches no disk: all it says is in the entry.
fn respond(folder: &Folder, entry: &Entry, ask: &Ask) -> Result<Response<Contents>> {
    let accepted = ask.headers.get_all(ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes);
    let form = choose::form(entry, accepted);
    let (length, tag) = form.map_or((entry.length, &entry.tag), |form| (form.length, &form.tag));
    let modified = UNIX_EPOCH + Duration::from_secs(entry.modified);
    let name = Path::new(&entry.name);
    let kind = content_type(name);
    let file_name = name.file_name().unwrap_or_default().to_string_lossy();

    let mut response = Response::new(Contents::Nothing);
    set(&mut response, ETAG, tag)?;
    set(&mut response, LAST_MODIFIED, &httpdate::fmt_http_date(modified))?;
    set(&mut response, CACHE_CONTROL, cache::policy(&file_name, kind.starts_with("text/html")))?;
    if !entry.forms.is_empty() {
        set(&mut response, VARY, "accept-encoding")?;
    }
    let header = |name: &HeaderName| text(&ask.headers, name);
    if cache::is_held(header(&IF_NONE_MATCH), header(&IF_MODIFIED_SINCE), tag, modified) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    set(&mut response, CONTENT_TYPE, &kind)?;
    set(&mut response, HeaderName::from_static("x-content-type-options"), "nosniff")?;
    set(&mut response, ACCEPT_RANGES, "bytes")?;
    if let Some(form) = form {
        set(&mut response, CONTENT_ENCODING, form.coding.name())?;
    }
    let asked = header(&RANGE).filter(|_| ask.method == Method::GET);
    let applies = cache::range_applies(header(&IF_RANGE), tag, modified);
    let (start, end) = match part(asked.filter(|_| applies), length) {
        Part::Whole => (0, length),
        Part::Bytes { start, end } => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            set(&mut response, CONTENT_RANGE, &format!("bytes {start}-{}/{length}", end - 1))?;
            (start, end)
        }
        Part::Outside => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            set(&mut response, CONTENT_RANGE, &format!("bytes */{length}"))?;
            response.headers_mut().remove(CONTENT_ENCODING);
            response.headers_mut().remove(CONTENT_TYPE);
            (0, 0)
        }
    };
    set(&mut response, CONTENT_LENGTH, &(end - start).to_string())?;
    if ask.method != Method::HEAD && start < end {
        let (root, name) = match form {
            Some(form) if form.packed => (folder.packed(), &form.name),
            Some(form) => (folder.root(), &form.name),
            None => (folder.root(), &entry.name),
        };
        *response.body_mut() = Contents::Part { root: root.to_owned(), name: PathBuf::from(name), start, end };
    }
    Ok(response)
}

fn set(response: &mut Response<Contents>, name: HeaderName, value: &str) -> Result<()> {
    let value = HeaderValue::from_str(value).internal("while writing a header of a static file")?;
    response.headers_mut().insert(name, value);
    Ok(())
}

/// The first line of a header, when it is text.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn content_type(name: &Path) -> String {
    // Known to registries as a film.
    if name.extension().is_some_and(|e| matches!(e.to_str(), Some("ts" | "mts" | "cts" | "tsx"))) {
        return "text/plain; charset=utf-8".to_owned();
    }
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    let kind = kind.essence_str();
    let is_text = kind.starts_with("text/")
        || ["json", "xml", "javascript", "ecmascript"].iter().any(|part| kind.ends_with(part));
    if is_text { format!("{kind}; charset=utf-8") } else { kind.to_owned() }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
