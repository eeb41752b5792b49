//! Domains of an app's own.
use clap::{Args, Subcommand};
use ureq::http::Method;

use super::args::{App, Global};
use super::client::of;
use super::fail::{Done, Fail};
use super::out;
use super::target::Session;
use crate::api::wire::AddDomain;
use crate::apps::domain::{DomainState, DomainView};
use crate::base::{DomainName, ProjectPath};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Give an app a domain, and show what to set in DNS
    Add {
        #[command(flatten)]
        names: Names,
        /// Send its visitors to this other domain of the app
        #[arg(long, value_name = "HOST")]
        redirect: Option<String>,
        /// Also take www.HOST, and send its visitors to HOST
        #[arg(long, conflicts_with = "redirect")]
        www: bool,
    },
    /// Take a domain away
    Rm(Names),
    /// List an app's domains and how far they are
    Ls(App),
    /// Look into DNS now, and show what is there and what is missing
    Check(Names),
}

#[derive(Args, Debug)]
pub struct Names {
    /// The domain; before it the project, as for all commands
    #[arg(num_args = 1..=2, value_name = "[USER/PROJECT] HOST", required = true)]
    names: Vec<String>,
}

impl Names {
    fn read(&self, session: &Session, global: &Global) -> Done<(ProjectPath, DomainName)> {
        let (host, project) = match self.names.as_slice() {
            [host] => (host, None),
            // In whichever order: a host has no slash.
            [host, project] if project.contains('/') => (host, Some(project.as_str())),
            [project, host] => (host, Some(project.as_str())),
            _ => return Err(Fail::usage("name one domain")),
        };
        let host = DomainName::parse(host).map_err(|e| Fail { code: super::fail::USAGE, ..e.into() })?;
        Ok((session.project(project, global)?, host))
    }
}

pub fn run(verb: &Verb, global: &Global) -> Done {
    let session = Session::open(global)?;
    match verb {
        Verb::Add { names, redirect, www } => {
            let (project, host) = names.read(&session, global)?;
            let redirect = redirect.as_deref().map(DomainName::parse).transpose();
            let redirect = redirect.map_err(|e| Fail { code: super::fail::USAGE, ..e.into() })?;
            let new = AddDomain { host, redirect, www: *www };
            show(&session.client.call(Method::POST, &of(&project, "/domains"), Some(&new))?, global)
        }
        Verb::Check(names) => {
            let (project, host) = names.read(&session, global)?;
            let path = of(&project, &format!("/domains/{host}/check"));
            show(&session.client.call::<(), _>(Method::POST, &path, None)?, global)
        }
        Verb::Rm(names) => {
            let (project, host) = names.read(&session, global)?;
            let path = of(&project, &format!("/domains/{host}"));
            list(&session.client.call::<(), _>(Method::DELETE, &path, None)?, global)
        }
        Verb::Ls(app) => {
            let project = session.project(app.project.as_deref(), global)?;
            list(&session.client.get::<Vec<DomainView>>(&of(&project, "/domains"))?, global)
        }
    }
}

fn state(state: DomainState) -> &'static str {
    match state {
        DomainState::Waiting => "waiting for DNS",
        DomainState::Elsewhere => "leads elsewhere",
        DomainState::Certificate => "certificate pending",
        DomainState::Live => "live",
    }
}

fn list(all: &Vec<DomainView>, global: &Global) -> Done {
    if global.json {
        return out::json(all);
    }
    let row = |one: &DomainView| {
        let redirect = one.redirect.as_deref().map_or_else(String::new, |to| format!("sends to {to}"));
        vec![out::clean(&one.host), state(one.state).to_owned(), out::clean(&one.found), out::clean(&redirect)]
    };
    out::table(&["DOMAIN", "STATE", "DNS HAS", ""], &all.iter().map(row).collect::<Vec<_>>())
}

fn show(one: &DomainView, global: &Global) -> Done {
    if global.json {
        return out::json(one);
    }
    out::fields(&[
        ("domain", out::clean(&one.host)),
        ("state", state(one.state).to_owned()),
        ("DNS has", out::clean(&one.found)),
    ])?;
    out::line(&format!("\n{}\n", out::clean(&one.note)))?;
    let rows: Vec<Vec<String>> = one
        .records
        .iter()
        .map(|record| {
            let set = if record.set { "set" } else { "" };
            vec![record.kind.clone(), out::clean(&record.name), out::clean(&record.value), set.to_owned()]
        })
        .collect();
    out::table(&["TYPE", "NAME", "VALUE", ""], &rows)
}
