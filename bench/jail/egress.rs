//! Outbound connections: a job in the jail against the same script outside, to one server of this machine.
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use steady::base::Progress;
use steady::runner::egress::HostRule;
use steady::runner::{JobSpec, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::table;
use super::world::{World, write};

const BULK: usize = 256 << 20;
const CONNECTIONS: usize = 300;

/// Prints `first µs`, `connection µs` (median of the later ones) and `bulk MB/s`.
const CLIENT: &str = r"
const net = require('node:net');
const [host, other, port, connections, bulk] = process.argv.slice(2);
const once = (word, port) => new Promise((resolve, reject) => {
  const began = Bun.nanoseconds();
  let length = 0;
  const socket = net.connect({ host, port: +port, noDelay: true }, () => socket.write(word));
  socket.on('data', (data) => {
    length += data.length;
    if (word === 'c' || length >= +bulk) { resolve(Bun.nanoseconds() - began); socket.destroy(); }
  });
  socket.on('error', reject);
});
// What loading node:net costs is nobody's figure.
await once('c', other);
const first = await once('c', port);
const all = [];
for (let n = 0; n < +connections; n++) all.push(await once('c', port));
all.sort((a, b) => a - b);
const took = await once('b', port);
console.log('figures', first / 1e3, all[all.length >> 1] / 1e3, +bulk / 1e6 / (took / 1e9));
";

pub async fn measure(world: &World, rounds: usize) {
    let Some(ip) = own_address() else {
        println!("\nnot measured: egress (this machine has no address but loopback, which the jail has of its own)");
        return;
    };
    let (other, at) = (start(ip).await, start(ip).await);
    let code = world.dir.join("client");
    write(&code.join("client.ts"), CLIENT);
    let path = code.join("client.ts").to_string_lossy().into_owned();
    let ports = [other, at].map(|at| at.port().to_string());
    let counts = [CONNECTIONS, BULK].map(|n| n.to_string());
    let arguments: Vec<String> = [path, ip.to_string()].into_iter().chain(ports).chain(counts).collect();
    let (mut mine, mut theirs) = (Side::default(), Side::default());
    for _ in 0..rounds {
        let job = JobSpec {
            command: std::iter::once("bun".to_owned()).chain(arguments.iter().cloned()).collect(),
            cwd: code.clone(),
            writable: vec![],
            readable: vec![code.clone()],
            env: vec![],
            limits: Limits::default(),
            uid_offset: 900,
            timeout: Duration::from_secs(120),
            hosts: [other, at].map(|at| HostRule::parse(&at.to_string()).expect("a rule")).into(),
        };
        let report = world.runner.job(job, &Progress::silent()).await.expect("a job");
        mine.add(&report.tail.join("\n"));
        let mut bare = tokio::process::Command::new(&world.bun);
        bare.args(&arguments).current_dir(&code).env_clear().stdin(Stdio::null());
        theirs.add(&String::from_utf8_lossy(&bare.output().await.expect("Bun").stdout));
    }
    table::heading("outbound, to a server of this machine", "see row");
    table::pair("first connection to an address and one byte back, µs", &mine.first, &theirs.first, "direct");
    table::pair("later connection and one byte back, µs", &mine.later, &theirs.later, "direct");
    table::pair("bulk of 256 MiB, MB/s", &mine.bulk, &theirs.bulk, "direct");
}

#[derive(Default)]
struct Side {
    first: Vec<f64>,
    later: Vec<f64>,
    bulk: Vec<f64>,
}

impl Side {
    fn add(&mut self, said: &str) {
        let line = said.lines().find_map(|line| line.strip_prefix("figures "));
        let line = line.unwrap_or_else(|| panic!("the client failed: {said}"));
        let mut figures = line.split(' ').map(|n| n.parse::<f64>().expect("a figure"));
        for list in [&mut self.first, &mut self.later, &mut self.bulk] {
            list.push(figures.next().expect("three figures"));
        }
    }
}

/// A server that lives as long as this program.
async fn start(ip: IpAddr) -> SocketAddr {
    let server = TcpListener::bind((ip, 0)).await.expect("a server");
    let at = server.local_addr().expect("its address");
    tokio::spawn(serve(server));
    at
}

/// `c`: one byte back. `b`: the bulk.
async fn serve(server: TcpListener) {
    while let Ok((mut stream, _)) = server.accept().await {
        tokio::spawn(async move {
            let mut word = [0u8; 1];
            drop(stream.set_nodelay(true));
            if stream.read_exact(&mut word).await.is_err() {
                return;
            }
            if word == *b"c" {
                drop(stream.write_all(b"c").await);
            } else {
                let piece = vec![0u8; 256 << 10];
                for _ in 0..BULK / piece.len() {
                    if stream.write_all(&piece).await.is_err() {
                        return;
                    }
                }
            }
            // Until the client leaves.
            drop(stream.read(&mut word).await);
        });
    }
}

/// The address this machine would send from. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|at| at.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}
