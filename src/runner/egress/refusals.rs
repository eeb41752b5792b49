//! What an app is told in its own log: what was refused or failed, once a minute for each destination,
//! then only how often.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Destinations with a line of their own in one minute.
const DESTINATIONS: usize = 64;

/// Where lines for the app's owner go.
pub type Log = Arc<dyn Fn(String) + Send + Sync>;

const REFUSED: &str = "refused: ";
const FAILED: &str = "cannot reach ";

/// Whether a remark in an app's log is one of these lines.
pub fn is_about_egress(line: &str) -> bool {
    line.starts_with(REFUSED) || line.starts_with(FAILED)
}

pub struct Refusals {
    log: Log,
    refused: AtomicU64,
    seen: Mutex<Seen>,
    /// The first of them, each once.
    hosts: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Seen {
    /// What was said, and how often it was true since.
    said: HashMap<String, Said>,
    /// Those that had no line.
    others: u64,
}

#[derive(Default)]
struct Said {
    more: u64,
    /// Was quiet since the minute began.
    quiet: bool,
}

impl Refusals {
    pub fn new(log: Log) -> Self {
        Self { log, refused: AtomicU64::new(0), seen: Mutex::default(), hosts: Mutex::default() }
    }

    /// `what`: `api.example.com:443`.
    pub fn refused(&self, what: &str, why: &str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            if hosts.len() < DESTINATIONS && !hosts.iter().any(|host| host == what) {
                hosts.push(what.to_owned());
            }
        }
        self.say(format!("{REFUSED}{what}"), why);
    }

    /// An allowed connection that did not come about.
    pub fn failed(&self, what: &str, why: &str) {
        self.say(format!("{FAILED}{what}"), why);
    }

    fn say(&self, head: String, why: &str) {
        let line = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(said) = seen.said.get_mut(&head) {
                said.more += 1;
                return;
            }
            if seen.said.len() >= DESTINATIONS {
                seen.others += 1;
                return;
            }
            let line = format!("{head}. {why}");
            seen.said.insert(head, Said::default());
            line
        };
        (self.log)(line);
    }

    /// Says how often, and begins anew. To be called once a minute.
    pub fn minute(&self) {
        let mut lines = Vec::new();
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.said.retain(|head, said| {
                if said.more > 0 {
                    let times = if said.more == 1 { "time" } else { "times" };
                    lines.push(format!("{head}: {} more {times}", said.more));
                    *said = Said { more: 0, quiet: false };
                    return true;
                }
                !std::mem::replace(&mut said.quiet, true)
            });
            if seen.others > 0 {
                lines.push(format!("refused or failed: {} connections to other destinations", seen.others));
                seen.others = 0;
            }
        }
        lines.sort();
        lines.into_iter().for_each(|line| (self.log)(line));
    }

    /// What was refused, in the order of the first time; at most 64.
    pub fn hosts(&self) -> Vec<String> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many were refused in all.
    pub fn count(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> (Refusals, impl Fn() -> Vec<String>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&lines);
        let refusals = Refusals::new(Arc::new(move |line| to.lock().expect("lines").push(line)));
        (refusals, move || std::mem::take(&mut *lines.lock().expect("lines")))
    }

    #[test]
    fn each_destination_once_then_a_count() {
        let (refusals, lines) = new();
        for _ in 0..42 {
            refusals.refused("a.b:443", "No.");
        }
        refusals.refused("a.b:80", "No.");
        refusals.failed("c.d:80", "It refused.");
        assert_eq!(lines(), ["refused: a.b:443. No.", "refused: a.b:80. No.", "cannot reach c.d:80. It refused."]);
        refusals.minute();
        assert_eq!(lines(), ["refused: a.b:443: 41 more times"]);
        refusals.refused("a.b:443", "No.");
        refusals.refused("a.b:80", "No.");
        assert!(lines().is_empty(), "still in the same minute or the one after");
        refusals.minute();
        assert_eq!(lines(), ["refused: a.b:443: 1 more time", "refused: a.b:80: 1 more time"]);
        refusals.minute();
        refusals.minute();
        refusals.refused("a.b:443", "No.");
        assert_eq!(lines(), ["refused: a.b:443. No."]);
        assert_eq!(refusals.count(), 46);
        assert_eq!(refusals.hosts(), ["a.b:443", "a.b:80"]);
    }

    #[test]
    fn a_flood_of_destinations_is_a_few_lines() {
        let (refusals, lines) = new();
        for n in 0..10_000 {
            refusals.refused(&format!("n{n}.example:443"), "No.");
        }
        refusals.minute();
        let lines = lines();
        assert_eq!(lines.len(), DESTINATIONS + 1);
        assert_eq!(lines.last().map(String::as_str), Some("refused or failed: 9936 connections to other destinations"));
    }
}
