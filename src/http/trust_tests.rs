use super::*;
use proptest::prelude::*;

fn trusted() -> Trusted {
    Trusted(["127.0.0.1", "10.0.0.0/8", "2001:db8:f::/48"].map(|text| text.parse().unwrap()).into())
}

fn seen(peer: &str, headers: &[(&'static str, &str)]) -> (String, Option<&'static str>, Option<String>) {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), value.parse().unwrap());
    }
    let client = trusted().client(peer.parse().unwrap(), &map);
    (client.ip.to_string(), client.scheme, client.host)
}

#[test]
fn networks() {
    for (text, inside, outside) in [
        ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
        ("10.1.2.3/8", "10.0.0.1", "11.0.0.1"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("2001:db8::/32", "2001:db8:1::1", "2001:db9::1"),
        ("::1", "::1", "::2"),
        ("10.0.0.0/8", "::ffff:10.0.0.1", "::a00:1"),
    ] {
        let network: Network = text.parse().unwrap();
        assert!(network.contains(inside.parse().unwrap()), "{text} {inside}");
        assert!(!network.contains(outside.parse().unwrap()), "{text} {outside}");
        assert_eq!(network.to_string().parse(), Ok(network));
    }
    assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("192.0.2.1".parse().unwrap()));
    assert!("::/0".parse::<Network>().unwrap().contains("2001:db8::1".parse().unwrap()));
    for wrong in ["", "/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8", "::/129", "localhost", "10.0.0"]
    {
        assert!(wrong.parse::<Network>().is_err(), "{wrong:?}");
    }
}

#[test]
fn the_client_is_the_last_hop_that_is_no_proxy() {
    let ip = |ip: &str| (ip.to_owned(), None, None);
    for (peer, headers, expected) in [
        ("192.0.2.9", vec![("x-forwarded-for", "6.6.6.6"), ("x-forwarded-proto", "https")], ip("192.0.2.9")),
        ("127.0.0.1", vec![], ip("127.0.0.1")),
        ("127.0.0.1", vec![("x-forwarded-for", "192.0.2.1")], ip("192.0.2.1")),
        ("::ffff:127.0.0.1", vec![("x-forwarded-for", "192.0.2.1")], ip("192.0.2.1")),
        ("127.0.0.1", vec![("x-forwarded-for", "6.6.6.6, 192.0.2.1")], ip("192.0.2.1")),
        ("127.0.0.1", vec![("x-forwarded-for", "6.6.6.6,192.0.2.1 , 10.0.0.7")], ip("192.0.2.1")),
        (
            "127.0.0.1",
            vec![("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.1, 10.0.0.7")],
            ip("192.0.2.1"),
        ),
        ("127.0.0.1", vec![("x-forwarded-for", "10.0.0.8, 10.0.0.7")], ip("10.0.0.8")),
        ("127.0.0.1", vec![("x-forwarded-for", "192.0.2.1, nonsense, 10.0.0.7")], ip("10.0.0.7")),
        ("127.0.0.1", vec![("x-forwarded-for", "unknown")], ip("127.0.0.1")),
        ("127.0.0.1", vec![("x-forwarded-for", "192.0.2.1:4711")], ip("192.0.2.1")),
        ("127.0.0.1", vec![("x-forwarded-for", "[2001:db8::1]:4711")], ip("2001:db8::1")),
        ("2001:db8:f::1", vec![("x-forwarded-for", "::ffff:192.0.2.1")], ip("192.0.2.1")),
        ("127.0.0.1", vec![("forwarded", "for=192.0.2.1")], ip("192.0.2.1")),
        ("127.0.0.1", vec![("forwarded", "for=6.6.6.6, For=\"[2001:db8::1]:47\"")], ip("2001:db8::1")),
        ("127.0.0.1", vec![("forwarded", "for=_hidden, for=10.0.0.7")], ip("10.0.0.7")),
        ("127.0.0.1", vec![("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "192.0.2.1")], ip("192.0.2.1")),
    ] {
        assert_eq!(seen(peer, &headers), expected, "{peer} {headers:?}");
    }
}

#[test]
fn scheme_and_host_are_those_that_the_client_used() {
    let all = |ip: &str, scheme: &'static str, host: &str| (ip.to_owned(), Some(scheme), Some(host.to_owned()));
    for (headers, expected) in [
        (
            vec![
                ("x-forwarded-for", "192.0.2.1"),
                ("x-forwarded-proto", "HTTPS"),
                ("x-forwarded-host", "a.example:8443"),
            ],
            all("192.0.2.1", "https", "a.example:8443"),
        ),
        (
            // The client went to 10.0.0.7 by https, and 10.0.0.7 came here by http.
            vec![
                ("x-forwarded-for", "192.0.2.1, 10.0.0.7"),
                ("x-forwarded-proto", "https, http"),
                ("x-forwarded-host", "a.example, inner"),
            ],
            all("192.0.2.1", "https", "a.example"),
        ),
        (
            // The client wrote the first of each itself.
            vec![
                ("x-forwarded-for", "6.6.6.6, 192.0.2.1"),
                ("x-forwarded-proto", "https, http"),
                ("x-forwarded-host", "evil.example, a.example"),
            ],
            all("192.0.2.1", "http", "a.example"),
        ),
        (
            vec![(
                "forwarded",
                "for=6.6.6.6;proto=http;host=evil.example, for=192.0.2.1;host=\"a.example\";proto=https",
            )],
            all("192.0.2.1", "https", "a.example"),
        ),
    ] {
        assert_eq!(seen("127.0.0.1", &headers), expected, "{headers:?}");
    }
    let odd = [("x-forwarded-proto", "gopher"), ("x-forwarded-host", "a b/c")];
    assert_eq!(seen("127.0.0.1", &odd), ("127.0.0.1".to_owned(), None, None));
}

proptest! {
    /// Whatever a client writes, it cannot choose its address: the proxy appends the true one.
    #[test]
    fn a_client_cannot_lie_about_itself(lie in "[ -~]{0,60}", line: bool) {
        let truth = "192.0.2.1";
        let together = format!("{lie}, {truth}");
        let headers = match line {
            true => vec![("x-forwarded-for", lie.as_str()), ("x-forwarded-for", truth)],
            false => vec![("x-forwarded-for", together.as_str())],
        };
        prop_assert_eq!(seen("127.0.0.1", &headers).0, truth);
        let forwarded = format!("{lie}, for={truth}");
        let read = seen("127.0.0.1", &[("forwarded", &forwarded)]).0;
        prop_assert_eq!(read, truth);
    }
}
