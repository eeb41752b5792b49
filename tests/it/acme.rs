//! Certificates by themselves, from a real authority: Debian's `pebble`, which loses nonces on purpose.
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::names::Names;
use crate::support::{ok, output_within, text, until};
use crate::tls::{Tls, free_port, pair};

struct Authority {
    child: Child,
    /// Its log.
    log: PathBuf,
    management: u16,
    directory: String,
    names: Names,
}

impl Authority {
    /// It proves hosts by HTTP and TLS on these ports of this machine, and asks our name server. `None` where there is
    /// no `pebble`.
    fn start(folder: &std::path::Path, http: u16, tls: u16) -> Option<Self> {
        let there = Command::new("pebble").arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        if !there {
            eprintln!("skipped: there is no `pebble` here (Debian: apt install pebble)");
            return None;
        }
        let names = Names::start();
        let (listen, management) = (free_port(), free_port());
        let (certificate, key) = pair(folder, "pebble", &["localhost", "127.0.0.1"]);
        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{listen}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": certificate, "privateKey": key, "httpPort": http, "tlsPort": tls,
            "ocspResponderURL": "", "externalAccountBindingRequired": false,
        }});
        let file = folder.join("pebble.json");
        std::fs::write(&file, config.to_string()).expect("pebble's settings");
        let log = folder.join("pebble.log");
        let out = std::fs::File::create(&log).expect("pebble's log");
        let child = Command::new("pebble")
            .arg("-config")
            .arg(&file)
            .args(["-dnsserver", &names.address.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "15")
            .stdout(out.try_clone().expect("dup"))
            .stderr(out)
            .spawn()
            .expect("pebble starts");
        let authority = Self { child, log, management, directory: format!("https://localhost:{listen}/dir"), names };
        until("pebble answers", || {
            std::net::TcpStream::connect(("127.0.0.1", listen)).ok()?;
            std::net::TcpStream::connect(("127.0.0.1", management)).ok()
        });
        Some(authority)
    }

    /// What those trust who trust it.
    fn root(&self) -> String {
        let url = format!("https://127.0.0.1:{}/roots/0", self.management);
        let mut curl = Command::new("curl");
        ok(&output_within(curl.args(["-sSk", "--noproxy", "*", "--max-time", "30", &url]), None), "curl roots")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Certificates it signed.
    fn issued(&self) -> usize {
        self.log().matches("Issued certificate serial").count()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let start = log.len().saturating_sub(4000);
            eprintln!("--- pebble\n{}", log.get(start..).unwrap_or(&log));
        }
    }
}

/// A Steady that gets its certificates from there, with the app `hello`; the editor has a file of its own.
fn served(proves_by_tls: bool) -> Option<(Tls, Authority)> {
    let mut tls = Tls::prepare("auto", &[]);
    let port = if proves_by_tls { tls.port } else { free_port() };
    let authority = Authority::start(tls.steady.dir(), tls.steady.port, port)?;
    let (own, key) = pair(tls.steady.dir(), "own", &["localhost"]);
    let set = [
        ("STEADY_TLS_CERT", own.display().to_string()),
        ("STEADY_TLS_KEY", key.display().to_string()),
        ("STEADY_ACME", authority.directory.clone()),
        ("STEADY_ACME_ROOTS", tls.steady.dir().join("pebble.pem").display().to_string()),
        ("STEADY_DNS_SERVER", authority.names.address.to_string()),
    ];
    set.iter().for_each(|(name, value)| tls.steady.env(name, value));
    tls.root = tls.steady.dir().join("trusted.pem");
    let own = std::fs::read_to_string(own).expect("the certificate");
    std::fs::write(&tls.root, own + &authority.root()).expect("what is trusted");
    for host in ["hello.localhost", "shop.example.com", "nobody.localhost", "bank.example"] {
        authority.names.a(host, [127, 0, 0, 1]);
    }
    tls.begin();
    Some((tls, authority))
}

fn visit(tls: &Tls, host: &str) -> String {
    ok(&tls.curl(&[&format!("https://{host}:{}/", tls.port)]), host)
}

#[test]
fn a_host_gets_its_certificate_on_first_use_and_strangers_order_nothing() {
    let Some((mut tls, authority)) = served(true) else { return };
    for stranger in ["nobody.localhost", "bank.example", "shop.example.com"] {
        let said = tls.handshake(&["-servername", stranger]);
        assert!(said.contains("unrecognized name"), "{stranger}: {said}");
    }
    assert_eq!(authority.issued(), 0);
    assert!(visit(&tls, "hello.localhost").contains("\"proto\":\"https\""));
    assert_eq!(authority.issued(), 1);
    assert!(!authority.log().contains("bank.example"), "a stranger's guess costs nothing");
    visit(&tls, "hello.localhost");
    assert_eq!(authority.issued(), 1, "it is kept");
    let head =
        ok(&tls.curl(&["-D", "-", "-o", "/dev/null", &format!("https://hello.localhost:{}/", tls.port)]), "curl");
    assert!(head.to_ascii_lowercase().contains("strict-transport-security: max-age=300"), "{head}");

    // A custom domain: proved first, then certified on first use.
    let json = |text: String| serde_json::from_str::<Value>(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let added = json(tls.cli(&["domain", "add", "dev/hello", "shop.example.com", "--json"]));
    assert_eq!(added["state"], "waiting");
    assert!(
        tls.handshake(&["-servername", "shop.example.com"]).contains("unrecognized name"),
        "not before it is proved"
    );
    authority.names.cname("shop.example.com", "hello.localhost");
    let state =
        |tls: &Tls| json(tls.cli(&["domain", "check", "dev/hello", "shop.example.com", "--json"]))["state"].clone();
    until("it is proved", || (state(&tls) == "certificate").then_some(()));
    assert!(visit(&tls, "shop.example.com").contains("shop.example.com"));
    assert_eq!((state(&tls), authority.issued()), ("live".into(), 2));

    let shown = json(tls.cli(&["cert", "ls", "--json"]));
    let all = shown["certificates"].as_array().expect("a list");
    let of = |host: &str| all.iter().find(|one| one["hosts"][0] == host).unwrap_or_else(|| panic!("{host}: {shown}"));
    assert_eq!(of("localhost")["source"], "file");
    for host in ["hello.localhost", "shop.example.com"] {
        let one = of(host);
        assert!(one["issuer"].as_str().is_some_and(|issuer| issuer.contains("Pebble")), "{one}");
        assert!(one["renews"].as_i64() < one["expires"].as_i64() && one["trouble"].is_null(), "{one}");
    }
    assert!(shown["limits"].as_array().is_some_and(|limits| !limits.is_empty()), "{shown}");

    tls.steady.restart();
    visit(&tls, "hello.localhost");
    visit(&tls, "shop.example.com");
    assert_eq!(authority.issued(), 2, "a restart keeps certificates");
}

#[test]
fn by_http_where_tls_cannot_prove_it() {
    let Some((tls, authority)) = served(false) else { return };
    // Unknown tokens, and whatever else comes in plain, is sent on.
    let plain = |path: &str| crate::support::Request::get(tls.steady.port, "hello.localhost", path).send().status;
    assert_eq!(plain("/.well-known/acme-challenge/guess"), 308);
    let got = until("there is a certificate", || {
        let output = tls.curl(&[&format!("https://hello.localhost:{}/", tls.port)]);
        output.status.success().then(|| text(&output.stdout))
    });
    assert!(got.contains("https"), "{got}");
    assert_eq!(authority.issued(), 1);
}
