use std::os::unix::fs::symlink;

use serde_json::json;

use super::kit::{Battery, hostile, world};
use super::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn hostile_trees() {
    let world = world();
    let mut battery = Battery::new("git");
    let outside = world.dir.path().join("outside");
    write(&outside.join("secret.txt"), "of the host");
    let app = hostile(&world, "tree", include_str!("git.ts"), json!({}));
    let code = &app.code;
    for (name, to) in [
        ("shadow", "/etc/shadow".into()),
        ("host", outside.join("secret.txt")),
        ("above", "../../outside/secret.txt".into()),
        ("folder", outside.clone()),
        ("loop", "loop".into()),
        ("data", outside.clone()),
        ("linked.sqlite", outside.join("secret.txt")),
    ] {
        symlink(to, code.join(name)).expect("a link");
    }
    write(&code.join(".git/hooks/post-checkout"), "#!/bin/sh\ntrue\n");
    write(&code.join("n".repeat(255)), "long");
    write(&code.join("line\nbreak"), "break");
    write(&code.join("lib/steady/evil.ts"), "x");
    write(&code.join("bunfig.toml"), "preload = [\"./preload.ts\"]\n");
    write(&code.join("preload.ts"), "globalThis.preloaded = 'run'");
    write(
        &code.join(".env"),
        "DATA_DIR=/tmp\nSTEADY_INSTANCE=evil\nSTEADY_SOCKET=/tmp/evil.sock\nBUN_OPTIONS=--preload=/app/preload.ts\n",
    );
    world.runner.register(app.clone());
    battery.ask(&world, &app, "/").await;
    let secret = std::fs::read_to_string(outside.join("secret.txt")).expect("there");
    let left: Vec<_> = std::fs::read_dir(&outside)
        .expect("there")
        .flatten()
        .map(|e| e.file_name().into_string())
        .map(|n| n.expect("text"))
        .collect();
    battery.check("what the links lead to is untouched", (secret, left), ("of the host", ["secret.txt"]));
    battery.finish();
    world.down().await;
}
