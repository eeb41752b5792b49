use serde_json::json;
use std::os::unix::process::ExitStatusExt as _;
use steady::runner::State;

use super::kit::{Battery, KIT, hostile, processes, world};
use super::support::*;

/// An ELF program of one page that does nothing and ends well: no library takes part.
fn tiny() -> Vec<u8> {
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    elf.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    elf.extend(0x0040_0078u64.to_le_bytes());
    elf.extend(64u64.to_le_bytes());
    elf.extend(0u64.to_le_bytes());
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for number in [0u64, 0x0040_0000, 0x0040_0000, 0x84, 0x84, 0x1000] {
        elf.extend(number.to_le_bytes());
    }
    // xor edi,edi; mov eax,231 (exit_group); syscall
    elf.extend([0x31, 0xff, 0xb8, 231, 0, 0, 0, 0x0f, 0x05, 0, 0, 0]);
    elf
}

/// What the same 32-bit call does outside: some kernels are built without any.
fn int80(world: &World) -> &'static str {
    let at = world.dir.path().join("outside");
    for (name, text) in [("kit.ts", KIT), ("int80.ts", include_str!("int80.ts"))] {
        write(&at.join(name), text);
    }
    let mmap = syscalls::x86_64::Sysno::mmap.id();
    write(&at.join("facts.json"), &json!({ "calls": { "mmap": mmap } }).to_string());
    let done = std::process::Command::new(&world.options.bun).arg(at.join("int80.ts")).output().expect("Bun runs");
    match done.status.signal() {
        None if done.stdout == b"answered\n" => "SIGSYS",
        Some(11) => "SIGSEGV",
        other => panic!("int 0x80 outside of any jail: {other:?} {done:?}"),
    }
}

/// A process that starts children: this program's own, or another test's, which is as far away.
fn zygote() -> u32 {
    let pids = std::fs::read_dir("/proc").expect("/proc").flatten();
    let mut pids = pids.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |pid: &u32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|b| *b == 0).nth(1) == Some(b"zygote")
    };
    pids.find(is_one).expect("the zygote runs")
}

fn is_stopped(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && line.contains('T'))
}

#[tokio::test(flavor = "multi_thread")]
async fn other_processes() {
    let world = world();
    let mut battery = Battery::new("process");
    let loader = steady::runner::sandbox::elf::interpreter(&world.options.bun).expect("a loader");
    let more = json!({ "zygote": zygote(), "loader": loader, "int80": int80(&world) });
    let app = hostile(&world, "process", include_str!("process.ts"), more);
    write(&app.code.join("int80.ts"), include_str!("int80.ts"));
    write(&app.code.join("memory.ts"), include_str!("memory.ts"));
    std::fs::File::create(app.code.join("true"))
        .and_then(|mut f| std::io::Write::write_all(&mut f, &tiny()))
        .expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(app.code.join("true"), mode).expect("mode");
    world.runner.register(app.clone());
    battery.ask(&world, &app, "/").await;
    battery.check("the app lives on after all that", world.get(&app, "/nothing").await, (200, "[]"));
    battery.ask(&world, &app, "/daemons").await;
    let uid = world.options.uid_base + app.uid_offset;
    // Init, Bun, and the daemon.
    battery.check("its daemon runs while the app does", processes(uid).len(), 3);
    world.runner.pause(&app.key).await;
    battery.check("its daemon ends with the app", processes(uid), Vec::<u32>::new());

    let deaf = "for (const s of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1'] as const) process.on(s, () => console.log('no'));
        export default { fetch: () => new Response('here') }";
    let busy = "process.on('SIGTERM', () => { for (;;); }); export default { fetch: () => new Response('here') }";
    let frozen = "setTimeout(() => process.kill(process.pid, 'SIGSTOP'), 300); export default { fetch: () => new Response('here') }";
    for (name, code) in [("deaf", deaf), ("busy", busy), ("frozen", frozen)] {
        let app = world.app(name, &[("index.ts", code)]);
        world.runner.register(app.clone());
        assert_eq!(world.get(&app, "/").await, (200, "here".into()), "{name}");
        let uid = world.options.uid_base + app.uid_offset;
        if name == "frozen" {
            eventually("it stops itself", || processes(uid).iter().any(|pid| is_stopped(*pid))).await;
        }
        world.runner.pause(&app.key).await;
        let state = world.runner.status(&app.key).expect("known").state;
        let found = (state == State::Paused, processes(uid).len());
        match name {
            "deaf" => battery.check("one that ignores SIGTERM ends", found, (true, 0)),
            "busy" => battery.check("one that spins in its handler ends", found, (true, 0)),
            _ => battery.check("one that has stopped itself ends", found, (true, 0)),
        }
    }
    battery.finish();
    world.down().await;
}
