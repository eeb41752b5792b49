//! Asks a name server of this machine for records that the system's resolver does not look up. Few bytes out and few
//! in; what comes back is read as hostile.
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

/// One server's time for one question; the next one is asked then.
const PATIENCE: Duration = Duration::from_secs(3);
/// Name servers that are asked.
const SERVERS: usize = 3;
/// Bytes of an answer, over TCP.
const MAX: usize = 16 << 10;
/// Records that are passed on, and aliases that are followed to them.
const RECORDS: usize = 32;
const ALIASES: usize = 8;

/// The name servers this machine is set up with. Blocks.
pub fn configured() -> Vec<SocketAddr> {
    listed(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
}

/// Those of a `resolv.conf`; without any, the one that libraries take then: this machine.
fn listed(text: &str) -> Vec<SocketAddr> {
    let words = text.lines().map(|line| line.split_whitespace());
    let named = words.filter_map(|mut words| words.next().filter(|word| *word == "nameserver").and(words.next()));
    let mut all: Vec<SocketAddr> =
        named.filter_map(|word| word.parse().ok()).map(|ip: IpAddr| SocketAddr::new(ip, 53)).take(SERVERS).collect();
    if all.is_empty() {
        all.push((Ipv4Addr::LOCALHOST, 53).into());
    }
    all
}

/// Records of one type, of the name itself or what it is an alias of. `None`: there is no such name.
/// Errors: no server gave an answer.
pub async fn ask(servers: &[SocketAddr], name: &str, kind: RecordType) -> io::Result<Option<Vec<RData>>> {
    let mut last = io::Error::other("no name server is known");
    for server in servers {
        let answered = tokio::time::timeout(PATIENCE, ask_one(*server, name, kind)).await;
        match answered.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(records) => return Ok(records),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn ask_one(server: SocketAddr, name: &str, kind: RecordType) -> io::Result<Option<Vec<RData>>> {
    let name = Name::from_ascii(format!("{name}.")).map_err(io::Error::other)?;
    // Its number is random, and so is the port below: nobody else can answer.
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.queries.push(Query::query(name.clone(), kind));
    let packet = question.to_vec().map_err(io::Error::other)?;
    let mut reply = by_packet(server, &packet, &question).await?;
    if reply.metadata.truncation {
        reply = by_stream(server, &packet, &question).await?;
    }
    match reply.metadata.response_code {
        ResponseCode::NoError => Ok(Some(of(&reply, name, kind))),
        ResponseCode::NXDomain => Ok(None),
        code => Err(io::Error::other(format!("the name server says {code}"))),
    }
}

async fn by_packet(server: SocketAddr, packet: &[u8], question: &Message) -> io::Result<Message> {
    let any = if server.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(packet).await?;
    let mut bytes = [0; 4096];
    loop {
        let n = socket.recv(&mut bytes).await?;
        // Anything else is not from whom it was asked: the answer may still come.
        if let Some(reply) = Message::from_vec(&bytes[..n]).ok().filter(|reply| answers(reply, question)) {
            return Ok(reply);
        }
    }
}

async fn by_stream(server: SocketAddr, packet: &[u8], question: &Message) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_u16(u16::try_from(packet.len()).map_err(io::Error::other)?).await?;
    stream.write_all(packet).await?;
    let length = usize::from(stream.read_u16().await?);
    if length > MAX {
        return Err(io::Error::other(format!("an answer of {length} bytes")));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    let reply = Message::from_vec(&bytes).map_err(io::Error::other)?;
    if answers(&reply, question) { Ok(reply) } else { Err(io::Error::other("an answer to another question")) }
}

fn answers(reply: &Message, question: &Message) -> bool {
    reply.metadata.message_type == MessageType::Response
        && reply.metadata.id == question.metadata.id
        && reply.queries == question.queries
}

/// What the answer says of the name: only what leads from it, not what somebody put beside.
fn of(reply: &Message, mut name: Name, kind: RecordType) -> Vec<RData> {
    for _ in 0..ALIASES {
        let alias = reply.answers.iter().filter(|record| record.name == name).find_map(|record| match &record.data {
            RData::CNAME(to) => Some(to.0.clone()),
            _ => None,
        });
        match alias {
            Some(to) => name = to,
            None => break,
        }
    }
    let its = reply.answers.iter().filter(|record| record.name == name && record.data.record_type() == kind);
    its.take(RECORDS).map(|record| record.data.clone()).collect()
}

#[cfg(test)]
#[path = "nameserver_tests.rs"]
mod tests;
