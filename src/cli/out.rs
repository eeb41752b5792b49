//! Printing: cleaned of control characters, aligned, coloured only for people.
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use super::fail::{Done, Fail};
use crate::base::{Millis, clock};

/// Standard output. A reader that went away ends the command quietly.
pub fn line(text: &str) -> Done {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Fail::io("standard output"))
}

/// One JSON value on standard output.
pub fn json(value: &impl Serialize) -> Done {
    let text = serde_json::to_string_pretty(value).map_err(|e| Fail::new(super::fail::FAILED, e.to_string()))?;
    line(&text)
}

/// One JSON value in one line: for streams.
pub fn json_line(value: &impl Serialize) -> Done {
    let text = serde_json::to_string(value).map_err(|e| Fail::new(super::fail::FAILED, e.to_string()))?;
    line(&text)
}

/// A remark for the person: standard error, and never a reason to fail.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

pub fn error(fail: &Fail) {
    let Some(message) = &fail.message else { return };
    let colour = io::stderr().is_terminal() && wants_colour();
    let (red, cyan, off) = if colour { ("\x1b[1;31m", "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
    note(&labelled(&format!("{red}error:{off}"), message));
    if let Some(hint) = &fail.hint {
        note(&labelled(&format!("{cyan}hint:{off}"), hint));
    }
}

/// Lines after the first (an app's last words, say) are indented, so that none can pass for one of ours.
fn labelled(label: &str, text: &str) -> String {
    let lines: Vec<String> = text.lines().map(clean).collect();
    format!("{label} {}", lines.join("\n      "))
}

fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// `text` in a colour (an SGR number) when standard output is a person's.
pub fn paint(sgr: u8, text: &str) -> String {
    if io::stdout().is_terminal() && wants_colour() { format!("\x1b[{sgr}m{text}\x1b[0m") } else { text.to_owned() }
}

/// The colour of an app's or deploy's state.
pub fn state(text: &str) -> String {
    let text = clean(text);
    match text.as_str() {
        "ready" | "frozen" | "reclaimed" | "live" | "static" => paint(32, &text),
        "crashed" | "failed" => paint(31, &text),
        "starting" | "draining" | "running" | "paused" | "waiting" => paint(33, &text),
        _ => text,
    }
}

/// Text from elsewhere without what would drive a terminal: escape sequences, control characters,
/// direction overrides. Tabs stay.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' | '\u{9b}' => {
                if c == '\u{9b}' || chars.next_if_eq(&'[').is_some() {
                    while let Some(c) = chars.next_if(|c| c.is_ascii() && !c.is_ascii_control()) {
                        if ('@'..='~').contains(&c) {
                            break;
                        }
                    }
                }
            }
            '\t' => out.push('\t'),
            c if c.is_control() => {}
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c => out.push(c),
        }
    }
    out
}

/// Rows aligned in columns; the last column is as long as it likes.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> Done {
    if rows.is_empty() {
        return Ok(());
    }
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(shown_width(cell));
        }
    }
    let put = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            text.push_str(cell);
            text.push_str(&" ".repeat(width.saturating_sub(shown_width(cell)) + 2));
        }
        line(text.trim_end())
    };
    put(&mut head.iter().copied())?;
    rows.iter().try_for_each(|row| put(&mut row.iter().map(String::as_str)))
}

/// Names and values, one pair per line.
pub fn fields(pairs: &[(&str, String)]) -> Done {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    pairs.iter().try_for_each(|(name, value)| line(&format!("{name:width$}  {value}")))
}

fn shown_width(cell: &str) -> usize {
    clean(cell).chars().count()
}

/// `1 file`, `2 files`
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// `12.3 MiB`, `512 MiB`: powers of 1024, as the settings count.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[allow(clippy::cast_precision_loss)]
    let mut value = n as f64;
    let mut unit = 0;
    // What would be rounded to 1024 of a unit is one of the next.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let shown = format!("{value:.1}");
    format!("{} {}", shown.strip_suffix(".0").unwrap_or(&shown), UNITS[unit])
}

/// `1.2 s`, `34 ms`
pub fn millis(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1000, ms % 1000 / 100) }
}

/// `2026-11-22 15:04:05`, UTC.
pub fn time(at: Millis) -> String {
    clock::rfc3339(at).replace('T', " ").chars().take(19).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_drive_a_terminal_is_gone() {
        assert_eq!(clean("a\x1b[31mred\x1b[0m\tb\r\n\x07\u{9b}2Jc"), "ared\tbc");
        assert_eq!(clean("\x1b]0;title\x07x"), "]0;titlex");
        assert_eq!(clean("user\u{202e}txt"), "usertxt");
        assert_eq!(clean("plain ü text"), "plain ü text");
        assert_eq!(clean("\x1b["), "");
    }

    #[test]
    fn a_longer_hint_keeps_its_lines() {
        assert_eq!(labelled("hint:", "a\n\x1b[1m  at x\n"), "hint: a\n        at x");
    }

    #[test]
    fn sizes_and_times_read_well() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1 KiB");
        assert_eq!(bytes(12_345_678), "11.8 MiB");
        assert_eq!(bytes((1 << 20) - 1), "1 MiB");
        assert_eq!(bytes(512 << 20), "512 MiB");
        assert_eq!(bytes(3 << 29), "1.5 GiB");
        assert_eq!(bytes(u64::MAX), "16777216 TiB");
        assert_eq!(count(1, "file", "files"), "1 file");
        assert_eq!(count(0, "file", "files"), "0 files");
        assert_eq!(millis(34), "34 ms");
        assert_eq!(millis(1250), "1.2 s");
        assert_eq!(time(0), "1970-01-01 00:00:00");
    }
}
