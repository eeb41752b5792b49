//! How a command ends when it fails: a sentence, a hint, an exit code that scripts may stand on.
use std::fmt;
use std::io;

use crate::base::{Error, Kind};

/// The exit codes, documented in docs/cli.md.
pub const FAILED: u8 = 1;
pub const USAGE: u8 = 2;
pub const NOT_ALLOWED: u8 = 3;
pub const NOT_FOUND: u8 = 4;
pub const DEPLOY_FAILED: u8 = 5;
pub const UNREACHABLE: u8 = 6;

pub type Done<T = ()> = std::result::Result<T, Fail>;

#[derive(Debug)]
pub struct Fail {
    pub code: u8,
    /// `None` when all was said already, or nobody reads any more.
    pub message: Option<String>,
    pub hint: Option<String>,
}

impl Fail {
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()), hint: None }
    }
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, message)
    }
    /// Ends with this code and says nothing more.
    pub fn quiet(code: u8) -> Self {
        Self { code, message: None, hint: None }
    }
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// A file or stream of this machine: `what` names it.
    pub fn io(what: impl fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |e| match e.kind() {
            io::ErrorKind::BrokenPipe => Self::quiet(0),
            _ => Self::new(FAILED, format!("{what}: {e}")),
        }
    }
    /// What the server said, by its status and the `error` object of its answer.
    pub fn from_server(status: u16, error: &serde_json::Value) -> Self {
        let text = |key: &str| error.get(key).and_then(serde_json::Value::as_str);
        let code = match (status, text("kind").map(plain).as_deref()) {
            (401 | 403, _) | (200, Some("unauthorized" | "forbidden")) => NOT_ALLOWED,
            (404, _) | (200, Some("notfound")) => NOT_FOUND,
            _ => FAILED,
        };
        let mut message = text("message").map_or_else(|| format!("the server answered {status}"), str::to_owned);
        if status >= 500
            && let Some(id) = text("request")
        {
            message = format!("{message} (request {id})");
        }
        Self { code, message: Some(message), hint: text("hint").map(str::to_owned) }
    }
}

/// `NotFound`, `not_found` and `not-found` are one kind.
fn plain(kind: &str) -> String {
    kind.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        let code = match error.kind {
            Kind::Unauthorized | Kind::Forbidden => NOT_ALLOWED,
            Kind::NotFound => NOT_FOUND,
            _ => FAILED,
        };
        // On the machine itself the cause helps and is nobody's secret.
        let cause = error.source.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
        let failed = if error.public.starts_with("while ") { "failed " } else { "" };
        Self { code, message: Some(format!("{failed}{}{cause}", error.public)), hint: error.hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn exit_codes_follow_what_happened() {
        let code = |status, kind| Fail::from_server(status, &json!({ "kind": kind, "message": "m" })).code;
        assert_eq!(code(401, "Unauthorized"), NOT_ALLOWED);
        assert_eq!(code(403, "forbidden"), NOT_ALLOWED);
        assert_eq!(code(404, "not_found"), NOT_FOUND);
        assert_eq!(code(400, "bad_input"), FAILED);
        assert_eq!(code(200, "NotFound"), NOT_FOUND);
        assert_eq!(code(200, "app"), FAILED);
        assert_eq!(Fail::from_server(502, &serde_json::Value::Null).code, FAILED);
        assert_eq!(Fail::from(Error::forbidden("no")).code, NOT_ALLOWED);
        assert_eq!(Fail::from(Error::internal("no")).code, FAILED);
        assert_eq!(Fail::io("x")(io::ErrorKind::BrokenPipe.into()).code, 0);
    }

    #[test]
    fn a_server_fault_names_its_request() {
        let fail = Fail::from_server(500, &json!({ "message": "it broke", "hint": "later", "request": "r1" }));
        assert_eq!(fail.message.as_deref(), Some("it broke (request r1)"));
        assert_eq!(fail.hint.as_deref(), Some("later"));
    }
}
