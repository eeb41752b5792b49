//! Tokens, and what they may not do.
use super::*;

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
