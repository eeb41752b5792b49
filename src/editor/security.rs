//! The one door of the browser face: session, forgery checks and headers, for every route alike.
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Ctx, FORM};
use crate::accounts::{Actor, Via};
use crate::base::secret::{random_token, same};
use crate::base::{Error, Kind, Result, ResultExt as _};
use crate::http::problem;

pub const COOKIE: &str = "__Host-steady";

/// Lets CodeMirror's one style element through the Content-Security-Policy.
#[derive(Clone)]
pub struct Nonce(pub Arc<str>);

/// Who the session cookie belongs to, looked up once per request.
#[derive(Clone)]
pub struct Session(pub Option<Arc<Actor>>);

/// What a handler failed with. The guard makes the page or JSON of it, since it knows what was asked for.
pub struct Failed(pub Error);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let mut response = problem::status(self.0.kind).into_response();
        response.extensions_mut().insert(Arc::new(self.0));
        response
    }
}

/// Runs around every route but the static files.
pub async fn guard(State(ctx): State<Ctx>, mut request: Request, next: Next) -> Response {
    let id = random_token(9);
    let nonce: Arc<str> = random_token(16).into();
    let script = from_script(request.headers());
    let accept = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let safe = is_safe(request.method());
    let here = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
    request.extensions_mut().insert(Nonce(nonce.clone()));
    let mut response = match admit(&ctx, request).await {
        Ok(request) => next.run(request).await,
        Err(e) => Failed(e).into_response(),
    };
    if let Some(error) = response.extensions_mut().remove::<Arc<Error>>() {
        response = if script {
            problem::json(&error, &id)
        } else if error.kind == Kind::Unauthorized && safe {
            Redirect::to(&format!("/signin?next={}", utf8_percent_encode(&here, NON_ALPHANUMERIC))).into_response()
        } else {
            let detail = problem::Detail { editor: true, ..Default::default() };
            problem::page_with(&error, &id, accept.as_deref(), &detail)
        };
    }
    let options = ctx.apps.options();
    dress(response.headers_mut(), &nonce, ctx.hsts, &format!("{}://*.{}", options.scheme, options.apps_host));
    response
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a script asked (and wants JSON) rather than somebody going to a page.
fn from_script(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    headers.contains_key("x-csrf-token") || accepts.starts_with("application/json")
}

/// Finds the session, and refuses an act that this origin's own pages did not send.
async fn admit(ctx: &Ctx, mut request: Request) -> Result<Request> {
    let actor = match cookie(request.headers(), COOKIE) {
        Some(value) => ctx.accounts.session(value)?.map(Arc::new),
        None => None,
    };
    if !is_safe(request.method()) {
        same_origin(request.headers())?;
        if let Some(actor) = &actor {
            request = forgery_checked(request, actor).await?;
        }
    }
    request.extensions_mut().insert(Session(actor));
    Ok(request)
}

/// Errors: `Forbidden` when a browser says the request came from another site.
fn same_origin(headers: &HeaderMap) -> Result<()> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let site = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
    let origin = match (text("origin"), text("host")) {
        (None, _) => true,
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, of)| of.eq_ignore_ascii_case(host)),
        (Some(_), None) => false,
    };
    if site && origin { Ok(()) } else { Err(forged()) }
}

fn forged() -> Error {
    Error::forbidden("this request did not come from a page of this server, or the page is too old")
        .hint("Reload the page and try again.")
}

/// The session's secret must come back in a header or in the form's `_csrf` field.
async fn forgery_checked(request: Request, actor: &Actor) -> Result<Request> {
    let Via::Session { csrf, .. } = &actor.via else { return Err(forged()) };
    if let Some(sent) = request.headers().get("x-csrf-token") {
        return if same(sent.as_bytes(), csrf.as_bytes()) { Ok(request) } else { Err(forged()) };
    }
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, FORM).await.or_error(Kind::TooLarge, "this form is larger than 256 KiB")?;
    let sent = field(&bytes, "_csrf").unwrap_or_default();
    if !same(sent, csrf.as_bytes()) {
        return Err(forged());
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// One field of an urlencoded form. Good enough for `_csrf`, which holds nothing that is escaped.
fn field<'a>(body: &'a Bytes, name: &str) -> Option<&'a [u8]> {
    body.split(|b| *b == b'&').find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// A cookie's value. The last one wins, as no `__Host-` cookie can be set twice.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .rfind(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// The session cookie; an empty value ends it.
pub fn set_cookie(value: &str) -> HeaderValue {
    let age = if value.is_empty() { "; Max-Age=0" } else { "; Max-Age=31536000" };
    HeaderValue::from_str(&format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{age}"))
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Where to go after signing in: a path of this server, else `/`.
pub fn safe_next(next: &str) -> &str {
    let outside = next.starts_with("//") || next.contains('\\') || next.chars().any(char::is_control);
    if next.starts_with('/') && !outside { next } else { "/" }
}

fn dress(headers: &mut HeaderMap, nonce: &str, hsts: bool, apps: &str) {
    let csp = format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self'; frame-src {apps}; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    if let (Ok(csp), false) = (HeaderValue::from_str(&csp), headers.contains_key(header::CONTENT_SECURITY_POLICY)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, csp);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("x-frame-options", "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if hsts {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn only_own_paths_are_gone_to_after_signing_in() {
        for good in ["/", "/dev/hello", "/new?template=hono"] {
            assert_eq!(safe_next(good), good);
        }
        for bad in
            ["", "https://evil.example", "//evil.example", "/\\evil.example", "\\\\x", "javascript:1", "/\r\nX: y"]
        {
            assert_eq!(safe_next(bad), "/", "{bad:?} must not be followed");
        }
    }

    #[test]
    fn requests_of_other_sites_are_refused() {
        let host = ("host", "localhost:8080");
        assert!(same_origin(&headers(&[host])).is_ok(), "a command line sends neither header");
        assert!(
            same_origin(&headers(&[host, ("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")]))
                .is_ok()
        );
        for bad in [
            [("origin", "http://evil.localhost:8080"), ("x", "")],
            [("origin", "null"), ("x", "")],
            [("sec-fetch-site", "same-site"), ("x", "")],
            [("sec-fetch-site", "cross-site"), ("origin", "http://localhost:8080")],
        ] {
            assert!(same_origin(&headers(&[host, bad[0], bad[1]])).is_err(), "{bad:?} must be refused");
        }
    }

    #[tokio::test]
    async fn a_form_needs_its_sessions_secret() {
        let actor = super::super::tests::actor();
        let post = |body: &'static str| Request::builder().method("POST").body(Body::from(body)).unwrap();
        assert!(forgery_checked(post("a=b&_csrf=secret"), &actor).await.is_ok());
        for bad in ["", "_csrf=", "_csrf=secre", "x_csrf=secret", "_csrf=wrong!"] {
            assert!(forgery_checked(post(bad), &actor).await.is_err(), "{bad:?} must be refused");
        }
        let sent = Request::builder().header("x-csrf-token", "secret").body(Body::empty()).unwrap();
        assert!(forgery_checked(sent, &actor).await.is_ok());
    }

    #[test]
    fn the_session_cookie_is_found_among_others() {
        let sent = headers(&[("cookie", "theme=dark; __Host-steady=abc; x=y")]);
        assert_eq!(cookie(&sent, COOKIE), Some("abc"));
        assert_eq!(cookie(&sent, "theme"), Some("dark"));
        assert_eq!(cookie(&headers(&[]), COOKIE), None);
    }
}
