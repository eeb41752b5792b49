//! With two networks, both made here: outside, where every address is local but none is on an interface, so
//! that upstreams have public addresses; and inside, as in a jail. The rules are the real ones.
use std::process::Command;

use nix::sched::{CloneFlags, unshare};

use super::*;

/// Runs the test below in a network namespace: as root, or as the root of a user namespace.
#[test]
fn in_networks_of_their_own() {
    let net: &[&str] =
        if rustix::process::geteuid().is_root() { &["--net"] } else { &["--user", "--map-root-user", "--net"] };
    let mut test = Command::new("unshare");
    test.args(net).arg(std::env::current_exe().expect("this program"));
    test.args(["--exact", "runner::egress::tests::netns::within", "--ignored", "--nocapture"]);
    test.env("OUTER_NET", network());
    let output = test.output().expect("unshare, of util-linux, starts");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Which network this is.
fn network() -> std::ffi::OsString {
    std::fs::read_link("/proc/self/ns/net").expect("proc is there").into()
}

/// Loopback up, and every address a local one.
fn prepare() {
    for words in ["link set lo up", "route add local 0.0.0.0/0 dev lo", "-6 route add local ::/0 dev lo"] {
        let status = Command::new("ip").args(words.split(' ')).status().expect("ip, of iproute2, starts");
        assert!(status.success(), "ip {words}");
    }
}

/// A thread whose sockets are in a network of its own.
fn inside() -> Place {
    let (send, work) = std::sync::mpsc::channel::<Work>();
    std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        prepare();
        work.into_iter().for_each(|work| work());
    });
    Place(Some(send))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by in_networks_of_their_own, in a network namespace"]
async fn within() {
    let outer = std::env::var_os("OUTER_NET").expect("in_networks_of_their_own starts it");
    assert_ne!(network(), outer, "the machine's own network is left alone");
    prepare();
    let v4 = upstream("93.184.216.34").await;
    let v6 = upstream("2606:2800:220:1::34").await;
    let own = upstream("127.0.0.1").await;
    let place = inside();
    names_and_literals(place.clone(), v4, v6).await;
    a_listed_host_only(place.clone(), v4, v6).await;
    trusted_loopback(place.clone(), own).await;
    private::hosts_of_the_owners_network(place).await;
}

async fn names_and_literals(place: Place, v4: u16, v6: u16) {
    let names = vec![
        ("four.example", vec![vec![at("93.184.216.34")]]),
        ("six.example", vec![vec![at("2606:2800:220:1::34")]]),
        ("own.example", vec![vec![at("127.0.0.1"), at("::1")]]),
    ];
    let net = Net { tcp: Reach::Public, ..Net::default() };
    let world = world(Setup { net, names, place, ..Setup::default() }).await;
    for (name, port) in [("four.example", v4), ("six.example", v6)] {
        for kind in [RecordType::A, RecordType::AAAA] {
            let to = SocketAddr::new(world.found(name, kind).await, port);
            let answer = shout(world.connect(to).await.expect("connected"), "public").await;
            assert_eq!(answer.expect("an answer"), "PUBLIC", "{name} {kind}");
        }
    }
    for (to, port) in [("93.184.216.34", v4), ("::ffff:93.184.216.34", v4), ("2606:2800:220:1::34", v6)] {
        let to = SocketAddr::new(at(to), port);
        assert_eq!(shout(world.connect(to).await.expect("connected"), "it").await.expect("an answer"), "IT", "{to}");
    }
    let to = SocketAddr::new(world.fake("own.example").await, v4);
    let mut stream = world.connect(to).await.expect("connected");
    assert_eq!(stream.read_u8().await.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
    world.said(&format!("refused: own.example:{v4}. Its address is loopback")).await;
    for to in ["10.0.0.1:80", "[fd00::1]:80", "169.254.169.254:80", "[64:ff9b::5db8:d822]:80", "198.18.0.0:80"] {
        assert!(world.connect(to.parse().expect(to)).await.is_err(), "{to}");
    }
    // What goes on without being asked about finds nobody.
    for to in ["10.0.0.1:80", "93.184.216.34:81", "[2606:2800:220:1::34]:81"] {
        let to: SocketAddr = to.parse().expect(to);
        let error = world.jail.place.run(move || std::net::TcpStream::connect(to)).await.expect_err(&to.to_string());
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
    until(|| world.session.usage().open == 0).await;
    assert_eq!(world.session.usage().bytes_out, world.session.usage().bytes_in);
}

async fn a_listed_host_only(place: Place, v4: u16, v6: u16) {
    let net = hosts(&[format!("93.184.216.34:{v4}"), format!("[2606:2800:220:1::34]:{v6}")]);
    let world = world(Setup { net, place, ..Setup::default() }).await;
    for (ip, port) in [("93.184.216.34", v4), ("2606:2800:220:1::34", v6)] {
        let to = SocketAddr::new(at(ip), port);
        assert_eq!(shout(world.connect(to).await.expect("connected"), "a").await.expect("an answer"), "A");
        assert!(world.connect(SocketAddr::new(at(ip), 1)).await.is_err());
    }
    assert!(world.connect(SocketAddr::new(at("93.184.216.35"), v4)).await.is_err());
}

/// The owner's registry on the server's own loopback, reached at the jail's.
async fn trusted_loopback(place: Place, port: u16) {
    let trusted = rules(&[format!("localhost:{port}")]);
    let names = vec![("localhost", vec![vec![at("127.0.0.1")]])];
    let world = world(Setup { trusted, names, place, ..Setup::default() }).await;
    for ip in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        let to = SocketAddr::new(at(ip), port);
        assert_eq!(shout(world.connect(to).await.expect("connected"), "b").await.expect("an answer"), "B", "{ip}");
    }
}
