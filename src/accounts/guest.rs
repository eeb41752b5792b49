//! Guests: an anonymous playground with a nickname, for a while.
use super::session::NewSession;
use super::{Accounts, GUEST_PREFIX, SignedIn};
use crate::base::secret::fill_random;
use crate::base::{Error, Kind, Result, UserName};
use crate::store::users;
use crate::store::users::NewUser;

/// Most characters of a nickname.
pub const NICKNAME_CHARS: usize = 32;
/// Guests who live at once: strangers from many networks cannot fill the database.
const GUESTS: i64 = 10_000;

impl Accounts {
    /// Errors: `Forbidden` when guests are off; `BadInput` for a bad nickname; `TooMany` by address;
    /// `Busy` when the server has too many.
    pub fn start_guest(&self, nickname: &str, from: &str) -> Result<SignedIn> {
        let shared = &self.0;
        if !shared.options.guests {
            return Err(Error::forbidden("this server takes no guests").hint("Ask an admin for an invitation."));
        }
        let nickname = check_nickname(nickname)?;
        let now = shared.clock.now();
        shared.guest_starts.begin(from, now)?;
        let name = random_name()?;
        let new = NewUser::Guest { nickname, expires: now.saturating_add(shared.options.guest_ms) };
        shared.store.write(|db| {
            if users::count_guests(db)? >= GUESTS {
                return Err(
                    Error::new(Kind::Busy, "there are too many guests at the moment").hint("Try again tomorrow.")
                );
            }
            let user = users::insert(db, &name, new, now)?;
            self.open_session(db, user, NewSession::new(), now)
        })
    }
}

/// `guest-` and eight letters or digits: 40 random bits, and the column is unique.
fn random_name() -> Result<UserName> {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = [0u8; 8];
    fill_random(&mut bytes);
    let random: String = bytes.iter().map(|b| char::from(LETTERS[usize::from(b & 31)])).collect();
    UserName::parse(&format!("{GUEST_PREFIX}{random}"))
}

/// Trimmed. Errors: `BadInput`.
fn check_nickname(text: &str) -> Result<&str> {
    let text = text.trim_matches(' ');
    let length = text.chars().take(NICKNAME_CHARS + 1).count();
    if length == 0 || length > NICKNAME_CHARS || !text.chars().all(printable) {
        return Err(Error::bad_input(format!("a nickname has 1 to {NICKNAME_CHARS} printable characters"))
            .hint("Letters of any script, digits, signs and plain spaces will do."));
    }
    Ok(text)
}

/// What can be seen and moves nothing else: no control or format characters (which hide text or turn it
/// round), no spaces but the plain one, no fillers, nothing unassigned for good.
fn printable(c: char) -> bool {
    let unseen = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}' | '\u{e000}'..='\u{f8ff}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}');
    let nonchar = (c as u32) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
    !(unseen || nonchar || c.is_control() || (c.is_whitespace() && c != ' '))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nicknames() {
        for good in ["a", "Ada Lovelace", "李小龍", "x_X (1)", "🦀", "☕\u{fe0f}", &"ä".repeat(32), "  ada "] {
            assert_eq!(check_nickname(good).unwrap(), good.trim(), "{good:?}");
        }
        for bad in [
            "",
            "   ",
            "a\nb",
            "a\tb",
            "a\u{a0}b",
            "\u{202e}nimda",
            "a\u{200b}",
            "\u{3164}",
            "\u{2800}",
            "\0",
            "\u{1b}[31m",
            "\u{ffff}",
            "\u{e0041}",
            &"a".repeat(33),
        ] {
            assert_eq!(check_nickname(bad).unwrap_err().kind, Kind::BadInput, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_good_nickname_is_short_and_seen(text in "\\PC{0,40}|.{0,40}") {
            if let Ok(nickname) = check_nickname(&text) {
                let length = nickname.chars().count();
                prop_assert!((1..=NICKNAME_CHARS).contains(&length));
                prop_assert!(!nickname.chars().any(char::is_control));
                prop_assert_eq!(check_nickname(nickname).unwrap(), nickname);
            }
        }

        #[test]
        fn a_random_name_is_a_user_name(_n in 0..50u8) {
            let name = random_name().unwrap();
            prop_assert_eq!(name.as_str().len(), GUEST_PREFIX.len() + 8);
        }
    }
}
