//! The door's own cookies: the app never sees them. Pure.
use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderValue};

/// Proves that its bearer was let in.
pub const PASS: &str = "steady-pass";
/// Binds the way to the editor's host and back to one browser.
pub const KNOCK: &str = "steady-knock";
/// Where a browser knows that nobody else could have set it.
const BOUND: &str = "__Host-";
/// Values looked at of one name; an attacker may set more.
const MOST: usize = 4;

/// The values of one of our cookies, as this scheme names it.
pub fn values<'a>(headers: &'a HeaderMap, name: &str, secure: bool) -> Vec<&'a str> {
    let ours = |given: &str| match given.strip_prefix(BOUND) {
        Some(rest) => secure && rest == name,
        None => !secure && given == name,
    };
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(given, _)| ours(given)).map(|(_, value)| value).take(MOST).collect()
}

/// `Set-Cookie`; `seconds` 0 ends it. Host-only, for every path of it.
pub fn set(name: &str, value: &str, seconds: i64, secure: bool) -> Option<HeaderValue> {
    let (bound, flag) = if secure { (BOUND, "; Secure") } else { ("", "") };
    let text = format!("{bound}{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{flag}");
    HeaderValue::from_str(&text).ok()
}

/// Takes them off a request, whatever the scheme; all other bytes stay as they are.
pub fn strip(headers: &mut HeaderMap) {
    if !headers.get_all(COOKIE).iter().any(|line| names_one(line.as_bytes())) {
        return;
    }
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for line in lines {
        let kept: Vec<&[u8]> = line.as_bytes().split(|b| *b == b';').filter(|pair| !is_ours(pair)).collect();
        let kept = kept.join(b";".as_slice());
        let kept = kept.trim_ascii();
        if let Ok(kept) = HeaderValue::from_bytes(kept)
            && !kept.is_empty()
        {
            headers.append(COOKIE, kept);
        }
    }
}

/// Whether a `Cookie` field has one of them.
pub fn names_one(field: &[u8]) -> bool {
    field.split(|b| *b == b';').any(is_ours)
}

fn is_ours(pair: &[u8]) -> bool {
    let name = pair.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii();
    let name = name.strip_prefix(BOUND.as_bytes()).unwrap_or(name);
    name == PASS.as_bytes() || name == KNOCK.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    #[test]
    fn ours_are_read_by_scheme() {
        let sent = headers(&["a=1; steady-pass=x; __Host-steady-pass=y", "steady-pass=z;steady-knock=k"]);
        assert_eq!(values(&sent, PASS, false), ["x", "z"]);
        assert_eq!(values(&sent, PASS, true), ["y"], "a neighbour can set what has no prefix");
        assert_eq!(values(&sent, KNOCK, true), Vec::<&str>::new());
        assert_eq!(values(&headers(&[&"steady-pass=x;".repeat(50)]), PASS, false).len(), MOST);
    }

    #[test]
    fn they_are_taken_off_and_the_others_stay() {
        for (sent, kept) in [
            (&["steady-pass=x"][..], &[][..]),
            (&["a=1; steady-pass=x; b=2"], &["a=1; b=2"]),
            (&["__Host-steady-pass=x;a=1"], &["a=1"]),
            (&["steady-knock=x; steady-knock = y", "c=3"], &["c=3"]),
            (&["a=steady-pass=1; xsteady-pass=2"], &["a=steady-pass=1; xsteady-pass=2"]),
        ] {
            let mut headers = headers(sent);
            strip(&mut headers);
            let left: Vec<_> = headers.get_all(COOKIE).iter().collect();
            assert_eq!(left, kept, "{sent:?}");
        }
    }

    proptest! {
        /// Whatever is sent, an app finds neither of the names in what is left, and loses nothing else.
        #[test]
        fn an_app_never_sees_them(pairs in proptest::collection::vec(("[ ]?(steady-pass|__Host-steady-knock|a|b|steady)[ ]?", "[a-z=]{0,4}"), 0..8)) {
            let line = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(";");
            let mut sent = headers(&[line.trim()]);
            strip(&mut sent);
            let left: Vec<String> = sent.get_all(COOKIE).iter().map(|line| line.to_str().unwrap().to_owned()).collect();
            let left = left.join(";");
            prop_assert!(!left.contains("steady-pass") && !left.contains("steady-knock"), "{left}");
            let others = pairs.iter().filter(|(name, _)| !name.contains('-')).count();
            prop_assert_eq!(left.split(';').filter(|pair| !pair.trim().is_empty()).count(), others);
        }
    }
}
