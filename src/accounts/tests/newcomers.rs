//! The first owner, invitations, guests.
use super::*;

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
