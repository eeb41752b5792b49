//! Whom a sleeping app is woken for.
use crate::support::{Reply, Request, Steady, until};

/// Counts its starts.
const APP: &str = r#"
const before = Bun.file("starts");
const starts = Number((await before.exists()) ? await before.text() : "0") + 1;
await Bun.write("starts", String(starts));
export default {
  fetch(request: Request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/starts") return new Response(String(starts));
    return pathname === "/robots.txt" ? new Response("nothing", { status: 404 }) : new Response("awake " + pathname);
  },
};"#;
const MANIFEST: &str = r#"{ "idle_seconds": 1, "freeze_seconds": 1, "health": "/healthz" }"#;
const GOOGLE: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

fn get(steady: &Steady, path: &str, headers: &[(&str, &str)]) -> Reply {
    let request = Request::get(steady.port, &steady.app_host("sleepy"), path);
    headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send()
}

fn asleep(steady: &Steady) {
    until("the app sleeps", || (steady.status("sleepy")["state"] == "asleep").then_some(()));
}

/// Wakes it.
fn starts(steady: &Steady) -> u64 {
    get(steady, "/starts", &[]).ok().parse().expect("a number")
}

#[test]
fn machines_do_not_wake_an_app_and_a_person_does() {
    let steady = Steady::start();
    let files = [("index.ts", APP), ("steady.json", MANIFEST), ("public/style.css", "p {}")];
    steady.push_new("sleepy", &files);
    // It may have a robots.txt: the first robot that asks is answered by the app, which has none.
    asleep(&steady);
    assert_eq!(get(&steady, "/robots.txt", &[("user-agent", GOOGLE)]).text(), "nothing");
    let before = starts(&steady);
    asleep(&steady);

    let agent = |name: &'static str| vec![("user-agent", name)];
    for (path, headers, status) in [
        ("/wp-login.php", vec![], 404),
        ("/xmlrpc.php", vec![], 404),
        ("/.env", vec![], 404),
        ("/.git/config", vec![], 404),
        ("/api/.env.local", vec![], 404),
        ("/cgi-bin/luci", vec![], 404),
        ("/phpmyadmin/", vec![], 404),
        ("/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php", vec![], 404),
        ("/", agent("Mozilla/5.0 zgrab/0.x"), 404),
        ("/", agent("Mozilla/5.0 (compatible; CensysInspect/1.1)"), 404),
        ("/favicon.ico", vec![], 404),
        ("/apple-touch-icon.png", vec![], 404),
        ("/robots.txt", agent(GOOGLE), 404),
        ("/.well-known/acme-challenge/token", vec![], 404),
        ("/.well-known/traffic-advice", vec![], 404),
        ("/", agent("Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)"), 200),
        ("/", agent("kube-probe/1.29"), 200),
        ("/healthz", vec![], 200),
    ] {
        let reply = get(&steady, path, &headers);
        assert_eq!((reply.status, reply.header("x-steady")), (status, Some("asleep")), "{path} {headers:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
    }
    assert_eq!(get(&steady, "/style.css", &[]).ok(), "p {}");
    assert_eq!(Request::get(steady.port, "stranger.example", "/").send().status, 404);
    assert_eq!(steady.get("unknown", "/").status, 404);
    assert_eq!(steady.status("sleepy")["state"], "asleep");

    // A person, whatever they ask for; then it is awake, and everybody gets the app's own answers.
    let browser = [("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")];
    assert_eq!(get(&steady, "/old.php", &browser).ok(), "awake /old.php");
    assert_eq!(starts(&steady), before + 1, "none of them started it");
}

#[test]
fn robots_wake_an_app_for_its_pages_now_and_then() {
    let steady = Steady::start();
    steady.push_new("sleepy", &[("index.ts", APP), ("steady.json", MANIFEST)]);
    asleep(&steady);
    assert_eq!(get(&steady, "/post/1", &[("user-agent", GOOGLE)]).ok(), "awake /post/1");
    asleep(&steady);
    let later = get(&steady, "/post/2", &[("user-agent", GOOGLE)]);
    assert_eq!((later.status, later.header("x-steady")), (503, Some("asleep")));
    let seconds: u64 = later.header("retry-after").expect("when to come again").parse().expect("seconds");
    assert!((1..=600).contains(&seconds), "{seconds}");
    // Who shows a link to people is as good as one.
    assert_eq!(get(&steady, "/post/2", &[("user-agent", "Slackbot-LinkExpanding 1.0")]).ok(), "awake /post/2");
}

#[test]
fn an_app_can_be_woken_for_all() {
    let steady = Steady::start();
    let manifest = r#"{ "idle_seconds": 1, "freeze_seconds": 1, "wake": { "bots": true } }"#;
    steady.push_new("sleepy", &[("index.ts", APP), ("steady.json", manifest)]);
    asleep(&steady);
    assert_eq!(get(&steady, "/wp-login.php", &[]).ok(), "awake /wp-login.php");
}
