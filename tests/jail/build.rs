use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use steady::base::Progress;
use steady::runner::egress::HostRule;
use steady::runner::{JobReport, JobSpec, Limits};

use super::kit::{Battery, hostile, processes, world};
use super::support::*;

const UID: u32 = 900;
/// All that a build may find in its environment; some only where the server itself has them.
const ENV: &[&str] = &[
    "BUN_CONFIG_REGISTRY",
    "BUN_INSTALL_CACHE_DIR",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "NODE_EXTRA_CA_CERTS",
    "NO_PROXY",
    "NPM_CONFIG_REGISTRY",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "STEADY_INSTANCE",
    "TMPDIR",
    "TOKEN",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "npm_config_registry",
];

async fn job(world: &World, command: &[&str], cwd: &Path, more: impl FnOnce(&mut JobSpec)) -> JobReport {
    let mut job = JobSpec {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        cwd: cwd.to_owned(),
        writable: vec![cwd.to_owned()],
        readable: Vec::new(),
        env: vec![secret("TOKEN", "for-the-build")],
        limits: Limits::default(),
        uid_offset: UID,
        timeout: patient(60),
        hosts: Vec::new(),
    };
    more(&mut job);
    world.runner.job(job, &Progress::silent()).await.expect("a job")
}

fn said(report: &JobReport) -> String {
    let found = report.tail.iter().find_map(|line| line.strip_prefix("@@"));
    found.unwrap_or_else(|| panic!("the build told nothing: {report:?}")).to_owned()
}

/// Answers HTTP on a port of the host's loopback until the process ends.
fn trusted() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\ntrusted";
            // Whoever looks and goes away again is nobody's visitor.
            let _ = stream.read(&mut [0; 1024]).and_then(|_| stream.write_all(answer));
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn builds() {
    let world = world();
    let mut battery = Battery::new("build");
    let app = world.app("app", &[("index.ts", "export default { fetch: () => new Response('here') }")]);
    world.runner.register(app.clone());
    assert_eq!(world.get(&app, "/").await, (200, "here".into()));
    let pid = *processes(world.options.uid_base + app.uid_offset).last().expect("it runs");
    let shared: PathBuf = world.dir.path().join("shared");
    write(&shared.join("module.js"), "export default 1");
    let untrusted = TcpListener::bind("127.0.0.1:0").expect("a port");
    untrusted.set_nonblocking(true).expect("set");
    let port = trusted();
    let uid = world.options.uid_base + UID;
    let more = json!({ "env": ENV, "buildUid": uid, "appHome": app.home, "appPid": pid, "shared": "/job/1",
        "hostHome": std::env::home_dir(), "trusted": port,
        "untrusted": untrusted.local_addr().expect("bound").port() });
    let build = hostile(&world, "build", include_str!("build.ts"), more);
    let host_file = world.dir.path().join("of-the-host");
    write(&host_file, "x");
    std::os::unix::fs::symlink(&host_file, build.code.join("link")).expect("a link");
    let report = job(&world, &["bun", "index.ts", "/"], &build.code, |job| {
        job.readable = vec![shared.clone()];
        job.hosts = vec![HostRule::parse(&format!("localhost:{port}")).expect("a rule")];
    });
    let report = report.await;
    battery.hear(&said(&report));
    battery.check("a build's daemon ends with it", processes(uid), Vec::<u32>::new());
    battery.check("who came to the port that no build may reach", untrusted.accept().is_err(), true);
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&host_file).expect("there"));
    battery.check("what a link in its folder leads to was not given to it", owner, nix::unistd::getuid().as_raw());
    battery.check("the app beside a build", world.get(&app, "/").await, (200, "here"));
    let report = job(&world, &["bun", "index.ts", "/next"], &build.code, |_| ()).await;
    battery.hear(&said(&report));

    let eval = |code: &'static str| ["bun", "-e", code];
    let deaf = "for (const s of ['SIGTERM', 'SIGINT']) process.on(s, () => {}); Bun.spawn(['bun', '-e', 'setInterval(() => {}, 1e6)'], { detached: true }); setInterval(() => {}, 1e6)";
    let report = job(&world, &eval(deaf), &build.code, |job| job.timeout = Duration::from_secs(2)).await;
    battery.check(
        "a build without an end",
        (report.success, report.ending, processes(uid).len()),
        (false, "timed out after 2 s", 0),
    );
    let flood = "const line = 'x'.repeat(100) + '\\n'; for (let n = 0; n < 50; n++) require('fs').writeSync(1, line.repeat(2000)); console.log('end')";
    let report = job(&world, &eval(flood), &build.code, |_| ()).await;
    battery.check(
        "a build that floods its log",
        (report.success, report.tail.len(), report.tail.last()),
        (true, 200, Some("end")),
    );
    let eat = "const all = []; for (;;) all.push(new Uint8Array(8 << 20).fill(1))";
    let report = job(&world, &eval(eat), &build.code, |job| job.limits.memory_bytes = 128 << 20).await;
    battery.check("a build that eats memory", (report.success, report.ending), (false, "signal 9 (out of memory)"));
    battery.finish();
    world.down().await;
}
