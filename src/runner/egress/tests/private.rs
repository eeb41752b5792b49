//! Hosts of the owner's network that apps may ask for, and all the ways to turn one into another. Run by [`netns`],
//! where every address answers.
use super::*;

pub async fn hosts_of_the_owners_network(place: Place) {
    let port = upstream("10.0.0.5").await;
    for ip in ["10.0.0.6", "192.168.7.7", "127.0.0.1", "169.254.169.254", "fd00::5", "fd00:ec2::254"] {
        also(ip, port);
    }
    let rule = |host: &str| format!("{host}:{port}");
    let offered = rules(&["10.0.0.5", "db.internal", "[fd00::5]", "localhost"].map(rule));
    let names = vec![
        ("db.internal", vec![vec![at("192.168.7.7")]]),
        ("localhost", vec![vec![at("127.0.0.1")]]),
        ("evil.example", vec![vec![at("10.0.0.5")]]),
        ("odd.example", vec![vec![at("::ffff:10.0.0.5")]]),
    ];

    // The owner named them, and this app asks for nothing of it: not even where every public address is open.
    for tcp in [Reach::None, Reach::Public] {
        let net = Net { tcp, ..Net::default() };
        let setup = Setup { net, offered: offered.clone(), place: place.clone(), ..Setup::default() };
        let world = world(setup).await;
        for ip in ["10.0.0.5", "10.0.0.6", "fd00::5"] {
            assert!(world.connect(SocketAddr::new(at(ip), port)).await.is_err(), "{ip}");
        }
        world
            .said(&format!(r#"To allow it, in steady.json: "permissions": {{ "private": ["10.0.0.5:{port}"] }}"#))
            .await;
        world.said("refused: 10.0.0.6:").await;
    }

    let net = Net { tcp: Reach::Public, private: offered.clone(), ..Net::default() };
    let setup = Setup { net, offered, names, place: place.clone(), ..Setup::default() };
    let asks = world(setup).await;
    for to in ["10.0.0.5", "::ffff:10.0.0.5", "fd00::5", "127.0.0.1"] {
        let stream = asks.connect(SocketAddr::new(at(to), port)).await.expect(to);
        assert_eq!(shout(stream, "db").await.expect("an answer"), "DB", "{to}");
    }
    let named = SocketAddr::new(asks.fake("db.internal").await, port);
    assert_eq!(shout(asks.connect(named).await.expect("connected"), "db").await.expect("an answer"), "DB");
    for ip in ["10.0.0.6", "192.168.7.7", "169.254.169.254", "fd00:ec2::254"] {
        assert!(asks.connect(SocketAddr::new(at(ip), port)).await.is_err(), "{ip} was not named");
    }
    assert!(asks.connect(SocketAddr::new(at("10.0.0.5"), port ^ 1)).await.is_err(), "another port");
    // A public name that turns out to be the very address: nobody approved that this name leads there.
    for name in ["evil.example", "odd.example"] {
        let to = SocketAddr::new(asks.fake(name).await, port);
        assert_reset(asks.connect(to).await.expect("our listener")).await;
        asks.said(&format!("refused: {name}:{port}. Its address is private: apps reach public addresses only")).await;
    }

    // The name that was named, and its owner's name server is made to say something else each time.
    let turns = ["127.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "0.0.0.0", "::ffff:127.0.0.1"];
    for (turn, port) in turns.into_iter().zip(7000..) {
        let private = rules(&[format!("db.internal:{port}")]);
        let net = Net { private: private.clone(), ..Net::default() };
        let names = vec![("db.internal", vec![vec![at(turn)]])];
        let world = world(Setup { net, offered: private, names, place: place.clone(), ..Setup::default() }).await;
        let to = SocketAddr::new(world.fake("db.internal").await, port);
        assert_reset(world.connect(to).await.expect("our listener")).await;
        world.said(&format!("refused: db.internal:{port}. Its address is ")).await;
    }
}

/// Another address that answers at the same port.
fn also(ip: &str, port: u16) {
    let listener = listener(SocketAddr::new(at(ip), port)).and_then(TcpListener::from_std).expect(ip);
    serve(listener);
}

async fn assert_reset(mut stream: TcpStream) {
    let error = stream.read_u8().await.expect_err("no answer");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}
