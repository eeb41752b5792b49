//! What an app feels of a neighbour that goes wild: its requests quiet, then under each bomb, in turns.
use std::time::{Duration, Instant};

use steady::runner::LaunchSpec;

use super::table::{self, median, percentile};
use super::world::{HELLO, World};

const TIME: Duration = Duration::from_millis(2500);
const PAUSE: Duration = Duration::from_millis(2);

/// Each goes off a moment after its first answer.
const BOMBS: &[(&str, &str)] = &[
    (
        "fork",
        "const go = () => { for (let n = 0; n < 20; n++) { try { Bun.spawn([process.execPath, '-e', 'for (;;) { try { Bun.spawn([process.execPath, \"-e\", \"for (;;) ;\"]) } catch {} }']) } catch {} } setTimeout(go, 10) };",
    ),
    ("memory", "const all = []; const go = () => { for (;;) all.push(new Uint8Array(8 << 20).fill(1)) };"),
    (
        "disk",
        "const fs = require('node:fs'); const piece = new Uint8Array(4 << 20).fill(7); const go = () => { for (let n = 0; ; n = (n + 1) % 100) { try { const fd = fs.openSync('data/f' + n, 'w'); fs.writeSync(fd, piece); fs.fsyncSync(fd); fs.closeSync(fd) } catch {} } };",
    ),
    (
        "descriptors",
        "const fs = require('node:fs'); const go = () => { for (;;) { const all = []; try { for (;;) all.push(fs.openSync('/dev/null')) } catch {} all.forEach((fd) => fs.closeSync(fd)) } };",
    ),
    (
        "log flood",
        "const fs = require('node:fs'); const text = 'flood '.repeat(20) + '\\n'; const piece = text.repeat(500); const go = () => { for (;;) { try { fs.writeSync(1, piece); fs.writeSync(2, text) } catch {} } };",
    ),
    (
        "cpu",
        "const go = () => { for (let n = 0; n < 8; n++) new Worker('data:text/javascript,for(;;);'); for (;;) ; };",
    ),
    (
        "egress flood",
        "const net = require('node:net'); let n = 0; const one = () => { const s = net.connect({ host: '203.0.113.' + (n++ % 250), port: 1 + n % 60000 }); s.on('error', () => { s.destroy(); setImmediate(one) }) }; const go = () => { for (let k = 0; k < 64; k++) one(); const ask = () => require('node:dns').lookup('x' + n + '.example.com', () => setImmediate(ask)); ask(); ask() };",
    ),
];

pub async fn measure(world: &World, rounds: usize) {
    let victim = world.app("victim", HELLO);
    let bombs: Vec<LaunchSpec> = BOMBS
        .iter()
        .map(|(name, code)| {
            let serve = "let lit = false; Bun.serve({ fetch: () => { if (!lit) { lit = true; setTimeout(go, 20) } return new Response('lit') } });\n";
            world.app(&format!("bomb-{}", name.replace(' ', "-")), &format!("{code}\n{serve}"))
        })
        .collect();
    let mut found = vec![Found::default(); BOMBS.len()];
    feel(world, &victim).await;
    for _ in 0..rounds {
        for (bomb, found) in bombs.iter().zip(&mut found) {
            let quiet = feel(world, &victim).await;
            let (runner, key) = (world.runner.clone(), bomb.key.clone());
            world.get(bomb).await.expect("the bomb answers first");
            // One that dies is lit again at once, as impatient visitors would.
            let keeper = async {
                loop {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    drop(tokio::time::timeout(Duration::from_secs(1), world.get(bomb)).await);
                }
            };
            let measured = async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                feel(world, &victim).await
            };
            let loud = tokio::select! { loud = measured => loud, () = keeper => unreachable!("it never ends") };
            runner.pause(&key).await;
            runner.resume(&key).await;
            found.add(&quiet, &loud);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    println!(
        "\n| neighbour | p50 quiet (ms) | p50 then | p99 quiet (ms) | p99 then | spread of it | ratio of p99, median of rounds | spread |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for ((name, _), f) in BOMBS.iter().zip(&found) {
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {:.2} | {} |",
            median(&f.quiet50),
            median(&f.loud50),
            median(&f.quiet99),
            median(&f.loud99),
            table::spread(&f.loud99),
            median(&f.ratio),
            table::spread(&f.ratio)
        );
    }
    world.runner.pause(&victim.key).await;
}

#[derive(Clone, Default)]
struct Found {
    quiet50: Vec<f64>,
    loud50: Vec<f64>,
    quiet99: Vec<f64>,
    loud99: Vec<f64>,
    ratio: Vec<f64>,
}

impl Found {
    fn add(&mut self, quiet: &[f64], loud: &[f64]) {
        let of = |times: &[f64]| (percentile(times, 0.5), percentile(times, 0.99));
        let ((q50, q99), (l50, l99)) = (of(quiet), of(loud));
        self.quiet50.push(q50);
        self.quiet99.push(q99);
        self.loud50.push(l50);
        self.loud99.push(l99);
        self.ratio.push(l99 / q99);
    }
}

/// Milliseconds of each request, one after another with a short pause.
async fn feel(world: &World, victim: &LaunchSpec) -> Vec<f64> {
    let until = Instant::now() + TIME;
    let mut all = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        world.get(victim).await.expect("an answer");
        all.push(began.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(PAUSE).await;
    }
    all
}
