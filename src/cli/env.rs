//! Environment variables: set, unset, list. Values are never shown again.
use std::collections::BTreeMap;
use std::io::Read as _;

use clap::Subcommand;
use ureq::http::Method;

use super::args::{App, Global};
use super::client::of;
use super::fail::{Done, Fail};
use super::out;
use super::target::Session;
use crate::api::wire::{ChangeEnv, EnvView, MAX_JSON};
use crate::apps::view::EnvName;
use crate::base::{ProjectPath, Secret};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Set variables; the app restarts with them
    Set {
        /// [USER/PROJECT] KEY=VALUE..., or KEY - to read the value, or - to read KEY=VALUE lines
        #[arg(required = true, value_name = "KEY=VALUE")]
        args: Vec<String>,
    },
    /// Unset variables; the app restarts without them
    Unset {
        /// [USER/PROJECT] KEY...
        #[arg(required = true, value_name = "KEY")]
        args: Vec<String>,
    },
    /// List the names; values are write-only
    List(App),
}

pub fn run(verb: &Verb, global: &Global) -> Done {
    match verb {
        Verb::List(app) => list(app, global),
        Verb::Set { args } => {
            let (app, rest) = split_app(args);
            let set = parse_set(rest, || {
                let mut text = String::new();
                let read = std::io::stdin().take(MAX_JSON as u64).read_to_string(&mut text);
                read.map_err(Fail::io("standard input"))?;
                Ok(text)
            })?;
            change(app, ChangeEnv { set, unset: Vec::new() }, global)
        }
        Verb::Unset { args } => {
            let (app, names) = split_app(args);
            if names.is_empty() {
                return Err(Fail::usage("which variables?").hint("steady env unset [USER/PROJECT] KEY..."));
            }
            change(app, ChangeEnv { set: BTreeMap::new(), unset: names.to_vec() }, global)
        }
    }
}

/// A first argument that is a project's name, and the rest. No variable has a slash in its name.
fn split_app(args: &[String]) -> (Option<&str>, &[String]) {
    match args {
        [first, rest @ ..] if ProjectPath::parse(first).is_ok() => (Some(first), rest),
        _ => (None, args),
    }
}

type Values = BTreeMap<String, Secret<String>>;

fn parse_set(args: &[String], stdin: impl FnOnce() -> Done<String>) -> Done<Values> {
    let how = "steady env set [USER/PROJECT] KEY=VALUE..., or KEY - to read the value from standard input";
    let mut set = Values::new();
    let pair = |text: &str, set: &mut Values| match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            set.insert(key.to_owned(), Secret::new(value.to_owned()));
            Ok(())
        }
        // The text may be a secret typed in the wrong place: it is not repeated.
        _ => Err(Fail::usage("a variable is written KEY=VALUE").hint(how)),
    };
    match args {
        [] => return Err(Fail::usage("which variables?").hint(how)),
        [dash] if dash == "-" => {
            for line in stdin()?.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
                pair(line, &mut set)?;
            }
        }
        [key, dash] if dash == "-" && !key.contains('=') => {
            let text = stdin()?;
            let value = text.strip_suffix('\n').unwrap_or(&text);
            set.insert(key.clone(), Secret::new(value.strip_suffix('\r').unwrap_or(value).to_owned()));
        }
        pairs => pairs.iter().try_for_each(|text| pair(text, &mut set))?,
    }
    Ok(set)
}

fn change(app: Option<&str>, change: ChangeEnv, global: &Global) -> Done {
    let session = Session::open(global)?;
    let project = session.project(app, global)?;
    let now: EnvView = session.client.call(Method::PATCH, &of(&project, "/env"), Some(&change))?;
    if global.json {
        return out::json(&now);
    }
    let names = if now.names.is_empty() { "none".to_owned() } else { now.names.join(", ") };
    out::line(&out::clean(&format!("{project} runs with environment {}: {names}", now.version)))
}

fn list(app: &App, global: &Global) -> Done {
    let session = Session::open(global)?;
    let project = session.project(app.project.as_deref(), global)?;
    let names: Vec<EnvName> = session.client.get(&of(&project, "/env"))?;
    if global.json {
        return out::json(&names);
    }
    let rows: Vec<_> = names.iter().map(|one| vec![out::clean(&one.name), out::time(one.set)]).collect();
    out::table(&["NAME", "SET (UTC)"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(|&word| word.to_owned()).collect()
    }

    fn set(args: &[&str], stdin: &str) -> Done<Vec<(String, String)>> {
        let all = parse_set(&words(args), || Ok(stdin.to_owned()))?;
        Ok(all.into_iter().map(|(key, value)| (key, value.into_inner())).collect())
    }

    #[test]
    fn a_first_word_with_a_slash_is_the_project() {
        let args = words(&["dev/hello", "KEY=a/b"]);
        assert_eq!(split_app(&args), (Some("dev/hello"), &args[1..]));
        let args = words(&["KEY=dev/hello"]);
        assert_eq!(split_app(&args), (None, &args[..]));
    }

    #[test]
    fn values_come_from_words_or_standard_input() {
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(set(&["A=1", "B=x=y", "C="], "").unwrap(), [pair("A", "1"), pair("B", "x=y"), pair("C", "")]);
        assert_eq!(set(&["A", "-"], "two\nlines\n").unwrap(), [pair("A", "two\nlines")]);
        assert_eq!(set(&["-"], "# c\nA=1\n\nB=2\n").unwrap(), [pair("A", "1"), pair("B", "2")]);
        for bad in [&["A"][..], &["=x"], &[], &["A", "B"]] {
            let fail = set(bad, "").unwrap_err();
            assert_eq!(fail.code, super::super::fail::USAGE, "{bad:?}");
        }
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        assert!(!format!("{:?}", set(&["hunter2"], "").unwrap_err()).contains("hunter2"));
    }
}
