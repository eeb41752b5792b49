//! From a request to a sleeping app, or the start of a peer, to the first byte.
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use steady::runner::LaunchSpec;
use tokio::process::Command;

use super::client;
use super::table;
use super::world::{HELLO, World, write};

/// What a round leaves behind (namespaces, groups) is gone by then.
const REST: Duration = Duration::from_millis(40);
/// A world is ready again by then.
const READY: Duration = Duration::from_millis(900);
/// Starts in each round: one alone is mostly noise.
const STARTS: usize = 7;

pub async fn measure(world: &World, rounds: usize) {
    let bare = World::new(0);
    let (app, unready) = (world.app("spawned", HELLO), bare.app("spawned", HELLO));
    let mut peers = vec![("bun index.ts, bare", Peer::Bare)];
    for (name, variable, peer) in [
        ("bubblewrap, the same namespaces, no filter, no limits", "BWRAP", Peer::Bubblewrap as fn(PathBuf) -> Peer),
        ("nsjail, the same namespaces, no filter, no limits", "NSJAIL", Peer::Nsjail),
    ] {
        match std::env::var_os(variable).filter(|path| !path.is_empty()) {
            Some(path) => peers.push((name, peer(path.into()))),
            None => println!("not measured: {name} (not installed)"),
        }
    }
    let (mut mine, mut made) = (Vec::new(), Vec::new());
    let mut theirs = vec![Vec::new(); peers.len()];
    world.get(&app).await.expect("an answer");
    bare.get(&unready).await.expect("an answer");
    for _ in 0..rounds {
        let (mut jailed, mut from_nothing) = (Vec::new(), Vec::new());
        let mut others = vec![Vec::new(); peers.len()];
        for _ in 0..STARTS {
            jailed.push(woken(world, &app, READY).await);
            from_nothing.push(woken(&bare, &unready, REST).await);
            for ((_, peer), times) in peers.iter().zip(&mut others) {
                tokio::time::sleep(REST).await;
                times.push(peer.start(world).await);
            }
        }
        mine.push(table::median(&jailed));
        made.push(table::median(&from_nothing));
        others.iter().zip(&mut theirs).for_each(|(times, all)| all.push(table::median(times)));
    }
    world.runner.pause(&app.key).await;
    bare.down().await;
    table::heading(&format!("start to first byte, medians of {STARTS}"), "ms");
    for ((name, _), times) in peers.iter().zip(&theirs) {
        table::pair("request to a sleeping hello app, a world ready", &mine, times, name);
    }
    for ((name, _), times) in peers.iter().zip(&theirs) {
        table::pair("the same, no world ready", &made, times, name);
    }
}

/// From the request to its answer.
async fn woken(world: &World, app: &LaunchSpec, rest: Duration) -> f64 {
    world.runner.restart(&app.key).await;
    tokio::time::sleep(rest).await;
    let began = Instant::now();
    world.get(app).await.expect("an answer");
    ms(began)
}

fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

enum Peer {
    Bare,
    Bubblewrap(PathBuf),
    Nsjail(PathBuf),
}

impl Peer {
    async fn start(&self, world: &World) -> f64 {
        let code = world.dir.join("peer");
        let run = world.dir.join("peer-run");
        write(&code.join("index.ts"), HELLO);
        std::fs::create_dir_all(&run).expect("a folder");
        let socket = run.join("http.sock");
        drop(std::fs::remove_file(&socket));
        let mut command = self.command(&world.bun, &code, &run);
        command.env_clear().env("BUN_RUNTIME_TRANSPILER_CACHE_PATH", "0").env("NODE_ENV", "production");
        let inside = if matches!(self, Self::Bare) { socket.clone() } else { "/run/s/http.sock".into() };
        command.env("SOCK", inside).env("PATH", "/usr/bin:/bin").env("HOME", "/tmp");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let began = Instant::now();
        let mut child = command.spawn().expect("the peer");
        client::answered(&socket).await;
        let took = ms(began);
        child.kill().await.expect("killed");
        took
    }

    fn command(&self, bun: &Path, code: &Path, run: &Path) -> Command {
        let mut command;
        match self {
            Self::Bare => {
                command = Command::new(bun);
                command.arg("index.ts").current_dir(code);
            }
            Self::Bubblewrap(program) => {
                command = Command::new(program);
                command.args([
                    "--unshare-pid",
                    "--unshare-ipc",
                    "--unshare-uts",
                    "--unshare-net",
                    "--unshare-cgroup-try",
                ]);
                command.args([
                    "--die-with-parent",
                    "--new-session",
                    "--ro-bind",
                    "/lib",
                    "/lib",
                    "--ro-bind",
                    "/lib64",
                    "/lib64",
                ]);
                command
                    .arg("--ro-bind")
                    .args([bun, Path::new("/bin/bun")])
                    .arg("--ro-bind")
                    .args([code, Path::new("/app")]);
                command.arg("--bind").args([run, Path::new("/run/s")]);
                command.args([
                    "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/app", "/bin/bun", "index.ts",
                ]);
            }
            Self::Nsjail(program) => {
                command = Command::new(program);
                let pair = |from: &Path, to: &str| format!("{}:{to}", from.display());
                command.args([
                    "-Mo",
                    "-q",
                    "--keep_env",
                    "--disable_clone_newuser",
                    "--rlimit_as",
                    "hard",
                    "--rlimit_fsize",
                    "hard",
                ]);
                command.args([
                    "--rlimit_nofile",
                    "4096",
                    "-R",
                    "/lib",
                    "-R",
                    "/lib64",
                    "-R",
                    "/dev/null",
                    "-R",
                    "/dev/urandom",
                ]);
                command.args([
                    "-R",
                    &pair(bun, "/bin/bun"),
                    "-R",
                    &pair(code, "/app"),
                    "-B",
                    &pair(run, "/run/s"),
                    "-T",
                    "/tmp",
                ]);
                command.args(["--cwd", "/app", "--", "/bin/bun", "index.ts"]);
            }
        }
        command
    }
}
