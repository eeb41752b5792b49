//! Programs that mean harm, and a server that dies.
use std::os::unix::fs::symlink;

use steady::base::Progress;
use steady::runner::sandbox::landlock::best_abi;
use steady::runner::{JobSpec, Limits, State};

use super::support::*;

/// True, with a word why, where there is no root to build with.
fn no_root(world: &World) -> bool {
    let without = world.runner.confinement().name() == "process-only";
    if without {
        eprintln!("skipped: this test needs root");
    }
    without
}

#[tokio::test(flavor = "multi_thread")]
async fn it_sees_only_its_own() {
    let world = World::new();
    if no_root(&world) {
        return;
    }
    let code = "import fs from 'node:fs'; const out = {}; const t = (n, f) => { try { out[n] = f() } catch (e) { out[n] = e.code ?? String(e) } };
        t('shadow', () => fs.readFileSync('/etc/shadow', 'utf8')); t('root', () => fs.readdirSync('/').sort().join()); t('uid', () => process.getuid() + ' ' + process.getgid() + ' ' + process.getgroups().join());
        t('caps', () => fs.readFileSync('/proc/self/status', 'utf8').match(/Cap(Prm|Eff|Bnd|Inh|Amb):\\s*0+\\n/g).length); t('nnp', () => /NoNewPrivs:\\s*1/.test(fs.readFileSync('/proc/self/status', 'utf8')));
        t('others', () => fs.readdirSync('/proc').filter(n => /^\\d+$/.test(n) && +n !== process.pid).length); t('fds', () => fs.readdirSync('/proc/self/fd').map(n => { try { return fs.readlinkSync('/proc/self/fd/' + n) } catch { return '' } }).filter(l => l.startsWith('/') && !l.startsWith('/app') && !l.startsWith('/dev/null') && !l.startsWith('/proc')).join());
        t('code', () => fs.writeFileSync('/app/x', '')); t('bun', () => fs.writeFileSync('/bin/bun', '')); t('env', () => Object.keys(process.env).sort().join()); t('kill', () => process.kill(1, 0)); t('host', () => require('node:os').hostname());
        t('tmp', () => fs.writeFileSync('/tmp/big', new Uint8Array(80 << 20)));
        export default { fetch: () => Response.json(out) }";
    let app = world.app("nosy", &[("index.ts", code)]);
    world.runner.register(app.clone());
    let (status, body) = world.get(&app, "/").await;
    assert_eq!(status, 200, "{body}");
    let uid = world.options.uid_base + app.uid_offset;
    for expected in [
        r#""shadow":"ENOENT""#.to_owned(),
        r#""root":"EACCES""#.to_owned(),
        format!(r#""uid":"{uid} {uid} "#),
        // Init takes no signal from inside; where the walls reach so far it cannot even be sent one.
        format!(r#""kill":{}"#, if best_abi() >= 6 { r#""EPERM""# } else { "true" }),
        r#""caps":5"#.to_owned(),
        r#""nnp":true"#.to_owned(),
        r#""others":0"#.to_owned(),
        r#""fds":"""#.to_owned(),
        r#""code":"EROFS""#.to_owned(),
        r#""bun":"E"#.to_owned(),
        r#""host":"app""#.to_owned(),
        r#""tmp":"ENOSPC""#.to_owned(),
        r#""env":"BUN_RUNTIME_TRANSPILER_CACHE_PATH,DATA_DIR,HOME,LANG,NODE_ENV,PATH,PORT,STEADY_INSTANCE,TMPDIR,USER""#
            .to_owned(),
    ] {
        assert!(body.contains(&expected), "{expected} in {body}");
    }
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_processes_are_bounded() {
    let world = World::new();
    if world.runner.confinement().summary.contains("not enforced") {
        return eprintln!("skipped: this machine gives no cgroups");
    }
    let eats =
        "export default { fetch: () => { const all = []; for (;;) all.push(new Uint8Array(8 << 20).fill(1)); } }";
    let mut app = world.app("eats", &[("index.ts", eats)]);
    app.limits.memory_bytes = 128 << 20;
    world.runner.register(app.clone());
    assert_eq!(world.get(&app, "/").await.0, 502);
    world.logged(&app, "killed: out of memory").await;
    let crash = world.runner.status(&app.key).expect("known").last_crash.expect("a crash");
    assert_eq!(crash.ending, "signal 9 (out of memory)");

    let forks = "const kids = []; let why = ''; for (let i = 0; i < 200; i++) { try { kids.push(Bun.spawn([process.execPath, '-e', 'setInterval(() => {}, 1e6)'])) } catch (e) { why = e.code; break } }
        export default { fetch: () => new Response(kids.length + ' ' + why) }";
    let mut app = world.app("forks", &[("index.ts", forks)]);
    app.limits.pids = 40;
    world.runner.register(app.clone());
    // Bun itself may fall over when it gets no thread; what counts is that the machine does not.
    let (status, body) = world.get(&app, "/").await;
    assert!(status != 200 || body.ends_with("EAGAIN"), "{body}");
    let count = marked(&world.options.instance).len();
    assert!(count <= 40, "{count} processes");
    world.logged(&app, "its limit is `processes` 40 of steady.json").await;
    world.runner.pause(&app.key).await;
    eventually("its processes are gone", || marked(&world.options.instance).is_empty()).await;
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_dies_with_its_app_and_a_planted_socket_leads_nowhere() {
    let world = World::new();
    if no_root(&world) {
        return;
    }
    let code = "const p = Bun.spawn([process.execPath, '-e', `Bun.spawn([process.execPath, '-e', 'setInterval(() => {}, 1e6)'], { detached: true }).unref()`], { detached: true, stdio: ['ignore', 'ignore', 'ignore'] }); p.unref();
        export default { fetch: async () => { require('node:fs').unlinkSync('/run/steady/http.sock'); require('node:fs').symlinkSync('/var/run/docker.sock', '/run/steady/http.sock'); return new Response('planted', { headers: { connection: 'close' } }) } }";
    let app = world.app("daemon", &[("index.ts", code)]);
    world.runner.register(app.clone());
    assert_eq!(world.get(&app, "/").await.1, "planted");
    let (status, why) = world.get(&app, "/").await;
    assert!(status == 502 && why.contains("connect") || why == "planted", "{status} {why}");
    world.runner.pause(&app.key).await;
    eventually("no process is left", || marked(&world.options.instance).is_empty()).await;
    assert_eq!(world.runner.status(&app.key).expect("known").state, State::Paused);
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_as_home_content_and_a_timeout_of_a_job() {
    let world = World::new();
    let app = world.app("linked", &[("index.ts", "export default { fetch: () => new Response('x') }")]);
    symlink("/etc", app.home.join("data")).expect("link");
    world.runner.register(app.clone());
    assert_eq!(world.get(&app, "/").await.0, 200);
    assert!(std::fs::symlink_metadata(app.home.join("data")).expect("data").is_dir());
    let job = JobSpec {
        command: ["bun", "-e", "console.log('begun'); setInterval(() => {}, 1e6)"].map(str::to_owned).to_vec(),
        cwd: app.code.clone(),
        writable: vec![],
        readable: vec![app.code.clone()],
        env: vec![secret("TOKEN", "abcdefgh")],
        limits: Limits::default(),
        uid_offset: 901,
        timeout: patient(2),
        hosts: vec![],
    };
    let report = world.runner.job(job, &Progress::silent()).await.expect("runs");
    assert!(!report.success && report.ending == format!("timed out after {} s", patient(2).as_secs()), "{report:?}");
    assert_eq!(report.tail, ["begun"]);
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copying_a_home_is_a_job() {
    let world = World::new();
    let code = "import { Database } from 'bun:sqlite'; const db = new Database('app.sqlite'); db.run('PRAGMA journal_mode=WAL'); db.run('CREATE TABLE IF NOT EXISTS t(x)'); db.run('INSERT INTO t VALUES (42)');
        export default { fetch: () => Response.json(db.query('SELECT x FROM t').all()) }";
    let app = world.app("source", &[("index.ts", code)]);
    world.runner.register(app.clone());
    assert_eq!(world.get(&app, "/").await.1, r#"[{"x":42}]"#);
    let to = world.dir.path().join("copy");
    std::fs::create_dir(&to).expect("folder");
    let text = |p: &std::path::Path| p.to_string_lossy().into_owned();
    let job = |max: &str| JobSpec {
        command: vec!["steady".into(), "copy-home".into(), text(&app.home), text(&to), max.into()],
        cwd: to.clone(),
        writable: vec![app.home.clone(), to.clone()],
        readable: vec![],
        env: vec![],
        limits: Limits::default(),
        uid_offset: app.uid_offset,
        timeout: patient(20),
        hosts: vec![],
    };
    let small = world.runner.job(job("10"), &Progress::silent()).await.expect("runs");
    assert!(!small.success && small.tail[0].contains("too large"), "{small:?}");
    let report = world.runner.job(job("100000000"), &Progress::silent()).await.expect("runs");
    assert!(report.success, "{report:?}");
    let mut twin = world.app("twin", &[("index.ts", code)]);
    twin.home = to.clone();
    world.runner.register(twin.clone());
    assert_eq!(world.get(&twin, "/").await.1, r#"[{"x":42},{"x":42}]"#, "the copy, and one of its own");
    world.down().await;
}

/// Run by the test below in a process of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a helper of `a_killed_server_leaves_no_orphan`"]
async fn server_to_be_killed() {
    let world = World::with(|o| o.instance = std::env::var("TEST_INSTANCE").expect("set by the test"));
    let app = world.app("orphan", &[("index.ts", "export default { fetch: () => new Response('x') }")]);
    world.runner.register(app.clone());
    assert_eq!(world.get(&app, "/").await.0, 200);
    println!("SCRATCH={}", world.options.scratch.display());
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_no_orphan() {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let instance = format!("kill-{}", steady::base::secret::random_token(6));
    let me = std::env::current_exe().expect("own path");
    let mut server = tokio::process::Command::new(me)
        .args(["--ignored", "--nocapture", "--exact", "runner::hostile::server_to_be_killed"])
        .env("TEST_INSTANCE", &instance)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(server.stdout.take().expect("piped")).lines();
    // Not at the beginning of its line where there is one processor: the harness has begun one.
    let up = async { while !lines.next_line().await.expect("line").expect("not ended").contains("SCRATCH=") {} };
    tokio::time::timeout(patient(30), up).await.expect("it comes up");
    assert!(!marked(&instance).is_empty());
    server.kill().await.expect("killed");
    eventually("its children die with it", || marked(&instance).is_empty()).await;
    // What carries the mark and outlived it is ended by the next start; others are not.
    let mark = |name: &str| {
        std::process::Command::new("sleep").arg("1000").env("STEADY_INSTANCE", name).spawn().expect("started")
    };
    let (mut left, mut other) = (mark(&instance), mark("another"));
    let world = World::with(|o| o.instance = instance.clone());
    let status = left.wait().expect("ended");
    assert!(!status.success());
    assert!(other.try_wait().expect("asked").is_none(), "another instance's process lives");
    other.kill().expect("killed");
    other.wait().expect("ended");
    world.down().await;
}

/// Its queue of connections is full from the start, and nobody takes one out: a dial would wait for minutes.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_listens_and_lets_nobody_in_is_stopped_at_once() {
    let world = World::new();
    if no_root(&world) {
        return;
    }
    let code = "import { dlopen } from 'bun:ffi';
        const two = { args: ['i32', 'i32'], returns: 'i32' }, three = { args: ['i32', 'i32', 'i32'], returns: 'i32' }, to = { args: ['i32', 'ptr', 'u32'], returns: 'i32' };
        const c = dlopen('libc.so.6', { socket: three, bind: to, listen: two, connect: to }).symbols;
        const at = new Uint8Array([2, 0, 3000 >> 8, 3000 & 255, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        const server = c.socket(2, 1, 0);
        console.log('bound', c.bind(server, at, 16), c.listen(server, 0));
        for (let n = 0; n < 4; n++) c.connect(c.socket(2, 1 | 2048, 0), at, 16);
        console.log('full'); setInterval(() => {}, 1e6);";
    let app = world.app("full", &[("index.ts", code)]);
    world.runner.register(app.clone());
    let (runner, key) = (world.runner.clone(), app.key.clone());
    let visitor = world.tasks.spawn("visitor", async move { drop(runner.admit(&key).await) });
    world.logged(&app, "bound 0 0").await;
    world.logged(&app, "full").await;
    // Time for the server to have dialed.
    tokio::time::sleep(patient(2)).await;
    world.runner.pause(&app.key).await;
    // Waiting for the queue would take the kernel two minutes.
    let paused = || world.runner.status(&app.key).expect("known").state == State::Paused;
    eventually("it is paused", paused).await;
    assert_eq!(marked(&world.options.instance), Vec::<u32>::new(), "it lives on");
    visitor.await.expect("an answer");
    world.down().await;
}

/// All children die with the process that starts them, and the worlds it has made ahead are of no use any more.
#[tokio::test(flavor = "multi_thread")]
async fn the_zygote_dies_and_apps_wake_again() {
    let world = World::new();
    let app = world.app("again", &[("index.ts", "export default { fetch: () => new Response('here') }")]);
    world.runner.register(app.clone());
    assert_eq!(world.get(&app, "/").await.1, "here");
    let init = world.runner.status(&app.key).and_then(|status| status.pid).expect("a process");
    // A world is made ahead by then, to be passed over later; if not, the test is only the easier.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let status = std::fs::read_to_string(format!("/proc/{init}/status")).expect("its status");
    let zygote = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("its parent").trim();
    let zygote = rustix::process::Pid::from_raw(zygote.parse().expect("a number")).expect("a process");
    rustix::process::kill_process(zygote, rustix::process::Signal::KILL).expect("killed");
    world.logged(&app, "killed by signal 9").await;
    assert_eq!(world.get(&app, "/").await, (200, "here".to_owned()), "{:#?}", world.log(&app));
    world.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_while_worlds_are_made_leaves_no_group() {
    // So many that it is at it when it stops.
    let world = World::with(|options| options.spares = 200);
    let instance = format!("steady-{}", world.options.instance);
    if groups(&instance).is_empty() {
        world.down().await;
        return eprintln!("skipped: this machine gives no cgroups");
    }
    let made = || {
        let inside = groups(&instance).into_iter().filter_map(|group| std::fs::read_dir(group).ok());
        inside.flatten().flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("child-"))
    };
    eventually("a world is made ahead", made).await;
    world.runner.stop_all().await;
    assert_eq!(groups(&instance), Vec::<std::path::PathBuf>::new(), "groups left");
    world.down().await;
}

/// The folders of this name among all groups that can be seen.
fn groups(name: &str) -> Vec<std::path::PathBuf> {
    let (mut found, mut waiting) = (Vec::new(), vec![std::path::PathBuf::from("/sys/fs/cgroup")]);
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy() == name {
                found.push(entry.path());
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_goes_after_all_apps() {
    let world = World::new();
    if no_root(&world) {
        return;
    }
    let code = "const fs = require('node:fs'); const at = ['/sys/fs/cgroup/cpu.idle', '/sys/fs/cgroup/cpu/cpu.idle'].find((path) => fs.existsSync(path));
        console.log(at ? fs.readFileSync(at, 'utf8').trim() : 'none')";
    let work = world.dir.path().join("work");
    std::fs::create_dir(&work).expect("folder");
    let job = |cpu_weight| JobSpec {
        command: ["bun", "-e", code].map(str::to_owned).to_vec(),
        cwd: work.clone(),
        writable: vec![work.clone()],
        readable: vec![],
        env: vec![],
        limits: Limits { cpu_weight, ..Limits::default() },
        uid_offset: 902,
        timeout: patient(30),
        hosts: vec![],
    };
    for (weight, last) in [(25, "1"), (100, "0")] {
        let report = world.runner.job(job(weight), &Progress::silent()).await.expect("runs");
        if report.tail == ["none"] {
            eprintln!("skipped: this kernel sends nobody last");
        } else {
            assert_eq!(report.tail, [last], "{report:?}");
        }
    }
    world.down().await;
}
