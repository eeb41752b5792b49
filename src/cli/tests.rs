use clap::CommandFactory as _;

use super::args::{Cli, Command};
use super::*;

fn parse(line: &str) -> Cli {
    Cli::try_parse_from(line.split_whitespace()).unwrap_or_else(|e| panic!("{line}: {e}"))
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn serve_and_its_machine() {
    let cli = parse("steady serve --data DIR --listen 127.0.0.1:8080 --domain localhost");
    assert_eq!(cli.global.data.unwrap().to_str(), Some("DIR"));
    let Command::Serve(serve) = cli.command else { panic!("not serve") };
    assert_eq!(serve.listen.unwrap().port(), 8080);
    assert_eq!(serve.domain.as_deref(), Some("localhost"));

    let cli = parse("steady --data DIR user add dev --admin --password-stdin");
    assert_eq!(cli.global.data.unwrap().to_str(), Some("DIR"));
    let Command::User(args::UserVerb::Add { name, admin: true, password_stdin: true }) = cli.command else {
        panic!("not user add")
    };
    assert_eq!(name, "dev");

    let cli = parse("steady --data DIR token add dev --name ci");
    let Command::Token(token::Verb::Add { user, name, scope, expires_days: None, project: None }) = cli.command else {
        panic!("not token add")
    };
    assert_eq!((user.as_str(), name.as_str(), scope), ("dev", "ci", token::ScopeName::Admin));
}

#[test]
fn signing_in() {
    let login = |line: &str| match parse(line).command {
        Command::Login { server, token_stdin } => (server, token_stdin),
        other => panic!("{other:?}"),
    };
    let url = Some("http://localhost:8080".to_owned());
    assert_eq!(login("steady login http://localhost:8080"), (url.clone(), false));
    assert_eq!(login("steady login http://localhost:8080 --token-stdin"), (url, true));
}

#[test]
fn a_wrong_flag_of_serve_says_what_would_be_right() {
    let error = |line: &str| Cli::try_parse_from(line.split_whitespace()).expect_err(line);
    for wrong in ["8080", "localhost:8080", ":8080", "127.0.0.1"] {
        let said = error(&format!("steady serve --listen {wrong}")).to_string();
        assert!(said.contains("127.0.0.1:8080"), "{said}");
    }
    for (line, hint) in [("--scheme https", "STEADY_SCHEME"), ("--idle-seconds=9", "STEADY_IDLE_SECONDS")] {
        let said = setting_meant(&error(&format!("steady serve {line}"))).unwrap_or_default();
        assert!(said.contains(hint), "{line}: {said}");
    }
    assert_eq!(setting_meant(&error("steady serve --nonsense")), None);
}

#[test]
fn settings_are_shown_as_they_are_written() {
    let config = crate::config::Config::default();
    let text = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<crate::config::Config>(&text).unwrap(), config);
}

#[test]
fn an_app_from_afar() {
    let cli = parse("steady status dev/hello --json");
    assert!(cli.global.json);
    assert!(matches!(cli.command, Command::Status(app) if app.project.as_deref() == Some("dev/hello")));

    let cli = parse("steady logs dev/hello -n 100");
    assert!(matches!(cli.command, Command::Logs { n: 100, follow: false, .. }));
    assert!(matches!(parse("steady logs -f").command, Command::Logs { n: 100, follow: true, .. }));

    let cli = parse("steady deploy --app dev/hello DIR");
    assert_eq!(cli.global.app.as_deref(), Some("dev/hello"));
    assert!(matches!(cli.command, Command::Deploy(deploy) if deploy.dir.to_str() == Some("DIR")));
    let here = parse("steady deploy");
    assert!(matches!(here.command, Command::Deploy(deploy) if deploy.dir.to_str() == Some(".")));
    assert!(matches!(parse("steady deploy --commit abc1234").command, Command::Deploy(_)));

    let cli = parse("steady env set dev/hello KEY=VALUE");
    assert!(matches!(cli.command, Command::Env(env::Verb::Set { args }) if args == ["dev/hello", "KEY=VALUE"]));
    assert!(matches!(parse("steady env set KEY -").command, Command::Env(env::Verb::Set { args }) if args.len() == 2));
}

#[test]
fn a_token_is_not_shown_in_help() {
    let help = Cli::command().render_long_help().to_string();
    assert!(help.contains("STEADY_TOKEN"));
    let field = Cli::command().get_arguments().any(|arg| arg.get_id() == "token" && arg.is_hide_env_values_set());
    assert!(field);
}
