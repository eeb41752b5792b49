//! An app down for maintenance: visitors are told so, and nothing wakes.
use clap::Subcommand;
use ureq::http::Method;

use super::args::{App, Global};
use super::client::of;
use super::fail::Done;
use super::out;
use super::target::Session;
use crate::api::wire::Maintenance;
use crate::apps::view::DoorView;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Answer visitors with 503 and a page; the app can still be deployed
    On {
        #[command(flatten)]
        app: App,
        /// What visitors are told
        #[arg(long, short, value_name = "TEXT", default_value = "", hide_default_value = true)]
        text: String,
    },
    /// Let visitors in again
    Off(App),
    /// Whether it is down, and what visitors are told
    Show(App),
}

pub fn run(verb: &Verb, global: &Global) -> Done {
    let session = Session::open(global)?;
    let (Verb::On { app, .. } | Verb::Off(app) | Verb::Show(app)) = verb;
    let project = session.project(app.project.as_deref(), global)?;
    let door: DoorView = match verb {
        Verb::On { text, .. } => session.client.call(
            Method::PUT,
            &of(&project, "/maintenance"),
            Some(&Maintenance { text: text.clone() }),
        )?,
        Verb::Off(_) => session.client.call::<(), _>(Method::DELETE, &of(&project, "/maintenance"), None)?,
        Verb::Show(_) => session.client.get(&of(&project, "/door"))?,
    };
    if global.json {
        return out::json(&door);
    }
    out::line(&match door.maintenance.as_deref() {
        None => format!("{project} is up"),
        Some("") => format!("{project} is down for maintenance"),
        Some(text) => format!("{project} is down for maintenance: {}", out::clean(text)),
    })
}
