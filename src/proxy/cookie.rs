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

/// Whether a cookie says nothing of domains: then it is this app's own, whatever the names here are.
pub fn names_no_domain(cookie: &[u8]) -> bool {
    !cookie.windows(6).any(|part| part.eq_ignore_ascii_case(b"domain"))
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
    use proptest::prelude::*;

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

    /// What a browser makes of a `Domain` (RFC 6265 section 5.2.3), written from that text.
    fn browser_domain(cookie: &str) -> Option<String> {
        let mut domain = None;
        for attribute in cookie.split(';').skip(1) {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim_matches([' ', '\t']);
            if name.trim_matches([' ', '\t']).eq_ignore_ascii_case("domain") && !value.is_empty() {
                domain = Some(value.strip_prefix('.').unwrap_or(value).to_ascii_lowercase());
            }
        }
        domain.filter(|domain| !domain.is_empty())
    }

    /// Whether a browser at `host` would send a cookie of this domain there (section 5.1.3).
    fn matches(host: &str, domain: &str) -> bool {
        host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    }

    fn cookie() -> impl Strategy<Value = String> {
        let domain = prop_oneof![
            Just("apps.example".to_owned()),
            Just(".apps.example".to_owned()),
            Just("EXAMPLE".to_owned()),
            Just("a.apps.example".to_owned()),
            Just("example.".to_owned()),
            "[a-z.]{0,14}",
        ];
        let attribute = prop_oneof![
            4 => (proptest::sample::select(&["Domain", "domain", " DOMAIN ", "\tDomain"][..]), "[ \t]{0,2}", domain)
                .prop_map(|(name, space, domain)| format!("{name}={space}{domain}{space}")),
            2 => proptest::sample::select(&["Path=/", "Secure", " HttpOnly", "Domain", "domain=", "x=Domain=y"][..])
                .prop_map(str::to_owned),
        ];
        ("[a-z]{0,3}=?[a-z=]{0,4}", proptest::collection::vec(attribute, 0..4))
            .prop_map(|(pair, attributes)| [vec![pair], attributes].concat().join(";"))
    }

    proptest! {
        /// No cookie that stays reaches the apps domain, a neighbour or the editor; and what a browser keeps to this
        /// app alone stays, in order.
        #[test]
        fn no_cookie_reaches_the_neighbours(cookies in proptest::collection::vec(cookie(), 0..6)) {
            let mut headers = HeaderMap::new();
            for cookie in &cookies {
                headers.append(SET_COOKIE, HeaderValue::from_str(cookie).unwrap());
            }
            let dropped = drop_shared(&mut headers, "apps.example:8080");
            let kept: Vec<_> = headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect();
            prop_assert_eq!(kept.len() + dropped, cookies.len());
            let plain = cookies.iter().filter(|cookie| names_no_domain(cookie.as_bytes()));
            prop_assert!(plain.into_iter().all(|cookie| kept.contains(&cookie.as_str())));
            for cookie in &kept {
                let domain = browser_domain(cookie);
                for other in ["apps.example", "b.apps.example", "edit.example", "example"] {
                    prop_assert!(domain.as_deref().is_none_or(|domain| !matches(other, domain)), "{cookie:?} reaches {other}");
                }
            }
            let harmless: Vec<_> = cookies.iter().filter(|one| !one.to_ascii_lowercase().contains("domain")).collect();
            let still: Vec<_> = kept.iter().filter(|one| !one.to_ascii_lowercase().contains("domain")).collect();
            prop_assert_eq!(harmless.len(), still.len());
            prop_assert!(harmless.iter().zip(still).all(|(before, after)| before.as_str() == *after));
        }
    }
}
