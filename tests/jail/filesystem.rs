use std::path::Path;

use serde_json::json;

use super::kit::{Battery, hostile, world};

#[tokio::test(flavor = "multi_thread")]
async fn files() {
    let world = world();
    let mut battery = Battery::new("filesystem");
    let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let group = |v1: &str, v2_file: &str| format!("/sys/fs/cgroup/{}", if v2 { v2_file } else { v1 });
    let library = steady::runner::sandbox::elf::libraries().expect("libraries").first().expect("one").clone();
    let more = json!({
        "hostTarget": Path::new(env!("CARGO_BIN_EXE_steady")).parent(),
        "library": library,
        "memoryFile": group("memory/memory.limit_in_bytes", "memory.max"),
        "procsFile": group("memory/cgroup.procs", "cgroup.procs"),
    });
    let app = hostile(&world, "filesystem", include_str!("filesystem.ts"), more);
    world.runner.register(app.clone());
    battery.ask(&world, &app, "/").await;
    battery.finish();
    world.down().await;
}
