//! A name server that says what a test tells it, over UDP and, for long answers, over TCP.
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, Metadata};
use hickory_proto::rr::rdata::{A, CNAME, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

type Zone = Arc<Mutex<HashMap<(String, RecordType), Vec<RData>>>>;

pub struct Names {
    pub address: SocketAddr,
    zone: Zone,
    /// Its threads end when this is gone.
    _alive: Arc<()>,
}

impl Names {
    pub fn start() -> Self {
        let (udp, tcp) = both();
        let address = udp.local_addr().expect("an address");
        let (zone, alive) = (Zone::default(), Arc::new(()));
        udp.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
        tcp.set_nonblocking(true).expect("non-blocking");
        let (zone_udp, weak) = (zone.clone(), Arc::downgrade(&alive));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while weak.strong_count() > 0 {
                while let Ok((stream, _)) = tcp.accept() {
                    answer_tcp(stream, &zone_udp);
                }
                let Ok((length, from)) = udp.recv_from(&mut buffer) else { continue };
                let Some(mut reply) = answer(&buffer[..length], &zone_udp) else { continue };
                if reply.to_vec().is_ok_and(|bytes| bytes.len() > 500) {
                    reply.answers.clear();
                    reply.metadata.truncation = true;
                }
                let _ = udp.send_to(&reply.to_vec().expect("bytes"), from);
            }
        });
        Self { address, zone, _alive: alive }
    }

    pub fn cname(&self, name: &str, to: &str) {
        self.set(name, RecordType::CNAME, vec![RData::CNAME(CNAME(Name::from_ascii(format!("{to}.")).expect(to)))]);
    }
    pub fn a(&self, name: &str, address: [u8; 4]) {
        self.set(name, RecordType::A, vec![RData::A(A(address.into()))]);
    }
    pub fn txt(&self, name: &str, texts: &[&str]) {
        let all = texts.iter().map(|text| RData::TXT(TXT::new(vec![(*text).to_owned()])));
        self.set(name, RecordType::TXT, all.collect());
    }
    pub fn clear(&self, name: &str) {
        self.zone.lock().expect("the zone").retain(|(of, _), _| of != name);
    }
    fn set(&self, name: &str, kind: RecordType, data: Vec<RData>) {
        self.zone.lock().expect("the zone").insert((name.to_owned(), kind), data);
    }
}

/// UDP and TCP on one port.
fn both() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("an address")) {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both");
}

fn answer(packet: &[u8], zone: &Zone) -> Option<Message> {
    let asked = Message::from_vec(packet).ok()?;
    let query = asked.queries.first()?.clone();
    let mut reply = Message::response(asked.metadata.id, asked.metadata.op_code);
    reply.metadata = Metadata::response_from_request(&asked.metadata);
    let name = query.name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
    let found = zone.lock().expect("the zone").get(&(name, query.query_type)).cloned().unwrap_or_default();
    reply.answers.extend(found.into_iter().map(|data| Record::from_rdata(query.name.clone(), 30, data)));
    reply.queries.push(query);
    Some(reply)
}

fn answer_tcp(mut stream: std::net::TcpStream, zone: &Zone) {
    let _ = stream.set_nonblocking(false);
    let mut length = [0; 2];
    if stream.read_exact(&mut length).is_err() {
        return;
    }
    let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
    if stream.read_exact(&mut packet).is_err() {
        return;
    }
    if let Some(bytes) = answer(&packet, zone).and_then(|reply| reply.to_vec().ok()) {
        let length = u16::try_from(bytes.len()).expect("a short answer").to_be_bytes();
        let _ = stream.write_all(&[&length[..], &bytes].concat());
    }
}
