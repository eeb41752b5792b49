//! `steady cert`: the server's certificates.
use clap::Subcommand;

use super::args::Global;
use super::fail::Done;
use super::out;
use super::target::Session;
use crate::tls::overview::{CertificateView, LimitView, Overview};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the server's certificates, when they end and what is wrong with them, for its admins
    Ls,
}

pub fn run(verb: &Verb, global: &Global) -> Done {
    let Verb::Ls = verb;
    let all: Overview = Session::open(global)?.client.get("/certificates")?;
    if global.json {
        return out::json(&all);
    }
    let rows: Vec<Vec<String>> = all.certificates.iter().map(row).collect();
    out::line(&format!("tls = \"{}\"\n", out::clean(&all.mode)))?;
    out::table(&["HOSTS", "FROM", "UNTIL (UTC)", "RENEWED (UTC)", ""], &rows)?;
    if all.limits.is_empty() {
        return Ok(());
    }
    out::line("")?;
    out::table(&["AUTHORITY", "LIMIT", "USED"], &all.limits.iter().map(limit).collect::<Vec<_>>())
}

fn row(one: &CertificateView) -> Vec<String> {
    let time = |at: Option<i64>| at.map_or_else(String::new, out::time);
    let from = one.issuer.clone().unwrap_or_else(|| "none yet".to_owned());
    let trouble =
        one.trouble.clone().unwrap_or_else(|| if one.ordering { "being ordered".into() } else { String::new() });
    vec![
        out::clean(&one.hosts.join(", ")),
        out::clean(&format!("{} ({})", from, one.source)),
        time(one.expires),
        time(one.renews),
        out::clean(&trouble),
    ]
}

fn limit(one: &LimitView) -> Vec<String> {
    let what = if one.domain.is_empty() { one.what.clone() } else { format!("{}: {}", one.domain, one.what) };
    vec![out::clean(&one.authority), out::clean(&what), format!("{} of {}", one.used, one.most)]
}
