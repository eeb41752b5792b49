//! Signing in to a server, out of it, and for git.
use std::io::{BufRead, IsTerminal as _, Read as _};

use super::args::Global;
use super::client::Client;
use super::fail::{Done, Fail, NOT_ALLOWED};
use super::saved::{Account, Saved, is_open_wire, server_url};
use super::target::Session;
use super::{local, out};
use crate::api::wire::Me;
use crate::base::Secret;

pub fn login(server: Option<&str>, token_stdin: bool, global: &Global) -> Done {
    let mut saved = Saved::load()?;
    let given = server.or(global.url.as_deref()).or(saved.current.as_deref());
    let url =
        server_url(given.ok_or_else(|| Fail::usage("which server?").hint("steady login http://localhost:8080"))?)?;
    if is_open_wire(&url) {
        out::note(&format!("note: {url} is not encrypted: whoever is on the way can read the token"));
    }
    let given = global.token.as_ref().filter(|token| !token_stdin && !token.trim().is_empty());
    let token = match given {
        Some(token) => Secret::new(token.clone()),
        None if !std::io::stdin().is_terminal() => piped(std::io::stdin().lock())?,
        None => {
            out::note(&format!("Make a token on your Account page at {url}, and paste it here."));
            local::ask("Token: ", "--token-stdin or STEADY_TOKEN")?
        }
    };
    let token = Secret::new(token.expose().trim().to_owned());
    let me: Me = Client::new(&url, Some(token.clone())).get("/me")?;
    saved.servers.insert(url.clone(), Account { user: me.user.clone(), token });
    saved.current = Some(url.clone());
    saved.store()?;
    if global.json {
        return out::json(&serde_json::json!({ "url": url, "user": me.user }));
    }
    out::line(&out::clean(&format!("Signed in to {url} as {}", me.user)))
}

/// The token on the first line of what is piped in. Errors: there is none.
fn piped(input: impl BufRead) -> Done<Secret<String>> {
    let token = local::secret_line(input)?;
    if token.expose().trim().is_empty() {
        return Err(Fail::usage("there is no token on standard input")
            .hint("Pipe one in, set STEADY_TOKEN, or sign in on a terminal, which asks for it."));
    }
    Ok(token)
}

pub fn logout(global: &Global) -> Done {
    let mut saved = Saved::load()?;
    let given = global.url.clone().or_else(|| saved.current.clone());
    let url = server_url(&given.ok_or_else(|| Fail::usage("you are not signed in anywhere"))?)?;
    if saved.servers.remove(&url).is_none() {
        return Err(Fail::new(NOT_ALLOWED, format!("you are not signed in to {url}")));
    }
    if saved.current.as_deref() == Some(&url) {
        saved.current = saved.servers.keys().next().cloned();
    }
    saved.store()?;
    out::note(&format!("Forgot the token for {url}. It is still good until it is revoked on your Account page."));
    Ok(())
}

pub fn whoami(global: &Global) -> Done {
    let session = Session::open(global)?;
    let me: Me = session.client.get("/me")?;
    if global.json {
        return out::json(&serde_json::json!({
            "url": session.url, "user": me.user, "admin": me.admin, "scopes": me.scopes, "server": me.server
        }));
    }
    let scopes: Vec<_> = me.scopes.iter().map(|scope| format!("{scope:?}").to_lowercase()).collect();
    out::fields(&[
        ("user", out::clean(&me.user)),
        ("server", session.url.clone()),
        ("version", out::clean(&me.server)),
        ("scopes", scopes.join(", ")),
    ])
}

/// git's credential protocol: asked with `protocol` and `host`, answers with the token kept for that server.
/// Answers nothing for other hosts, so that git goes on to its other helpers.
pub fn credential(action: &str, global: &Global) -> Done {
    if action != "get" {
        return Ok(());
    }
    let mut asked = String::new();
    std::io::stdin().take(64 << 10).read_to_string(&mut asked).map_err(Fail::io("standard input"))?;
    let Some(server) = asked_server(&asked) else { return Ok(()) };
    let saved = Saved::load()?;
    let named = global.url.as_deref().map(server_url).transpose()?;
    let account = match (&global.token, &named) {
        (Some(token), Some(url)) if *url == server => {
            let token = Secret::new(token.trim().to_owned());
            let me: Me = Client::new(&server, Some(token.clone())).get("/me")?;
            Some(Account { user: me.user, token })
        }
        _ => saved.servers.get(&server).cloned(),
    };
    match account {
        Some(account) if !account.user.contains(['\n', '\0']) && !account.token.expose().contains(['\n', '\0']) => {
            out::line(&format!("username={}\npassword={}", account.user, account.token.expose()))
        }
        _ => Ok(()),
    }
}

fn asked_server(text: &str) -> Option<String> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    server_url(&format!("{}://{}", field("protocol")?, field("host")?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_a_pipe() {
        assert_eq!(piped(&b"steady_x\r\nmore\n"[..]).unwrap().expose(), "steady_x");
        assert_eq!(piped(&b"steady_x"[..]).unwrap().expose(), "steady_x");
        for nothing in [&b""[..], b"\n", b" \nsteady_x\n"] {
            assert_eq!(piped(nothing).unwrap_err().code, super::super::fail::USAGE);
        }
    }

    #[test]
    fn git_is_answered_by_protocol_and_host() {
        let asked = "protocol=http\nhost=localhost:8080\npath=dev/hello.git\n\n";
        assert_eq!(asked_server(asked).as_deref(), Some("http://localhost:8080"));
        for other in ["", "protocol=ssh\nhost=localhost", "host=localhost", "protocol=http\nhost=a b"] {
            assert_eq!(asked_server(other), None, "{other:?}");
        }
    }
}
