//! Signing in and out, sessions, passwords.
use super::*;

#[test]
fn signing_in_says_the_same_for_unknown_and_wrong() {
    let world = World::new();
    world.dev();
    let guest = world.accounts.start_guest("Ada", "192.0.2.9").unwrap();
    let guest = guest.actor.user.name;
    let texts: Vec<_> = [("dev", "wrong password"), ("nobody", PASSWORD), (guest.as_str(), ""), ("Not A Name", "x")]
        .iter()
        .map(|(who, password)| {
            let error = world.accounts.sign_in(who, &secret(password), "192.0.2.2").unwrap_err();
            assert_eq!(error.kind, Kind::Unauthorized, "{who}");
            (error.public, error.hint)
        })
        .collect();
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn guessing_is_slowed_also_in_parallel() {
    let world = World::new();
    world.dev();
    let kinds: Vec<Kind> = std::thread::scope(|scope| {
        let accounts = &world.accounts;
        let all: Vec<_> = (0..12)
            .map(|n| scope.spawn(move || kind(accounts.sign_in("dev", &secret(&format!("guess {n}")), "198.51.100.1"))))
            .collect();
        all.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(kinds.iter().filter(|k| **k == Kind::Unauthorized).count(), 5, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|k| **k == Kind::TooMany).count(), 7, "{kinds:?}");
    assert_eq!(kind(world.accounts.sign_in("dev", &secret(PASSWORD), "198.51.100.1")), Kind::TooMany);
    world.after(1_000);
    assert!(world.accounts.sign_in("dev", &secret(PASSWORD), "198.51.100.1").is_ok());
}

#[test]
fn a_session_lives_by_being_used() {
    let world = World::new();
    let cookie = world.dev().cookie;
    for _ in 0..5 {
        world.after(29 * DAY);
        let actor = world.accounts.session(cookie.expose()).unwrap().expect("slid on");
        assert_eq!(actor.user.name.as_str(), "dev");
        assert!(matches!(actor.via, Via::Session { .. }));
    }
    world.after(30 * DAY);
    assert!(world.accounts.session(cookie.expose()).unwrap().is_none());
    world.accounts.sweep().unwrap();
    assert_eq!(world.count("sessions"), 0);
}

#[test]
fn use_is_written_once_a_minute() {
    let world = World::new();
    let signed_in = world.dev();
    let used = || world.accounts.sessions(&signed_in.actor).unwrap()[0].used;
    let start = used();
    world.after(59_999);
    world.accounts.session(signed_in.cookie.expose()).unwrap();
    assert_eq!(used(), start);
    world.after(1);
    world.accounts.session(signed_in.cookie.expose()).unwrap();
    assert_eq!(used(), start + 60_000);
}

#[test]
fn no_secret_is_stored_and_no_foreign_cookie_fits() {
    let world = World::new();
    let signed_in = world.dev();
    let (_, token) = world.accounts.create_token(signed_in.actor.user.id, new_token(&[Scope::Read], None)).unwrap();
    let (_, invite) = world.accounts.invite(&signed_in.actor, "", false).unwrap();
    let mut bytes = std::fs::read(world.dir.database()).unwrap();
    bytes.extend(std::fs::read(world.dir.root().join("steady.db-wal")).unwrap_or_default());
    for value in [signed_in.cookie.expose(), token.expose(), invite.expose(), PASSWORD] {
        assert!(!bytes.windows(value.len()).any(|w| w == value.as_bytes()));
        assert!(!format!("{signed_in:?} {token:?} {invite:?}").contains(value));
    }
    let Via::Session { csrf, .. } = &signed_in.actor.via else { panic!() };
    let long = "x".repeat(100_000);
    for bad in ["", "x", csrf.as_str(), token.expose(), invite.expose(), &long, "' OR 1=1 --"] {
        assert!(world.accounts.session(bad).unwrap().is_none());
    }
}

#[test]
fn signing_out_here_and_everywhere() {
    let world = World::new();
    let first = world.dev();
    let more: Vec<_> = (0..3).map(|_| world.accounts.sign_in("dev", &secret(PASSWORD), "192.0.2.1").unwrap()).collect();
    world.accounts.sign_out(&first.actor).unwrap();
    assert!(world.accounts.session(first.cookie.expose()).unwrap().is_none());
    assert!(world.accounts.session(more[0].cookie.expose()).unwrap().is_some());
    assert_eq!(world.accounts.sign_out_everywhere(&more[0].actor).unwrap(), 3);
    for one in &more {
        assert!(world.accounts.session(one.cookie.expose()).unwrap().is_none());
    }
}

#[test]
fn sessions_of_a_user_are_bounded_and_named() {
    let world = World::new();
    let first = world.dev();
    world.accounts.note_agent(&first.actor, &format!("Fire\nfox {}", "x".repeat(500))).unwrap();
    let seen = world.accounts.sessions(&first.actor).unwrap();
    assert!(seen[0].agent.starts_with("Firefox xx") && seen[0].agent.len() == 120);
    let user = first.actor.user.clone();
    for _ in 0..60 {
        let now = world.clock.now();
        let new = session::NewSession::new();
        world.accounts.0.store.write(|db| world.accounts.open_session(db, user.clone(), new, now)).unwrap();
    }
    assert_eq!(world.count("sessions"), 50);
    assert!(world.accounts.session(first.cookie.expose()).unwrap().is_none(), "the oldest went");
}

#[test]
fn changing_a_password_ends_other_sessions() {
    let world = World::new();
    let here = world.dev();
    let there = world.accounts.sign_in("dev", &secret(PASSWORD), "192.0.2.1").unwrap();
    let change = |old: &str, new: &str| world.accounts.change_password(&here.actor, &secret(old), &secret(new));
    assert_eq!(kind(change("wrong one", "another horse")), Kind::Unauthorized);
    assert_eq!(kind(change(PASSWORD, "dev")), Kind::BadInput);
    change(PASSWORD, "another horse").unwrap();
    assert!(world.accounts.session(here.cookie.expose()).unwrap().is_some());
    assert!(world.accounts.session(there.cookie.expose()).unwrap().is_none());
    assert_eq!(kind(world.accounts.sign_in("dev", &secret(PASSWORD), "192.0.2.1")), Kind::Unauthorized);
    assert!(world.accounts.sign_in("dev", &secret("another horse"), "192.0.2.1").is_ok());
    for _ in 0..4 {
        assert_eq!(kind(change("wrong one", "another horse")), Kind::Unauthorized);
    }
    assert_eq!(kind(change("another horse", PASSWORD)), Kind::TooMany, "guessing at an open browser");
    assert!(world.accounts.sign_in("dev", &secret("another horse"), "192.0.2.7").is_ok());

    world.accounts.reset_password(&name("dev"), &secret("third horse")).unwrap();
    assert!(world.accounts.session(here.cookie.expose()).unwrap().is_none());
    assert_eq!(kind(world.accounts.reset_password(&name("nobody"), &secret("third horse"))), Kind::NotFound);
    let guest = world.accounts.start_guest("Ada", "192.0.2.1").unwrap().actor;
    assert_eq!(kind(world.accounts.reset_password(&guest.user.name, &secret("third horse"))), Kind::NotFound);
    assert_eq!(kind(world.accounts.change_password(&guest, &secret(""), &secret("third horse"))), Kind::Forbidden);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn hashing_does_not_stop_the_runtime() {
    let world = World::new();
    let accounts = world.accounts.clone();
    let (sent, got) = std::sync::mpsc::channel();
    let tasks = crate::base::Tasks::new();
    // The only worker signs in while another task must run for it to end.
    let hashing = tasks.spawn("hashing", async move {
        accounts.0.hasher.hash(&secret(PASSWORD)).unwrap();
        crate::store::blocking(|| got.recv_timeout(Duration::from_secs(20)).unwrap());
    });
    tasks.spawn("other", async move { sent.send(()).unwrap() }).await.unwrap();
    hashing.await.unwrap();
}
