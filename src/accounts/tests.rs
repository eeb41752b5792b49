//! The handle against a real database, with a hand-driven clock.
use std::time::Duration;

use super::*;
use crate::base::{DataDir, Kind};

const DAY: i64 = 24 * 60 * 60 * 1000;
const PASSWORD: &str = "correct horse";

struct World {
    accounts: Accounts,
    clock: Clock,
    dir: DataDir,
    _temp: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self::with(true)
    }

    fn with(guests: bool) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        let clock = Clock::manual(1_750_000_000_000);
        let options = Options { session_ms: 30 * DAY, guests, guest_ms: 7 * DAY };
        let accounts = Accounts::new(Store::open(&dir).unwrap(), clock.clone(), options);
        Self { accounts, clock, dir, _temp: temp }
    }

    /// As another process on the same data would be.
    fn again(&self) -> Accounts {
        Accounts::new(Store::open(&self.dir).unwrap(), self.clock.clone(), self.accounts.options().clone())
    }

    fn after(&self, ms: i64) {
        self.clock.advance(Duration::from_millis(ms.try_into().unwrap()));
    }

    fn dev(&self) -> SignedIn {
        self.accounts.add_user(&name("dev"), &secret(PASSWORD), true).unwrap();
        self.accounts.sign_in("dev", &secret(PASSWORD), "192.0.2.1").unwrap()
    }

    fn count(&self, table: &str) -> i64 {
        let db = rusqlite::Connection::open(self.dir.database()).unwrap();
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    fn sql(&self, sql: &str) {
        rusqlite::Connection::open(self.dir.database()).unwrap().execute_batch(sql).unwrap();
    }
}

fn name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> Kind {
    result.unwrap_err().kind
}

fn new_token(scopes: &[Scope], expires: Option<Millis>) -> NewToken {
    NewToken { name: "ci".to_owned(), scopes: scopes.to_vec(), project: None, expires }
}

#[test]
fn the_first_owner_by_the_link() {
    let world = World::new();
    let accounts = &world.accounts;
    let token = accounts.setup_token().unwrap().unwrap();
    assert_ne!(token, world.again().setup_token().unwrap().unwrap(), "anew at each start");
    for wrong in ["", "x", &token.expose()[1..], &format!("{}x", token.expose())] {
        assert_eq!(kind(accounts.set_up(wrong, &name("dev"), &secret(PASSWORD))), Kind::Unauthorized);
    }
    assert_eq!(kind(accounts.set_up(token.expose(), &name("dev"), &secret("short"))), Kind::BadInput);
    assert_eq!(kind(accounts.set_up(token.expose(), &name("guest-x"), &secret(PASSWORD))), Kind::BadInput);
    assert!(accounts.needs_setup().unwrap());

    let owner = accounts.set_up(token.expose(), &name("dev"), &secret(PASSWORD)).unwrap();
    assert!(owner.actor.user.admin);
    assert!(accounts.session(owner.cookie.expose()).unwrap().is_some());
    assert!(accounts.setup_token().unwrap().is_none());
    assert_eq!(kind(accounts.set_up(token.expose(), &name("eve"), &secret(PASSWORD))), Kind::Conflict);
    assert!(world.again().setup_token().unwrap().is_none());
}

#[test]
fn one_of_two_who_use_the_link_at_once_wins() {
    let world = World::new();
    let token = world.accounts.setup_token().unwrap().unwrap();
    let results: Vec<Result<SignedIn>> = std::thread::scope(|scope| {
        let (accounts, token) = (&world.accounts, &token);
        let all: Vec<_> = ["ann", "bob", "cat", "dan"]
            .map(|who| scope.spawn(move || accounts.set_up(token.expose(), &name(who), &secret(PASSWORD))))
            .into_iter()
            .collect();
        all.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    assert!(results.into_iter().filter_map(Result::err).all(|e| e.kind == Kind::Conflict));
    assert_eq!(world.count("users"), 1);
}

#[test]
fn a_user_added_beside_the_running_server_ends_the_link() {
    let world = World::new();
    let token = world.accounts.setup_token().unwrap().unwrap();
    world.again().add_user(&name("dev"), &secret(PASSWORD), true).unwrap();
    assert!(world.accounts.setup_token().unwrap().is_none());
    assert_eq!(kind(world.accounts.set_up(token.expose(), &name("eve"), &secret(PASSWORD))), Kind::Conflict);
    assert!(world.accounts.sign_in("dev", &secret(PASSWORD), "192.0.2.1").is_ok());
    assert_eq!(kind(world.accounts.add_user(&name("dev"), &secret(PASSWORD), false)), Kind::Conflict);
}

#[test]
fn a_guest_does_not_end_the_link() {
    let world = World::new();
    world.accounts.start_guest("Ada", "192.0.2.1").unwrap();
    assert!(world.accounts.setup_token().unwrap().is_some());
}

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

#[test]
fn a_token_is_shown_once_scoped_and_ends() {
    let world = World::new();
    let user = world.dev().actor.user.id;
    let now = world.clock.now();
    let new = NewToken { project: Some(9), ..new_token(&[Scope::Read, Scope::Write, Scope::Read], Some(now + DAY)) };
    let (info, value) = world.accounts.create_token(user, new).unwrap();
    assert!(value.expose().starts_with("steady_") && value.expose().len() == 7 + 43);
    assert_eq!(info.used, None);
    let actor = world.accounts.token(value.expose()).unwrap();
    let Via::Token { id, scopes, project } = actor.via else { panic!() };
    assert_eq!((id, scopes, project), (info.id, vec![Scope::Read, Scope::Write], Some(9)));
    let used = || world.accounts.tokens(user).unwrap()[0].used;
    assert_eq!(used(), Some(now));
    world.after(59_999);
    world.accounts.token(value.expose()).unwrap();
    assert_eq!(used(), Some(now), "written once a minute");

    let bare = &value.expose()[7..];
    let upper = value.expose().to_uppercase();
    let long = format!("steady_{}", "x".repeat(100_000));
    for bad in ["", "steady_", bare, &upper, &value.expose()[..49], &format!("{} ", value.expose()), &long] {
        assert_eq!(kind(world.accounts.token(bad)), Kind::Unauthorized);
    }
    world.after(DAY);
    assert_eq!(kind(world.accounts.token(value.expose())), Kind::Unauthorized);
    assert_eq!(world.accounts.tokens(user).unwrap().len(), 1, "still shown");
    world.after(8 * DAY);
    world.accounts.sweep().unwrap();
    assert!(world.accounts.tokens(user).unwrap().is_empty());
}

#[test]
fn a_revoked_token_and_anothers() {
    let world = World::new();
    let user = world.dev().actor.user.id;
    let eve = world.accounts.add_user(&name("eve"), &secret(PASSWORD), false).unwrap().id;
    let (info, value) = world.accounts.create_token(user, new_token(&[Scope::Admin], None)).unwrap();
    assert_eq!(kind(world.accounts.revoke_token(eve, info.id)), Kind::NotFound);
    assert!(world.accounts.tokens(eve).unwrap().is_empty());
    assert!(world.accounts.token(value.expose()).is_ok());
    world.accounts.revoke_token(user, info.id).unwrap();
    assert_eq!(kind(world.accounts.token(value.expose())), Kind::Unauthorized);
    assert_eq!(kind(world.accounts.revoke_token(user, info.id)), Kind::NotFound);
}

#[test]
fn tokens_that_are_refused() {
    let world = World::new();
    let user = world.dev().actor.user.id;
    let now = world.clock.now();
    let named = |text: &str| NewToken { name: text.to_owned(), ..new_token(&[Scope::Read], None) };
    for bad in [named(""), named("  "), named("a\nb"), named(&"x".repeat(65)), new_token(&[], None)] {
        assert_eq!(kind(world.accounts.create_token(user, bad)), Kind::BadInput);
    }
    assert_eq!(kind(world.accounts.create_token(user, new_token(&[Scope::Read], Some(now)))), Kind::BadInput);
    assert_eq!(kind(world.accounts.create_token(999, named("x"))), Kind::NotFound);
    for _ in 0..100 {
        world.accounts.create_token(user, named("x")).unwrap();
    }
    assert_eq!(kind(world.accounts.create_token(user, named("x"))), Kind::Conflict);
}

#[test]
fn a_token_cannot_make_what_outlives_it() {
    let world = World::new();
    let user = world.dev().actor.user.id;
    let by = |scopes: &[Scope]| {
        let (_, value) = world.accounts.create_token(user, new_token(scopes, None)).unwrap();
        world.accounts.token(value.expose()).unwrap()
    };
    let (full, write) = (by(&[Scope::Admin]), by(&[Scope::Write]));
    for actor in [&full, &write] {
        assert_eq!(kind(world.accounts.create_own_token(actor, new_token(&[Scope::Read], None))), Kind::Forbidden);
        assert_eq!(kind(world.accounts.invite(actor, "", true)), Kind::Forbidden);
        assert_eq!(
            kind(world.accounts.change_password(actor, &secret(PASSWORD), &secret("abcdefgh"))),
            Kind::Forbidden
        );
        assert_eq!(kind(world.accounts.sign_out_everywhere(actor)), Kind::Forbidden);
        assert_eq!(kind(world.accounts.sessions(actor)), Kind::Forbidden);
        world.accounts.sign_out(actor).unwrap();
    }
    assert_eq!(world.count("sessions"), 1);
    assert!(world.accounts.invite(&full, "", false).is_ok());
    assert_eq!(kind(world.accounts.invite(&write, "", false)), Kind::Forbidden);
    assert_eq!(kind(world.accounts.invites(&write)), Kind::Forbidden);
}

#[test]
fn an_invitation_is_used_once() {
    let world = World::new();
    let dev = world.dev().actor;
    let (info, value) = world.accounts.invite(&dev, " for Ann ", false).unwrap();
    assert_eq!((info.note.as_str(), info.admin, &info.used_by), ("for Ann", false, &None));
    assert_eq!(world.accounts.open_invite(value.expose()).unwrap().id, info.id);
    assert_eq!(kind(world.accounts.sign_up("nonsense", &name("ann"), &secret(PASSWORD))), Kind::NotFound);
    assert_eq!(kind(world.accounts.sign_up("nonsense", &name("dev"), &secret(PASSWORD))), Kind::NotFound);
    assert_eq!(kind(world.accounts.sign_up(value.expose(), &name("dev"), &secret(PASSWORD))), Kind::Conflict);
    assert_eq!(kind(world.accounts.sign_up(value.expose(), &name("ann"), &secret("short"))), Kind::BadInput);
    assert_eq!(kind(world.accounts.sign_up(value.expose(), &name("guest-ann"), &secret(PASSWORD))), Kind::BadInput);

    let ann = world.accounts.sign_up(value.expose(), &name("ann"), &secret(PASSWORD)).unwrap();
    assert!(!ann.actor.user.admin);
    assert!(world.accounts.session(ann.cookie.expose()).unwrap().is_some());
    assert_eq!(kind(world.accounts.sign_up(value.expose(), &name("bob"), &secret(PASSWORD))), Kind::NotFound);
    assert_eq!(world.accounts.invites(&dev).unwrap()[0].used_by, Some(name("ann")));
    assert_eq!(kind(world.accounts.revoke_invite(&dev, info.id)), Kind::Conflict);
    assert_eq!(kind(world.accounts.invite(&ann.actor, "", false)), Kind::Forbidden);
    assert_eq!(kind(world.accounts.invites(&ann.actor)), Kind::Forbidden);
    assert_eq!(kind(world.accounts.revoke_invite(&ann.actor, info.id)), Kind::Forbidden);
}

#[test]
fn two_with_one_invitation_and_one_with_an_old() {
    let world = World::new();
    let dev = world.dev().actor;
    let (_, value) = world.accounts.invite(&dev, "", true).unwrap();
    let results: Vec<Result<SignedIn>> = std::thread::scope(|scope| {
        let (accounts, value) = (&world.accounts, &value);
        let all: Vec<_> = ["ann", "bob"]
            .map(|who| scope.spawn(move || accounts.sign_up(value.expose(), &name(who), &secret(PASSWORD))))
            .into_iter()
            .collect();
        all.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|r| r.as_ref().is_ok_and(|s| s.actor.user.admin)).count(), 1);
    assert_eq!(world.count("users"), 2, "the other was undone");

    let (revoked, value) = world.accounts.invite(&dev, "", false).unwrap();
    world.accounts.revoke_invite(&dev, revoked.id).unwrap();
    assert_eq!(kind(world.accounts.open_invite(value.expose())), Kind::NotFound);
    assert_eq!(kind(world.accounts.revoke_invite(&dev, revoked.id)), Kind::NotFound);
    let (_, value) = world.accounts.invite(&dev, "", false).unwrap();
    world.after(INVITE_MS);
    assert_eq!(kind(world.accounts.sign_up(value.expose(), &name("cat"), &secret(PASSWORD))), Kind::NotFound);
    world.after(8 * DAY);
    world.accounts.sweep().unwrap();
    assert_eq!(world.count("invites"), 0);
}

#[test]
fn guests_come_and_go() {
    let world = World::new();
    let guest = world.accounts.start_guest(" Ada ", "192.0.2.1").unwrap();
    let user = &guest.actor.user;
    assert!(user.guest && !user.admin && user.name.as_str().starts_with("guest-"));
    assert_eq!(user.nickname.as_deref(), Some("Ada"));
    assert_eq!(user.expires, Some(world.clock.now() + 7 * DAY));
    let (_, token) = world.accounts.create_token(user.id, new_token(&[Scope::Write], None)).unwrap();
    world.after(7 * DAY - 1);
    assert!(world.accounts.session(guest.cookie.expose()).unwrap().is_some());
    assert!(world.accounts.token(token.expose()).is_ok());
    world.accounts.sweep().unwrap();
    assert_eq!(world.count("users"), 1);

    world.after(1);
    assert!(world.accounts.session(guest.cookie.expose()).unwrap().is_none());
    assert_eq!(kind(world.accounts.token(token.expose())), Kind::Unauthorized);
    assert_eq!(kind(world.accounts.create_token(user.id, new_token(&[Scope::Read], None))), Kind::NotFound);
    world.accounts.sweep().unwrap();
    assert_eq!((world.count("users"), world.count("sessions"), world.count("tokens")), (0, 0, 0));
}

#[test]
fn a_guest_stays_while_something_is_theirs() {
    let world = World::new();
    let guests: Vec<i64> =
        ["a", "b", "c"].map(|n| world.accounts.start_guest(n, "192.0.2.1").unwrap().actor.user.id).to_vec();
    let dev = world.dev().actor.user.id;
    let [with_project, with_draft, member] = guests[..] else { panic!() };
    world.sql(&format!(
        "INSERT INTO projects (id, owner_id, name, created) VALUES (1, {with_project}, 'x', 0), (2, {dev}, 'y', 0);
         INSERT INTO drafts (project_id, user_id, label, tree, plan, created, used) VALUES (2, {with_draft}, 'l', '', '', 0, 0);
         INSERT INTO members VALUES (2, {with_draft}, 'viewer'), (2, {member}, 'viewer'), (2, {dev}, 'owner');"
    ));
    world.after(8 * DAY);
    world.accounts.sweep().unwrap();
    let left: Vec<i64> = world.accounts.users().unwrap().iter().filter(|u| u.guest).map(|u| u.id).collect();
    assert_eq!(left.len(), 2);
    assert!(left.contains(&with_project) && left.contains(&with_draft));
    assert_eq!(world.count("members"), 2, "what could not be removed is whole");
    world.sql("DELETE FROM drafts; DELETE FROM projects WHERE id = 1;");
    world.accounts.sweep().unwrap();
    assert_eq!(world.count("users"), 1);
}

#[test]
fn guests_where_allowed_and_not_too_many() {
    let off = World::with(false);
    assert_eq!(kind(off.accounts.start_guest("Ada", "192.0.2.1")), Kind::Forbidden);
    let world = World::new();
    assert_eq!(kind(world.accounts.start_guest("", "192.0.2.1")), Kind::BadInput);
    for _ in 0..5 {
        world.accounts.start_guest("Ada", "192.0.2.1").unwrap();
    }
    assert_eq!(kind(world.accounts.start_guest("Ada", "192.0.2.1")), Kind::TooMany);
    assert!(world.accounts.start_guest("Ada", "192.0.2.2").is_ok());
    world.after(30_000);
    assert!(world.accounts.start_guest("Ada", "192.0.2.1").is_ok());
    world.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
         INSERT INTO users (name, guest, nickname, created, expires) SELECT 'guest-full' || i, 1, 'x', 0, 9e15 FROM n;",
    );
    assert_eq!(kind(world.accounts.start_guest("Ada", "192.0.2.3")), Kind::Busy);
}

#[test]
fn a_guest_cannot_become_more_by_hand() {
    let world = World::new();
    world.accounts.start_guest("Ada", "192.0.2.1").unwrap();
    let db = rusqlite::Connection::open(world.dir.database()).unwrap();
    for sql in ["UPDATE users SET admin = 1", "UPDATE users SET password = 'x'", "UPDATE users SET expires = NULL"] {
        assert!(db.execute(sql, []).is_err(), "{sql}");
    }
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
