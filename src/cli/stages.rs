//! Showing a deploy as it goes, and anything else that takes more than a second.
use std::io::{IsTerminal as _, Read, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::Body;

use super::fail::{DEPLOY_FAILED, Done, FAILED, Fail, NOT_ALLOWED, NOT_FOUND};
use super::{client, out};
use crate::apps::view::DeployView;
use crate::base::ProgressEvent;

/// Reads a deploy's stream to its end. The deploy is returned when it went live.
/// Errors: the deploy's own failure, with its exit code.
pub fn watch(body: Body) -> Done<DeployView> {
    let ended = "It goes on there; `steady deploys` shows how it went.";
    let deploy: DeployView = follow(body, "deploy", "the connection ended before the deploy did", ended)?;
    if deploy.state != "failed" {
        return Ok(deploy);
    }
    let why = deploy.error.as_deref().map_or_else(|| "the deploy failed".into(), |e| format!("the deploy failed: {e}"));
    Err(Fail::new(DEPLOY_FAILED, why).hint("What was live before still is. `steady deploys` keeps the record."))
}

/// Reads a stream of progress to its end, and what it ended with, which stands under `key`.
/// Errors: the act's own failure; `cut` and what to do then when the stream broke off.
pub fn follow<T: DeserializeOwned>(body: Body, key: &str, cut: &str, then: &str) -> Done<T> {
    let mut stages = Stages::new();
    let mut last = None;
    client::lines(body, |mut value| match value.get("type").and_then(Value::as_str) {
        Some("result") => {
            stages.forget(value[key]["url"].as_str());
            last = Some(serde_json::from_value::<T>(value[key].take()).map_err(|e| e.to_string()));
            Ok(false)
        }
        Some("error") => {
            stages.end();
            Err(failure(&value["error"]))
        }
        _ => {
            if let Ok(event) = serde_json::from_value(value) {
                stages.show(event);
            }
            Ok(true)
        }
    })?;
    stages.end();
    match last {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(e)) => Err(Fail::new(FAILED, format!("the server's answer is not right: {e}"))),
        None => Err(Fail::new(super::fail::UNREACHABLE, cut).hint(then)),
    }
}

fn failure(error: &Value) -> Fail {
    let fail = Fail::from_server(200, error);
    match fail.code {
        NOT_ALLOWED | NOT_FOUND => fail,
        _ => Fail { code: DEPLOY_FAILED, ..fail },
    }
}

/// On a terminal a spinner with the running stage; elsewhere a plain line per finished stage.
struct Stages {
    spinner: Option<ProgressBar>,
    /// The newest line, not yet shown: the last one may be the URL, which is printed by itself.
    held: Option<String>,
}

impl Stages {
    fn new() -> Self {
        Self { spinner: None, held: None }
    }

    fn show(&mut self, event: ProgressEvent) {
        match event {
            ProgressEvent::Stage { name } => {
                self.end();
                if stderr().is_terminal() {
                    let spinner = ProgressBar::new_spinner().with_message(out::clean(&name));
                    spinner.enable_steady_tick(Duration::from_millis(100));
                    self.spinner = Some(spinner);
                }
            }
            ProgressEvent::Done { name, ms } => {
                self.end();
                out::note(&format!("  {:<12} {}", out::clean(&name), out::millis(ms)));
            }
            ProgressEvent::Line { text } => {
                self.flush();
                self.held = Some(text);
            }
        }
    }

    fn forget(&mut self, url: Option<&str>) {
        self.held.take_if(|line| Some(line.as_str()) == url);
    }

    fn flush(&mut self) {
        let Some(text) = self.held.take() else { return };
        let text = format!("  {}", out::clean(&text));
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| out::note(&text)),
            None => out::note(&text),
        }
    }

    fn end(&mut self) {
        self.flush();
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }
}

/// A bar for bytes on their way; `length` when it is known. Hidden unless a person looks.
pub fn bar(length: Option<u64>, what: &str) -> ProgressBar {
    let template = match length {
        Some(_) => "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}",
        None => "{spinner} {msg} {bytes} {bytes_per_sec}",
    };
    let bar = match length {
        Some(length) => ProgressBar::new(length),
        None => ProgressBar::new_spinner(),
    };
    if !stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.with_message(what.to_owned())
}

/// `reader`, counted by `bar`.
pub struct Counted<R> {
    pub reader: R,
    pub bar: ProgressBar,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.bar.inc(n as u64);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deploy(state: &str) -> Value {
        serde_json::json!({
            "number": 3, "version": "v3", "commit": "c", "message": "m", "who": "dev", "why": "cli", "state": state,
            "current": true, "error": (state == "failed").then_some("exited with 1"), "stages": [], "started": 0,
            "finished": 1, "url": "http://hello.localhost:8080",
        })
    }

    fn watched(lines: &[Value]) -> Done<DeployView> {
        let text: String = lines.iter().map(|line| format!("{line}\n\n")).collect();
        watch(Body::builder().data(text))
    }

    #[test]
    fn the_exit_code_follows_the_last_line() {
        let stage = serde_json::json!({ "type": "stage", "name": "install" });
        let result = |state| serde_json::json!({ "type": "result", "deploy": deploy(state) });
        let error = |kind| serde_json::json!({ "type": "error", "error": { "kind": kind, "message": "m" } });
        assert_eq!(watched(&[stage.clone(), result("live")]).unwrap().version.as_deref(), Some("v3"));
        let failed = watched(&[stage.clone(), result("failed")]).unwrap_err();
        assert_eq!(failed.code, DEPLOY_FAILED);
        assert!(failed.message.unwrap().contains("exited with 1"));
        assert_eq!(watched(&[error("app")]).unwrap_err().code, DEPLOY_FAILED);
        assert_eq!(watched(&[error("forbidden")]).unwrap_err().code, NOT_ALLOWED);
        assert_eq!(watched(&[stage]).unwrap_err().code, super::super::fail::UNREACHABLE);
    }
}
