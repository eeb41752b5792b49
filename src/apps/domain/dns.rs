//! Asks name servers what a custom domain leads to: bounded in time and size, and never more than its four questions.
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use super::found::Found;
use crate::base::DomainName;

/// For one question to one server.
const PATIENCE: Duration = Duration::from_secs(3);
/// Servers of the system that are asked, in turn.
const MOST_SERVERS: usize = 3;
/// Bytes of an answer, over UDP and over TCP.
const MAX_UDP: usize = 4096;
const MAX_TCP: usize = 32 << 10;
/// Records of one kind that are looked at.
const MOST_RECORDS: usize = 32;
/// The label in front of a host at which its owner proves that it is theirs.
pub const CHALLENGE: &str = "_steady-challenge";

/// Where to ask. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Dns {
    /// Instead of the system's.
    pub server: Option<SocketAddr>,
}

impl Dns {
    /// All that DNS says of a host and of the proof beside it; `own` is the name of the app it should lead to.
    pub async fn look(&self, host: &DomainName, own: &str) -> Found {
        let servers = self.servers();
        let challenge = format!("{CHALLENGE}.{host}");
        let ask = |name: &str, kind| ask(&servers, name.to_owned(), kind);
        let (cname, v4, v6, txt, own_v4, own_v6) = tokio::join!(
            ask(host.as_str(), RecordType::CNAME),
            ask(host.as_str(), RecordType::A),
            ask(host.as_str(), RecordType::AAAA),
            ask(&challenge, RecordType::TXT),
            ask(own, RecordType::A),
            ask(own, RecordType::AAAA),
        );
        let trouble = [&cname, &v4, &v6, &txt].into_iter().find_map(|asked| asked.as_ref().err().cloned());
        let data = |records: Result<Vec<RData>, String>| records.unwrap_or_default();
        let addresses = |v4, v6| data(v4).iter().chain(&data(v6)).filter_map(address).collect::<Vec<IpAddr>>();
        Found {
            cname: data(cname).iter().find_map(alias),
            addresses: addresses(v4, v6),
            txt: data(txt).iter().filter_map(text).collect(),
            own: addresses(own_v4, own_v6),
            trouble,
        }
    }

    fn servers(&self) -> Vec<SocketAddr> {
        match self.server {
            Some(server) => vec![server],
            None => system(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()),
        }
    }
}

/// The name servers that `/etc/resolv.conf` lists.
fn system(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        let address = (words.next() == Some("nameserver")).then(|| words.next()).flatten()?;
        // An interface may be named after a link-local address.
        let address: IpAddr = address.split('%').next()?.parse().ok()?;
        Some(SocketAddr::new(address, 53))
    };
    let all: Vec<_> = text.lines().filter_map(address).take(MOST_SERVERS).collect();
    if all.is_empty() { vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53)] } else { all }
}

/// The records of that kind, those of aliases on the way included; none where the name is not there.
/// Errors: in words, when no server answers.
async fn ask(servers: &[SocketAddr], name: String, kind: RecordType) -> Result<Vec<RData>, String> {
    let mut why = String::from("no name server is known");
    let Ok(parsed) = Name::from_ascii(format!("{name}.")) else { return Ok(Vec::new()) };
    for server in servers {
        let asked = tokio::time::timeout(PATIENCE, ask_one(*server, &parsed, kind)).await;
        match asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(answer) => match answer.metadata.response_code {
                ResponseCode::NoError | ResponseCode::NXDomain => {
                    return Ok(answer
                        .answers
                        .into_iter()
                        .take(MOST_RECORDS)
                        .map(|record: Record| record.data)
                        .collect());
                }
                code => why = format!("the name server answered {code} for {name}"),
            },
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                why = format!("the name server did not answer within {} s", PATIENCE.as_secs());
            }
            Err(error) => why = format!("the name server cannot be asked: {error}"),
        }
    }
    Err(why)
}

async fn ask_one(server: SocketAddr, name: &Name, kind: RecordType) -> io::Result<Message> {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.queries.push(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    question.set_edns(edns);
    let bytes = question.to_vec().map_err(io::Error::other)?;
    let local: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Port 0: another one each time, and only that server's packets arrive.
    let socket = UdpSocket::bind((local, 0)).await?;
    socket.connect(server).await?;
    socket.send(&bytes).await?;
    let mut buffer = vec![0; MAX_UDP];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = buffer.get(..length).and_then(|bytes| Message::from_vec(bytes).ok());
        // What is no answer to this question was sent by somebody who guesses.
        let Some(answer) = answer.filter(|answer| answers(answer, &question)) else { continue };
        return if answer.metadata.truncation { by_tcp(server, &bytes, &question).await } else { Ok(answer) };
    }
}

async fn by_tcp(server: SocketAddr, bytes: &[u8], question: &Message) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
    let length = usize::from(stream.read_u16().await?);
    if length > MAX_TCP {
        return Err(io::Error::other("an answer that is too long"));
    }
    let mut buffer = vec![0; length];
    stream.read_exact(&mut buffer).await?;
    let answer = Message::from_vec(&buffer).map_err(io::Error::other)?;
    if answers(&answer, question) { Ok(answer) } else { Err(io::Error::other("an answer to another question")) }
}

fn answers(answer: &Message, question: &Message) -> bool {
    answer.metadata.id == question.metadata.id && answer.queries == question.queries
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(address.0.into()),
        RData::AAAA(address) => Some(address.0.into()),
        _ => None,
    }
}

fn alias(data: &RData) -> Option<String> {
    match data {
        RData::CNAME(name) => Some(name.0.to_ascii().trim_end_matches('.').to_ascii_lowercase()),
        _ => None,
    }
}

fn text(data: &RData) -> Option<String> {
    match data {
        RData::TXT(txt) => {
            let bytes: Vec<u8> = txt.txt_data.concat();
            // Shown to people, and compared with a token: no longer than either needs.
            Some(String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).take(200).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_servers() {
        let text =
            "# by hand\nnameserver 192.0.2.1\nsearch example\n nameserver fe80::1%eth0\noptions x\nnameserver junk\n";
        let all: Vec<String> = system(text).iter().map(ToString::to_string).collect();
        assert_eq!(all, ["192.0.2.1:53", "[fe80::1]:53"]);
        assert_eq!(system(""), ["127.0.0.1:53".parse().unwrap()]);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_a_sentence() {
        let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let found = Dns { server: Some(closed) }.look(&DomainName::parse("a.example.com").unwrap(), "x.example").await;
        assert!(found.trouble.unwrap().contains("name server"));
    }

    #[tokio::test]
    async fn answers_of_others_are_not_taken() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = server.local_addr().unwrap();
        let lying = async {
            let mut buffer = [0; 512];
            let (length, from) = server.recv_from(&mut buffer).await.unwrap();
            let asked = Message::from_vec(&buffer[..length]).unwrap();
            let reply = |id: u16, name: &str, ip: [u8; 4]| {
                let mut reply = Message::response(id, asked.metadata.op_code);
                let name = Name::from_ascii(name).unwrap();
                reply.queries.push(Query::query(name.clone(), RecordType::A));
                reply.answers.push(Record::from_rdata(name, 30, RData::A(Ipv4Addr::from(ip).into())));
                reply.to_vec().unwrap()
            };
            let id = asked.metadata.id;
            for packet in [
                b"junk".to_vec(),
                reply(id.wrapping_add(1), "a.example.com.", [6, 6, 6, 6]),
                reply(id, "b.example.com.", [6, 6, 6, 6]),
                reply(id, "a.example.com.", [192, 0, 2, 7]),
            ] {
                server.send_to(&packet, from).await.unwrap();
            }
        };
        let servers = [at];
        let (answer, ()) = tokio::join!(ask(&servers, "a.example.com".into(), RecordType::A), lying);
        assert_eq!(answer.unwrap().iter().filter_map(address).collect::<Vec<_>>(), [IpAddr::from([192, 0, 2, 7])]);
    }
}
