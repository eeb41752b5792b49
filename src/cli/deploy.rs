//! Deploy, roll back, list deploys.
use ureq::http::Method;

use super::args::{self, App, Global};
use super::bundle;
use super::client::{encode, of};
use super::fail::{Done, Fail, NOT_FOUND};
use super::out;
use super::stages::{Counted, bar, watch};
use super::target::Session;
use crate::api::wire::{CreateProject, DeployCommit, Me, ProjectView, Rollback};
use crate::apps::view::DeployView;
use crate::base::ProjectPath;

pub fn run(deploy: &args::Deploy, global: &Global) -> Done {
    // `steady deploy DIR` means DIR's project, wherever it is typed.
    let dir = deploy.dir.canonicalize().map_err(Fail::io(deploy.dir.display()))?;
    let session = Session::open_at(global, &dir)?;
    let project = session.project(None, global)?;
    let live = match &deploy.commit {
        Some(commit) => {
            let body = DeployCommit { commit: Some(commit.clone()), approve: deploy.approve };
            watch(session.client.send(Method::POST, &of(&project, "/deploys"), Some(&body))?.into_body())?
        }
        None => folder(&session, &project, &dir, deploy)?,
    };
    report(&live, global)
}

fn folder(session: &Session, project: &ProjectPath, dir: &std::path::Path, deploy: &args::Deploy) -> Done<DeployView> {
    let bundle = bundle::pack(dir)?;
    for note in &bundle.notes {
        out::note(&format!("note: {}", out::clean(note)));
    }
    ensure(session, project, deploy.no_create)?;
    let (files, sent) = (bundle.files, bundle.archive.len() as u64);
    out::note(&sending(files, bundle.bytes, sent));
    let message = deploy.message.as_deref().unwrap_or("Deploy a folder");
    let path = of(project, &format!("/deploys?message={}&approve={}", encode(message), deploy.approve));
    let mut body = Counted { reader: &bundle.archive[..], bar: bar(Some(sent), "upload") };
    let response = session.client.upload(&path, "application/gzip", &mut body, sent);
    body.bar.finish_and_clear();
    watch(response?.into_body())
}

/// A small folder's archive is larger than the folder: then its size says nothing.
fn sending(files: usize, bytes: u64, sent: u64) -> String {
    let compressed = if sent < bytes { format!(" ({} compressed)", out::bytes(sent)) } else { String::new() };
    format!("Sending {}, {}{compressed}", out::count(files as u64, "file", "files"), out::bytes(bytes))
}

/// Makes the project when it is the caller's own and not there yet, as a push would.
fn ensure(session: &Session, project: &ProjectPath, no_create: bool) -> Done {
    let missing = match session.client.get::<ProjectView>(&of(project, "")) {
        Ok(_) => return Ok(()),
        Err(fail) if fail.code == NOT_FOUND && !no_create => fail,
        Err(fail) => return Err(fail),
    };
    let me: Me = session.client.get("/me")?;
    if me.user != project.user.as_str() {
        return Err(missing);
    }
    let new = CreateProject { name: Some(project.project.clone()), ..CreateProject::default() };
    let made: ProjectView = session.client.call(Method::POST, "/projects", Some(&new))?;
    out::note(&format!("Created {}", made.project));
    if made.host != project.project.as_str() {
        out::note(&format!(
            "Its address is {}: `{}` belongs to another project, or to a deleted one for a week",
            made.url, project.project
        ));
    }
    Ok(())
}

pub fn rollback(app: &App, to: Option<i64>, global: &Global) -> Done {
    let session = Session::open(global)?;
    let project = session.project(app.project.as_deref(), global)?;
    let response = session.client.send(Method::POST, &of(&project, "/rollback"), Some(&Rollback { to }))?;
    report(&watch(response.into_body())?, global)
}

/// The URL alone goes to standard output.
pub(super) fn report(deploy: &DeployView, global: &Global) -> Done {
    if global.json {
        return out::json(deploy);
    }
    let version = deploy.version.as_deref().unwrap_or("it");
    out::note(&format!("{} is live", out::clean(version)));
    out::line(&out::clean(&deploy.url))
}

pub fn list(app: &App, n: usize, global: &Global) -> Done {
    let session = Session::open(global)?;
    let project = session.project(app.project.as_deref(), global)?;
    let all: Vec<DeployView> = session.client.get(&of(&project, &format!("/deploys?n={n}")))?;
    if global.json {
        return out::json(&all);
    }
    let row = |deploy: &DeployView| {
        let said = deploy.error.as_ref().filter(|_| deploy.state == "failed").unwrap_or(&deploy.message);
        vec![
            deploy.number.to_string(),
            out::clean(deploy.version.as_deref().unwrap_or("-")),
            out::state(standing(deploy)),
            out::clean(deploy.commit.get(..10).unwrap_or(&deploy.commit)),
            out::time(deploy.started),
            out::clean(&format!("{} ({})", deploy.who, deploy.why)),
            out::clean(said.lines().next().unwrap_or_default()),
        ]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    out::table(&["N", "VERSION", "STATE", "COMMIT", "WHEN (UTC)", "WHO", "WHAT"], &rows)
}

/// Only one deploy is what visitors get now; the others that went live were so once.
fn standing(deploy: &DeployView) -> &str {
    if deploy.state == "live" && !deploy.current { "was live" } else { &deploy.state }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_current_deploy_is_live() {
        let said = |state: &str, current| {
            let deploy = serde_json::json!({
                "number": 3, "version": "v3", "commit": "c", "message": "m", "who": "dev", "why": "cli",
                "state": state, "current": current, "error": null, "stages": [], "started": 0, "finished": 1,
                "url": "http://hello.localhost:8080",
            });
            standing(&serde_json::from_value(deploy).unwrap()).to_owned()
        };
        assert_eq!(said("live", true), "live");
        assert_eq!(said("live", false), "was live");
        assert_eq!(said("failed", false), "failed");
        assert_eq!(said("running", false), "running");
    }

    #[test]
    fn what_is_sent_is_told_in_plain_numbers() {
        assert_eq!(sending(1, 65, 181), "Sending 1 file, 65 B");
        assert_eq!(sending(2, 4096, 1024), "Sending 2 files, 4 KiB (1 KiB compressed)");
    }
}
