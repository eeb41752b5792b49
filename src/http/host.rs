//! Host header → which site. Pure, fuzzed.
use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::header::HOST;
use hyper::{HeaderMap, Uri};

/// The server's own names.
#[derive(Clone, Debug)]
pub struct Domains {
    /// Apps are at `LABEL.<apps>`.
    pub apps: String,
    /// The editor's host, without port.
    pub editor: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    Editor,
    /// A label below the apps domain: an app's, or `APP--DRAFT`. Checked for shape only.
    App(String),
    /// Some other name: a custom domain, or a stranger's guess.
    Foreign(String),
    /// Not a host name at all.
    Bad,
}

/// Never panics, whatever the header holds. The name is lower case, without port and final dot.
pub fn classify(host: &str, domains: &Domains) -> Site {
    let Some(name) = name_of(host) else { return Site::Bad };
    if name.eq_ignore_ascii_case(&domains.editor) || (loopback(&name) && domains.editor == "localhost") {
        return Site::Editor;
    }
    match below(&name, &domains.apps) {
        Some(label) if !label.contains('.') => Site::App(label.to_owned()),
        _ => Site::Foreign(name),
    }
}

/// The host alone, for comparing: `a.example` of `A.example.:443`. `None` when it is no host name.
pub fn spelled(host: &str) -> Option<String> {
    name_of(host)
}

/// The host a request is for: the target's own when it has one (HTTP/2, absolute form), else the header.
/// `None` when there is none, or several, or when the two differ: then nobody can say who is meant.
pub fn requested<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut named = headers.get_all(HOST).iter();
    let header = match named.next() {
        Some(value) => Some(value.to_str().ok()?),
        None => None,
    };
    if named.next().is_some() {
        return None;
    }
    match (uri.authority(), header) {
        (Some(target), Some(header)) if !target.as_str().eq_ignore_ascii_case(header) => None,
        (Some(target), _) => Some(target.as_str()),
        (None, header) => header,
    }
}

/// `label.parent:8080` with the label of an app → `parent:8080`.
pub fn after_label<'a>(host: &'a str, label: &str) -> Option<&'a str> {
    let (first, rest) = host.split_once('.')?;
    (first.eq_ignore_ascii_case(label) && !rest.is_empty()).then_some(rest)
}

fn below<'a>(name: &'a str, parent: &str) -> Option<&'a str> {
    let start = name.len().checked_sub(parent.len())?;
    let tail = name.get(start..)?;
    if parent.is_empty() || !tail.eq_ignore_ascii_case(parent) {
        return None;
    }
    name.get(..start)?.strip_suffix('.').filter(|label| !label.is_empty())
}

fn loopback(name: &str) -> bool {
    name == "127.0.0.1" || name == "[::1]"
}

/// A host header's name in its one spelling, or nothing when it is no host name.
fn name_of(host: &str) -> Option<String> {
    if host.len() > 270 {
        return None;
    }
    if let Some(rest) = host.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let port_is_right = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return port_is_right.then(|| format!("[{address}]"));
    }
    let name = match host.split_once(':') {
        Some((name, port)) if is_port(port) => name,
        Some(_) => return None,
        None => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if name.len() > 253 || !name.split('.').all(is_label) {
        return None;
    }
    // `127.1`, `0x7f.1` and the like: resolvers take these for addresses, so they are no names.
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") {
        name.parse::<Ipv4Addr>().ok()?;
    }
    Some(name)
}

fn is_port(port: &str) -> bool {
    port.is_empty() || (port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

fn is_label(label: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&label.len()) && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn local() -> Domains {
        Domains { apps: "localhost".into(), editor: "localhost".into() }
    }
    fn public() -> Domains {
        Domains { apps: "Apps.example".into(), editor: "edit.example".into() }
    }
    fn app(label: &str) -> Site {
        Site::App(label.into())
    }

    #[test]
    fn every_form_has_its_site() {
        let foreign = |name: &str| Site::Foreign(name.into());
        let long = "a".repeat(63);
        for (host, site) in [
            ("localhost", Site::Editor),
            ("LOCALHOST:8080", Site::Editor),
            ("localhost.:8080", Site::Editor),
            ("127.0.0.1:8080", Site::Editor),
            ("[::1]:8080", Site::Editor),
            ("[0:0::1]", Site::Editor),
            ("hello.localhost:8080", app("hello")),
            ("HeLLo--D1.localhost.", app("hello--d1")),
            (&format!("{long}.localhost"), app(&long)),
            (&format!("{long}a.localhost"), Site::Bad),
            ("a.b.localhost", foreign("a.b.localhost")),
            ("evil-localhost", foreign("evil-localhost")),
            ("hello.example", foreign("hello.example")),
            ("10.0.0.1", foreign("10.0.0.1")),
            ("127.0.0.2", foreign("127.0.0.2")),
            ("[fe80::1]:80", foreign("[fe80::1]")),
            ("127.1", Site::Bad),
            ("0x7f.1", Site::Bad),
            ("0x7f000001", Site::Bad),
            ("2130706433", Site::Bad),
        ] {
            assert_eq!(classify(host, &local()), site, "{host:?}");
        }
        assert_eq!(classify("edit.example", &public()), Site::Editor);
        assert_eq!(classify("x.apps.EXAMPLE:443", &public()), app("x"));
        assert_eq!(classify("apps.example", &public()), foreign("apps.example"));
        assert_eq!(classify("localhost", &public()), foreign("localhost"));
        assert_eq!(classify("127.0.0.1", &public()), foreign("127.0.0.1"));
    }

    #[test]
    fn junk_is_bad() {
        for host in [
            "",
            ".",
            "..",
            "a..localhost",
            ".localhost",
            "localhost..",
            "user@localhost",
            "user:pw@hello.localhost",
            "hello.localhost:80:80",
            "hello.localhost:x",
            "hello.localhost:99999",
            "hello.localhost:+80",
            "hello localhost",
            "hello.localhost/",
            "hello.localhost#",
            "hello.localhost?",
            "hello%2elocalhost",
            "hel_lo.localhost",
            "-a.localhost",
            "a-.localhost",
            "hé.localhost",
            "[::1",
            "[::1]x",
            "[::1%eth0]",
            "::1",
            "a\0.localhost",
            "a,b.localhost",
        ] {
            assert_eq!(classify(host, &local()), Site::Bad, "{host:?}");
        }
    }

    #[test]
    fn two_hosts_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(HOST, "a.localhost".parse().unwrap());
        let plain: Uri = "/x".parse().unwrap();
        assert_eq!(requested(&plain, &headers), Some("a.localhost"));
        let absolute: Uri = "http://b.localhost/x".parse().unwrap();
        assert_eq!(requested(&absolute, &headers), None);
        assert_eq!(requested(&absolute, &HeaderMap::new()), Some("b.localhost"));
        headers.append(HOST, "a.localhost".parse().unwrap());
        assert_eq!(requested(&plain, &headers), None);
    }

    proptest! {
        #[test]
        fn a_label_is_always_one_dns_label(host in "([a-zA-Z0-9.:@\\[\\]-]|\\PC){0,80}(\\.localhost(:[0-9]{1,6})?)?") {
            if let Site::App(label) = classify(&host, &local()) {
                prop_assert!(is_label(&label));
            }
        }

        /// Reading what was read changes nothing, and nothing of it can end a line, a path or a name.
        #[test]
        fn what_is_read_is_read_the_same_again(host in "([a-zA-Z0-9.:@\\[\\]%_/ -]|\\PC){0,40}(\\.example)?(:[0-9]{0,6})?") {
            if let Site::Foreign(name) = classify(&host, &public()) {
                prop_assert_eq!(classify(&name, &public()), Site::Foreign(name.clone()));
                let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:[]".contains(&b);
                prop_assert!(name.bytes().all(plain), "{name:?}");
                let start = host.get(..name.len()).map(str::to_ascii_lowercase);
                prop_assert!(name.starts_with('[') || start == Some(name));
            }
        }

        /// A target and a header that differ name nobody, whichever is right.
        #[test]
        fn a_target_and_a_header_agree_or_name_nobody(target in "[a-z]{1,3}\\.localhost", header in "[a-zA-Z]{1,3}\\.localhost") {
            let uri: Uri = format!("http://{target}/x").parse().unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(HOST, header.parse().unwrap());
            let named = requested(&uri, &headers);
            prop_assert_eq!(named, header.eq_ignore_ascii_case(&target).then_some(target.as_str()));
        }

        #[test]
        fn the_spelling_does_not_matter(label in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", port in 0..=u16::MAX) {
            let expected = app(&label);
            prop_assert_eq!(classify(&format!("{label}.localhost"), &local()), expected.clone());
            prop_assert_eq!(classify(&format!("{}.LocalHost.:{port}", label.to_uppercase()), &local()), expected);
        }
    }
}
