//! Snapshots of an app's data: take, list, restore, pin.
use std::io::{BufRead as _, IsTerminal as _, Write as _};

use clap::Subcommand;
use ureq::http::Method;

use super::args::{App, Global};
use super::client::of;
use super::fail::{Done, FAILED, Fail};
use super::out;
use super::stages::follow;
use super::target::Session;
use crate::api::wire::{PinSnapshot, TakeSnapshot};
use crate::apps::Restored;
use crate::apps::view::SnapshotView;
use crate::base::ProjectPath;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Take one now, while the app runs
    Take {
        #[command(flatten)]
        app: App,
        /// Keep it under this name until it is unpinned
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// List them, newest first
    #[command(visible_alias = "list")]
    Ls(App),
    /// Bring the data back to one of them; what it is now is kept in another
    Restore {
        /// [USER/PROJECT] ID
        #[arg(num_args = 1..=2, required = true, value_name = "ID")]
        args: Vec<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Keep one under a name
    Pin {
        /// [USER/PROJECT] ID
        #[arg(num_args = 1..=2, required = true, value_name = "ID")]
        args: Vec<String>,
        /// The name; without it, it goes with its age again
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
}

pub fn run(verb: &Verb, global: &Global) -> Done {
    let session = Session::open(global)?;
    match verb {
        Verb::Take { app, name } => {
            let project = session.project(app.project.as_deref(), global)?;
            let body = TakeSnapshot { name: name.clone() };
            one(&session.client.call(Method::POST, &of(&project, "/snapshots"), Some(&body))?, global)
        }
        Verb::Ls(app) => {
            let project = session.project(app.project.as_deref(), global)?;
            list(&session.client.get::<Vec<SnapshotView>>(&of(&project, "/snapshots"))?, global)
        }
        Verb::Restore { args, yes } => {
            let (project, id) = named(&session, args, global)?;
            restore(&session, &project, id, *yes, global)
        }
        Verb::Pin { args, name } => {
            let (project, id) = named(&session, args, global)?;
            let body = PinSnapshot { name: name.clone() };
            one(&session.client.call(Method::PATCH, &of(&project, &format!("/snapshots/{id}")), Some(&body))?, global)
        }
    }
}

fn named(session: &Session, args: &[String], global: &Global) -> Done<(ProjectPath, i64)> {
    let (app, id) = match args {
        [app, id] => (Some(app.as_str()), id),
        [id] => (None, id),
        _ => return Err(Fail::usage("which snapshot?")),
    };
    let number = id
        .parse()
        .map_err(|_| Fail::usage(format!("`{id}` is no snapshot's number")).hint("`steady snapshot ls` lists them."))?;
    Ok((session.project(app, global)?, number))
}

fn restore(session: &Session, project: &ProjectPath, id: i64, yes: bool, global: &Global) -> Done {
    if !yes {
        confirm(project, id)?;
    }
    let path = of(project, &format!("/snapshots/{id}/restore"));
    let response = session.client.send::<()>(Method::POST, &path, None)?;
    let cut = "the connection ended before the restore did";
    let then = "It goes on there; `steady snapshot ls` shows the snapshot taken before it.";
    let done: Restored = follow(response.into_body(), "restored", cut, then)?;
    if global.json {
        return out::json(&done);
    }
    out::line(&format!("{project} has its data of {} UTC again (snapshot {id})", out::time(done.snapshot.taken)))?;
    match done.undo {
        Some(undo) => out::line(&format!("To undo: steady snapshot restore {project} {undo}")),
        None => Ok(()),
    }
}

fn confirm(project: &ProjectPath, id: i64) -> Done {
    if !std::io::stdin().is_terminal() {
        return Err(Fail::usage(format!("replacing the data of {project} needs a yes")).hint("Add --yes."));
    }
    let _ = write!(std::io::stderr(), "Replace the data of {project} by snapshot {id}? Type yes: ");
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed).map_err(Fail::io("standard input"))?;
    if typed.trim() == "yes" { Ok(()) } else { Err(Fail::new(FAILED, "nothing was restored")) }
}

fn one(snapshot: &SnapshotView, global: &Global) -> Done {
    if global.json {
        return out::json(snapshot);
    }
    for note in &snapshot.notes {
        out::note(&format!("not in it: {}", out::clean(note)));
    }
    out::line(&format!("Snapshot {}, {} of data", snapshot.id, out::bytes(snapshot.bytes)))
}

fn list(all: &[SnapshotView], global: &Global) -> Done {
    if global.json {
        return out::json(&all);
    }
    let row = |one: &SnapshotView| {
        let why = match (one.why.as_str(), one.deploy) {
            ("deploy", Some(number)) => format!("before deploy #{number}"),
            ("restore", _) => "before a restore".to_owned(),
            (why, _) => why.to_owned(),
        };
        let name = out::clean(one.name.as_deref().unwrap_or("-"));
        vec![one.id.to_string(), out::time(one.taken), why, out::bytes(one.bytes), out::bytes(one.added), name]
    };
    out::table(&["ID", "TAKEN (UTC)", "WHY", "DATA", "ADDED", "NAME"], &all.iter().map(row).collect::<Vec<_>>())
}
