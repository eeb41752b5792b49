//! Custom domains through the real program, with a name server that the tests fill.
use serde_json::Value;

use crate::support::names::Names;
use crate::support::{Reply, Request, Steady, ok, output_within, text, until};
use crate::tls::{Tls, pair};

const HELLO: &str = r#"export default { fetch: (r: Request) => new Response("hello " + r.headers.get("host") + new URL(r.url).pathname) };"#;

fn served(env: &[(&str, &str)]) -> (Steady, Names) {
    let names = Names::start();
    let mut steady = Steady::prepare(&[]);
    steady.env("STEADY_DNS_SERVER", &names.address.to_string());
    env.iter().for_each(|(name, value)| steady.env(name, value));
    steady.add_user("dev", true);
    steady.token = steady.new_token("dev");
    steady.launch();
    steady.push_new("hello", &[("index.ts", HELLO)]);
    (steady, names)
}

fn domain(steady: &Steady, args: &[&str]) -> Value {
    let said = steady.cli_ok(&[&["domain"], args, &["--json"]].concat());
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("not JSON: {e}\n{said}"))
}

fn refused(steady: &Steady, args: &[&str]) -> String {
    let output = steady.cli(&[&["domain"], args].concat());
    assert!(!output.status.success(), "{args:?} went through: {}", text(&output.stdout));
    text(&output.stderr)
}

fn visit(steady: &Steady, host: &str, path: &str) -> Reply {
    Request::get(steady.port, host, path).send()
}

/// The pause between two looks at one domain.
fn check(steady: &Steady, host: &str, state: &str) -> Value {
    until(&format!("{host} is {state}"), || {
        let seen = domain(steady, &["check", "dev/hello", host]);
        (seen["state"] == state).then_some(seen)
    })
}

#[test]
fn an_alias_proves_and_the_domain_is_served() {
    let (mut steady, names) = served(&[]);
    let added = domain(&steady, &["add", "dev/hello", "Shop.Example.com"]);
    assert_eq!((&added["host"], &added["state"]), (&"shop.example.com".into(), &"waiting".into()), "{added}");
    assert_eq!(added["records"][0]["value"], "hello.localhost");
    assert_eq!(visit(&steady, "shop.example.com", "/").status, 404, "not before it is proved");
    names.cname("shop.example.com", "hello.localhost");
    check(&steady, "shop.example.com", "live");
    assert_eq!(visit(&steady, "shop.example.com", "/a").ok(), "hello shop.example.com/a");
    assert_eq!(visit(&steady, "SHOP.example.com.:80", "/").status, 200);
    assert_eq!(visit(&steady, "x.shop.example.com", "/").status, 404);

    // A new version, a new name and a restart change nothing about it.
    steady.cli_ok(&["rename", "dev/hello", "greeter", "--host", "greeter"]);
    assert!(visit(&steady, "shop.example.com", "/").ok().starts_with("hello"), "no redirect to the new name");
    steady.restart();
    assert!(visit(&steady, "shop.example.com", "/").ok().starts_with("hello"));
    let seen = domain(&steady, &["check", "dev/greeter", "shop.example.com"]);
    assert_eq!(seen["state"], "live", "an alias of the old name leads here still: {seen}");

    // It leads elsewhere now: that is shown, and nothing is taken away.
    names.clear("shop.example.com");
    names.a("shop.example.com", [192, 0, 2, 9]);
    names.a("greeter.localhost", [192, 0, 2, 1]);
    let seen = until("it is seen", || {
        let seen = domain(&steady, &["check", "dev/greeter", "shop.example.com"]);
        (seen["state"] == "elsewhere").then_some(seen)
    });
    assert!(seen["note"].as_str().is_some_and(|note| note.contains("192.0.2.9")), "{seen}");
    assert_eq!(visit(&steady, "shop.example.com", "/").status, 200);

    domain(&steady, &["rm", "dev/greeter", "shop.example.com"]);
    assert_eq!(visit(&steady, "shop.example.com", "/").status, 404);
    assert!(refused(&steady, &["rm", "dev/greeter", "shop.example.com"]).contains("has no domain"));
}

#[test]
fn a_token_proves_www_goes_along_and_deleted_projects_let_go() {
    let (steady, names) = served(&[]);
    names.a("hello.localhost", [192, 0, 2, 1]);
    let added = domain(&steady, &["add", "dev/hello", "bücher.example", "--www"]);
    assert_eq!((&added["host"], &added["shown"]), (&"xn--bcher-kva.example".into(), &"bücher.example".into()));
    let token = added["records"].as_array().and_then(|all| all.last()).expect("a TXT record");
    assert_eq!(token["name"], "_steady-challenge.xn--bcher-kva.example");
    let token = token["value"].as_str().expect("a token").to_owned();
    names.a("xn--bcher-kva.example", [192, 0, 2, 1]);
    let near = until("the address is seen", || {
        let seen = domain(&steady, &["check", "dev/hello", "bücher.example"]);
        seen["note"].as_str().is_some_and(|note| note.contains("not proved")).then_some(seen)
    });
    assert_eq!(near["state"], "waiting", "an address alone proves nothing");
    // Among many others, in an answer too long for one packet.
    let many: Vec<String> = (0..40).map(|n| format!("some-verification={n:040}")).collect();
    let mut all: Vec<&str> = many.iter().take(20).map(String::as_str).collect();
    all.push(&token);
    names.txt("_steady-challenge.xn--bcher-kva.example", &all);
    check(&steady, "bücher.example", "live");
    let www = until("www follows", || {
        let seen = domain(&steady, &["check", "dev/hello", "www.xn--bcher-kva.example"]);
        seen["verified"].is_number().then_some(seen)
    });
    assert_eq!(www["redirect"], "xn--bcher-kva.example");
    let moved = visit(&steady, &format!("www.xn--bcher-kva.example:{}", steady.port), "/a?b");
    let location = format!("http://xn--bcher-kva.example:{}/a?b", steady.port);
    assert_eq!((moved.status, moved.header("location")), (308, Some(location.as_str())));

    // A deleted project holds nothing; recovered, it is proved again by itself.
    steady.cli_ok(&["delete", "dev/hello", "--yes"]);
    assert_eq!(visit(&steady, "xn--bcher-kva.example", "/").status, 404);
    steady.cli_ok(&["recover", "dev/hello"]);
    assert_eq!(visit(&steady, "xn--bcher-kva.example", "/").status, 404);
    check(&steady, "bücher.example", "live");
    assert_eq!(visit(&steady, "xn--bcher-kva.example", "/").status, 200);
    let list = domain(&steady, &["ls", "dev/hello"]);
    assert_eq!(list.as_array().map(Vec::len), Some(2));
    domain(&steady, &["rm", "dev/hello", "bücher.example"]);
    assert_eq!(domain(&steady, &["ls", "dev/hello"]), Value::Array(vec![]), "www goes with it");
}

#[test]
fn one_domain_belongs_to_one_project_and_only_owners_give_it() {
    let (steady, names) = served(&[("STEADY_MAX_DOMAINS", "2")]);
    steady.push_new("rival", &[("index.ts", r#"export default { fetch: () => new Response("rival") };"#)]);
    domain(&steady, &["add", "dev/hello", "a.example.com"]);
    names.cname("a.example.com", "hello.localhost");
    check(&steady, "a.example.com", "live");
    // Another may claim it, and proves nothing while the first one's proof stands.
    let claim = domain(&steady, &["add", "dev/rival", "a.example.com"]);
    let token = claim["records"].as_array().and_then(|all| all.last()).expect("a record")["value"].clone();
    names.txt("_steady-challenge.a.example.com", &[token.as_str().expect("a token")]);
    let seen = until("the refusal is seen", || {
        let seen = domain(&steady, &["check", "dev/rival", "a.example.com"]);
        seen["found"].as_str().is_some_and(|found| found.contains("another project")).then_some(seen)
    });
    assert_eq!(seen["state"], "waiting");
    assert!(visit(&steady, "a.example.com", "/").ok().starts_with("hello"));
    // It changed hands: the old proof is gone.
    names.clear("a.example.com");
    names.cname("a.example.com", "rival.localhost");
    until("it changed hands", || {
        (domain(&steady, &["check", "dev/rival", "a.example.com"])["state"] == "live").then_some(())
    });
    assert_eq!(visit(&steady, "a.example.com", "/").ok(), "rival");
    assert_eq!(domain(&steady, &["ls", "dev/hello"])[0]["state"], "waiting");
    // Taking away a claim does not take away another's route.
    domain(&steady, &["rm", "dev/hello", "a.example.com"]);
    assert_eq!(visit(&steady, "a.example.com", "/").ok(), "rival");

    for (host, said) in [
        ("localhost", "no name of the public DNS"),
        ("other.localhost", "no name of the public DNS"),
        ("127.0.0.1", "is an address"),
        ("*.example.com", "is no host name"),
        ("https://example.com", "is no host name"),
        ("com", "no dot"),
    ] {
        assert!(refused(&steady, &["add", "dev/hello", host]).contains(said), "{host}");
    }
    assert!(refused(&steady, &["add", "dev/rival", "a.example.com"]).contains("already"));
    domain(&steady, &["add", "dev/rival", "b.example.com"]);
    assert!(refused(&steady, &["add", "dev/rival", "c.example.com"]).contains("may have 2 domains"));
    let to = refused(&steady, &["add", "dev/hello", "www.x.example.com", "--redirect", "x.example.com"]);
    assert!(to.contains("cannot be sent to"), "{to}");

    // Members below an owner look, and change nothing.
    steady.add_user("ann", false);
    steady.cli_ok(&["members", "set", "ann", "deployer", "dev/rival"]);
    let token = steady.new_token("ann");
    let as_ann =
        |args: &[&str]| output_within(steady.client(steady.dir()).env("STEADY_TOKEN", &token).args(args), None);
    ok(&as_ann(&["domain", "ls", "dev/rival"]), "domain ls");
    for args in [&["domain", "add", "dev/rival", "d.example.com"][..], &["domain", "rm", "dev/rival", "b.example.com"]]
    {
        let output = as_ann(args);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    }
}

#[test]
fn a_domain_over_tls_needs_proof_and_certificate() {
    let names = Names::start();
    let mut tls = Tls::prepare("files", &[("STEADY_DNS_SERVER", &names.address.to_string())]);
    let hosts = ["localhost", "hello.localhost", "shop.example.com"];
    let (certificate, key) = pair(tls.steady.dir(), "own", &hosts);
    tls.steady.env("STEADY_TLS_CERT", &certificate.display().to_string());
    tls.steady.env("STEADY_TLS_KEY", &key.display().to_string());
    tls.root = certificate;
    tls.begin();
    let said = tls.handshake(&["-servername", "shop.example.com"]);
    assert!(said.contains("unrecognized name"), "a certificate is not enough: {said}");
    names.cname("shop.example.com", "hello.localhost");
    names.cname("nofile.example.com", "hello.localhost");
    let shop: Value =
        serde_json::from_str(&tls.cli(&["domain", "add", "dev/hello", "shop.example.com", "--json"])).expect("JSON");
    assert_eq!(
        (&shop["state"], &shop["url"]),
        (&"live".into(), &format!("https://shop.example.com:{}", tls.port).into())
    );
    let page = tls.curl(&[&format!("https://shop.example.com:{}/", tls.port)]);
    assert!(ok(&page, "curl").contains("shop.example.com"));
    let reply = Request::get(tls.steady.port, "shop.example.com", "/x").send();
    let location = format!("https://shop.example.com:{}/x", tls.port);
    assert_eq!((reply.status, reply.header("location")), (308, Some(location.as_str())));
    // Proved, and no file names it.
    let bare: Value =
        serde_json::from_str(&tls.cli(&["domain", "add", "dev/hello", "nofile.example.com", "--json"])).expect("JSON");
    assert_eq!(bare["state"], "certificate", "{bare}");
    assert!(bare["note"].as_str().is_some_and(|note| note.contains("tls_cert")), "{bare}");
    assert!(tls.handshake(&["-servername", "nofile.example.com"]).contains("internal error"));
}
