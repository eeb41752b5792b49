//! Files of a version folder, answered without a process.
pub mod cache;
pub mod choose;
pub mod path;
pub mod range;

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use axum::body::Body;
use bytes::Bytes;
use hyper::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED,
    LOCATION, RANGE, VARY,
};
use hyper::{Method, Response, StatusCode, Uri};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use crate::base::{Result, ResultExt as _};
use choose::{Chosen, choose};
use path::{Wanted, wanted};
use range::{Part, part};

/// A request as far as files are concerned.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    /// Of the app; part of every tag.
    pub version: String,
}

/// Files up to this size are read at once; larger ones are streamed in pieces of it.
const PIECE: u64 = 64 << 10;

/// The file `ask` names below `root`, if there is one and it may be had. `None`: let somebody else answer.
/// Errors: `Internal` when a file that is there cannot be read.
pub async fn find(root: &Path, ask: Ask) -> Result<Option<Response<Body>>> {
    if !readable(&ask.method) {
        return Ok(None);
    }
    let Some(wanted) = wanted(ask.uri.path()) else { return Ok(None) };
    let root = root.to_owned();
    off_thread(move || find_now(&root, &wanted, &ask)).await
}

/// What a site of files alone says when [`find`] found nothing: 405, or its own `404.html`, or `None`.
/// Errors: `Internal` when that page is there and cannot be read.
pub async fn missing(root: &Path, ask: Ask) -> Result<Option<Response<Body>>> {
    if !readable(&ask.method) {
        let mut response = Response::new(Body::from("error: this site can only be read\nhint: Use GET or HEAD.\n"));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        return Ok(Some(response));
    }
    let root = root.to_owned();
    off_thread(move || {
        let accepted = text(&ask.headers, &ACCEPT_ENCODING);
        let Some(chosen) = choose(&root, Path::new("404.html"), accepted) else { return Ok(None) };
        let plain = Ask { headers: HeaderMap::new(), ..ask };
        let mut response = respond(chosen, Path::new("404.html"), &plain)?;
        *response.status_mut() = StatusCode::NOT_FOUND;
        for header in [ETAG, LAST_MODIFIED, ACCEPT_RANGES] {
            response.headers_mut().remove(header);
        }
        Ok(Some(response))
    })
    .await
}

pub fn readable(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Looking up and reading may wait for a disk.
async fn off_thread(
    work: impl FnOnce() -> Result<Option<Response<Contents>>> + Send + 'static,
) -> Result<Option<Response<Body>>> {
    let found = tokio::task::spawn_blocking(work).await.internal("while looking up a static file")??;
    Ok(found.map(|response| response.map(Contents::into_body)))
}

/// What is sent of a file.
enum Contents {
    Bytes(Bytes),
    /// From where the file stands, this many bytes.
    Stream(std::fs::File, u64),
}

impl Contents {
    fn into_body(self) -> Body {
        match self {
            Self::Bytes(bytes) => Body::from(bytes),
            Self::Stream(file, length) => {
                let file = tokio::fs::File::from_std(file).take(length);
                Body::from_stream(ReaderStream::with_capacity(file, usize::try_from(PIECE).unwrap_or(4096)))
            }
        }
    }
}

fn find_now(root: &Path, wanted: &Wanted, ask: &Ask) -> Result<Option<Response<Contents>>> {
    let accepted = text(&ask.headers, &ACCEPT_ENCODING);
    let file = match wanted {
        Wanted::File(file) => file.clone(),
        Wanted::Folder(folder) => folder.join("index.html"),
    };
    if let Some(chosen) = choose(root, &file, accepted) {
        return respond(chosen, &file, ask).map(Some);
    }
    match wanted {
        Wanted::File(folder) if choose(root, &folder.join("index.html"), None).is_some() => {
            Ok(Some(to_folder(&ask.uri)?))
        }
        _ => Ok(None),
    }
}

/// Relative links of a folder's page only work below its slash. The path was checked: it does not begin with
/// two slashes, so it cannot lead to another host.
fn to_folder(uri: &Uri) -> Result<Response<Contents>> {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(Contents::Bytes(Bytes::new()));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    set(&mut response, LOCATION, &format!("{}/{query}", uri.path()))?;
    set(&mut response, CACHE_CONTROL, "no-cache")?;
    Ok(response)
}

/// `name` is what was asked for; `chosen` may be a compressed form of it.
fn respond(chosen: Chosen, name: &Path, ask: &Ask) -> Result<Response<Contents>> {
    let Chosen { mut file, meta, name: stored, encoding, varies } = chosen;
    let length = meta.len();
    let tag = cache::etag(&ask.version, &stored.to_string_lossy(), &meta);
    let modified = cache::modified(&meta);
    let kind = content_type(name);
    let file_name = name.file_name().unwrap_or_default().to_string_lossy();

    let mut response = Response::new(Contents::Bytes(Bytes::new()));
    set(&mut response, ETAG, &tag)?;
    set(&mut response, LAST_MODIFIED, &httpdate::fmt_http_date(modified))?;
    set(&mut response, CACHE_CONTROL, cache::policy(&file_name, kind.starts_with("text/html")))?;
    if varies {
        set(&mut response, VARY, "accept-encoding")?;
    }
    let header = |name: &HeaderName| text(&ask.headers, name);
    if cache::is_held(header(&IF_NONE_MATCH), header(&IF_MODIFIED_SINCE), &tag, modified) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    set(&mut response, CONTENT_TYPE, &kind)?;
    set(&mut response, HeaderName::from_static("x-content-type-options"), "nosniff")?;
    set(&mut response, ACCEPT_RANGES, "bytes")?;
    if let Some(encoding) = encoding {
        set(&mut response, CONTENT_ENCODING, encoding)?;
    }
    let asked = header(&RANGE).filter(|_| ask.method == Method::GET);
    let applies = cache::range_applies(header(&IF_RANGE), &tag, modified);
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
    if ask.method == Method::HEAD || start == end {
        return Ok(response);
    }
    if start > 0 {
        file.seek(SeekFrom::Start(start)).internal("while reading a static file")?;
    }
    *response.body_mut() = if end - start > PIECE {
        Contents::Stream(file, end - start)
    } else {
        let mut bytes = Vec::with_capacity(usize::try_from(end - start).unwrap_or(0));
        file.take(end - start).read_to_end(&mut bytes).internal("while reading a static file")?;
        Contents::Bytes(bytes.into())
    };
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
