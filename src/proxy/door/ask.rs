//! What a request brings along for the door, and its address without that. Pure.
use base64::Engine as _;
use hyper::header::{ACCEPT, AUTHORIZATION, UPGRADE};
use hyper::{HeaderMap, Method, Uri};

use crate::base::Secret;

/// In the address: a shared link's secret, a ticket of the editor's host, and the wish to sign in.
pub const LINK: &str = "steady_link";
pub const TICKET: &str = "steady_ticket";
pub const ENTER: &str = "steady_enter";

/// What every Steady token begins with; any other bearer token is the app's business.
const TOKEN: &str = "steady_";
/// Characters of a header that is read, and of a path that is come back to.
const MOST: usize = 2048;

/// What stands in the header `Authorization`, as far as it is for the door.
#[derive(Debug)]
pub enum Shown {
    /// Of `Basic`; the name is anybody's choice.
    Password(Secret<String>),
    Token(Secret<String>),
}

pub fn shown(headers: &HeaderMap) -> Option<Shown> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok().filter(|text| text.len() <= MOST)?;
    let (scheme, value) = text.split_once(' ')?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") && value.starts_with(TOKEN) {
        return Some(Shown::Token(Secret::new(value.to_owned())));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = base64::engine::general_purpose::STANDARD.decode(value).ok()?;
        let pair = String::from_utf8(pair).ok()?;
        let (_, password) = pair.split_once(':')?;
        return Some(Shown::Password(Secret::new(password.to_owned())));
    }
    None
}

/// The value of one of the door's own words in the query: letters, digits, `-` and `_` only.
pub fn word<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    let plain = |value: &&str| value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).filter(plain)
}

/// Whether the query has that word, with or without a value.
pub fn has(uri: &Uri, name: &str) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|pair| pair.split('=').next() == Some(name)))
}

/// Path and query without the door's own words. Begins with a slash.
pub fn clean(uri: &Uri) -> String {
    let path = if uri.path().starts_with('/') { uri.path() } else { "/" };
    let ours = |pair: &&str| [LINK, TICKET, ENTER].contains(&pair.split('=').next().unwrap_or_default());
    let rest: Vec<&str> = uri.query().unwrap_or_default().split('&').filter(|pair| !ours(pair)).collect();
    match rest.join("&") {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// Where somebody comes back to after signing in: a longer address leads to the start.
pub fn way_back(uri: &Uri) -> String {
    Some(clean(uri)).filter(|path| path.len() <= MOST).unwrap_or_else(|| "/".to_owned())
}

/// Somebody goes to a page with a browser, and can be sent to another.
pub fn is_visit(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let html = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|accept| accept.contains("text/html"));
    let page = text("sec-fetch-dest").is_none_or(|dest| dest == "document");
    matches!(*method, Method::GET | Method::HEAD) && html && page && !headers.contains_key(UPGRADE)
}

/// The host that cookies, tickets and redirects are for: the name that was asked for, with the server's own public port
/// and never the client's. `None` when it is no name.
pub fn home(host: &str, apps_host: &str) -> Option<String> {
    let name = host.split(':').next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    let port = apps_host.rsplit_once(':').map(|(_, port)| format!(":{port}")).unwrap_or_default();
    good.then(|| format!("{name}{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    fn header(value: &str) -> HeaderMap {
        [(AUTHORIZATION, HeaderValue::from_str(value).unwrap())].into_iter().collect()
    }

    #[test]
    fn only_what_is_ours_is_read_of_authorization() {
        let password = |text: &str| match shown(&header(text)) {
            Some(Shown::Password(password)) => Some(password.into_inner()),
            _ => None,
        };
        assert_eq!(password("Basic OnNlY3JldA=="), Some("secret".into()));
        assert_eq!(password("basic YW5uOmE6Yg=="), Some("a:b".into()));
        assert!(matches!(shown(&header("bearer steady_abc")), Some(Shown::Token(t)) if t.expose() == "steady_abc"));
        for none in [
            "Bearer abc",
            "Basic ???",
            "Basic YWJj",
            "Digest x",
            "Basic",
            &format!("Bearer steady_{}", "x".repeat(3000)),
        ] {
            assert!(shown(&header(none)).is_none(), "{none}");
        }
    }

    #[test]
    fn an_address_loses_only_our_words() {
        for (from, to) in [
            ("/", "/"),
            ("/a?b=c", "/a?b=c"),
            ("/a?steady_link=x", "/a"),
            ("/a?b=c&steady_ticket=x&d", "/a?b=c&d"),
            ("/a?steady_enter&steady_linked=1", "/a?steady_linked=1"),
            ("//evil.example/?steady_ticket=x", "//evil.example/"),
            ("*", "/"),
        ] {
            assert_eq!(clean(&uri(from)), to, "{from}");
        }
        assert_eq!(word(&uri("/?a=1&steady_link=Ab-_9&steady_link=z"), LINK), Some("Ab-_9"));
        assert_eq!(word(&uri("/?steady_link=a%2e"), LINK), None);
        assert_eq!(word(&uri("/?steady_linker=a"), LINK), None);
        assert_eq!(way_back(&uri(&format!("/{}", "x".repeat(3000)))), "/");
    }

    #[test]
    fn a_home_has_the_servers_port() {
        assert_eq!(home("Shop.localhost:9", "localhost:8080"), Some("shop.localhost:8080".into()));
        assert_eq!(home("shop.example.", "apps.example"), Some("shop.example".into()));
        for bad in ["", ":80", "a@b", "a/b", "[::1]:80", "a b"] {
            assert_eq!(home(bad, "localhost"), None, "{bad}");
        }
    }

    proptest! {
        /// Behind our own host there is no address that leads to another one.
        #[test]
        fn no_way_back_leaves_the_host(path in "/[/\\\\a-z.@:?&=#_]{0,30}") {
            if let Ok(uri) = path.parse::<Uri>() {
                let back = clean(&uri);
                prop_assert!(back.starts_with('/') && !back.contains(|c: char| c.is_ascii_control()));
                let whole: Uri = format!("http://shop.localhost:8080{back}").parse().unwrap();
                prop_assert_eq!(whole.authority().unwrap().as_str(), "shop.localhost:8080");
            }
        }
    }
}
