//! Tokens made on the server's own machine.
use std::io::IsTerminal as _;

use clap::{Subcommand, ValueEnum};

use super::args::Global;
use super::fail::{Done, Fail, NOT_FOUND};
use super::target::project_path;
use super::{local, out};
use crate::accounts::{NewToken, Scope, TokenInfo};
use crate::api::wire::DAY;
use crate::base::{Clock, UserName};
use crate::store::projects;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a token and print it, this once
    Add {
        user: String,
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do: all its user may, or less
        #[arg(long, value_enum, default_value = "admin")]
        scope: ScopeName,
        /// How long it is good for; without it, until revoked
        #[arg(long, value_name = "N")]
        expires_days: Option<u32>,
        /// Good for this project only
        #[arg(long, value_name = "USER/PROJECT")]
        project: Option<String>,
    },
    /// List a user's tokens, without their values
    List { user: String },
    /// Make a token useless, by the number `list` shows
    Revoke { user: String, id: i64 },
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum ScopeName {
    /// Look and fetch
    Read,
    /// Look, fetch, edit, push, deploy
    Write,
    /// All its user may do
    Admin,
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Read => Self::Read,
            ScopeName::Write => Self::Write,
            ScopeName::Admin => Self::Admin,
        }
    }
}

/// What to say of a token that may everything, for ever.
fn broad(user: &str, scope: ScopeName, expires_days: Option<u32>) -> Option<String> {
    (scope == ScopeName::Admin && expires_days.is_none()).then(|| {
        format!(
            "note: this token never expires and has the scope `admin`: all that {user} may do with a token. \
             --scope and --expires-days make one for less."
        )
    })
}

pub fn run(verb: &Verb, global: &Global) -> Done {
    let (store, accounts) = local::accounts(global)?;
    let id = |user: &str| -> Done<i64> { Ok(accounts.user(&UserName::parse(user)?)?.id) };
    match verb {
        Verb::Add { user, name, scope, expires_days, project } => {
            let project = match project.as_deref().map(project_path).transpose()? {
                Some(path) => {
                    let row = store.read(|db| projects::by_path(db, &path))?;
                    Some(row.ok_or_else(|| Fail::new(NOT_FOUND, format!("there is no project {path}")))?.id)
                }
                None => None,
            };
            let expires = expires_days.map(|days| Clock::System.now() + i64::from(days) * DAY);
            let new = NewToken { name: name.clone(), scopes: vec![(*scope).into()], project, expires };
            let (token, value) = accounts.create_token(id(user)?, new)?;
            if global.json {
                return out::json(&serde_json::json!({ "token": token, "value": value.expose() }));
            }
            out::line(value.expose())?;
            // Scripts read the token alone; a person should know how much it opens.
            if std::io::stdout().is_terminal()
                && let Some(note) = broad(user, *scope, *expires_days)
            {
                out::note(&note);
            }
            Ok(())
        }
        Verb::List { user } => {
            let tokens = accounts.tokens(id(user)?)?;
            if global.json {
                return out::json(&tokens);
            }
            let time = |at: Option<i64>| at.map_or_else(|| "never".to_owned(), out::time);
            let row = |token: &TokenInfo| {
                let scopes: Vec<_> = token.scopes.iter().map(|scope| format!("{scope:?}").to_lowercase()).collect();
                let (expires, used) = (time(token.expires), time(token.used));
                vec![token.id.to_string(), out::clean(&token.name), scopes.join(", "), expires, used]
            };
            let rows: Vec<_> = tokens.iter().map(row).collect();
            out::table(&["ID", "NAME", "SCOPES", "EXPIRES (UTC)", "LAST USED (UTC)"], &rows)
        }
        Verb::Revoke { user, id: token } => {
            accounts.revoke_token(id(user)?, *token)?;
            out::note("Revoked");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_for_everything_and_for_ever_is_remarked_on() {
        let note = broad("dev", ScopeName::Admin, None).unwrap();
        assert!(note.contains("--scope") && note.contains("--expires-days"), "{note}");
        assert_eq!(broad("dev", ScopeName::Write, None), None);
        assert_eq!(broad("dev", ScopeName::Admin, Some(30)), None);
    }
}
