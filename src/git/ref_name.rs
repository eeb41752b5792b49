//! Which ref names exist, which are shown, which a push may move. Pure.

/// A full name git itself accepts, below `refs/`, each part at most 255 bytes, no other part of it a bare object id.
pub(super) fn valid(name: &str) -> bool {
    name.starts_with("refs/")
        && name.len() <= 1024
        && name.split('/').all(|part| part.len() <= 255)
        && gix_validate::reference::name(name.into()).is_ok()
}

/// Hidden from every client: Steady's own.
pub(super) fn hidden(name: &str) -> bool {
    name.starts_with("refs/steady/") || name == "refs/steady"
}

/// Why a push may not touch this ref; `None` when it may.
pub(super) fn refuse(name: &str) -> Option<&'static str> {
    if !valid(name) {
        return Some("this is not a valid ref name");
    }
    if hidden(name) {
        return Some("this name is reserved by Steady");
    }
    let Some(short) = ["refs/heads/", "refs/tags/", "refs/notes/"].iter().find_map(|space| name.strip_prefix(space))
    else {
        return Some("push to refs/heads, refs/tags or refs/notes only");
    };
    let is_id = short.len() == 40 && short.bytes().all(|b| b.is_ascii_hexdigit());
    (short == "HEAD" || is_id || short.starts_with('-')).then_some("this name would be mistaken for something else")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_push_may_move() {
        for good in ["refs/heads/main", "refs/heads/a/b.c", "refs/tags/v1.0", "refs/notes/commits", "refs/heads/ü"] {
            assert_eq!(refuse(good), None, "{good}");
        }
        let id = format!("refs/heads/{}", "a".repeat(40));
        let long = format!("refs/heads/{}", "a".repeat(256));
        for bad in [
            "HEAD",
            "main",
            "refs/heads",
            "refs/heads/",
            "refs/heads/a..b",
            "refs/heads/a.lock",
            "refs/heads/.a",
            "refs/heads/a//b",
            "refs/heads/a b",
            "refs/heads/a~1",
            "refs/heads/a^",
            "refs/heads/a:b",
            "refs/heads/a?",
            "refs/heads/a*",
            "refs/heads/a[",
            "refs/heads/a\\b",
            "refs/heads/@{x",
            "refs/heads/a@{0}",
            "refs/heads/a.",
            "refs/heads/a/",
            "refs/heads/\x07",
            "refs/heads/../../config",
            "refs/steady/drafts/1",
            "refs/remotes/x/y",
            "refs/heads/HEAD",
            "refs/heads/-x",
            "refs/pull/1/head",
            "refs/stash",
            &id,
            &long,
        ] {
            assert!(refuse(bad).is_some(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn an_allowed_name_stays_below_refs(name in "refs/heads/.{0,40}") {
            if refuse(&name).is_none() {
                prop_assert!(!name.contains("..") && !name.contains('\0') && !name.ends_with('/'));
            }
        }
    }
}
