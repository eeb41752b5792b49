//! An app's home as an image of its own, where the server can mount and has no project quotas.
use std::fs;
use std::path::Path;

use crate::support::{Steady, until};

const CODE: &str = r#"
    import { appendFileSync, readFileSync, readdirSync, statfsSync } from "node:fs";
    export default {
      fetch(request: Request) {
        if (request.method === "POST") appendFileSync("notes", "x");
        const room = statfsSync(".");
        return Response.json({
          notes: readFileSync("notes", { encoding: "utf8", flag: "a+" }),
          names: readdirSync("."),
          gib: (room.blocks * room.bsize) / 2 ** 30,
        });
      },
    };
"#;

/// Loop devices whose file lies below `data`.
fn devices(data: &Path) -> Vec<String> {
    let list = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let backing = list.filter_map(|entry| fs::read_to_string(entry.path().join("loop/backing_file")).ok());
    backing.filter(|file| file.starts_with(data.to_str().expect("text"))).collect()
}

#[test]
fn an_image_is_mounted_while_used_and_gone_with_the_server() {
    let mut steady = Steady::start();
    let work = steady.push_new("notes", &[("index.ts", CODE)]);
    let data = steady.data().canonicalize().expect("the data folder");
    let app = fs::read_dir(data.join("apps")).expect("apps").flatten().next().expect("an app").path();
    let notes = |steady: &Steady| steady.get("notes", "/").json()["notes"].as_str().map(str::len);
    steady.post("notes", "/");
    assert_eq!(notes(&steady), Some(1));
    if !app.join("home.img").exists() {
        // Project quotas, or no way to mount: then nothing is mounted at all.
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let could = rustix::process::geteuid().is_root()
            && ["/dev/loop-control", "/usr/sbin/mkfs.ext4"].iter().all(|path| Path::new(path).exists());
        assert!(!could || mounts.contains("prjquota") || mounts.contains("pquota"), "there should be an image");
        assert!(devices(&data).is_empty());
        return;
    }
    let seen = steady.get("notes", "/").json();
    let gib = seen["gib"].as_f64().expect("a number");
    assert!((0.9..1.1).contains(&gib), "it sees its quota, not the server's disk: {seen}");
    assert!(!seen["names"].to_string().contains("lost+found"), "{seen}");
    assert!(!devices(&data).is_empty());
    assert!(fs::read_dir(app.join("home")).expect("list").next().is_none(), "mounted for the server only");

    steady.kill();
    until("every device is let go after kill -9", || devices(&data).is_empty().then_some(()));
    steady.launch();
    assert_eq!(notes(&steady), Some(1), "after kill -9");
    work.write(&[("index.ts", &format!("{CODE}\n// another"))]);
    work.commit("Another");
    work.push_ok();
    steady.post("notes", "/");
    assert_eq!(notes(&steady), Some(2), "after a deploy, which tried it on a copy");
    let left: Vec<_> = fs::read_dir(data.join("tmp")).expect("list").flatten().map(|e| e.path()).collect();
    assert!(left.iter().all(|path| !path.join("home").exists() && !path.join("home.img").exists()), "{left:?}");
    steady.restart();
    assert_eq!(notes(&steady), Some(2), "after a restart");
    assert!(steady.terminate());
    until("every device is let go", || devices(&data).is_empty().then_some(()));
}

#[test]
fn a_first_version_that_asks_for_less_has_less() {
    let steady = Steady::start();
    let limits = r#"{"limits": {"disk_mb": 64}}"#;
    let work = steady.push_new("small", &[("index.ts", CODE), ("steady.json", limits)]);
    let app = fs::read_dir(steady.data().join("apps")).expect("apps").flatten().next().expect("an app").path();
    let gib = || steady.get("small", "/").json()["gib"].as_f64().expect("a number");
    steady.post("small", "/");
    let image = app.join("home.img").exists();
    assert!(!image || gib() < 0.1, "{} GiB", gib());
    work.write(&[("steady.json", r#"{"limits": {"disk_mb": 128}}"#)]);
    work.commit("More");
    work.push_ok();
    assert!(!image || (0.1..0.2).contains(&gib()), "{} GiB", gib());
}
