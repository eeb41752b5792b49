//! On first use, once, for our own hosts only; again in time; from the next authority when one fails.
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use steady::base::Kind;
use steady::store::certs::{self, Outcome};
use steady::tls::pair::Facts;
use steady::tls::{Certs, ExternalAccount, Limit, Limits, Proof};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::pebble::Likes;
use super::world::World;

fn facts(certified: &CertifiedKey) -> Facts {
    Facts::read(&certified.cert[0]).unwrap()
}

async fn want(certs: &Certs, host: &str) -> Arc<CertifiedKey> {
    certs.want(host).await.unwrap_or_else(|error| panic!("{host}: {error:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn by_http_and_by_handshake_though_every_second_nonce_is_refused() {
    let mut world = World::new().await;
    let pebble = world.authority(&Likes::default());
    world.own("one.example.org");
    world.own("two.example.org");
    for (proof, host) in [(Proof::Http01, "one.example.org"), (Proof::TlsAlpn01, "two.example.org")] {
        world.options.proofs = vec![proof];
        let certs = if proof == Proof::Http01 { world.start() } else { world.start_again().await };
        let certified = want(&certs, host).await;
        assert_eq!(facts(&certified).names, [host]);
        assert!(facts(&certified).issuer.contains("Pebble"), "{:?}", facts(&certified));
        assert!(Arc::ptr_eq(&certs.find(&host.to_uppercase()).unwrap(), &certified));
        world.stop(certs).await;
    }
    let counts = &world.server.counts;
    assert!(counts.http.load(Ordering::SeqCst) > 0 && counts.alpn.load(Ordering::SeqCst) > 0);
    assert!(pebble.logged("badNonce") + pebble.logged("reject") > 0, "the authority was friendly");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_handshakes_order_once_and_strangers_nothing() {
    let mut world = World::new().await;
    let pebble = world.authority(&Likes { nonces_refused: 0, ..Likes::default() });
    world.own("app.example.org");
    let certs = world.start();
    for stranger in [
        "other.example.org",
        "example.org",
        "127.0.0.1",
        "[::1]",
        "localhost",
        "a.b.c.d.e.f.g.h.example.org",
        "*.example.org",
        "app.example.org.evil.example",
        "app.example.org\0",
        "",
    ] {
        assert_eq!(certs.want(stranger).await.unwrap_err().kind, Kind::NotFound, "{stranger:?}");
    }
    assert!(world.orders().is_empty() && certs.status().is_empty());
    assert_eq!(pebble.logged("POST"), 0, "the authority heard of it");

    let all = (0..40).map(|n| {
        let certs = certs.clone();
        tokio::spawn(async move { want(&certs, ["app.example.org", "App.Example.Org."][n % 2]).await })
    });
    let mut serials = Vec::new();
    for one in all.collect::<Vec<_>>() {
        serials.push(one.await.unwrap().cert[0].clone());
    }
    serials.dedup();
    assert_eq!((serials.len(), world.orders().len()), (1, 1));
    world.stop(certs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_was_not_seen_is_tried_again_the_other_way() {
    let mut world = World::new().await;
    let _pebble = world.authority(&Likes::default());
    world.own("app.example.org");
    world.options.proofs = vec![Proof::TlsAlpn01, Proof::Http01];
    world.server.counts.refuse.store(1, Ordering::SeqCst);
    let certs = world.start();
    want(&certs, "app.example.org").await;
    let outcomes: Vec<_> = world.orders().iter().map(|order| order.outcome).collect();
    assert_eq!(outcomes, [Outcome::Unproved, Outcome::Issued]);
    assert!(world.server.counts.http.load(Ordering::SeqCst) > 0);
    world.stop(certs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_failures_it_waits_longer_and_longer_and_says_why() {
    let mut world = World::new().await;
    let _pebble = world.authority(&Likes { nonces_refused: 0, ..Likes::default() });
    world.own("app.example.org");
    world.server.counts.refuse.store(1000, Ordering::SeqCst);
    let certs = world.start();
    let error = certs.want("app.example.org").await.unwrap_err();
    assert_eq!(error.kind, Kind::Busy);
    assert!(error.public.contains("could not see that app.example.org is served here"), "{error:?}");
    let orders = world.orders().len();
    // Until then nothing more is ordered.
    assert!(certs.want("app.example.org").await.is_err());
    assert_eq!(world.orders().len(), orders);
    let first = certs.status()[0].clone();
    assert_eq!(first.failures, 1);
    assert!(first.issuer.is_none() && first.last_error.is_some());
    world.clock.advance(Duration::from_millis(u64::try_from(first.next_try - world.clock.now()).unwrap()));
    assert!(certs.want("app.example.org").await.is_err());
    let second = certs.status()[0].clone();
    assert_eq!(second.failures, 2);
    assert!(second.next_try - world.clock.now() >= 2 * 60_000);
    // A third order would be the fifth failed proof in the hour.
    world.clock.advance(Duration::from_mins(4));
    assert!(certs.want("app.example.org").await.is_err());
    world.clock.advance(Duration::from_mins(10));
    assert!(certs.want("app.example.org").await.is_err());
    let unproved = world.orders().iter().filter(|order| order.outcome == Outcome::Unproved).count();
    assert_eq!(unproved, Limits::default().unproved, "the authority's limit was overrun");
    world.server.counts.refuse.store(0, Ordering::SeqCst);
    world.clock.advance(Duration::from_hours(2));
    want(&certs, "app.example.org").await;
    let view = &certs.status()[0];
    assert_eq!((view.failures, view.last_error.as_ref(), view.next_try), (0, None, 0));
    world.stop(certs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_authority_signs_what_the_first_refuses() {
    let mut world = World::new().await;
    let first = world.authority(&Likes { blocked: vec!["example.org".to_owned()], ..Likes::default() });
    let second = world.authority(&Likes::default());
    world.own("app.example.org");
    world.own("app.example.com");
    let certs = world.start();
    want(&certs, "app.example.org").await;
    want(&certs, "app.example.com").await;
    let by: Vec<_> = certs.status().into_iter().map(|view| (view.host, view.authority)).collect();
    let (first_url, second_url) = (first.directory(), second.directory());
    assert_eq!(by, [("app.example.com".to_owned(), first_url), ("app.example.org".to_owned(), second_url.clone())]);
    // One that is gone is passed over too.
    drop(first);
    world.own("new.example.com");
    want(&certs, "new.example.com").await;
    assert_eq!(certs.status()[2].authority, second_url);
    world.stop(certs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_for_customers_asks_who_they_are() {
    let mut world = World::new().await;
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let _pebble = world.authority(&Likes { customer: Some(("kid-1".to_owned(), key.to_owned())), ..Likes::default() });
    world.own("app.example.org");
    let certs = world.start();
    assert!(certs.want("app.example.org").await.unwrap_err().public.contains("acme_eab_kid"));
    world.stop(certs).await;
    let account =
        |key: &str| Some(ExternalAccount { kid: "kid-1".to_owned(), key: steady::base::Secret::new(key.to_owned()) });
    for (key, good) in [("not base64!", false), ("AAAA", false), (key, true)] {
        world.options.external = account(key);
        world.pass(2);
        let certs = world.start_again().await;
        assert_eq!(certs.want("app.example.org").await.is_ok(), good, "{key}");
        world.stop(certs).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_all_is_there_and_nothing_is_ordered() {
    let mut world = World::new().await;
    let pebble = world.authority(&Likes::default());
    world.own("app.example.org");
    world.own("new.example.org");
    let certs = world.start();
    let before = want(&certs, "app.example.org").await;
    let url = pebble.directory();
    let account = world.store().read(|db| certs::account(db, &world.key(), &url)).unwrap().unwrap();
    world.stop(certs).await;
    let certs = world.start_again().await;
    let after = certs.find("app.example.org").expect("it came back");
    assert_eq!(before.cert, after.cert);
    certs.tend().await;
    assert_eq!(world.orders().len(), 1);
    want(&certs, "new.example.org").await;
    let again = world.store().read(|db| certs::account(db, &world.key(), &url)).unwrap().unwrap();
    assert_eq!(account, again, "a second account was made");
    assert_eq!(world.orders().len(), 2);
    // The account is ours no more: one is made, and nobody notices.
    world.stop(certs).await;
    drop(pebble);
    world.options.authorities.clear();
    let _moved = world.authority(&Likes::default());
    let moved = world.options.authorities[0].clone();
    let (store, key) = (world.store(), world.key());
    let text = String::from_utf8(account.1.expose().clone()).unwrap().replace(&url, &moved);
    let port = |url: &str| url.split(':').nth(2).unwrap().split('/').next().unwrap().to_owned();
    let text = text.replace(&format!(":{}/", port(&url)), &format!(":{}/", port(&moved)));
    let stale = steady::base::Secret::new(text.into_bytes());
    store.write(|db| certs::put_account(db, &key, &moved, "", &stale, 1)).unwrap();
    world.own("third.example.org");
    let certs = world.start_again().await;
    want(&certs, "third.example.org").await;
    world.stop(certs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_at_two_thirds_and_only_while_it_is_ours() {
    let mut world = World::new().await;
    let _pebble = world.authority(&Likes { seconds: 90 * 86_400, ..Likes::default() });
    world.own("kept.example.org");
    world.own("left.example.org");
    let certs = world.start();
    let old = want(&certs, "kept.example.org").await;
    want(&certs, "left.example.org").await;
    world.ours.lock().unwrap().remove("left.example.org");
    world.pass(59);
    certs.tend().await;
    assert_eq!(old.cert, certs.find("kept.example.org").unwrap().cert, "renewed too soon");
    world.pass(6);
    // A failure leaves the old one in use.
    world.server.counts.refuse.store(1000, Ordering::SeqCst);
    certs.tend().await;
    assert_eq!(old.cert, certs.find("kept.example.org").unwrap().cert);
    assert!(certs.status()[0].last_error.is_some());
    world.server.counts.refuse.store(0, Ordering::SeqCst);
    world.pass(1);
    certs.tend().await;
    assert_ne!(old.cert, certs.find("kept.example.org").unwrap().cert, "not renewed");
    assert!(certs.find("left.example.org").is_some());
    world.pass(30);
    certs.tend().await;
    assert!(certs.find("left.example.org").is_none());
    world.stop(certs).await;
    let certs = world.start_again().await;
    assert_eq!(certs.status().len(), 1);
    world.stop(certs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_orders_back_and_are_shown() {
    let mut world = World::new().await;
    let pebble = world.authority(&Likes::default());
    world.options.limits = Limits { domain: 2, ..Limits::default() };
    for host in ["a.example.org", "b.example.org", "c.example.org", "c.example.net"] {
        world.own(host);
    }
    let certs = world.start();
    want(&certs, "a.example.org").await;
    want(&certs, "b.example.org").await;
    let error = certs.want("c.example.org").await.unwrap_err();
    assert!(error.public.contains("allows no more new certificates for the domain in a week"), "{error:?}");
    want(&certs, "c.example.net").await;
    let counts = certs.limits().unwrap();
    let of = |limit, domain: &str| {
        let count = counts.iter().find(|count| count.limit == limit && count.domain == domain).unwrap();
        assert_eq!(count.authority, pebble.directory());
        (count.used, count.most)
    };
    assert_eq!(of(Limit::Domain, "example.org"), (2, 2));
    assert_eq!(of(Limit::Domain, "example.net"), (1, 2));
    assert_eq!(of(Limit::Orders, ""), (3, 300));
    world.pass(8);
    want(&certs, "c.example.org").await;
    world.stop(certs).await;
}
