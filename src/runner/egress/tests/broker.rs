//! On loopback: fake addresses are 127.18.0.0/15, and 127.77.0.0/16 counts as public.
use super::*;
use hickory_proto::op::ResponseCode;
use rustix::io::Errno;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allowed_name_is_reached_through_its_address() {
    let port = upstream("127.77.0.1").await;
    let net = hosts(&[format!("api.example.com:{port}"), format!("*.wild.example:{port}")]);
    let names = vec![
        ("api.example.com", vec![vec![at("127.77.0.1")]]),
        ("a.b.wild.example", vec![vec![at("127.77.0.9"), at("127.77.0.1")]]),
    ];
    let world = world(Setup { net, names, ..Setup::default() }).await;
    for name in ["api.example.com", "a.b.wild.example"] {
        let to = SocketAddr::new(world.fake(name).await, port);
        for _ in 0..3 {
            let stream = world.connect(to).await.expect("connected");
            assert_eq!(shout(stream, "hello").await.expect("an answer"), "HELLO");
        }
        let mapped = to.ip().to_string().parse::<Ipv4Addr>().expect("v4").to_ipv6_mapped();
        assert!(matches!(world.attempt(SocketAddr::new(mapped.into(), port), false).await, Outcome::GoOn));
    }
    assert_eq!(world.jail.listeners.load(Ordering::SeqCst), 2, "one listener for each destination");
    until(|| world.session.usage().open == 0).await;
    let usage = world.session.usage();
    assert_eq!(usage, Usage { open: 0, total: 6, bytes_in: 30, bytes_out: 30, refused: 0 });
    assert_eq!(world.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn a_name_that_is_not_allowed_is_not_found_and_the_line_that_allows_it_is_logged() {
    let world = world(Setup { net: hosts(&["api.example.com".into()]), ..Setup::default() }).await;
    for name in ["example.com", "evil.example", "xapi.example.com"] {
        for kind in [RecordType::A, RecordType::AAAA, RecordType::TXT] {
            assert_eq!(world.ask(name, kind).await.metadata.response_code, ResponseCode::NXDomain);
        }
    }
    let line = r#"refused: evil.example. To allow it, in steady.json: "permissions": { "net": ["api.example.com", "evil.example"] }"#;
    assert!(world.lines().contains(&line.to_owned()), "{:?}", world.lines());
    assert_eq!(world.lines().len(), 3);
    let other = world.ask("API.example.com", RecordType::HTTPS).await;
    assert_eq!((other.metadata.response_code, other.answers.len()), (ResponseCode::NoError, 0));
    assert_eq!(world.ask("localhost", RecordType::A).await.answers.len(), 1);
    // The name is allowed, the port is not.
    let to = SocketAddr::new(world.fake("api.example.com").await, 8443);
    let error = world.connect(to).await.expect_err("refused");
    assert_eq!(error.raw_os_error(), Some(Errno::ACCESS.raw_os_error()));
    world.said(r#"refused: api.example.com:8443. To allow it"#).await;
    // An address that was never given.
    let error = world.connect("127.18.99.99:443".parse().expect("an address")).await.expect_err("refused");
    assert_eq!(error.raw_os_error(), Some(Errno::ACCESS.raw_os_error()));
    assert_eq!(world.jail.listeners.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn literal_addresses_need_a_public_address_and_a_rule() {
    let world = world(Setup { net: hosts(&["8.8.8.8:53".into()]), ..Setup::default() }).await;
    for to in [
        "169.254.169.254:80",
        "10.0.0.1:443",
        "[fd00:ec2::254]:80",
        "[64:ff9b::a00:1]:80",
        "1.1.1.1:443",
        "8.8.8.8:443",
        "[2606:4700::1111]:443",
        "[::ffff:10.0.0.1]:80",
        "[::a00:1]:80",
        "8.8.8.8:0",
    ] {
        assert!(matches!(world.attempt(to.parse().expect(to), false).await, Outcome::Refuse(_)), "{to}");
    }
    world
        .said(
            r#"refused: 1.1.1.1:443. To allow it, in steady.json: "permissions": { "net": ["8.8.8.8:53", "1.1.1.1"] }"#,
        )
        .await;
    world.said("refused: 10.0.0.1:443. 10.0.0.1 is private: apps reach public addresses only").await;
    for to in ["127.0.0.1:3000", "[::1]:3000", "0.0.0.0:3000", "[::]:3000", "[::ffff:127.0.0.1]:1", "127.9.9.9:1"] {
        assert!(matches!(world.attempt(to.parse().expect(to), false).await, Outcome::GoOn), "{to}");
    }
    for to in ["127.0.0.1:53", "8.8.8.8:53", "8.8.8.8:0"] {
        assert!(matches!(world.attempt(to.parse().expect(to), true).await, Outcome::GoOn), "{to}");
    }
    assert!(matches!(world.attempt("1.1.1.1:53".parse().expect("it"), true).await, Outcome::Refuse(_)));
    world
        .said(r#"refused: 1.1.1.1:53 (udp). To allow it, in steady.json: "permissions": { "udp": ["1.1.1.1:53"] }"#)
        .await;
}

#[tokio::test]
async fn an_allowed_name_that_leads_inside_is_refused_also_when_its_answer_flips() {
    let port = upstream("127.0.0.1").await;
    upstream("127.77.0.2").await;
    let inside = vec!["10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1", "192.168.0.1"];
    let inside: Vec<_> = inside.into_iter().map(at).collect();
    let net = hosts(&[format!("flip.example:{port}"), format!("in.example:{port}")]);
    let names = vec![
        ("flip.example", vec![vec![at("127.77.0.2"), at("127.0.0.1")], vec![at("127.0.0.1")]]),
        ("in.example", vec![inside]),
    ];
    let world = world(Setup { net, names, ..Setup::default() }).await;
    for name in ["flip.example", "in.example"] {
        let to = SocketAddr::new(world.fake(name).await, port);
        // Connected to our listener, and reset: for the first one nothing listens at the public address.
        let stream = world.connect(to).await.expect("connected");
        let error = shout(stream, "hello").await.expect_err("no answer");
        assert!([io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe].contains(&error.kind()), "{error}");
    }
    world.said(&format!("cannot reach flip.example:{port}. ")).await;
    world.said(&format!("refused: in.example:{port}. Its address is private: apps reach public")).await;
}

#[tokio::test]
async fn what_the_owner_trusts_may_be_private_and_loopback_too() {
    let port = upstream("127.0.0.1").await;
    let trusted = rules(&[format!("registry.example:{port}"), format!("localhost:{port}")]);
    let names = vec![("registry.example", vec![vec![at("127.0.0.1")]]), ("localhost", vec![vec![at("127.0.0.1")]])];
    let world = world(Setup { trusted, names, ..Setup::default() }).await;
    let to = SocketAddr::new(world.fake("registry.example").await, port);
    assert_eq!(shout(world.connect(to).await.expect("connected"), "a").await.expect("an answer"), "A");
    // The upstream has this address here, so the listener cannot; in a jail it has a loopback of its own.
    let inside = SocketAddr::new(at("127.0.0.8"), port);
    assert_eq!(shout(world.connect(inside).await.expect("connected"), "b").await.expect("an answer"), "B");
    assert!(world.connect(SocketAddr::new(world.fake("registry.example").await, 1)).await.is_err());
}

#[tokio::test]
async fn more_connections_than_the_limit_are_reset() {
    let port = upstream("127.77.0.3").await;
    let names = vec![("api.example.com", vec![vec![at("127.77.0.3")]])];
    let net = hosts(&[format!("api.example.com:{port}")]);
    let world = world(Setup { net, names, connections: 2, ..Setup::default() }).await;
    let to = SocketAddr::new(world.fake("api.example.com").await, port);
    let first = world.connect(to).await.expect("connected");
    let second = world.connect(to).await.expect("connected");
    until(|| world.session.usage().open == 2).await;
    let mut third = world.connect(to).await.expect("connected");
    assert_eq!(third.read_u8().await.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
    world.said("2 connections are open, and that is the limit.").await;
    assert_eq!(shout(first, "x").await.expect("an answer"), "X");
    drop(second);
    until(|| world.session.usage().open == 0).await;
    assert_eq!(shout(world.connect(to).await.expect("connected"), "y").await.expect("an answer"), "Y");
}

/// Who has many leaves as many to the others.
#[tokio::test]
async fn one_app_does_not_take_the_places_of_all() {
    let port = upstream("127.77.0.6").await;
    let names = vec![("api.example.com", vec![vec![at("127.77.0.6")]])];
    let net = hosts(&[format!("api.example.com:{port}")]);
    let world = world(Setup { net, names, places: 5, ..Setup::default() }).await;
    let to = SocketAddr::new(world.fake("api.example.com").await, port);
    let mut held = Vec::new();
    for open in 1..=3 {
        held.push(world.connect(to).await.expect("connected"));
        until(|| world.session.usage().open == open).await;
    }
    let mut more = world.connect(to).await.expect("connected");
    assert_eq!(more.read_u8().await.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
    world.said("The server has as many outbound connections as it can hold.").await;
    assert_eq!(world.session.usage().open, 3);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_or_not_found_is_a_reset() {
    let net = hosts(&["dead.example:9".into(), "gone.example:9".into()]);
    let names = vec![("dead.example", vec![vec![at("127.77.0.4")]])];
    let world = world(Setup { net, names, ..Setup::default() }).await;
    for name in ["dead.example", "gone.example"] {
        let mut stream = world.connect(SocketAddr::new(world.fake(name).await, 9)).await.expect("connected");
        assert_eq!(stream.read_u8().await.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
    }
    world.said("cannot reach dead.example:9. Connection refused").await;
    world.said("cannot reach gone.example:9. Looking up its name failed: no such name.").await;
}

#[tokio::test]
async fn the_end_of_the_session_ends_everything() {
    let port = upstream("127.77.0.5").await;
    let names = vec![("api.example.com", vec![vec![at("127.77.0.5")]])];
    let net = Net { tcp: Reach::Public, ..Net::default() };
    let World { jail, session, dns, dns_tcp, lines } = world(Setup { net, names, ..Setup::default() }).await;
    let world = World { jail, session, dns, dns_tcp, lines };
    let to = SocketAddr::new(world.fake("api.example.com").await, port);
    let mut stream = world.connect(to).await.expect("connected");
    until(|| world.session.usage().open == 1).await;
    drop(world);
    let mut rest = Vec::new();
    tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await.expect("in time").ok();
    assert_eq!(rest, b"");
    let closed = async {
        while TcpStream::connect(to).await.is_ok() || TcpStream::connect(dns_tcp).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, closed).await.expect("the listeners are closed");
}

#[tokio::test]
async fn datagrams_reach_only_what_is_listed() {
    let outside = UdpSocket::bind("127.77.0.6:0").await.expect("a socket");
    let port = outside.local_addr().expect("its address").port();
    let udp = rules(&[format!("time.example:{port}")]);
    let names = vec![("time.example", vec![vec![at("127.77.0.6")]])];
    let net = Net { udp, ..Net::default() };
    let world = world(Setup { net, names, ..Setup::default() }).await;
    let to = SocketAddr::new(world.fake("time.example").await, port);
    assert!(matches!(world.attempt(to, true).await, Outcome::GoOn));
    assert!(world.connect(to).await.is_err(), "no rule for TCP");
    let app = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    app.send_to(b"what time", to).await.expect("sent");
    let mut packet = [0; 64];
    let (n, from) = tokio::time::timeout(LONG, outside.recv_from(&mut packet)).await.expect("in time").expect("one");
    assert_eq!(&packet[..n], b"what time");
    outside.send_to(b"late", from).await.expect("sent");
    let (n, from) = tokio::time::timeout(LONG, app.recv_from(&mut packet)).await.expect("in time").expect("one");
    assert_eq!((&packet[..n], from), (&b"late"[..], to));
    let usage = world.session.usage();
    assert_eq!((usage.open, usage.bytes_out, usage.bytes_in), (1, 9, 4));
}

#[tokio::test]
async fn without_a_namespace_sockets_are_replaced_and_loopback_is_closed() {
    let port = upstream("127.77.0.7").await;
    let names = vec![("api.example.com", vec![vec![at("127.77.0.7")]])];
    let net = hosts(&[format!("api.example.com:{port}")]);
    let world = world(Setup { net, names, namespace: false, ..Setup::default() }).await;
    let to = SocketAddr::new(world.fake("api.example.com").await, port);
    assert_eq!(shout(world.connect(to).await.expect("connected"), "z").await.expect("an answer"), "Z");
    assert!(matches!(world.attempt("127.0.0.1:80".parse().expect("it"), false).await, Outcome::Refuse(_)));
    let Outcome::Replace(socket) = world.attempt("127.0.0.53:53".parse().expect("it"), true).await else {
        panic!("a socket to the stub")
    };
    let socket = std::net::UdpSocket::from(socket);
    assert_eq!(socket.peer_addr().expect("a peer"), world.dns);
    assert!(matches!(world.attempt("8.8.8.8:123".parse().expect("it"), true).await, Outcome::Refuse(_)));
}

#[tokio::test]
async fn the_stub_answers_over_tcp_and_outlives_noise() {
    let world = world(Setup { net: hosts(&["api.example.com".into()]), ..Setup::default() }).await;
    let noise = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    for size in [0, 1, 11, 12, 13, 512, 4096, 4097, 9000] {
        noise.send_to(&vec![0xc0; size], world.dns).await.expect("sent");
    }
    let mut long = TcpStream::connect(world.dns_tcp).await.expect("connected");
    long.write_all(&[0xff, 0xff, 1, 2, 3]).await.expect("written");
    let _ = long.read_to_end(&mut Vec::new()).await;
    let mut message = Message::query();
    message.queries.push(Query::query(Name::from_ascii("api.example.com.").expect("a name"), RecordType::A));
    let packet = message.to_vec().expect("a packet");
    let mut stream = TcpStream::connect(world.dns_tcp).await.expect("connected");
    for _ in 0..2 {
        stream.write_u16(u16::try_from(packet.len()).expect("short")).await.expect("written");
        stream.write_all(&packet).await.expect("written");
        let mut reply = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
        stream.read_exact(&mut reply).await.expect("a reply");
        assert_eq!(Message::from_vec(&reply).expect("a message").answers.len(), 1);
    }
    assert!(world.fake("api.example.com").await.is_ipv4());
}
