//! One server hands over to the next: nobody is refused, no app runs twice, and one that cannot start changes nothing.
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::load::Load;
use crate::support::{Request, Steady, procs, signal, text, until};

/// Writes down when it starts and ends; the file is real data, of which there is one.
const COUNTED: &str = r#"
import { appendFileSync, readFileSync } from "node:fs";
const log = process.env.DATA_DIR + "/lives";
appendFileSync(log, "start\n");
process.on("SIGTERM", () => {
  appendFileSync(log, "end\n");
  process.exit(0);
});
export default {
  async fetch(request: Request) {
    const path = new URL(request.url).pathname;
    if (path === "/lives") return new Response(readFileSync(log, "utf8"));
    if (path === "/slow") await Bun.sleep(1500);
    return new Response("VERSION");
  },
};"#;

fn version(n: u32) -> String {
    COUNTED.replace("VERSION", &format!("version {n}"))
}

/// Starts and ends must take turns: two starts in a row are two children on the same data.
fn lives(steady: &Steady, project: &str) -> String {
    let lives = steady.get(project, "/lives").ok();
    let turns = lives.lines().enumerate().all(|(n, line)| line == ["start", "end"][n % 2]);
    assert!(turns, "two children had the same data at once: {lives}");
    lives
}

#[test]
fn deploys_rollbacks_and_new_servers_fail_no_request() {
    let mut steady = Steady::start();
    let work = steady.push_new("busy", &[("index.ts", &version(0))]);
    let load = Load::start(steady.port, &steady.app_host("busy"), 6);
    load.until_more();
    for n in 1..=3 {
        work.write(&[("index.ts", &version(n))]);
        work.commit("Next");
        work.push_ok();
        load.until_more();
        if n == 2 {
            steady.hand_over();
            load.until_more();
        }
    }
    steady.cli_ok(&["rollback", "dev/busy"]);
    load.until_more();
    steady.hand_over();
    load.until_more();
    let (answered, failed) = load.end();
    assert!(failed.is_empty(), "of {answered} requests {} failed: {:#?}", failed.len(), &failed[..failed.len().min(9)]);
    assert_eq!(steady.get("busy", "/").ok(), "version 2");
    lives(&steady, "busy");
}

#[test]
fn what_runs_is_finished_by_the_old_server_and_the_rest_waits() {
    let mut steady = Steady::start();
    steady.push_new("waits", &[("index.ts", &version(1))]);
    let (port, host) = (steady.port, steady.app_host("waits"));
    let slow = std::thread::spawn({
        let host = host.clone();
        move || Request::get(port, &host, "/slow").send()
    });
    until("the request has arrived", || (steady.status("waits")["process"]["in_flight"] == 1).then_some(()));
    steady.hand_over();
    assert_eq!(slow.join().expect("no panic").ok(), "version 1");
    assert_eq!(steady.get("waits", "/").ok(), "version 1");
    assert_eq!(lives(&steady, "waits").lines().count(), 3, "one life on each server");
    steady.restart();
}

#[test]
fn a_server_that_cannot_start_changes_nothing() {
    let mut steady = Steady::prepare(&[]);
    steady.run_by(&["env"], 0);
    let file = steady.dir().join("steady.toml");
    std::fs::write(&file, "").expect("settings");
    steady.flag("--config", file.to_str().expect("plain"));
    steady.add_user("dev", true);
    steady.token = steady.new_token("dev");
    steady.launch();
    steady.push_new("stays", &[("index.ts", &version(1))]);
    let pid = steady.pid();
    let refused = |steady: &Steady, word: &str| {
        let before = steady.log().len();
        signal(pid, "USR2");
        until("the log says why", || {
            let log = steady.log();
            let new = log.get(before..).unwrap_or_default();
            (new.contains("this one goes on") && new.contains(word)).then_some(())
        });
        assert_eq!(steady.get("stays", "/").ok(), "version 1");
    };
    std::fs::write(&file, "domian = \"example.com\"\n").expect("settings");
    refused(&steady, "domian");
    std::fs::write(&file, "").expect("settings");
    let program = steady.dir().join("steady");
    let kept = steady.dir().join("kept");
    std::fs::rename(&program, &kept).expect("rename");
    refused(&steady, "cannot be started");
    std::fs::copy("/bin/true", &program).expect("copy");
    refused(&steady, "said nothing");
    // And with the right one it works.
    std::fs::rename(&kept, &program).expect("rename");
    steady.hand_over();
    assert_eq!(steady.get("stays", "/").ok(), "version 1");
    lives(&steady, "stays");
}

#[test]
fn a_new_server_that_dies_late_brings_the_old_one_back() {
    let mut steady = Steady::start();
    steady.push_new("back", &[("index.ts", &version(1))]);
    let (port, host) = (steady.port, steady.app_host("back"));
    let slow = std::thread::spawn(move || Request::get(port, &host, "/slow").send());
    until("the request has arrived", || (steady.status("back")["process"]["in_flight"] == 1).then_some(()));
    let old = steady.pid();
    let log = steady.dir().join("server.log");
    let heir = std::thread::spawn(move || {
        let heir = until("the new server is there", || procs::heir_of(old));
        // Earlier it would be one that cannot take over, and the old one would go on.
        until("it is able", || {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            said.contains("a new server is ready; this one finishes what runs").then_some(())
        });
        // The old one is still busy with the slow request.
        signal(heir, "KILL");
    });
    steady.hand_over();
    heir.join().expect("no panic");
    assert_eq!(slow.join().expect("no panic").ok(), "version 1");
    assert!(steady.log().contains("the one that ran before is started again"), "{}", steady.log());
    assert_eq!(steady.get("back", "/").ok(), "version 1");
    lives(&steady, "back");
}

#[test]
fn systemd_passes_sockets_and_is_told_who_serves() {
    let mut steady = Steady::prepare(&[]);
    let notices = steady.dir().join("notify");
    let systemd = UnixDatagram::bind(&notices).expect("a socket");
    systemd.set_read_timeout(Some(Duration::from_secs(90))).expect("a limit");
    let next = |wanted: &str| {
        let mut bytes = [0; 4096];
        loop {
            let length = systemd.recv(&mut bytes).unwrap_or_else(|e| panic!("waited in vain for {wanted}: {e}"));
            let said = text(&bytes[..length]);
            if said.contains(wanted) {
                return said;
            }
        }
    };
    steady.add_user("dev", true);
    steady.token = steady.new_token("dev");
    // Listens, and passes the socket as systemd does: descriptor 3, meant for that very process.
    let activate = format!(
        "use Socket; use POSIX; $^F = 9; socket(S, AF_INET, SOCK_STREAM, 0); setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1);
         bind(S, sockaddr_in({}, INADDR_LOOPBACK)) or die $!; listen(S, 9); POSIX::dup2(fileno(S), 3) or die $!;
         $ENV{{LISTEN_FDS}} = 1; $ENV{{LISTEN_PID}} = $$; exec @ARGV",
        steady.port
    );
    steady.run_by(&["perl", "-e", &activate], 0);
    steady.env("NOTIFY_SOCKET", notices.to_str().expect("plain"));
    steady.launch();
    next("READY=1");
    steady.push_new("passed", &[("index.ts", &version(1))]);
    steady.hand_over();
    next("RELOADING=1");
    let said = next("MAINPID=");
    assert_eq!(said, format!("MAINPID={}\nREADY=1", steady.pid()));
    assert_eq!(steady.get("passed", "/").ok(), "version 1");
    assert!(steady.terminate());
    next("STOPPING=1");
}

/// Not listening, though the environment says so.
#[test]
fn what_is_no_socket_is_refused() {
    let steady = Steady::prepare(&[]);
    let said = Command::new("sh")
        .args(["-c", "exec 3</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" serve --data \"$1\""])
        .arg(Path::new(env!("CARGO_BIN_EXE_steady")))
        .arg(steady.data())
        .output()
        .expect("a shell");
    let said = text(&said.stderr);
    assert!(said.contains("LISTEN_FDS") && said.contains("hint:"), "{said}");
}
