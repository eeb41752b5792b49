//! How many requests an app takes: a second from one network, a second from everybody, and at once.
use axum::body::Body;
use hyper::Response;
use hyper::header::HeaderValue;

use super::super::trouble::{Asker, Refusal};
use super::gcra::{self, Rate};
use crate::base::{Error, Kind};
use crate::http::problem::{self, Detail};

/// `None`: no such limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests a second of one client network.
    pub client: Option<u64>,
    /// Requests a second of everybody together.
    pub app: Option<u64>,
    /// Requests in progress.
    pub at_once: Option<u64>,
}

/// A limit that was met, with nanoseconds until it is worth trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    Client { per_second: u64, wait: u64 },
    App { per_second: u64, wait: u64 },
    AtOnce { most: u64 },
}

impl Traffic {
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

impl Met {
    /// As in steady.json.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client { .. } => "limits.rate",
            Self::App { .. } => "limits.app_rate",
            Self::AtOnce { .. } => "limits.concurrency",
        }
    }

    /// For the app's log.
    pub fn remark(self) -> String {
        let name = self.name();
        let what = match self {
            Self::Client { per_second, .. } => format!("more than {per_second} a second came from one network"),
            Self::App { per_second, .. } => format!("more than {per_second} a second came"),
            Self::AtOnce { most } => format!("{most} were in progress"),
        };
        format!("requests were refused with 429: {what} ({name} in steady.json, or the server's setting)")
    }

    /// 429, with the fields of the draft *RateLimit header fields for HTTP*.
    pub fn refusal(self, asker: &Asker<'_>) -> Refusal {
        let (what, wait, stage) = match self {
            Self::Client { per_second, wait } => (
                format!("too many requests: this app takes {per_second} a second from one network"),
                wait,
                "rate limit",
            ),
            Self::App { per_second, wait } => {
                (format!("too many requests: this app takes {per_second} a second"), wait, "app rate limit")
            }
            Self::AtOnce { most } => {
                (format!("too many requests: this app answers {most} at once"), 0, "concurrency limit")
            }
        };
        let seconds = gcra::seconds(wait);
        let again = if seconds == 1 { "a second".to_owned() } else { format!("{seconds} seconds") };
        let error = Error::new(Kind::TooMany, what).hint(format!("Try again in {again}."));
        let detail = Detail { stage: Some(stage), retry_after: Some(seconds), ..Detail::default() };
        let mut response = problem::page_with(&error, asker.request_id, asker.accept, &detail);
        self.say(&mut response, seconds);
        Refusal { stage, response }
    }

    fn say(self, response: &mut Response<Body>, seconds: u32) {
        let (name, quota) = match self {
            Self::Client { per_second, .. } => ("client", window(per_second)),
            Self::App { per_second, .. } => ("app", window(per_second)),
            Self::AtOnce { most } => ("at-once", format!("q={most};qu=\"concurrent-requests\"")),
        };
        let fields =
            [("ratelimit-policy", format!("\"{name}\";{quota}")), ("ratelimit", format!("\"{name}\";r=0;t={seconds}"))];
        for (field, value) in fields {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(field, value);
            }
        }
    }
}

/// A burst in the time that the rate takes for it.
fn window(per_second: u64) -> String {
    let burst = Rate::per_second(per_second).burst();
    format!("q={burst};w={}", burst.div_ceil(per_second.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_says_by_which_limit_and_for_how_long() {
        let asker = Asker { request_id: "id1", accept: None, editor_url: "" };
        for (met, policy, limit, retry) in [
            (Met::Client { per_second: 50, wait: 1 }, "\"client\";q=100;w=2", "\"client\";r=0;t=1", "1"),
            (Met::App { per_second: 1, wait: 2_500_000_000 }, "\"app\";q=10;w=10", "\"app\";r=0;t=3", "3"),
            (Met::AtOnce { most: 7 }, "\"at-once\";q=7;qu=\"concurrent-requests\"", "\"at-once\";r=0;t=1", "1"),
        ] {
            let response = met.refusal(&asker).response;
            assert_eq!(response.status(), 429);
            for (name, value) in [("ratelimit-policy", policy), ("ratelimit", limit), ("retry-after", retry)] {
                assert_eq!(response.headers()[name], value, "{met:?}");
            }
        }
    }
}
