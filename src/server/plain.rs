//! What the plain listener answers when TLS is on: authorities' questions, and for the rest the way to https.
use axum::body::Body;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};

use crate::tls::Challenges;

const CHALLENGE: &str = "/.well-known/acme-challenge/";

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Plain {
    /// Of the TLS listener.
    pub port: u16,
    /// Of authorities, when certificates are theirs.
    pub challenges: Option<Challenges>,
    /// What comes in plain has been through somebody else's TLS, and is served.
    pub fronted: bool,
}

impl Plain {
    /// `None`: it is to be served as it came. `host` is one of ours: lower case, without port. Wakes no app.
    pub(super) fn answer<B>(&self, host: &str, request: &Request<B>) -> Option<Response<Body>> {
        self.proof(request).or_else(|| (!self.fronted).then(|| self.to_https(host, request)))
    }

    fn proof<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let token = request.uri().path().strip_prefix(CHALLENGE)?;
        let proof = self.challenges.as_ref().filter(|_| request.method() == Method::GET)?.http01(token)?;
        let mut response = Response::new(Body::from(proof));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        Some(response)
    }

    /// 308, not 301: whatever was sent is to be sent again as it was, also a form.
    fn to_https<B>(&self, host: &str, request: &Request<B>) -> Response<Body> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path = if path == "*" { "" } else { path };
        let port = if self.port == 443 { String::new() } else { format!(":{}", self.port) };
        let mut response = Response::new(Body::empty());
        match HeaderValue::from_str(&format!("https://{host}{port}{slash}{path}")) {
            Ok(location) => {
                *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
                response.headers_mut().insert(LOCATION, location);
                // Remembering it is HSTS' affair: a server that gives TLS up must be reached again.
                response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            }
            Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(port: u16, target: &str) -> String {
        let plain = Plain { port, challenges: None, fronted: false };
        let request = Request::builder().method("POST").uri(target).body(()).unwrap();
        let response = plain.answer("a.example", &request).unwrap();
        assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
        response.headers()[LOCATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_path_and_the_host_stay() {
        assert_eq!(location(443, "/a%20b?c=d"), "https://a.example/a%20b?c=d");
        assert_eq!(location(8443, "/"), "https://a.example:8443/");
        assert_eq!(location(443, "http://evil.example/x"), "https://a.example/x");
        assert_eq!(location(443, "*"), "https://a.example/");
        assert_eq!(location(443, "//evil.example/x"), "https://a.example//evil.example/x");
    }
}
