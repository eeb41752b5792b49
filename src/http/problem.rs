//! Error → response. The only place that picks a status.
use std::sync::LazyLock;

use askama::Template;
use axum::body::Body;
use base64::Engine as _;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::base::{Error, Kind};

pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::BadInput => StatusCode::BAD_REQUEST,
        Kind::Unauthorized => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict | Kind::Unapproved => StatusCode::CONFLICT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Kind::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Kind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        Kind::App => StatusCode::BAD_GATEWAY,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What an error page may add to the error itself. All of it is escaped.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detail<'a> {
    /// Where it went wrong: `gate`, `boot`, `response head`.
    pub stage: Option<&'a str>,
    /// `USER/PROJECT`
    pub project: Option<&'a str>,
    pub link: Option<Link<'a>>,
    /// The editor itself was asked: the mark leads to its start page.
    pub editor: bool,
    /// Lines of an app's log, only ever for its author.
    pub tail: &'a [String],
    /// Seconds; 503 and 429 say 1 when it is not given.
    pub retry_after: Option<u32>,
}

/// A way on. `href` must be made by Steady, never by a visitor.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    pub href: &'a str,
    pub text: &'a str,
}

/// JSON for machines: `{"error":{"kind","message","hint","request"}}`. An internal error's details are
/// logged, not sent.
pub fn json(error: &Error, request_id: &str) -> Response<Body> {
    json_told(&Told::new(error, request_id), error.kind, request_id, None)
}

/// A page for people, with stage and request id; falls back to plain text for `Accept` without HTML.
pub fn page(error: &Error, request_id: &str, accept: Option<&str>) -> Response<Body> {
    page_with(error, request_id, accept, &Detail::default())
}

/// [`page`] with more to say. `Accept` that names JSON and no HTML is answered as [`json`] does.
pub fn page_with(error: &Error, request_id: &str, accept: Option<&str>, detail: &Detail<'_>) -> Response<Body> {
    let told = Told::new(error, request_id);
    let accept = accept.unwrap_or_default().to_ascii_lowercase();
    if !accept.contains("text/html") {
        if accept.contains("json") {
            return json_told(&told, error.kind, request_id, detail.retry_after);
        }
        let text = plain(&told, request_id, detail);
        return told.respond("text/plain; charset=utf-8", text, detail.retry_after);
    }
    let page = Page {
        status: told.status.as_u16(),
        title: told.status.canonical_reason().unwrap_or("Error"),
        message: told.message,
        hint: told.hint,
        request_id,
        stage: detail.stage,
        project: detail.project,
        link: detail.link,
        editor: detail.editor,
        tail: detail.tail,
        style: STYLE,
    };
    match page.render() {
        Ok(html) => {
            let mut response = told.respond("text/html; charset=utf-8", html, detail.retry_after);
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY.clone());
            response
        }
        Err(cause) => {
            tracing::error!(request = request_id, %cause, "the error page could not be rendered");
            let text = plain(&told, request_id, detail);
            told.respond("text/plain; charset=utf-8", text, detail.retry_after)
        }
    }
}

/// Part of the page, so that it needs nothing else from a server that may be in trouble.
const STYLE: &str = include_str!("error.css");

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'");
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

#[derive(Template)]
#[template(path = "error.html")]
struct Page<'a> {
    status: u16,
    title: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
    request_id: &'a str,
    stage: Option<&'a str>,
    project: Option<&'a str>,
    link: Option<Link<'a>>,
    editor: bool,
    tail: &'a [String],
    style: &'a str,
}

/// What may be said of an error, decided once for every form it is said in.
struct Told<'a> {
    status: StatusCode,
    message: &'a str,
    hint: Option<&'a str>,
}

impl<'a> Told<'a> {
    fn new(error: &'a Error, request_id: &str) -> Self {
        let status = status(error.kind);
        if error.kind == Kind::Internal {
            // Debug writes the whole chain of causes.
            tracing::error!(request = request_id, ?error, "internal error");
            let hint = Some("It is Steady's fault, not yours. The server's log has more under this request's id.");
            return Self { status, message: "Something went wrong inside Steady.", hint };
        }
        if let Some(cause) = &error.source {
            tracing::debug!(request = request_id, ?error, %cause, "request failed");
        }
        Self { status, message: &error.public, hint: error.hint.as_deref() }
    }

    fn respond(&self, content_type: &'static str, body: String, retry_after: Option<u32>) -> Response<Body> {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(RETRY_AFTER, HeaderValue::from(retry_after.unwrap_or(1)));
        }
        response
    }
}

fn json_told(told: &Told<'_>, kind: Kind, request_id: &str, retry_after: Option<u32>) -> Response<Body> {
    let body = serde_json::json!({ "error": {
        "kind": word(kind), "message": told.message, "hint": told.hint, "request": request_id,
    }});
    told.respond("application/json", body.to_string(), retry_after)
}

fn plain(told: &Told<'_>, request_id: &str, detail: &Detail<'_>) -> String {
    let mut lines = vec![format!("error: {}", told.message)];
    lines.extend(told.hint.map(|hint| format!("hint: {hint}")));
    lines.extend(detail.link.map(|link| format!("{}: {}", link.text, link.href)));
    lines.extend(detail.stage.map(|stage| format!("stage: {stage}")));
    lines.extend(detail.project.map(|project| format!("project: {project}")));
    lines.push(format!("request: {request_id}"));
    if !detail.tail.is_empty() {
        lines.push(String::new());
        lines.extend(detail.tail.iter().map(|line| line.chars().filter(|c| *c == '\t' || !c.is_control()).collect()));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The kind as JSON names it.
pub fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::BadInput => "bad_input",
        Kind::Unauthorized => "unauthorized",
        Kind::Forbidden => "forbidden",
        Kind::NotFound => "not_found",
        Kind::Conflict => "conflict",
        Kind::TooLarge => "too_large",
        Kind::TooMany => "too_many",
        Kind::Busy => "busy",
        Kind::TimedOut => "timed_out",
        Kind::Unapproved => "unapproved",
        Kind::App => "app",
        Kind::Internal => "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn text(response: Response<Body>) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_internal_error_tells_nothing() {
        let error = || Error::internal("while reading /secret/key").because("disk on fire").hint("look in /secret");
        for response in [page(&error(), "id1", Some("text/html")), page(&error(), "id1", None), json(&error(), "id1")] {
            assert_eq!(response.status(), 500);
            let body = text(response).await;
            assert!(body.contains("id1"), "{body}");
            assert!(!body.contains("secret") && !body.contains("fire"), "{body}");
        }
    }

    #[tokio::test]
    async fn the_form_follows_accept() {
        let error = Error::not_found("there is no app").hint("look again");
        for (accept, kind) in [
            (Some("text/html,*/*;q=0.8"), "text/html; charset=utf-8"),
            (Some("*/*"), "text/plain; charset=utf-8"),
            (None, "text/plain; charset=utf-8"),
            (Some("application/json"), "application/json"),
        ] {
            let response = page(&error, "id1", accept);
            assert_eq!(response.status(), 404);
            assert_eq!(response.headers()[CONTENT_TYPE], kind);
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            let body = text(response).await;
            assert!(body.contains("there is no app") && body.contains("look again") && body.contains("id1"), "{body}");
        }
    }

    #[tokio::test]
    async fn a_page_escapes_names_its_stage_and_says_when_to_retry() {
        let error = Error::new(Kind::Busy, "<b>busy</b>");
        let tail = ["<script>alert(1)</script>".to_owned()];
        let detail = Detail {
            stage: Some("gate"),
            project: Some("dev/hello"),
            tail: &tail,
            link: Some(Link { href: "http://localhost:8080/dev/hello", text: "Its page" }),
            retry_after: Some(7),
            editor: false,
        };
        let response = page_with(&error, "id1", Some("text/html"), &detail);
        assert_eq!(response.headers()[RETRY_AFTER], "7");
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        let body = text(response).await;
        assert!(
            body.contains("gate")
                && body.contains("dev/hello")
                && body.contains("href=\"http://localhost:8080/dev/hello\"")
        );
        assert!(!body.contains("href=\"/\""), "an app's error page led to its own start page: {body}");
        assert!(!body.contains("<script>") && !body.contains("<b>"), "{body}");
        let editor = Detail { editor: true, ..Detail::default() };
        let own = text(page_with(&error, "id1", Some("text/html"), &editor)).await;
        assert!(own.contains("href=\"/\""), "the editor's error page leads to its start: {own}");
        let style = body.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>")).unwrap().0;
        let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style));
        assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
    }
}
