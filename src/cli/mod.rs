//! The program: parse, run, print error and hint, exit code.
mod access;
mod account;
mod app;
mod approve;
mod args;
mod bundle;
mod ca;
mod cert;
mod client;
mod deploy;
mod doctor;
mod domain;
mod env;
mod fail;
mod folder;
mod jail;
mod local;
mod maintenance;
mod members;
mod notify;
mod out;
mod project;
mod roots;
mod saved;
mod serve;
mod snapshot;
mod stages;
mod target;
mod token;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};
use fail::Done;

pub fn main() -> ExitCode {
    // The jail's own commands are not for people: they come before any parsing.
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some("zygote" | "copy-home" | "snapshot-home" | "snapshot-put") = words.first().map(String::as_str) {
        return jail::main(&words);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no failure, and a reader that went away is none either.
            let _ = error.print();
            if let Some(hint) = setting_meant(&error) {
                out::note(&hint);
            }
            return ExitCode::from(if error.use_stderr() { fail::USAGE } else { 0 });
        }
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fail) => {
            out::error(&fail);
            ExitCode::from(fail.code)
        }
    }
}

/// For a flag that does not exist, but a setting of that name does.
fn setting_meant(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return None };
    let name = flag.strip_prefix("--")?.split('=').next()?.replace('-', "_");
    let key = crate::config::keys::find(&name).filter(|_| error.kind() == ErrorKind::UnknownArgument)?;
    let variable = format!("STEADY_{}", name.to_ascii_uppercase());
    Some(format!("\nhint: `{}` is a setting: write it in steady.toml, or set {variable} in the environment.", key.name))
}

fn run(cli: &Cli) -> Done {
    let global = &cli.global;
    match &cli.command {
        Command::Serve(serve) => serve::run(serve, global),
        Command::Doctor => doctor::run(global),
        Command::Ca => ca::run(global),
        Command::Config(verb) => local::config(verb, global),
        Command::User(verb) => local::user(verb, global),
        Command::Token(verb) => token::run(verb, global),
        Command::Login { server, token_stdin } => account::login(server.as_deref(), *token_stdin, global),
        Command::Logout => account::logout(global),
        Command::Whoami => account::whoami(global),
        Command::Create(create) => project::create(create, global),
        Command::List { all } => project::list(*all, global),
        Command::Clone { project, dir } => folder::clone(project, dir.as_deref(), global),
        Command::Link { project } => folder::link(project, global),
        Command::Deploy(deploy) => deploy::run(deploy, global),
        Command::Rollback { app, to } => deploy::rollback(app, *to, global),
        Command::Deploys { app, n } => deploy::list(app, *n, global),
        Command::Snapshot(verb) => snapshot::run(verb, global),
        Command::Approve { app, yes, revoke } => approve::run(app, *yes, *revoke, global),
        Command::Permissions(app) => approve::show(app, global),
        Command::Status(app) => app::status(app, global),
        Command::Logs { app, follow, n } => app::logs(app, *n, *follow, global),
        Command::Requests { app, n } => app::requests(app, *n, global),
        Command::Open(app) => project::open(app, global),
        Command::Env(verb) => env::run(verb, global),
        Command::Restart(app) => app::control("restart", app, global),
        Command::Pause(app) => app::control("pause", app, global),
        Command::Resume(app) => app::control("resume", app, global),
        Command::Rename { names, host } => project::rename(names, host.as_deref(), global),
        Command::Delete { app, yes } => project::delete(app, *yes, global),
        Command::Recover { project } => project::recover(project.as_deref(), global),
        Command::Export { app, output } => app::export(app, output.as_deref(), global),
        Command::Access(verb) => access::run(verb, global),
        Command::Maintenance(verb) => maintenance::run(verb, global),
        Command::Members(verb) => members::run(verb, global),
        Command::Cert(verb) => cert::run(verb, global),
        Command::Domain(verb) => domain::run(verb, global),
        Command::Credential { action } => account::credential(action, global),
    }
}

#[cfg(test)]
mod tests;
