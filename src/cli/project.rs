//! Projects: create, list, rename, delete, recover, open.
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::{Command, Stdio};

use ureq::http::Method;

use super::args::{App, Create, Global};
use super::client::of;
use super::fail::{Done, FAILED, Fail, NOT_FOUND, USAGE};
use super::out;
use super::target::{Session, project_path};
use crate::api::wire::{ChangeProject, CreateProject, ProjectView};
use crate::apps::view::{Deleted, ProjectSummary};
use crate::base::{AppName, Error, ProjectName, ProjectPath};

fn usage(error: Error) -> Fail {
    Fail { code: USAGE, ..error.into() }
}

pub fn create(create: &Create, global: &Global) -> Done {
    let new = CreateProject {
        name: create.name.as_deref().map(ProjectName::parse).transpose().map_err(usage)?,
        host: create.host.as_deref().map(AppName::parse).transpose().map_err(usage)?,
        template: create.template.clone(),
        git: create.git.clone(),
        fork: create.fork.as_deref().map(project_path).transpose()?,
    };
    let session = Session::open(global)?;
    let made: ProjectView = session.client.call(Method::POST, "/projects", Some(&new))?;
    show(&made, global)
}

fn show(view: &ProjectView, global: &Global) -> Done {
    if global.json {
        return out::json(view);
    }
    out::fields(&[
        ("project", view.project.to_string()),
        ("url", out::clean(&view.url)),
        ("git", out::clean(&view.git_url)),
    ])
}

pub fn list(all: bool, global: &Global) -> Done {
    let session = Session::open(global)?;
    let projects: Vec<ProjectSummary> = session.client.get(if all { "/projects?all=true" } else { "/projects" })?;
    if global.json {
        return out::json(&projects);
    }
    if projects.is_empty() {
        out::note("No projects yet. Make one with `steady create NAME`, or `steady deploy --app USER/NAME`.");
    }
    let row = |one: &ProjectSummary| {
        let state = one.state.clone();
        let note = match (one.failing, one.waiting) {
            (true, _) => " (last deploy failed)",
            (_, true) => " (waits for approval)",
            _ => "",
        };
        vec![
            one.path.to_string(),
            format!("{}{note}", out::state(&state)),
            out::clean(one.version.as_deref().unwrap_or("-")),
            one.deployed.map_or_else(|| "-".to_owned(), out::time),
            out::bytes(one.data_bytes),
            out::clean(&one.url),
        ]
    };
    let rows: Vec<_> = projects.iter().map(row).collect();
    out::table(&["PROJECT", "STATE", "VERSION", "DEPLOYED (UTC)", "DATA", "URL"], &rows)
}

pub fn rename(names: &[String], host: Option<&str>, global: &Global) -> Done {
    let (app, name) = match names {
        [] => (None, None),
        [one] if one.contains('/') => (Some(one.as_str()), None),
        [name] => (None, Some(name)),
        [app, name, ..] => (Some(app.as_str()), Some(name)),
    };
    let change = ChangeProject {
        name: name.map(|name| ProjectName::parse(name)).transpose().map_err(usage)?,
        host: host.map(AppName::parse).transpose().map_err(usage)?,
        public_code: None,
    };
    if change.name.is_none() && change.host.is_none() {
        return Err(Fail::usage("rename it to what?").hint("steady rename [USER/PROJECT] NEW-NAME [--host NEW-HOST]"));
    }
    let session = Session::open(global)?;
    let project = session.project(app, global)?;
    let view: ProjectView = session.client.call(Method::PATCH, &of(&project, ""), Some(&change))?;
    show(&view, global)
}

pub fn delete(app: &App, yes: bool, global: &Global) -> Done {
    let session = Session::open(global)?;
    let project = session.project(app.project.as_deref(), global)?;
    if !yes {
        confirm(&project)?;
    }
    let gone: Deleted = session.client.call::<(), _>(Method::DELETE, &of(&project, ""), None)?;
    if global.json {
        return out::json(&gone);
    }
    out::line(&format!(
        "Deleted {}. `steady recover {}` brings it back until {} UTC",
        gone.project,
        gone.project,
        out::time(gone.until)
    ))
}

fn confirm(project: &ProjectPath) -> Done {
    if !std::io::stdin().is_terminal() {
        return Err(Fail::usage(format!("deleting {project} needs a yes")).hint("Add --yes."));
    }
    let _ = write!(std::io::stderr(), "Type {project} to delete it: ");
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed).map_err(Fail::io("standard input"))?;
    if typed.trim() == project.to_string() { Ok(()) } else { Err(Fail::new(FAILED, "nothing was deleted")) }
}

pub fn recover(project: Option<&str>, global: &Global) -> Done {
    let session = Session::open(global)?;
    let all: Vec<Deleted> = session.client.get("/deleted")?;
    let Some(project) = project else {
        if global.json {
            return out::json(&all);
        }
        let row = |one: &Deleted| vec![one.project.to_string(), out::time(one.deleted), out::time(one.until)];
        return out::table(&["PROJECT", "DELETED (UTC)", "GONE (UTC)"], &all.iter().map(row).collect::<Vec<_>>());
    };
    let project = project_path(project)?;
    let newest = all.iter().filter(|one| one.project == project).max_by_key(|one| one.deleted);
    let id = newest.map(|one| one.id).ok_or_else(|| {
        Fail::new(NOT_FOUND, format!("{project} is not among the deleted projects"))
            .hint("`steady recover` lists those that can be brought back.")
    })?;
    let view: ProjectView = session.client.call::<(), _>(Method::POST, &format!("/deleted/{id}/recover"), None)?;
    show(&view, global)
}

pub fn open(app: &App, global: &Global) -> Done {
    let session = Session::open(global)?;
    let project = session.project(app.project.as_deref(), global)?;
    let view: ProjectView = session.client.get(&of(&project, ""))?;
    if global.json {
        return out::json(&view);
    }
    // Only ever a web address: it is handed to another program.
    if std::io::stdout().is_terminal() && (view.url.starts_with("http://") || view.url.starts_with("https://")) {
        let opener = Command::new("xdg-open").arg(&view.url).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if opener.is_ok_and(|status| status.success()) {
            return Ok(());
        }
    }
    out::line(&out::clean(&view.url))
}
