use super::*;
use hyper::header::{HeaderName, HeaderValue};
use proptest::prelude::*;

const CHROME: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
const GOOGLE: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

fn asked(method: &str, path: &str, agent: &str, more: &[(&'static str, &str)]) -> Verdict {
    let mut headers = HeaderMap::new();
    for (name, value) in more.iter().copied().chain([("user-agent", agent)]) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    let method = method.parse().unwrap();
    Caller { method: &method, path, headers: &headers }.verdict("/healthz")
}

#[test]
fn who_is_woken_for() {
    let rare = |path: &str| Verdict::Ask(RARE.iter().position(|(door, _)| door.is(path)).unwrap());
    for (method, path, agent, verdict) in [
        ("GET", "/", CHROME, Verdict::Wake),
        ("GET", "/", "", Verdict::Wake),
        ("GET", "/", "curl/7.88.1", Verdict::Wake),
        ("HEAD", "/", "curl/7.88.1", Verdict::Wake),
        ("GET", "/blog/what-is-wp-admin", CHROME, Verdict::Wake),
        ("GET", "/environment", CHROME, Verdict::Wake),
        ("GET", "/a.env", CHROME, Verdict::Wake),
        ("GET", "/phpmyadmin-in-a-day", CHROME, Verdict::Wake),
        ("GET", "/.well-known/webfinger", "http.rb/5.1 (Mastodon/4.2; +https://social.example/)", Verdict::Wake),
        ("GET", "/.well-known/openid-configuration", "Go-http-client/2.0", Verdict::Wake),
        ("GET", "/.well-known/assetlinks.json", "okhttp/4", rare("/.well-known/assetlinks.json")),
        ("POST", "/hook", "GitHub-Hookshot/044aadd", Verdict::Wake),
        ("POST", "/", "UptimeRobot/2.0", Verdict::Wake),
        ("OPTIONS", "/favicon.ico", "", Verdict::Wake),
        ("GET", "/wp-login.php", CHROME, Verdict::Missing),
        ("POST", "/WP-Login.php", CHROME, Verdict::Missing),
        ("GET", "/blog/wp-includes/wlwmanifest.xml", CHROME, Verdict::Missing),
        ("GET", "/.env", "", Verdict::Missing),
        ("GET", "/api/.env.production", CHROME, Verdict::Missing),
        ("GET", "/.git/config", GOOGLE, Verdict::Missing),
        ("GET", "/shell.php", "python-requests/2.31", Verdict::Missing),
        ("GET", "/phpmyadmin/index", "", Verdict::Missing),
        ("GET", "/", "Mozilla/5.0 zgrab/0.x", Verdict::Missing),
        ("GET", "/favicon.ico", CHROME, Verdict::Missing),
        ("GET", "/apple-touch-icon-120x120.png", "", Verdict::Missing),
        ("GET", "/.well-known/acme-challenge/x", "", Verdict::Missing),
        ("GET", "/robots.txt", GOOGLE, rare("/robots.txt")),
        ("GET", "/healthz", "anything", Verdict::Up),
        ("GET", "/healthz/deep", "anything", Verdict::Wake),
        ("HEAD", "/", "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", Verdict::Up),
        ("GET", "/", "kube-probe/1.29", Verdict::Up),
        ("GET", "/status", "kube-probe/1.29", Verdict::Wake),
        ("GET", "/post/1", GOOGLE, Verdict::Robot),
        (
            "GET",
            "/post/1",
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2)",
            Verdict::Robot,
        ),
        ("GET", "/post/1", "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", Verdict::Robot),
        ("GET", "/post/1", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", Verdict::Wake),
        ("GET", "/post/1", "facebookexternalhit/1.1", Verdict::Wake),
    ] {
        assert_eq!(asked(method, path, agent, &[]), verdict, "{method} {path} {agent}");
    }
}

/// In every table an entry is written as it is compared, and is met by itself.
#[test]
fn the_tables_are_in_one_form() {
    let reasons = |doors: &[(Door, &str)]| doors.iter().all(|(_, reason)| !reason.is_empty());
    assert!(reasons(DOORS) && reasons(NOISE) && reasons(RARE) && RARE.len() <= 32);
    for (door, _) in DOORS.iter().chain(NOISE).chain(RARE) {
        let path = match door {
            Door::Path(text) | Door::Below(text) => (*text).to_owned(),
            Door::Part(text) => format!("/x/{text}"),
            Door::End(text) => format!("/x{text}"),
        };
        assert!(door.is(&path) && path.starts_with('/') && path == path.to_ascii_lowercase(), "{door:?}");
    }
    for text in [SCANNERS, MONITORS, PREVIEWS, ROBOTS].concat() {
        assert_eq!(text, text.to_ascii_lowercase());
    }
}

#[test]
fn robots_come_now_and_then() {
    let app = Sleeper::default();
    let start = 1_000_000;
    assert_eq!(app.treat(Verdict::Robot, start), Treatment::Wake(None));
    assert_eq!(app.treat(Verdict::Robot, start + 1000), Treatment::Later(599));
    assert_eq!(app.treat(Verdict::Wake, start + 1000), Treatment::Wake(None), "a person does not wait");
    assert_eq!(app.treat(Verdict::Robot, start + ROBOTS_EVERY), Treatment::Wake(None));
}

#[test]
fn what_an_app_did_not_have_is_not_asked_for_again() {
    let app = Sleeper::default();
    assert_eq!(app.treat(Verdict::Ask(3), 1), Treatment::Wake(Some(3)));
    app.learn(3, StatusCode::OK);
    assert_eq!(app.treat(Verdict::Ask(3), 1), Treatment::Wake(Some(3)));
    app.learn(3, StatusCode::NOT_FOUND);
    assert_eq!(app.treat(Verdict::Ask(3), 1), Treatment::Missing);
    assert_eq!(app.treat(Verdict::Ask(2), 1), Treatment::Wake(Some(2)));
}

proptest! {
    #[test]
    fn a_person_is_never_refused(
        path in "/(wp-login\\.php|\\.env|favicon\\.ico|healthz|[a-z/.]{0,20})",
        agent in "(Googlebot/|zgrab|UptimeRobot|Mozilla/5|[a-z ]{0,10})",
        mark in prop_oneof![Just("cookie"), Just("authorization"), Just("sec-fetch-site"), Just("sec-fetch-mode"), Just("upgrade")],
    ) {
        prop_assert_eq!(asked("GET", &path, &agent, &[(mark, "x")]), Verdict::Wake);
    }

    #[test]
    fn any_path_has_a_verdict(path in "\\PC{0,60}", agent in "[ -~]{0,60}") {
        asked("GET", &path, &agent, &[]);
    }
}
