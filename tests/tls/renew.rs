//! When the authority says so; and what it says of certificates while they are in use.
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use steady::base::clock::rfc3339;
use steady::store::certs::Outcome;
use x509_parser::extensions::ParsedExtension;

use super::front;
use super::pebble::{Likes, Running, at, free_port};
use super::world::World;

const DAY: i64 = 86_400_000;

#[tokio::test(flavor = "multi_thread")]
async fn renewed_when_the_authority_suggests_it() {
    let mut world = World::new().await;
    let pebble = world.authority(&Likes { nonces_refused: 20, ..Likes::default() });
    let (directory, seen) = front::start(world.folder.path(), at(pebble.port)).await;
    world.options.authorities = vec![directory];
    world.own("app.example.org");
    let certs = world.start();
    let first = certs.want("app.example.org").await.unwrap();
    // An authority that does not know (yet) leaves it at two thirds.
    certs.tend().await;
    let view = certs.status()[0].clone();
    assert!(!view.suggested && view.renew_at >= view.not_before + 60 * DAY, "{view:?}");
    assert_eq!(seen.lock().unwrap().asked.len(), 1);
    // Not asked again before an hour is over.
    certs.tend().await;
    assert_eq!(seen.lock().unwrap().asked.len(), 1);
    let now = world.clock.now();
    seen.lock().unwrap().window = Some((rfc3339(now + 10 * DAY), rfc3339(now + 11 * DAY)));
    world.clock.advance(Duration::from_hours(2));
    certs.tend().await;
    let view = certs.status()[0].clone();
    assert!(view.suggested && (now + 10 * DAY..=now + 11 * DAY).contains(&view.renew_at), "{view:?}");
    // The same answer moves nothing, also after a restart.
    world.stop(certs).await;
    let certs = world.start_again().await;
    world.clock.advance(Duration::from_hours(2));
    certs.tend().await;
    assert_eq!(certs.status()[0].renew_at, view.renew_at);
    assert_eq!(world.orders().len(), 1);
    // A certificate that has to go: the window is over already.
    seen.lock().unwrap().window = Some((rfc3339(now - 2 * DAY), rfc3339(now - DAY)));
    world.clock.advance(Duration::from_hours(4));
    certs.tend().await;
    let second = certs.find("app.example.org").unwrap();
    assert_ne!(first.cert, second.cert, "not renewed");
    let outcomes: Vec<_> = world.orders().iter().map(|order| order.outcome).collect();
    assert_eq!(outcomes, [Outcome::Issued, Outcome::Renewed]);
    {
        let seen = seen.lock().unwrap();
        assert_eq!(seen.replaced, [seen.asked[0].clone()], "the order did not say what it replaces");
    }
    // An authority that takes no replacement gives a new one.
    let id = identifier(&second.cert[0]);
    seen.lock().unwrap().replaced.push(id.clone());
    certs.tend().await;
    assert_ne!(certs.find("app.example.org").unwrap().cert, second.cert);
    assert!(seen.lock().unwrap().asked.contains(&id));
    world.stop(certs).await;
}

/// RFC 9773, section 4.1.
fn identifier(certificate: &[u8]) -> String {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).unwrap();
    let key = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(key) => key.key_identifier.as_ref().map(|key| key.0.to_vec()),
        _ => None,
    });
    format!("{}.{}", URL_SAFE_NO_PAD.encode(key.unwrap()), URL_SAFE_NO_PAD.encode(parsed.raw_serial()))
}

/// A responder with the authority's key, or with one that it names, or with none of its.
fn responder(folder: &Path, port: u16, line: &str, signer: &str, days: u32) -> Running {
    let index = folder.join("index.txt");
    std::fs::write(&index, line).unwrap();
    let file = |name: String| folder.join(name).to_string_lossy().into_owned();
    let (certificate, key) = (file(format!("{signer}.pem")), file(format!("{signer}.key")));
    let log = folder.join("ocsp.log");
    let running = Running::start(
        Command::new("openssl")
            .args(["ocsp", "-index", &index.to_string_lossy(), "-port", &port.to_string(), "-ndays", &days.to_string()])
            .args(["-CA", &file("issuer.pem".to_owned()), "-rsigner", &certificate, "-rkey", &key]),
        &log,
    );
    // Not by a connection: it waits for ever for what that one has to say.
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while !std::fs::read_to_string(&log).unwrap().contains("waiting for OCSP client connections") {
        assert!(std::time::Instant::now() < end, "{}", std::fs::read_to_string(&log).unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
    running
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The authority's keys, and a responder's: one that it names, and one that names itself.
fn keys(folder: &Path, management: u16) {
    for (path, file) in [("intermediates", "issuer.pem"), ("intermediate-keys", "issuer.key")] {
        let url = format!("https://127.0.0.1:{management}/{path}/0");
        run("curl", &["-sf", "--cacert", "server.pem", "-o", file, &url], folder);
    }
    let make = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=r"];
    run("openssl", &[&make[..], &["-keyout", "named.key", "-out", "named.csr"]].concat(), folder);
    std::fs::write(folder.join("usage"), "extendedKeyUsage = OCSPSigning\n").unwrap();
    let sign = ["x509", "-req", "-CA", "issuer.pem", "-CAkey", "issuer.key", "-CAcreateserial", "-days", "2"];
    let files = ["-in", "named.csr", "-extfile", "usage", "-out", "named.pem"];
    run("openssl", &[&sign[..], &files].concat(), folder);
    let usage = ["-x509", "-days", "2", "-addext", "extendedKeyUsage = OCSPSigning"];
    let files = ["-keyout", "foreign.key", "-out", "foreign.pem"];
    run("openssl", &[&make[..], &usage, &files].concat(), folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_word_of_the_authority_is_stapled_when_it_is_its_own() {
    let mut world = World::new().await;
    let port = free_port();
    let ocsp = format!("http://127.0.0.1:{port}");
    let pebble = world.authority(&Likes { nonces_refused: 0, ocsp, ..Likes::default() });
    let folder = world.folder.path().to_owned();
    keys(&folder, pebble.management);
    world.own("app.example.org");
    let certs = world.start();
    let first = certs.want("app.example.org").await.unwrap();
    // Nobody answers, and nothing is worse for it.
    certs.tend().await;
    assert!(!certs.status()[0].stapled && certs.find("app.example.org").is_some());
    let (_, parsed) = x509_parser::parse_x509_certificate(&first.cert[0]).unwrap();
    let serial = hex::encode_upper(parsed.raw_serial());
    let serial = serial.strip_prefix("00").unwrap_or(&serial);
    let good = format!("V\t491231235959Z\t\t{serial}\tunknown\t/CN=app\n");
    let revoked = format!("R\t491231235959Z\t260101000000Z\t{serial}\tunknown\t/CN=app\n");
    let other = "V\t491231235959Z\t\tABCDEF\tunknown\t/CN=other\n".to_owned();
    for (line, signer, stapled) in
        [(&good, "foreign", false), (&other, "issuer", false), (&good, "issuer", true), (&good, "named", true)]
    {
        let _responder = responder(&folder, port, line, signer, 30);
        // What was good stays for its time.
        world.clock.advance(Duration::from_hours(100));
        certs.tend().await;
        assert_eq!(certs.status()[0].stapled, stapled, "{line} by {signer}");
    }
    let said = run(
        "openssl",
        &["s_client", "-status", "-connect", &at(world.server.tls).to_string(), "-servername", "app.example.org"],
        &folder,
    );
    assert!(said.contains("OCSP Response Status: successful"), "{said}");
    // It comes back with the certificate.
    world.stop(certs).await;
    let certs = world.start_again().await;
    assert!(certs.find("app.example.org").unwrap().ocsp.is_some());
    // Its time is over, and nobody gives a new one.
    world.pass(20);
    certs.tend().await;
    assert!(!certs.status()[0].stapled);
    // Revoked: the next one is ordered at once.
    let _responder = responder(&folder, port, &revoked, "issuer", 80);
    world.clock.advance(Duration::from_hours(2));
    certs.tend().await;
    certs.tend().await;
    let second = certs.find("app.example.org").unwrap();
    assert!(!Arc::ptr_eq(&first, &second) && first.cert != second.cert, "the revoked one is still in use");
    world.stop(certs).await;
}
