use std::sync::{Arc, Mutex};

use hickory_proto::op::Metadata;
use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::{CNAME, TXT};
use tokio::net::TcpListener;

use super::*;

type Say = dyn Fn(&Message) -> Vec<Message> + Send + Sync;

/// Answers packets with what `say` makes of them, one after another, and streams with the last of it.
async fn server(say: impl Fn(&Message) -> Vec<Message> + Send + Sync + 'static) -> SocketAddr {
    let say: Arc<Say> = Arc::new(say);
    let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let at = udp.local_addr().expect("its address");
    let tcp = TcpListener::bind(at).await.expect("the same port");
    let by_packet = Arc::clone(&say);
    #[allow(clippy::disallowed_methods)]
    tokio::spawn(async move {
        let mut packet = [0; 600];
        while let Ok((n, from)) = udp.recv_from(&mut packet).await {
            for reply in by_packet(&Message::from_vec(&packet[..n]).expect("a question")) {
                udp.send_to(&reply.to_vec().expect("a packet"), from).await.expect("sent");
            }
        }
    });
    #[allow(clippy::disallowed_methods)]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let mut packet = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
            stream.read_exact(&mut packet).await.expect("a question");
            let mut reply = say(&Message::from_vec(&packet).expect("a question")).pop().expect("a reply");
            reply.metadata.truncation = false;
            let reply = reply.to_vec().expect("a packet");
            stream.write_u16(reply.len() as u16).await.expect("written");
            stream.write_all(&reply).await.expect("written");
        }
    });
    at
}

fn reply(to: &Message, code: ResponseCode, answers: Vec<Record>) -> Message {
    let mut reply = Message::response(to.metadata.id, to.metadata.op_code);
    reply.metadata = Metadata::response_from_request(&to.metadata);
    reply.metadata.response_code = code;
    reply.queries.clone_from(&to.queries);
    reply.answers = answers;
    reply
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect(text)
}

fn text(value: &str) -> RData {
    RData::TXT(TXT::new(vec![value.to_owned()]))
}

fn record(owner: &str, data: RData) -> Record {
    Record::from_rdata(name(owner), 60, data)
}

async fn txt(servers: &[SocketAddr]) -> io::Result<Option<Vec<RData>>> {
    ask(servers, "a.example", RecordType::TXT).await
}

#[tokio::test]
async fn what_leads_from_the_name_is_taken_and_nothing_beside() {
    let at = server(|question| {
        assert!(question.metadata.recursion_desired);
        assert_eq!(question.queries[0].name, name("a.example."));
        let alias = RData::CNAME(CNAME(name("b.example.")));
        let answers = vec![
            record("A.Example.", alias),
            record("b.example.", text("yes")),
            record("c.example.", text("no")),
            record("b.example.", RData::CNAME(CNAME(name("b.example.")))),
            record("b.example.", RData::A(hickory_proto::rr::rdata::A::new(10, 0, 0, 1))),
        ];
        vec![reply(question, ResponseCode::NoError, answers)]
    })
    .await;
    assert_eq!(txt(&[at]).await.expect("an answer"), Some(vec![text("yes")]));
}

#[tokio::test]
async fn no_such_name_is_an_answer_and_a_failure_is_not() {
    let none = server(|question| vec![reply(question, ResponseCode::NXDomain, vec![])]).await;
    let fails = server(|question| vec![reply(question, ResponseCode::ServFail, vec![])]).await;
    assert_eq!(txt(&[none]).await.expect("an answer"), None);
    let error = txt(&[fails]).await.expect_err("no answer");
    assert!(error.to_string().contains("Server Failure"), "{error}");
    assert_eq!(txt(&[fails, none]).await.expect("the next one is asked"), None);
}

#[tokio::test]
async fn answers_to_other_questions_are_not_heard() {
    let at = server(|question| {
        let good = |code| reply(question, code, vec![record("a.example.", text("forged"))]);
        let mut number = good(ResponseCode::NoError);
        number.metadata.id ^= 1;
        let mut other = good(ResponseCode::NoError);
        other.queries[0].name = name("b.example.");
        let mut kind = good(ResponseCode::NoError);
        kind.queries[0].query_type = RecordType::SRV;
        let mut asks = good(ResponseCode::NoError);
        asks.metadata.message_type = MessageType::Query;
        let real = reply(question, ResponseCode::NoError, vec![record("a.example.", text("real"))]);
        vec![number, other, kind, asks, real]
    })
    .await;
    assert_eq!(txt(&[at]).await.expect("an answer"), Some(vec![text("real")]));
}

#[tokio::test]
async fn a_cut_answer_is_asked_for_again_and_there_is_an_end_to_records() {
    let at = server(|question| {
        let answers = (0..100).map(|n| record("a.example.", text(&format!("n{n}")))).collect();
        let mut cut = reply(question, ResponseCode::NoError, answers);
        cut.metadata.truncation = true;
        vec![cut]
    })
    .await;
    let all = txt(&[at]).await.expect("an answer").expect("records");
    assert_eq!((all.len(), all[0].clone()), (RECORDS, text("n0")));
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for_long() {
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let silent = server(move |_| {
        *count.lock().expect("a count") += 1;
        vec![]
    })
    .await;
    let good = server(|question| vec![reply(question, ResponseCode::NoError, vec![])]).await;
    assert_eq!(txt(&[silent, good]).await.expect("an answer"), Some(vec![]));
    assert_eq!(*asked.lock().expect("a count"), 1);
}

#[test]
fn the_servers_of_this_machine_are_read() {
    let text = "# a comment\nsearch example.com\nnameserver 192.0.2.1\n nameserver  2001:db8::1 # two\nnameserver fe80::1%eth0\n\
                nameserver 192.0.2.3\nnameserver 192.0.2.4\nnameserverx 192.0.2.9\n";
    let shown: Vec<String> = listed(text).iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.3:53"]);
    assert_eq!(listed(""), ["127.0.0.1:53".parse().expect("an address")]);
}
