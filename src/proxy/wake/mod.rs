//! Whom a sleeping app is woken for: people, and what acts for them. Machines that try doors, ask whether it is up, or
//! read everything there is get an honest answer without it. Whoever shows any mark of a person is never refused.
pub mod answer;
pub mod table;

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap, UPGRADE, USER_AGENT};
use hyper::{Method, StatusCode};

use crate::base::Millis;
use table::{DOORS, Door, MONITORS, NOISE, PREVIEWS, RARE, ROBOTS, SCANNERS};

/// Robots may wake an app this often; in between they are told when to come again.
const ROBOTS_EVERY: Millis = 10 * 60_000;

/// What is to be done about a request for a sleeping app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Wake,
    /// The app says whether it has this (place in [`RARE`]): see [`Sleeper::learn`].
    Ask(usize),
    /// A robot, which may wake it now and then.
    Robot,
    /// A health check: it is up, and asleep.
    Up,
    /// 404
    Missing,
}

/// A request, as far as this matters.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    pub method: &'a Method,
    pub path: &'a str,
    pub headers: &'a HeaderMap,
}

impl Caller<'_> {
    /// `health`: the path that the app declares for checks.
    pub fn verdict(self, health: &str) -> Verdict {
        if self.shows_a_person() {
            return Verdict::Wake;
        }
        let agent = self.headers.get(USER_AGENT).map_or(&b""[..], |agent| agent.as_bytes());
        let says = |parts: &[&str]| parts.iter().any(|part| contains(agent, part.as_bytes()));
        let at = |doors: &[(Door, &str)]| doors.iter().position(|(door, _)| door.is(self.path));
        if at(DOORS).is_some() || says(SCANNERS) {
            return Verdict::Missing;
        }
        if !matches!(*self.method, Method::GET | Method::HEAD) {
            return Verdict::Wake;
        }
        if at(NOISE).is_some() {
            return Verdict::Missing;
        }
        if let Some(n) = at(RARE) {
            return Verdict::Ask(n);
        }
        if (health != "/" && self.path == health) || ((self.path == "/" || self.path == health) && says(MONITORS)) {
            return Verdict::Up;
        }
        if says(ROBOTS) && !says(PREVIEWS) { Verdict::Robot } else { Verdict::Wake }
    }

    /// What only browsers and clients with an account send.
    fn shows_a_person(self) -> bool {
        let has = |name: &str| self.headers.contains_key(name);
        self.headers.contains_key(COOKIE)
            || self.headers.contains_key(AUTHORIZATION)
            || self.headers.contains_key(UPGRADE)
            || has("sec-fetch-site")
            || has("sec-fetch-mode")
    }
}

impl Door {
    fn is(self, path: &str) -> bool {
        let path = path.as_bytes();
        let begins = |text: &[u8], with: &str| {
            text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
        };
        match self {
            Self::Path(whole) => path.eq_ignore_ascii_case(whole.as_bytes()),
            Self::Below(top) => begins(path, top) && matches!(path.get(top.len()), None | Some(b'/' | b'.')),
            Self::Part(start) => path.split(|b| *b == b'/').any(|part| begins(part, start)),
            Self::End(end) => path.len().checked_sub(end.len()).is_some_and(|at| begins(&path[at..], end)),
        }
    }
}

/// `part` is in lower case.
fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

/// What is kept of an app for this. Forgotten with the version.
#[derive(Debug, Default)]
pub struct Sleeper {
    /// Bit by place in [`RARE`]: it was asked, and had nothing there.
    missing: AtomicU32,
    /// When a robot last woke it.
    robot: AtomicI64,
}

/// What the proxy does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Wake it; tell [`Sleeper::learn`] what it answers, when there is a place.
    Wake(Option<usize>),
    Up,
    Missing,
    /// Seconds until a robot may come again.
    Later(u32),
}

impl Sleeper {
    /// With what is known of the app. A robot that is let in is counted.
    pub fn treat(&self, verdict: Verdict, now: Millis) -> Treatment {
        match verdict {
            Verdict::Wake => Treatment::Wake(None),
            Verdict::Up => Treatment::Up,
            Verdict::Missing => Treatment::Missing,
            Verdict::Ask(n) if self.missing.load(Ordering::Relaxed) >> n & 1 == 1 => Treatment::Missing,
            Verdict::Ask(n) => Treatment::Wake(Some(n)),
            Verdict::Robot => {
                let allowed = |last: Millis| (last == 0 || now - last >= ROBOTS_EVERY).then_some(now);
                match self.robot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, allowed) {
                    Ok(_) => Treatment::Wake(None),
                    Err(last) => {
                        Treatment::Later(u32::try_from((last + ROBOTS_EVERY - now) / 1000).unwrap_or(600).max(1))
                    }
                }
            }
        }
    }

    /// The app was woken and asked for what is at `place`.
    pub fn learn(&self, place: usize, status: StatusCode) {
        if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            self.missing.fetch_or(1 << place, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
