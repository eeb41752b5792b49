//! Proof by DNS: dynamic updates at a real name server, acme-dns, a program.
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use steady::base::Secret;
use steady::tls::pair::Facts;
use steady::tls::{Algorithm, Dns, Provider};

use super::pebble::{Likes, at};
use super::world::World;
use super::zone::{KEY, KEY_NAME, OTHER, Zone};

fn updates(zone: &Zone, key: &[u8]) -> Dns {
    Dns {
        domains: ["apps.example.org", "alias.example.org"].map(str::to_owned).into(),
        provider: Provider::Rfc2136 {
            server: at(zone.port),
            key_name: KEY_NAME.to_owned(),
            algorithm: Algorithm::HmacSha256,
            key: Secret::new(key.to_vec()),
        },
        servers: vec![at(zone.port)],
        patience: Duration::from_secs(20),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_and_its_domain_at_once_and_other_values_stay() {
    let mut world = World::new().await;
    let zone = Zone::start(world.folder.path());
    world.names.port = zone.port;
    let _pebble = world.authority(&Likes::default());
    world.options.dns = Some(updates(&zone, KEY));
    for host in ["apps.example.org", "one.apps.example.org", "two.apps.example.org", "alias.example.org"] {
        world.own(host);
    }
    let certs = world.start();
    let want = |host: &'static str| {
        let certs = certs.clone();
        tokio::spawn(async move {
            let certified = certs.want(host).await.unwrap_or_else(|error| panic!("{host}: {error:?}"));
            Facts::read(&certified.cert[0]).unwrap().names
        })
    };
    let hosts = ["apps.example.org", "one.apps.example.org", "two.apps.example.org", "alias.example.org"];
    let names = ["apps.example.org", "*.apps.example.org", "*.apps.example.org", "alias.example.org"];
    for (asked, name) in hosts.map(want).into_iter().zip(names) {
        assert_eq!(asked.await.unwrap(), [name]);
    }
    assert_eq!(world.orders().len(), 3);
    // Below the wildcard nothing is ordered any more, and strangers get none of it by the engine.
    assert!(certs.find("three.apps.example.org").is_some());
    assert!(certs.find("a.b.apps.example.org").is_none());
    world.stop(certs).await;
    assert_eq!(zone.txt("_acme-challenge.apps.example.org"), [OTHER]);
    assert!(zone.txt("_acme-challenge.real.example.org").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_told_and_nothing_hangs() {
    let mut world = World::new().await;
    let zone = Zone::start(world.folder.path());
    let elsewhere = std::mem::replace(&mut world.names.port, zone.port);
    let _pebble = world.authority(&Likes { nonces_refused: 0, ..Likes::default() });
    world.options.dns = Some(updates(&zone, b"another key"));
    world.own("one.apps.example.org");
    let certs = world.start();
    let error = certs.want("one.apps.example.org").await.unwrap_err();
    assert!(error.public.contains("does not take changes of example.org"), "{error:?}");
    world.stop(certs).await;
    // A record that does not show is told too, and taken away.
    let (servers, patience) = (vec![at(elsewhere)], Duration::from_secs(2));
    world.options.dns = Some(Dns { servers, patience, ..updates(&zone, KEY) });
    world.own("two.apps.example.org");
    world.clock.advance(Duration::from_mins(2));
    let certs = world.start_again().await;
    let error = certs.want("two.apps.example.org").await.unwrap_err();
    assert!(error.public.contains("does not show"), "{error:?}");
    world.stop(certs).await;
    assert_eq!(zone.txt("_acme-challenge.apps.example.org"), [OTHER]);
}

/// The calls of acme-dns that matter, with the authority's name server behind.
fn acme_dns(management: u16, alias: &'static str) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut buffer = vec![0; 8192];
            let mut read = 0;
            // The head and the body may come apart.
            while !String::from_utf8_lossy(&buffer[..read]).ends_with('}') {
                match stream.read(&mut buffer[read..]) {
                    Ok(0) | Err(_) => break,
                    Ok(more) => read += more,
                }
            }
            let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let known = head.starts_with("POST /update HTTP/1.1")
                && head.to_ascii_lowercase().contains("x-api-user: user")
                && head.to_ascii_lowercase().contains("x-api-key: password");
            if known {
                let body: serde_json::Value = serde_json::from_str(body).unwrap();
                assert_eq!(body["subdomain"], "sub");
                set_txt(management, alias, body["txt"].as_str().unwrap());
            }
            let status = if known { "200 OK" } else { "401 Unauthorized" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    port
}

/// At pebble-challtestsrv.
fn set_txt(management: u16, name: &str, value: &str) {
    let body = serde_json::json!({ "host": format!("{name}."), "value": value }).to_string();
    let mut stream = std::net::TcpStream::connect(at(management)).unwrap();
    let head = "POST /set-txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length:";
    stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_acme_dns() {
    let mut world = World::new().await;
    let _pebble = world.authority(&Likes::default());
    let port = acme_dns(world.names.management, "_acme-challenge.apps.example.org");
    let dns = |password: &str| Dns {
        domains: vec!["apps.example.org".to_owned()],
        provider: Provider::AcmeDns {
            url: format!("http://127.0.0.1:{port}"),
            user: "user".to_owned(),
            password: Secret::new(password.to_owned()),
            subdomain: "sub".to_owned(),
        },
        servers: vec![at(world.names.port)],
        patience: Duration::from_secs(10),
    };
    let (wrong, right) = (dns("wrong"), dns("password"));
    world.own("one.apps.example.org");
    world.options.dns = Some(wrong);
    let certs = world.start();
    assert!(certs.want("one.apps.example.org").await.unwrap_err().public.contains("answered 401"));
    world.stop(certs).await;
    world.clock.advance(Duration::from_mins(2));
    world.options.dns = Some(right);
    let certs = world.start_again().await;
    certs.want("one.apps.example.org").await.unwrap();
    world.stop(certs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_program_that_gets_no_environment() {
    let mut world = World::new().await;
    let _pebble = world.authority(&Likes::default());
    let script = world.folder.path().join("hook");
    let seen = world.folder.path().join("seen");
    let text = format!(
        "[ \"$2\" = set ] && call=set-txt || call=clear-txt\n\
         env >>{seen}; echo \"$1 $2 $3\" >>{seen}\n\
         curl -sf -d \"{{\\\"host\\\":\\\"$3.\\\",\\\"value\\\":\\\"$4\\\"}}\" http://{management}/$call\n",
        seen = seen.display(),
        management = at(world.names.management),
    );
    std::fs::write(&script, text).unwrap();
    let argv = ["/bin/sh", &script.to_string_lossy(), "first"].map(str::to_owned).into();
    world.options.dns = Some(Dns {
        domains: vec!["apps.example.org".to_owned()],
        provider: Provider::Hook { argv },
        servers: vec![at(world.names.port)],
        patience: Duration::from_secs(10),
    });
    world.own("apps.example.org");
    let certs = world.start();
    certs.want("apps.example.org").await.unwrap();
    world.stop(certs).await;
    let seen = std::fs::read_to_string(seen).unwrap();
    for line in ["first set _acme-challenge.apps.example.org", "first clear _acme-challenge.apps.example.org"] {
        assert_eq!(seen.matches(line).count(), 1, "{seen}");
    }
    let ours = seen.lines().filter(|line| line.contains('=')).map(|line| line.split('=').next().unwrap());
    assert!(ours.clone().all(|name| ["PATH", "PWD", "_", "OLDPWD", "SHLVL"].contains(&name)), "{seen}");
}
