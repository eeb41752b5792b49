//! Who may come to an app.
use clap::Subcommand;
use ureq::http::Method;

use super::args::{App, Global};
use super::client::of;
use super::fail::Done;
use super::local::{ask, secret_line};
use super::out;
use super::target::Session;
use crate::api::wire::{ChangeAccess, CreateLink, NewLink};
use crate::apps::door::Access;
use crate::apps::view::DoorView;
use crate::base::{ProjectPath, Secret};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Who may come to the app, and by which links
    Show(App),
    /// Let everybody in
    Public(App),
    /// Let members of the project in, who sign in on the editor's host
    Members(App),
    /// Let everybody in who has an account on this server; no guests
    Users(App),
    /// Let in who knows a password: asks for it
    Password {
        #[command(flatten)]
        app: App,
        /// Read the password from standard input, up to the end of the line
        #[arg(long)]
        password_stdin: bool,
    },
    /// Make a link that opens the app; one that was public is closed to everybody without a link
    Link {
        #[command(flatten)]
        app: App,
        /// Whom it is for
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
        /// How long it opens the app; for ever when not given
        #[arg(long, value_name = "DAYS")]
        expires_days: Option<u32>,
    },
    /// Revoke a link: whoever came by it is outside at once
    Revoke {
        /// The link's number, as `steady access show` lists it
        link: i64,
        #[command(flatten)]
        app: App,
    },
}

pub fn run(verb: &Verb, global: &Global) -> Done {
    let session = Session::open(global)?;
    let project = |app: &App| session.project(app.project.as_deref(), global);
    let access = |app: &App, access, password| {
        let project = project(app)?;
        show(&project, &set(&session, &project, access, password)?, global)
    };
    match verb {
        Verb::Show(app) => {
            let project = project(app)?;
            show(&project, &session.client.get(&of(&project, "/door"))?, global)
        }
        Verb::Public(app) => access(app, Access::Public, None),
        Verb::Members(app) => access(app, Access::Members, None),
        Verb::Users(app) => access(app, Access::Users, None),
        Verb::Password { app, password_stdin } => {
            let password = match password_stdin {
                true => secret_line(std::io::stdin().lock())?,
                false => ask("Password for visitors: ", "--password-stdin")?,
            };
            access(app, Access::Password, Some(password))
        }
        Verb::Link { app, name, expires_days } => {
            let project = project(app)?;
            let new = CreateLink { name: name.clone(), expires_days: *expires_days };
            let made: NewLink = session.client.call(Method::POST, &of(&project, "/links"), Some(&new))?;
            let door: DoorView = session.client.get(&of(&project, "/door"))?;
            if door.access == Access::Public {
                set(&session, &project, Access::Links, None)?;
                out::note(&format!("{project} opens with a link only from now on."));
            }
            match global.json {
                true => out::json(&made),
                false => out::line(&out::clean(&made.url)),
            }
        }
        Verb::Revoke { link, app } => {
            let project = project(app)?;
            let path = of(&project, &format!("/links/{link}"));
            show(&project, &session.client.call::<(), _>(Method::DELETE, &path, None)?, global)
        }
    }
}

fn set(session: &Session, project: &ProjectPath, access: Access, password: Option<Secret<String>>) -> Done<DoorView> {
    let change = ChangeAccess { access, password };
    session.client.call(Method::PUT, &of(project, "/access"), Some(&change))
}

fn show(project: &ProjectPath, door: &DoorView, global: &Global) -> Done {
    if global.json {
        return out::json(door);
    }
    out::line(&format!("{project} {}", who(door.access)))?;
    if door.links.is_empty() {
        return Ok(());
    }
    let rows = door.links.iter().map(|link| {
        let until = match link.expires {
            _ if link.over => "over".to_owned(),
            Some(at) => out::time(at),
            None => "-".to_owned(),
        };
        vec![link.id.to_string(), out::clean(&link.name), out::clean(&link.who), out::time(link.created), until]
    });
    out::table(&["LINK", "FOR", "MADE BY", "MADE (UTC)", "UNTIL (UTC)"], &rows.collect::<Vec<_>>())
}

fn who(access: Access) -> &'static str {
    match access {
        Access::Public => "is open to everybody",
        Access::Members => "is open to members of the project",
        Access::Users => "is open to everybody with an account on this server",
        Access::Links => "opens with a link only",
        Access::Password => "asks for a password",
    }
}
