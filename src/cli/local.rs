//! Commands on the server's own machine: they act on its data folder, with the server running or not.
use std::io::{BufRead, IsTerminal as _, Write as _};
use std::process::{Command, Stdio};

use super::args::{ConfigVerb, Global, Serve, UserVerb};
use super::fail::{Done, Fail};
use super::out;
use crate::accounts::{Accounts, Options};
use crate::base::{Clock, DataDir, Secret, UserName};
use crate::config::{Config, Overrides};
use crate::store::Store;

/// Bytes of a password or token typed or piped in.
const MAX_SECRET: u64 = 4096;

pub fn load(serve: &Serve, global: &Global) -> Done<Config> {
    Ok(Config::load(Overrides {
        file: global.config.clone(),
        data: global.data.clone(),
        listen: serve.listen,
        domain: serve.domain.clone(),
        editor_domain: serve.editor_domain.clone(),
        bun: serve.bun.clone(),
    })?)
}

pub fn config(verb: &ConfigVerb, global: &Global) -> Done {
    match verb {
        ConfigVerb::Default => out::line(Config::default_file().trim_end()),
        ConfigVerb::Show => {
            let config = load(&Serve::default(), global)?;
            if global.json {
                return out::json(&config);
            }
            let text = toml::to_string(&config).map_err(|e| Fail::new(super::fail::FAILED, e.to_string()))?;
            out::line(text.trim_end())
        }
    }
}

/// The store of the data folder, and the accounts in it.
pub fn accounts(global: &Global) -> Done<(Store, Accounts)> {
    let config = load(&Serve::default(), global)?;
    let store = Store::open(&DataDir::open(&config.data)?)?;
    let day = crate::api::wire::DAY;
    let options = Options { session_ms: 30 * day, guests: config.guests, guest_ms: i64::from(config.guest_days) * day };
    Ok((store.clone(), Accounts::new(store, Clock::System, options)))
}

pub fn user(verb: &UserVerb, global: &Global) -> Done {
    match verb {
        UserVerb::Add { name, admin, password_stdin } => {
            let name = UserName::parse(name)?;
            let password = if *password_stdin {
                secret_line(std::io::stdin().lock())?
            } else {
                ask("Password: ", "--password-stdin")?
            };
            let user = accounts(global)?.1.add_user(&name, &password, *admin)?;
            if global.json {
                return out::json(&user);
            }
            let role = if user.admin { ", who may do everything on this server" } else { "" };
            out::line(&format!("Added {}{role}", user.name))
        }
        UserVerb::List => {
            let users = accounts(global)?.1.users()?;
            if global.json {
                return out::json(&users);
            }
            let kind = |admin, guest| {
                if admin {
                    "admin"
                } else if guest {
                    "guest"
                } else {
                    "user"
                }
            };
            let row = |user: &crate::store::users::User| {
                vec![user.name.to_string(), kind(user.admin, user.guest).to_owned(), out::time(user.created)]
            };
            out::table(&["NAME", "KIND", "SINCE (UTC)"], &users.iter().map(row).collect::<Vec<_>>())
        }
    }
}

/// One line of standard input, without its end.
pub fn secret_line(input: impl BufRead) -> Done<Secret<String>> {
    let mut text = String::new();
    let read = input.take(MAX_SECRET).read_line(&mut text);
    read.map_err(Fail::io("standard input"))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Asks on the terminal, without showing what is typed. `otherwise` says how to give it without one.
pub fn ask(prompt: &str, otherwise: &str) -> Done<Secret<String>> {
    if !std::io::stdin().is_terminal() {
        return Err(Fail::usage("this needs a terminal to ask on").hint(format!("Or use {otherwise}.")));
    }
    let echo = |word: &str| Command::new("stty").arg(word).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    let _ = write!(std::io::stderr(), "{prompt}");
    let hidden = echo("-echo");
    let line = secret_line(std::io::stdin().lock());
    if hidden {
        echo("echo");
        out::note("");
    }
    line
}
