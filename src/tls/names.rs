//! Host names as certificates see them.

/// Labels of a name that a certificate is ordered for: `a.b.c.d.example.org` and no deeper.
const MOST_LABELS: usize = 8;

/// Whether an authority would look at that name at all: a public-looking DNS name in lower case, no
/// address, not too deep. Handshakes carry anything, so this is asked before anybody else is.
pub fn orderable(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let labels = host.split('.').count();
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= 253
        && (2..=MOST_LABELS).contains(&labels)
        && host.split('.').all(label)
        && !last.bytes().all(|b| b.is_ascii_digit())
}

/// The name that authorities count by. Without the list of public suffixes: the last two labels, or three
/// where the second last is one of the words registries of countries use (`co.uk`, `com.au`).
/// Where that is wrong (a name below a provider's suffix) it counts too much, never too little.
pub fn registered_domain(host: &str) -> &str {
    let host = host.strip_prefix("*.").unwrap_or(host);
    let mut labels = host.rsplit('.');
    let (Some(top), Some(second)) = (labels.next(), labels.next()) else { return host };
    let shared = ["ac", "co", "com", "edu", "gob", "gov", "ltd", "me", "ne", "net", "nom", "or", "org", "plc", "sch"];
    let mut keep = top.len() + 1 + second.len();
    if top.len() == 2
        && shared.contains(&second)
        && let Some(third) = labels.next()
    {
        keep += 1 + third.len();
    }
    &host[host.len() - keep..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_may_be_ordered() {
        for good in ["example.org", "a.b.example.org", "xn--bcher-kva.example", "1.example", "a.b.c.d.e.f.example.org"]
        {
            assert!(orderable(good), "{good}");
        }
        for bad in [
            "",
            "localhost",
            "127.0.0.1",
            "::1",
            "[::1]",
            "a..b",
            ".a.b",
            "a.b.",
            "-a.b",
            "a_b.example",
            "A.example",
            "*.example.org",
            "a.b.c.d.e.f.g.example.org",
            "ä.example",
            "a b.example",
            "a.example:443",
            "a.example/x",
        ] {
            assert!(!orderable(bad), "{bad}");
        }
        assert!(!orderable(&format!("{}.example", "a".repeat(64))));
    }

    #[test]
    fn registered_domains() {
        for (host, domain) in [
            ("example.org", "example.org"),
            ("a.b.example.org", "example.org"),
            ("*.apps.example.org", "example.org"),
            ("a.example.co.uk", "example.co.uk"),
            ("co.uk", "co.uk"),
            ("a.com.io.example", "io.example"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(registered_domain(host), domain, "{host}");
        }
    }

    proptest! {
        #[test]
        fn a_domain_is_the_end_of_its_host(host in "(\\*\\.)?([a-z0-9-]{0,5}\\.){0,6}[a-z]{0,4}") {
            let domain = registered_domain(&host);
            prop_assert!(host.ends_with(domain) && domain.split('.').count() <= 3);
            prop_assert_eq!(registered_domain(domain), domain);
        }

        #[test]
        fn anything_may_be_asked(host in ".{0,300}") {
            if orderable(&host) {
                prop_assert!(host.parse::<std::net::IpAddr>().is_err() && !host.contains('*'));
            }
        }
    }
}
