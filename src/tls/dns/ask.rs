//! Questions to name servers: over UDP, and over TCP when the answer is too long.
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use crate::base::{Error, Kind, Result, ResultExt as _};

const TRIES: u32 = 3;
const TRY_TIME: Duration = Duration::from_secs(3);

/// A name as DNS has it. Errors: `BadInput`.
pub fn name(text: &str) -> Result<Name> {
    Name::from_ascii(format!("{}.", text.trim_end_matches('.')))
        .or_error(Kind::BadInput, format!("`{text}` is not a name"))
}

/// `recurse` asks a resolver to find the answer; a zone's own server knows it or not.
/// Errors: `Busy`, when nothing that answers the question came in time.
pub async fn ask(server: SocketAddr, name: &Name, kind: RecordType, recurse: bool) -> Result<Message> {
    for _ in 0..TRIES {
        match tokio::time::timeout(TRY_TIME, udp(server, name, kind, recurse)).await {
            Ok(Ok(answer)) if answer.metadata.truncation => {
                let mut question = Message::query();
                question.metadata.recursion_desired = recurse;
                question.queries.push(Query::query(name.clone(), kind));
                let packet = question.to_vec().internal("while writing a DNS question")?;
                return message(&tcp(server, &packet).await?);
            }
            Ok(Ok(answer)) => return Ok(answer),
            // Refused by the host: it will be again.
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
    }
    Err(Error::new(Kind::Busy, format!("the name server {server} does not answer")))
}

async fn udp(server: SocketAddr, name: &Name, kind: RecordType, recurse: bool) -> Result<Message> {
    let failed = || format!("the name server {server} cannot be asked");
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await.or_error(Kind::Busy, failed())?;
    // Only its own packets come in.
    socket.connect(server).await.or_error(Kind::Busy, failed())?;
    let mut question = Message::query();
    question.metadata.id = rand::random();
    question.metadata.recursion_desired = recurse;
    question.queries.push(Query::query(name.clone(), kind));
    let packet = question.to_vec().internal("while writing a DNS question")?;
    socket.send(&packet).await.or_error(Kind::Busy, failed())?;
    let mut buffer = [0; 4096];
    loop {
        let read = socket.recv(&mut buffer).await.or_error(Kind::Busy, failed())?;
        let Ok(answer) = Message::from_vec(&buffer[..read]) else { continue };
        let mine = answer.metadata.id == question.metadata.id && answer.metadata.message_type == MessageType::Response;
        if mine && answer.metadata.op_code == OpCode::Query && answer.queries == question.queries {
            return Ok(answer);
        }
    }
}

/// Sends a whole packet, and reads one.
pub async fn tcp(server: SocketAddr, packet: &[u8]) -> Result<Vec<u8>> {
    let failed = || format!("the name server {server} cannot be asked");
    let talk = async {
        let mut stream = TcpStream::connect(server).await?;
        let length = u16::try_from(packet.len()).map_err(std::io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], packet].concat()).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let late = || Error::new(Kind::Busy, format!("the name server {server} does not answer"));
    tokio::time::timeout(TRY_TIME * TRIES, talk).await.map_err(|_| late())?.or_error(Kind::Busy, failed())
}

pub fn message(packet: &[u8]) -> Result<Message> {
    Message::from_vec(packet).or_error(Kind::Busy, "a name server's answer cannot be read")
}

/// Where a name ends after its aliases, and the zone that is in.
/// Errors: `Busy` when the server does not know.
pub async fn zone(server: SocketAddr, name: &Name, recurse: bool) -> Result<(Name, Name)> {
    let mut owner = name.clone();
    // An alias into another zone of a server that does not recurse is asked for again.
    for _ in 0..8 {
        let answer = ask(server, &owner, RecordType::SOA, recurse).await?;
        let before = owner.clone();
        owner = follow(&answer, owner);
        let soa = answer.answers.iter().chain(&answer.authorities).find(|record| matches!(record.data, RData::SOA(_)));
        let known = matches!(answer.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain);
        match soa {
            Some(soa) if known && soa.name.zone_of(&owner) => return Ok((owner, soa.name.clone())),
            _ if owner != before => {}
            _ => break,
        }
    }
    Err(Error::new(Kind::Busy, format!("the name server {server} has no zone for {name}"))
        .hint("See that the zone is there, and that the server is the right one."))
}

/// The last name of the chain of aliases in an answer.
pub fn follow(answer: &Message, mut owner: Name) -> Name {
    for _ in 0..8 {
        let next = answer.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(alias) if record.name == owner => Some(alias.0.clone()),
            _ => None,
        });
        match next {
            Some(next) => owner = next,
            None => break,
        }
    }
    owner
}
