//! SRV, TXT and MX of an app's names.
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{SRV, TXT};

use super::*;

fn srv(target: &str, port: u16) -> RData {
    RData::SRV(SRV::new(0, 0, port, Name::from_ascii(target).expect(target)))
}

fn text(value: &str) -> RData {
    RData::TXT(TXT::new(vec![value.to_owned()]))
}

/// What `mongodb+srv://cluster.example.com` does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_found_by_its_services_name_and_reached() {
    let port = upstream("127.77.0.5").await;
    let net = hosts(&[format!("*.cluster.example.com:{port}"), "cluster.example.com".into()]);
    let records = vec![
        (
            "_mongodb._tcp.cluster.example.com",
            vec![srv("a.cluster.example.com.", port), srv("b.cluster.example.com.", 1), srv("evil.example.", port)],
        ),
        ("cluster.example.com", vec![text("replicaSet=a"), srv("a.cluster.example.com.", port)]),
    ];
    let names = vec![("a.cluster.example.com", vec![vec![at("127.77.0.5")]])];
    let world = world(Setup { net, names, records, ..Setup::default() }).await;
    let found = world.ask("_mongodb._tcp.cluster.example.com", RecordType::SRV).await;
    let found: Vec<RData> = found.answers.into_iter().map(|record| record.data).collect();
    assert_eq!(found, [srv("a.cluster.example.com.", port)]);
    let list = format!(r#""permissions": {{ "net": ["*.cluster.example.com:{port}", "cluster.example.com""#);
    world.said(&format!("refused: b.cluster.example.com:1. To allow it, in steady.json: {list}")).await;
    world.said(&format!("refused: evil.example:{port}. To allow it")).await;
    let options = world.ask("cluster.example.com", RecordType::TXT).await;
    assert_eq!(options.answers[0].data, text("replicaSet=a"));
    let to = SocketAddr::new(world.fake("a.cluster.example.com").await, port);
    assert_eq!(shout(world.connect(to).await.expect("connected"), "find").await.expect("an answer"), "FIND");
    let usage = world.session.usage();
    assert!(usage.bytes_in > 80 && usage.bytes_out > 50, "names carry bytes: {usage:?}");
}

#[tokio::test]
async fn names_that_are_not_allowed_are_asked_of_nobody() {
    let records = vec![("evil.example", vec![text("x")]), ("_a._tcp.evil.example", vec![srv("evil.example.", 1)])];
    let world = world(Setup { net: hosts(&["example.com".into()]), records, ..Setup::default() }).await;
    for (name, kind) in [("evil.example", RecordType::TXT), ("_a._tcp.evil.example", RecordType::SRV)] {
        let reply = world.ask(name, kind).await;
        assert_eq!((reply.metadata.response_code, reply.answers.len()), (ResponseCode::NXDomain, 0));
    }
    world.said(r#"refused: evil.example. To allow it, in steady.json"#).await;
    assert_eq!(world.session.usage().bytes_out, 0);
    // Allowed, and there is no such name; allowed, and of another type than is asked of anybody.
    assert_eq!(world.ask("example.com", RecordType::TXT).await.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(world.ask("example.com", RecordType::HTTPS).await.metadata.response_code, ResponseCode::NoError);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_answer_comes_over_tcp() {
    let records = vec![("long.example.com", vec![text(&"x".repeat(255)); 4])];
    let world = world(Setup { net: hosts(&["long.example.com".into()]), records, ..Setup::default() }).await;
    let cut = world.ask("long.example.com", RecordType::TXT).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let mut stream = TcpStream::connect(world.dns_tcp).await.expect("connected");
    let mut message = Message::query();
    message.queries.push(Query::query(Name::from_ascii("long.example.com.").expect("a name"), RecordType::TXT));
    let packet = message.to_vec().expect("a packet");
    stream.write_u16(packet.len() as u16).await.expect("written");
    stream.write_all(&packet).await.expect("written");
    let mut reply = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
    stream.read_exact(&mut reply).await.expect("a reply");
    assert_eq!(Message::from_vec(&reply).expect("a message").answers.len(), 4);
}

/// Name servers that never answer hold up nobody who asks for an address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_name_servers_hold_up_no_addresses() {
    let net = hosts(&["*.slow.example".into(), "fast.example".into()]);
    let world = Arc::new(world(Setup { net, records: vec![("SLOW", vec![])], ..Setup::default() }).await);
    let socket = world.udp().await;
    socket.connect(world.dns).await.expect("connected");
    for n in 0..100 {
        let mut message = Message::query();
        let name = Name::from_ascii(format!("n{n}.slow.example.")).expect("a name");
        message.queries.push(Query::query(name, RecordType::TXT));
        socket.send(&message.to_vec().expect("a packet")).await.expect("sent");
    }
    world.fake("fast.example").await;
    let mut reply = [0; 600];
    let n = socket.recv(&mut reply).await.expect("those that are too many are told so at once");
    let code = Message::from_vec(&reply[..n]).expect("a message").metadata.response_code;
    assert_eq!(code, ResponseCode::ServFail);
}
