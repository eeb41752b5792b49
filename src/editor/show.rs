//! Figures and times as people read them. Pure; used by the templates.
use std::borrow::Borrow;

use crate::base::{Error, Kind, Millis};

/// `1.2 MiB`: powers of 1024, the unit that limits are set in and that the command line prints.
pub fn bytes(n: impl Borrow<u64>) -> String {
    let n = *n.borrow();
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64;
    let mut unit = "";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        value /= 1024.0;
        unit = next;
        if value < 1023.5 {
            break;
        }
    }
    let figure = if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") };
    format!("{} {unit}", figure.strip_suffix(".0").unwrap_or(&figure))
}

/// `340 ms`, `2.1 s`, `3 min`.
pub fn ms(n: impl Borrow<u64>) -> String {
    match *n.borrow() {
        n if n < 1000 => format!("{n} ms"),
        n if n < 60_000 => format!("{:.1} s", n as f64 / 1000.0),
        n if n < 7_200_000 => format!("{} min", n / 60_000),
        n => format!("{} h", n / 3_600_000),
    }
}

/// Microseconds, in milliseconds with one digit while small: `0.4`, `12`, `1 240`.
pub fn us(n: impl Borrow<u64>) -> String {
    let ms = *n.borrow() as f64 / 1000.0;
    if ms == 0.0 {
        "–".to_owned()
    } else if ms < 9.95 {
        format!("{ms:.1}")
    } else {
        format!("{ms:.0}")
    }
}

/// `3 minutes ago`; scripts make it live.
pub fn ago(now: impl Borrow<Millis>, at: impl Borrow<Millis>) -> String {
    let seconds = (now.borrow() - at.borrow()) / 1000;
    // What is to come is rounded: 30 days, one second later, are still 30 days.
    let count = |s: i64, of: i64| if seconds < 0 { (s + of / 2) / of } else { s / of };
    let (n, unit) = match seconds.abs() {
        s if s < 45 => return if seconds < 0 { "in a moment".to_owned() } else { "just now".to_owned() },
        s if s < 3600 => (count(s, 60).max(1), "minute"),
        s if s < 86_400 => (count(s, 3600), "hour"),
        s if s < 86_400 * 60 => (count(s, 86_400), "day"),
        s => (count(s, 86_400 * 30), "month"),
    };
    let s = if n == 1 { "" } else { "s" };
    if seconds < 0 { format!("in {n} {unit}{s}") } else { format!("{n} {unit}{s} ago") }
}

/// For `<time datetime>`.
pub fn iso(at: impl Borrow<Millis>) -> String {
    crate::base::clock::rfc3339(*at.borrow())
}

/// `15:04:05`, UTC; scripts make it local.
pub fn clock(at: impl Borrow<Millis>) -> String {
    iso(at).get(11..19).unwrap_or_default().to_owned()
}

/// The first ten characters of a commit id.
pub fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

/// The value below which this part of them lies; of a short list, the nearest one.
pub fn percentile(values: &[u64], part: f64) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().checked_sub(1)?;
    sorted.get(((last as f64) * part).round() as usize).copied()
}

/// One part of a path, escaped.
pub fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// `http://` is left out where people read an address.
pub fn bare(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

/// The sentence behind `?done=CODE`: only these can be shown, so nobody can put words on a page by a link.
pub fn flash(code: &str) -> Option<&'static str> {
    Some(match code {
        "restarted" => "The app was stopped. The next request starts it anew.",
        "paused" => "The app is paused. Visitors are told so until you resume it.",
        "resumed" => "The app is back.",
        "access" => "Access was changed. It holds from the next request on.",
        "link-revoked" => "The link was revoked.",
        "down" => "The app is down for maintenance. Visitors are told so until you bring it back.",
        "up" => "The app is up again.",
        "renamed" => "Renamed. The old names lead here.",
        "env" => "The environment was changed, and the app restarts with it.",
        "members" => "Members were changed.",
        "code-public" => "Anybody may read and fork the code now.",
        "code-private" => "Only members may see the code now.",
        "domain-added" => "Added. Set the DNS records below; this server looks for them every minute.",
        "domain-checked" => "This is what DNS says now.",
        "domain-removed" => "Removed. It leads to no app any more.",
        "deployed" => "Deployed.",
        "rolled-back" => "Rolled back. To undo, roll back again.",
        "approved" => "Approved and deployed.",
        "revoked-all" => "Nothing is approved any more, and the app restarts with the server's own settings.",
        "deleted" => "Deleted. It stays recoverable in the trash for a week.",
        "recovered" => "Recovered.",
        "password" => "Your password was changed.",
        "signed-out" => "You are signed out everywhere.",
        "revoked" => "Revoked.",
        _ => return None,
    })
}

/// What a person may read of an error: an internal one's words go to the log instead.
pub fn public(error: &Error) -> String {
    if error.kind == Kind::Internal {
        tracing::error!(?error, "a page could not do what it was asked");
        "Steady failed at this. The server's log says why.".to_owned()
    } else {
        let mut text = error.public.clone();
        if let Some(first) = text.get(..1).map(str::to_uppercase) {
            text.replace_range(..1, &first);
        }
        if !text.ends_with(['.', '!', '?']) {
            text.push('.');
        }
        text
    }
}

/// JSON that may stand inside a `<script type="application/json">`.
pub fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()).replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1234), "1.2 KiB");
        assert_eq!(bytes(512 << 20), "512 MiB");
        assert_eq!(bytes((1 << 20) - 300), "1 MiB");
        assert_eq!(bytes(2u64 << 30), "2 GiB");
        assert_eq!(ms(12), "12 ms");
        assert_eq!(ms(2130), "2.1 s");
        assert_eq!(us(0), "–");
        assert_eq!(us(12_400), "12");
        assert_eq!(ago(100_000, 99_000), "just now");
        assert_eq!(ago(7_200_000, 0), "2 hours ago");
        assert_eq!(ago(0, 86_400_000), "in 1 day");
        assert_eq!(ago(0, 86_400_000 * 30 - 1), "in 30 days");
        assert_eq!(ago(86_400_000 * 30 - 1, 0), "29 days ago");
    }

    #[test]
    fn percentiles_of_short_lists() {
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[7], 0.99), Some(7));
        assert_eq!(percentile(&[30, 10, 20], 0.5), Some(20));
        assert_eq!(percentile(&[30, 10, 20], 0.99), Some(30));
    }

    #[test]
    fn nothing_can_end_a_json_script() {
        assert!(!json(&"</script><script>").contains('<'));
    }

    #[test]
    fn internal_causes_stay_inside() {
        assert!(!public(&Error::internal("key file at /srv")).contains("/srv"));
        assert_eq!(public(&Error::not_found("no such thing")), "No such thing.");
    }
}
