//! Starting, stopping, and being told wrong things.
use std::io::{Read as _, Write as _};
use std::time::Duration;

use crate::support::http::connect;
use crate::support::{Reply, Request, Steady, output_within, steady_command, text, until};

#[test]
fn a_second_start_on_the_same_folder_is_refused() {
    let steady = Steady::start();
    let output = steady.serve_output(&[]);
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains("error:") && said.contains("already"), "{said}");
    assert!(Request::get(steady.port, &steady.host(), "/").send().status < 400, "the first one still answers");
}

#[test]
fn a_port_in_use_is_a_clear_error() {
    let steady = Steady::prepare(&[]);
    let holder = std::net::TcpListener::bind(("127.0.0.1", steady.port)).expect("free");
    let output = steady.serve_output(&[]);
    drop(holder);
    let said = text(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains(&steady.port.to_string()) && said.contains("hint:"), "{said}");
}

#[test]
fn the_first_start_prints_a_link_that_makes_the_owner_once() {
    let mut steady = Steady::prepare(&[]);
    steady.launch();
    let link = until("the link is printed", || setup_link(&steady.log()));
    let path = link.strip_prefix(&steady.url()).unwrap_or_else(|| panic!("{link} is not on {}", steady.url()));
    let page = Request::get(steady.port, &steady.host(), path).header("accept", "text/html").send();
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("<form"), "the page asks for name and password");
    let wrong = Request::get(steady.port, &steady.host(), &format!("{path}x")).send();
    assert!(wrong.status >= 400 || !wrong.text().contains("password"), "a wrong token must not open it");

    steady.restart();
    let again = setup_link(steady.log().rsplit_once(&link).expect("printed before").1);
    assert!(again.is_some_and(|other| other != link), "a new start prints a new link while nobody is there");
    let old = Request::get(steady.port, &steady.host(), path).send();
    assert!(old.status >= 400 || !old.text().contains("password"), "the old link is dead");
}

/// The setup link in what a server printed.
pub fn setup_link(log: &str) -> Option<String> {
    log.split_whitespace().find(|word| word.starts_with("http://") && word.contains("setup")).map(str::to_owned)
}

#[test]
fn sigterm_lets_a_running_request_finish() {
    let mut steady = Steady::start();
    let slow = r#"export default {
      async fetch(request: Request) {
        if (new URL(request.url).pathname !== "/slow") return new Response("quick");
        await Bun.sleep(1500);
        return new Response("slow but whole");
      },
    };"#;
    steady.push_new("slow", &[("index.ts", slow)]);
    let mut stream = connect(steady.port).expect("connect");
    write!(stream, "GET /slow HTTP/1.1\r\nhost: {}\r\n\r\n", steady.app_host("slow")).expect("send");
    until("the request has arrived", || (steady.status("slow")["process"]["in_flight"] == 1).then_some(()));
    assert!(steady.terminate());
    let mut answer = vec![];
    stream.read_to_end(&mut answer).expect("an answer, then the end");
    let reply = Reply::parse(&answer).expect("HTTP");
    assert_eq!(reply.ok(), "slow but whole");
}

#[test]
fn sigterm_does_not_wait_for_ever() {
    let mut steady = Steady::prepare(&[]);
    steady.env("STEADY_DRAIN_SECONDS", "1");
    steady.add_user("dev", true);
    steady.token = steady.new_token("dev");
    steady.launch();
    let stuck = r#"export default {
      fetch(request: Request) {
        if (new URL(request.url).pathname !== "/stuck") return new Response("quick");
        return new Promise<Response>(() => {});
      },
    };"#;
    steady.push_new("stuck", &[("index.ts", stuck)]);
    let mut stream = connect(steady.port).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(90))).expect("timeout");
    write!(stream, "GET /stuck HTTP/1.1\r\nhost: {}\r\n\r\n", steady.app_host("stuck")).expect("send");
    until("the request has arrived", || (steady.status("stuck")["process"]["in_flight"] == 1).then_some(()));
    steady.terminate();
    // What the hasty end left in tmp is the next start's to clear, and it does.
    steady.launch();
}

#[test]
fn wrong_settings_name_the_place_and_the_way_out() {
    let steady = Steady::prepare(&[]);
    let file = steady.dir().join("steady.toml");
    for (content, word) in [
        ("domian = \"example.com\"\n", "domian"),
        ("listen = \"here\"\n", "listen"),
        ("memory_mb = \"much\"\n", "memory_mb"),
    ] {
        write(&file, content);
        let output = steady.serve_output(&["--config", file.to_str().expect("plain")]);
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{content} must be refused");
        assert!(said.contains(word) && said.contains("steady.toml"), "{content}: {said}");
    }
    let output = steady.serve_output(&["--bun", "/nonexistent/bun"]);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("/nonexistent/bun") && said.contains("hint:"), "{said}");
    let output = steady.serve_output(&["--domain", "not a domain"]);
    assert!(!output.status.success(), "a domain with spaces must be refused");
}

#[test]
fn a_bun_of_another_version_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let steady = Steady::prepare(&[]);
    let fake = steady.dir().join("bun");
    write(&fake, "#!/bin/sh\necho 0.1.0\n");
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let output = steady.serve_output(&["--bun", fake.to_str().expect("plain")]);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("is not Bun"), "{said}");
}

#[test]
fn the_default_file_is_a_good_file() {
    let output = output_within(steady_command().args(["config", "default"]), None);
    let file = text(&output.stdout);
    assert!(output.status.success() && file.contains("listen"), "{file}");
    let mut steady = Steady::prepare(&[]);
    let path = steady.dir().join("steady.toml");
    write(&path, &file);
    steady.flag("--config", path.to_str().expect("plain"));
    steady.launch();
}

fn write(path: &std::path::Path, content: &str) {
    std::fs::write(path, content).expect("a file of the test");
}
