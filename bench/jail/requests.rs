//! What a request costs inside the jail and outside: the same hello, the same client, its unix socket.
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::client;
use super::table;
use super::world::{HELLO, World, write};

const CONNECTIONS: usize = 8;
const TIME: Duration = Duration::from_millis(1200);

pub async fn measure(world: &World, rounds: usize) {
    let app = world.app("asked", HELLO);
    world.get(&app).await.expect("an answer");
    let init = world.runner.status(&app.key).and_then(|s| s.pid).expect("a process");
    let children = std::fs::read_to_string(format!("/proc/{init}/task/{init}/children")).expect("its children");
    let jailed: u32 = children.split_whitespace().next().and_then(|n| n.parse().ok()).expect("Bun");
    let inside = Path::new("/proc").join(jailed.to_string()).join("root").join("run/steady/http.sock");

    let code = world.dir.join("bare");
    write(&code.join("index.ts"), HELLO);
    let outside = code.join("http.sock");
    let mut bare = tokio::process::Command::new(&world.bun);
    bare.arg("index.ts").current_dir(&code).env_clear().env("SOCK", &outside).env("NODE_ENV", "production");
    let mut bare = bare.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn().expect("Bun");
    client::answered(&outside).await;
    let bare_pid = bare.id().expect("it runs");

    // Both warm.
    client::load(&inside, CONNECTIONS, TIME).await;
    client::load(&outside, CONNECTIONS, TIME).await;
    let (mut mine, mut theirs) = (Side::default(), Side::default());
    for _ in 0..rounds {
        mine.run(&inside, jailed).await;
        theirs.run(&outside, bare_pid).await;
    }
    bare.kill().await.expect("killed");
    world.runner.pause(&app.key).await;
    table::heading("hello over its unix socket, 8 connections", "see row");
    table::pair("processor time of Bun per request, µs", &mine.cpu, &theirs.cpu, "the same outside");
    table::pair("requests per second, thousands", &mine.rate, &theirs.rate, "the same outside");
}

#[derive(Default)]
struct Side {
    cpu: Vec<f64>,
    rate: Vec<f64>,
}

impl Side {
    async fn run(&mut self, socket: &Path, pid: u32) {
        let before = processor_ns(pid);
        let count = client::load(socket, CONNECTIONS, TIME).await as f64;
        self.cpu.push((processor_ns(pid) - before) / 1e3 / count);
        self.rate.push(count / TIME.as_secs_f64() / 1e3);
    }
}

/// Of all threads that live.
fn processor_ns(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads").flatten();
    let of = |path: PathBuf| -> Option<f64> {
        std::fs::read_to_string(path.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
    };
    tasks.filter_map(|task| of(task.path())).sum()
}
