use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use serde_json::{Value, json};
use steady::runner::LaunchSpec;
use steady::runner::egress::address::barred;
use steady::runner::egress::{HostRule, Net, Reach};

use super::kit::{Battery, hostile, world};
use super::support::*;

/// What the host listens on, and who came.
struct Host {
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
    unix: Vec<UnixListener>,
    facts: Value,
}

impl Host {
    fn new(world: &World) -> Self {
        // On every address: loopback, and those that others reach.
        let v4 = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = v4.local_addr().expect("bound").port();
        // Without IPv6 there is one listener less, and one way less.
        let tcp: Vec<_> = std::iter::once(v4).chain(TcpListener::bind(format!("[::1]:{port}"))).collect();
        let udp = UdpSocket::bind("0.0.0.0:0").expect("a port");
        let name = format!("steady-{}", world.options.instance);
        let abstracts = SocketAddr::from_abstract_name(&name).expect("a name");
        let abstracts = UnixListener::bind_addr(&abstracts).expect("an abstract socket");
        let path = world.dir.path().join("host.sock");
        let by_path = UnixListener::bind(&path).expect("a socket");
        let facts = json!({ "port": port, "udp": udp.local_addr().expect("bound").port(), "abstract": name,
            "socket": format!("{}\0", path.display()), "hostAddress": address(),
            "hostIsPrivate": barred(address().parse().expect("an address")).is_some() });
        let host = Self { tcp, udp: vec![udp], unix: vec![abstracts, by_path], facts };
        host.tcp.iter().for_each(|l| l.set_nonblocking(true).expect("set"));
        host.udp.iter().for_each(|l| l.set_nonblocking(true).expect("set"));
        host.unix.iter().for_each(|l| l.set_nonblocking(true).expect("set"));
        host
    }

    /// Connections and datagrams that came in since the last look.
    fn visitors(&self) -> usize {
        let tcp = self.tcp.iter().map(|l| std::iter::from_fn(|| l.accept().ok()).count());
        let udp = self.udp.iter().map(|s| std::iter::from_fn(|| s.recv(&mut [0; 16]).ok()).count());
        let unix = self.unix.iter().map(|l| std::iter::from_fn(|| l.accept().ok()).count());
        tcp.chain(udp).chain(unix).sum()
    }
}

/// The address this machine would be reached by; nothing is sent. A documentation address where it has none.
fn address() -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let route = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr());
    route.map_or_else(|_| "192.0.2.2".to_owned(), |at| at.ip().to_string())
}

fn program(world: &World, name: &str, text: &str, facts: &Value) -> LaunchSpec {
    let app = hostile(world, name, text, facts.clone());
    for (file, text) in [
        ("storm.ts", include_str!("storm.ts")),
        ("race.ts", include_str!("race.ts")),
        ("exits.ts", include_str!("exits.ts")),
    ] {
        write(&app.code.join(file), text);
    }
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network() {
    let world = world();
    let mut battery = Battery::new("network");
    let host = Host::new(&world);
    let app = program(&world, "network", include_str!("network.ts"), &host.facts);
    world.runner.register(app.clone());
    battery.ask(&world, &app, "/").await;
    battery.check("nothing of it came to the host", host.visitors(), 0);
    battery.ask(&world, &app, "/many").await;
    battery.check("nothing of the storm came to the host", host.visitors(), 0);
    let told = world.log(&app);
    let line = |what: &str| told.iter().any(|l| l.contains("refused: ") && l.contains(what));
    battery.check("its log says what was refused", line("8.8.8.8:443"), true);
    battery.check("its log says how to allow a name", line(r#""permissions": { "net": ["evil.example"] }"#), true);
    battery.check(
        "its log is not flooded by refusals",
        told.iter().filter(|l| l.contains("refused: ")).count() < 80,
        true,
    );

    // With everything public allowed, what is not public stays out of reach.
    let mut public = program(&world, "public", include_str!("public.ts"), &host.facts);
    public.net = Net { tcp: Reach::Public, ..Net::default() };
    world.runner.register(public.clone());
    battery.ask(&world, &public, "/").await;
    battery.check("nothing of what is public came to the host", host.visitors(), 0);
    let rule = |text: &str| HostRule::parse(text).expect("a rule");
    let port = host.facts["port"].as_u64().expect("a port");
    let mut named = program(&world, "named", include_str!("named.ts"), &host.facts);
    let rules = [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("{}:{port}", address())];
    named.net = Net {
        tcp: Reach::Hosts(rules.iter().map(|text| rule(text)).collect()),
        udp: vec![rule("127.0.0.1:9")],
        ..Net::default()
    };
    world.runner.register(named.clone());
    battery.ask(&world, &named, "/").await;
    battery.check("nothing of what a manifest names came to the host", host.visitors(), 0);
    battery.finish();
    world.down().await;
}
