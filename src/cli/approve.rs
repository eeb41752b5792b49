//! Approve what a deploy asks for, take approvals back, look at them.
use std::io::{BufRead as _, IsTerminal as _, Write as _};

use ureq::http::Method;

use super::args::{App, Global};
use super::client::of;
use super::fail::{Done, FAILED, Fail};
use super::stages::watch;
use super::target::Session;
use super::{deploy, out};
use crate::api::wire::Approve;
use crate::apps::view::{PermissionsView, Waiting};

pub fn run(app: &App, yes: bool, revoke: bool, global: &Global) -> Done {
    let session = Session::open(global)?;
    let project = session.project(app.project.as_deref(), global)?;
    let permissions: PermissionsView = session.client.get(&of(&project, "/permissions"))?;
    if revoke {
        if !permissions.approved.is_empty() {
            lines("revoked", &permissions.approved);
            agree(yes, &format!("Take back all of this from {project}, and restart it?"))?;
        }
        let left: PermissionsView =
            session.client.call::<(), _>(Method::DELETE, &of(&project, "/permissions"), None)?;
        return if global.json { out::json(&left) } else { out::line(&format!("Revoked all approvals of {project}")) };
    }
    let Some(waiting) = permissions.waiting else {
        return Err(Fail::new(FAILED, format!("no deploy of {project} waits for an approval"))
            .hint("`steady permissions` shows what is approved."));
    };
    ask_for(&waiting);
    agree(yes, "Approve this and deploy it?")?;
    let body = Approve { deploy: waiting.deploy };
    let response = session.client.send(Method::POST, &of(&project, "/approve"), Some(&body))?;
    deploy::report(&watch(response.into_body())?, global)
}

/// What a yes would be to: standard error, so that only the result is on standard output.
fn ask_for(waiting: &Waiting) {
    let commit = out::clean(waiting.commit.get(..10).unwrap_or(&waiting.commit));
    let (who, message) = (out::clean(&waiting.who), out::clean(&waiting.message));
    out::note(&format!("Deploy #{} of {who}, {commit} {message:?}, asks for more than is approved:", waiting.deploy));
    waiting.more.iter().for_each(|line| out::note(&format!("  + {}", out::clean(line))));
}

fn lines(what: &str, lines: &[String]) {
    out::note(&format!("To be {what}:"));
    lines.iter().for_each(|line| out::note(&format!("  - {}", out::clean(line))));
}

fn agree(yes: bool, question: &str) -> Done {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Fail::usage("this needs a yes").hint("Add --yes when you agree with what is listed above."));
    }
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed).map_err(Fail::io("standard input"))?;
    match typed.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Fail::new(FAILED, "nothing was changed")),
    }
}

pub fn show(app: &App, global: &Global) -> Done {
    let session = Session::open(global)?;
    let project = session.project(app.project.as_deref(), global)?;
    let permissions: PermissionsView = session.client.get(&of(&project, "/permissions"))?;
    if global.json {
        return out::json(&permissions);
    }
    let list = |lines: &[String]| {
        let text = lines.iter().map(|line| out::clean(line)).collect::<Vec<_>>().join(", ");
        if text.is_empty() { "nothing".to_owned() } else { text }
    };
    out::fields(&[
        ("every app", list(&permissions.server)),
        ("the live version asks for", list(&permissions.live)),
        ("approved", list(&permissions.approved)),
    ])?;
    if let Some(waiting) = &permissions.waiting {
        out::line("")?;
        out::line(&format!("Deploy #{} waits for an approval of {}", waiting.deploy, list(&waiting.more)))?;
        out::line(&format!("  steady approve {project}"))?;
    }
    let rows: Vec<Vec<String>> = permissions
        .history
        .iter()
        .map(|one| {
            let what = if one.revoked { "revoked all".to_owned() } else { list(&one.added) };
            let deploy = one.deploy.map_or_else(|| "-".to_owned(), |number| format!("#{number}"));
            let commit = one.commit.as_deref().map_or("-", |commit| commit.get(..10).unwrap_or(commit));
            vec![out::time(one.at), out::clean(&one.who), deploy, out::clean(commit), what]
        })
        .collect();
    if !rows.is_empty() {
        out::line("")?;
    }
    out::table(&["WHEN (UTC)", "WHO", "DEPLOY", "COMMIT", "WHAT"], &rows)
}
