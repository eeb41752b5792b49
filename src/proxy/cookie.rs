//! Which cookies an app may set. Pure.
use hyper::HeaderMap;
use hyper::header::{HeaderValue, SET_COOKIE};

/// Removes every cookie meant for `parent` (the apps domain, or a name above it): browsers would send it to
/// all other apps and to the editor. Returns how many were removed.
pub fn drop_shared(headers: &mut HeaderMap, parent: &str) -> usize {
    let parent = &host_only(parent).to_ascii_lowercase();
    if !headers.get_all(SET_COOKIE).iter().any(|cookie| is_shared(cookie.as_bytes(), parent)) {
        return 0;
    }
    let all: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    let before = all.len();
    let mut kept = 0;
    for cookie in all.into_iter().filter(|cookie| !is_shared(cookie.as_bytes(), parent)) {
        headers.append(SET_COOKIE, cookie);
        kept += 1;
    }
    before - kept
}

/// `parent` is in lower case, without port. Reads attributes as leniently as browsers do, and counts a cookie as shared if any of its `Domain`s is.
fn is_shared(cookie: &[u8], parent: &str) -> bool {
    cookie.split(|b| *b == b';').skip(1).any(|attribute| {
        let mut halves = attribute.splitn(2, |b| *b == b'=');
        let name = halves.next().unwrap_or_default().trim_ascii();
        let domain = halves.next().unwrap_or_default();
        name.eq_ignore_ascii_case(b"domain") && covers(domain, parent)
    })
}

fn covers(domain: &[u8], parent: &str) -> bool {
    // A browser may turn these into another name than the one read here.
    if domain.iter().any(|b| !b.is_ascii() || *b == b'%' || b.is_ascii_control() && *b != b'\t') {
        return true;
    }
    let domain = String::from_utf8_lossy(domain).to_ascii_lowercase();
    let domain = domain.trim_matches(|c: char| c.is_ascii_whitespace() || c == '"' || c == '.');
    if domain.is_empty() {
        return false;
    }
    parent == domain || parent.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// `parent.:8080` → `parent`
fn host_only(parent: &str) -> &str {
    let name = parent.rsplit_once(':').map_or(parent, |(name, _)| name);
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_for_all_apps_are_dropped() {
        for bad in [
            "a=1; Domain=apps.example",
            "a=1; domain=.apps.example; Path=/",
            "a=1;DOMAIN = APPS.EXAMPLE ",
            "a=1; Domain=example",
            "a=1; Domain=x.apps.example; Domain=apps.example",
            "a=1; Domain=\"apps.example\"",
            "a=1; Domain=apps.example.",
            "a=1; Domain=ap%70s.example",
            "a=1; Domain=\u{ff41}pps.example",
            "; Domain=apps.example",
        ] {
            assert!(is_shared(bad.as_bytes(), "apps.example"), "{bad}");
        }
        for good in [
            "a=1",
            "a=1; Path=/; HttpOnly",
            "a=1; Domain=hello.apps.example",
            "a=1; Domain=",
            "Domain=apps.example",
            "a=Domain=apps.example",
            "a=1; Domain=pps.example",
            "a=1; Path=/Domain=apps.example",
        ] {
            assert!(!is_shared(good.as_bytes(), "apps.example"), "{good}");
        }
    }

    #[test]
    fn the_others_stay_in_order() {
        let mut headers = HeaderMap::new();
        for cookie in ["a=1", "b=2; Domain=localhost", "c=3"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        assert_eq!(drop_shared(&mut headers, "LocalHost.:8080"), 1);
        let left: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(left, ["a=1", "c=3"]);
    }
}
