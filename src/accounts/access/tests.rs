use proptest::prelude::*;

use super::*;
use crate::base::UserName;
use crate::store::users::User;

const PROJECT: i64 = 7;
/// Approving is asked for by itself, below.
const ACTIONS: [Action; 5] = [Action::View, Action::Inspect, Action::Edit, Action::Deploy, Action::Manage];

fn actor(admin: bool, via: Via) -> Actor {
    let name = UserName::parse("dev").unwrap();
    Actor { user: User { id: 1, name, admin, guest: false, nickname: None, created: 0, expires: None }, via }
}

fn session(admin: bool) -> Actor {
    actor(admin, Via::Session { id: 1, csrf: String::new() })
}

fn by_token(admin: bool, scopes: &[Scope], project: Option<i64>) -> Actor {
    actor(admin, Via::Token { id: 1, scopes: scopes.to_vec(), project })
}

/// One letter per action: `+` allowed, `f` forbidden, `-` there is no such project.
fn outcome(actor: Option<&Actor>, role: Role, public_code: bool) -> String {
    ACTIONS
        .iter()
        .map(|action| match check(actor, Standing { project: PROJECT, role, public_code }, *action) {
            Ok(()) => '+',
            Err(e) if e.kind == Kind::Forbidden => 'f',
            Err(e) if e.kind == Kind::NotFound => '-',
            Err(e) => panic!("{e:?}"),
        })
        .collect()
}

/// Who; what they get with private code as nobody, viewer, deployer, owner; the same with public code.
type Row<'a> = (&'a str, Option<&'a Actor>, [&'a str; 4], [&'a str; 4]);

#[test]
fn the_table() {
    use Role::*;
    let session = session(false);
    let local = actor(false, Via::Local);
    let admin = self::session(true);
    let read = by_token(false, &[Scope::Read], None);
    let write = by_token(false, &[Scope::Write], None);
    let full = by_token(false, &[Scope::Admin], None);
    let none = by_token(false, &[], None);
    let here = by_token(false, &[Scope::Write], Some(PROJECT));
    let elsewhere = by_token(false, &[Scope::Admin], Some(PROJECT + 1));
    let admin_read = by_token(true, &[Scope::Read], None);
    let admin_elsewhere = by_token(true, &[Scope::Admin], Some(PROJECT + 1));
    // In each five: view, inspect, edit, deploy, manage.
    #[rustfmt::skip]
    let table: &[Row<'_>] = &[
        ("stranger",        None,                   ["-----", "-----", "-----", "-----"], ["+ffff", "+ffff", "+ffff", "+ffff"]),
        ("session",         Some(&session),         ["-----", "++fff", "++++f", "+++++"], ["+ffff", "++fff", "++++f", "+++++"]),
        ("local",           Some(&local),           ["-----", "++fff", "++++f", "+++++"], ["+ffff", "++fff", "++++f", "+++++"]),
        ("admin",           Some(&admin),           ["+++++", "+++++", "+++++", "+++++"], ["+++++", "+++++", "+++++", "+++++"]),
        ("read token",      Some(&read),            ["-----", "++fff", "++fff", "++fff"], ["+ffff", "++fff", "++fff", "++fff"]),
        ("write token",     Some(&write),           ["-----", "++fff", "++++f", "++++f"], ["+ffff", "++fff", "++++f", "++++f"]),
        ("admin token",     Some(&full),            ["-----", "++fff", "++++f", "+++++"], ["+ffff", "++fff", "++++f", "+++++"]),
        ("empty token",     Some(&none),            ["-----", "-----", "-----", "-----"], ["-----", "-----", "-----", "-----"]),
        ("token, here",     Some(&here),            ["-----", "++fff", "++++f", "++++f"], ["+ffff", "++fff", "++++f", "++++f"]),
        ("token, elsewhere", Some(&elsewhere),      ["-----", "-----", "-----", "-----"], ["-----", "-----", "-----", "-----"]),
        ("admin's reading", Some(&admin_read),      ["++fff", "++fff", "++fff", "++fff"], ["++fff", "++fff", "++fff", "++fff"]),
        ("admin's elsewhere", Some(&admin_elsewhere), ["-----", "-----", "-----", "-----"], ["-----", "-----", "-----", "-----"]),
    ];
    for (who, actor, private, public) in table {
        for (n, role) in [Nobody, Viewer, Deployer, Owner].into_iter().enumerate() {
            assert_eq!(outcome(*actor, role, false), private[n], "{who} as {role}, private code");
            assert_eq!(outcome(*actor, role, true), public[n], "{who} as {role}, public code");
        }
    }
}

#[test]
fn a_refusal_is_good_english() {
    let standing = Standing { project: PROJECT, role: Role::Viewer, public_code: false };
    let said = |action| check(Some(&session(false)), standing, action).unwrap_err().public;
    assert_eq!(said(Action::Manage), "you are a viewer of this project, and only an owner may do that");
    assert_eq!(said(Action::Deploy), "you are a viewer of this project, and only a deployer may do that");
}

#[test]
fn what_belongs_to_no_project() {
    // Least scope asked for: read, write, admin; then in person.
    #[rustfmt::skip]
    let table: &[(Actor, [bool; 3], bool)] = &[
        (session(false),                               [true, true, true],    true),
        (actor(false, Via::Local),                     [true, true, true],    true),
        (by_token(true, &[Scope::Admin], None),        [true, true, true],    false),
        (by_token(true, &[Scope::Write], None),        [true, true, false],   false),
        (by_token(true, &[Scope::Read], None),         [true, false, false],  false),
        (by_token(true, &[], None),                    [false, false, false], false),
        (by_token(true, &[Scope::Admin], Some(7)),     [false, false, false], false),
    ];
    for (actor, allowed, person) in table {
        for (scope, allowed) in [Scope::Read, Scope::Write, Scope::Admin].into_iter().zip(allowed) {
            assert_eq!(unscoped(actor, scope).is_ok(), *allowed, "{:?} {scope}", actor.via);
        }
        assert_eq!(in_person(actor).is_ok(), *person, "{:?}", actor.via);
    }
}

#[test]
fn words_are_read_back() {
    for role in [Role::Viewer, Role::Deployer, Role::Owner] {
        assert_eq!(role.to_string().parse::<Role>().unwrap(), role);
    }
    for scope in [Scope::Read, Scope::Write, Scope::Admin] {
        assert_eq!(scope.to_string().parse::<Scope>().unwrap(), scope);
    }
    for bad in ["", "nobody", "stranger", "Owner", "admin "] {
        assert!(bad.parse::<Role>().is_err(), "{bad:?}");
    }
    assert!("owner".parse::<Scope>().is_err());
}

fn any_role() -> impl Strategy<Value = Role> {
    prop::sample::select(vec![Role::Nobody, Role::Viewer, Role::Deployer, Role::Owner])
}

fn any_scopes() -> impl Strategy<Value = Vec<Scope>> {
    prop::collection::vec(prop::sample::select(vec![Scope::Read, Scope::Write, Scope::Admin]), 0..4)
}

proptest! {
    #[test]
    fn a_token_never_may_more_than_its_users_session(
        role in any_role(), public_code: bool, admin: bool, scopes in any_scopes(),
        bound in prop::option::of(6..9i64), action in prop::sample::select(ACTIONS.to_vec()),
    ) {
        let standing = Standing { project: PROJECT, role, public_code };
        let by_session = check(Some(&session(admin)), standing, action);
        let token = by_token(admin, &scopes, bound);
        if check(Some(&token), standing, action).is_ok() {
            prop_assert!(by_session.is_ok());
            prop_assert!(bound.is_none_or(|only| only == PROJECT));
            prop_assert!(!scopes.is_empty());
        }
    }

    #[test]
    fn a_higher_role_never_may_less(public_code: bool, scopes in any_scopes(), action in prop::sample::select(ACTIONS.to_vec())) {
        for actor in [None, Some(session(false)), Some(by_token(false, &scopes, None))] {
            let may: Vec<bool> = [Role::Nobody, Role::Viewer, Role::Deployer, Role::Owner]
                .into_iter()
                .map(|role| check(actor.as_ref(), Standing { project: PROJECT, role, public_code }, action).is_ok())
                .collect();
            prop_assert!(may.is_sorted(), "{may:?}");
        }
    }

    #[test]
    fn whoever_may_not_view_may_nothing_and_learns_nothing(
        role in any_role(), public_code: bool, admin: bool, scopes in any_scopes(), bound in prop::option::of(6..9i64),
    ) {
        let seen = outcome(Some(&by_token(admin, &scopes, bound)), role, public_code);
        prop_assert!(seen == "-----" || seen.starts_with('+'), "{seen}");
    }
}

#[test]
fn only_owners_in_their_own_name_approve() {
    use Role::*;
    let standing = |role| Standing { project: PROJECT, role, public_code: true };
    let may = |actor: Option<&Actor>, role| check(actor, standing(role), Action::Approve).is_ok();
    let full = by_token(false, &[Scope::Admin], Some(PROJECT));
    for owner in [session(false), actor(false, Via::Local), full] {
        assert!(may(Some(&owner), Owner));
        assert!(![Nobody, Viewer, Deployer].into_iter().any(|role| may(Some(&owner), role)));
    }
    assert!(may(Some(&session(true)), Nobody), "admins may do anything");
    assert!(!may(None, Nobody));
    for scopes in [&[][..], &[Scope::Read], &[Scope::Write]] {
        assert!(!may(Some(&by_token(false, scopes, None)), Owner), "{scopes:?}");
    }
    let write = by_token(false, &[Scope::Write], None);
    let refused = check(Some(&write), standing(Owner), Action::Approve).expect_err("a token for writing");
    assert!(refused.hint.expect("a hint").ends_with("the scope `admin`."), "one with `write` would not help");
    let mut guest = session(false);
    guest.user.guest = true;
    let refused = check(Some(&guest), standing(Owner), Action::Approve).expect_err("a guest");
    assert_eq!(refused.kind, Kind::Forbidden);
    assert!(refused.public.contains("guests"), "{}", refused.public);
    assert!(check(Some(&guest), standing(Owner), Action::Manage).is_ok(), "all else is theirs");
}
