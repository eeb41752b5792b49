//! DNS messages of an app: hostile bytes in, a short answer out. Pure.
//!
//! A and AAAA of allowed names have an answer that means nothing outside. SRV, TXT and MX are asked of the server's own
//! name servers ([`super::records`]), whose answers hold names and texts and never an address. Every other type of an
//! allowed name exists and is empty: nothing is asked of anybody, so nothing can be told.
use hickory_proto::op::{Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use super::fake::Fake;
use super::rule::normal;

/// Bytes of a query; a name has 255 and the rest is extensions, which are not read.
pub const MAX_QUERY: usize = 4096;
/// Bytes of a reply in one packet, as every client takes it; a longer one is asked for again over TCP.
pub const MAX_PACKET: usize = 512;
/// Seconds. Short, so that a name that was forgotten is asked for again.
const TTL: u32 = 30;

/// What a name is to the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Fake(Fake),
    /// The app's own loopback.
    Loopback,
    /// What was asked for, of the one type.
    Records(Vec<RData>),
    /// It is allowed, and there is nothing to say of it.
    Empty,
    /// Nothing of it is allowed, or there is no such name.
    Refused,
    /// No address is free for it now, or nobody could be asked.
    Failed,
}

/// One question: what to look for, and what is needed to answer.
#[derive(Debug)]
pub struct Question {
    metadata: Metadata,
    query: Query,
    /// In the form of [`normal`]; `None` when it is no host name.
    name: Option<String>,
}

/// What a packet is.
#[derive(Debug)]
pub enum Read {
    Question(Box<Question>),
    /// Already answered: this is the reply.
    Reply(Vec<u8>),
    /// Not a query: silence.
    Noise,
}

/// Reads one packet. Never more than its first question.
pub fn read(packet: &[u8]) -> Read {
    if packet.len() > MAX_QUERY {
        return Read::Noise;
    }
    let mut decoder = BinDecoder::new(packet);
    let Ok(header) = Header::read(&mut decoder) else { return Read::Noise };
    if header.message_type != MessageType::Query {
        return Read::Noise;
    }
    let reply = |code| write(&header.metadata, None, code, Vec::new()).map_or(Read::Noise, Read::Reply);
    if header.op_code != OpCode::Query {
        return reply(ResponseCode::NotImp);
    }
    if header.counts.queries != 1 {
        return reply(ResponseCode::FormErr);
    }
    let Ok(query) = Query::read(&mut decoder) else { return reply(ResponseCode::FormErr) };
    if query.query_class != DNSClass::IN {
        return reply(ResponseCode::Refused);
    }
    let name = normal(&query.name.to_ascii());
    Read::Question(Box::new(Question { metadata: header.metadata, query, name }))
}

impl Question {
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether it asks for an address, as a program does that wants to connect.
    pub fn is_for_address(&self) -> bool {
        matches!(self.query.query_type, RecordType::A | RecordType::AAAA)
    }

    pub fn is_for_ipv4(&self) -> bool {
        self.query.query_type == RecordType::A
    }

    /// The type it asks for, when it is one that is asked of name servers outside.
    pub fn is_for_records(&self) -> Option<RecordType> {
        let kind = self.query.query_type;
        matches!(kind, RecordType::SRV | RecordType::TXT | RecordType::MX).then_some(kind)
    }

    /// The reply; a few hundred bytes at most, unless records were found. `None` if it cannot be written.
    pub fn answer(&self, found: Found) -> Option<Vec<u8>> {
        use std::net::{Ipv4Addr, Ipv6Addr};
        let both = |v4, v6: Option<Ipv6Addr>| match self.query.query_type {
            RecordType::A => vec![RData::A(A(v4))],
            RecordType::AAAA => v6.map(|ip| RData::AAAA(AAAA(ip))).into_iter().collect(),
            _ => Vec::new(),
        };
        let (code, data) = match found {
            Found::Fake(fake) => (ResponseCode::NoError, both(fake.v4, fake.v6)),
            Found::Loopback => (ResponseCode::NoError, both(Ipv4Addr::LOCALHOST, Some(Ipv6Addr::LOCALHOST))),
            Found::Records(all) => (ResponseCode::NoError, all),
            Found::Empty => (ResponseCode::NoError, Vec::new()),
            Found::Refused => (ResponseCode::NXDomain, Vec::new()),
            Found::Failed => (ResponseCode::ServFail, Vec::new()),
        };
        write(&self.metadata, Some(&self.query), code, data)
    }

    /// What stands in one packet for a reply that is too long for it: to be asked for over TCP.
    pub fn cut(&self) -> Option<Vec<u8>> {
        let mut reply = self.answer(Found::Empty)?;
        // The flag TC.
        *reply.get_mut(2)? |= 0x02;
        Some(reply)
    }
}

fn write(asked: &Metadata, query: Option<&Query>, code: ResponseCode, data: Vec<RData>) -> Option<Vec<u8>> {
    let mut reply = Message::response(asked.id, asked.op_code);
    reply.metadata = Metadata::response_from_request(asked);
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = code;
    if let Some(query) = query {
        reply.queries.push(query.clone());
        reply.answers.extend(data.into_iter().map(|data| Record::from_rdata(query.name.clone(), TTL, data)));
    }
    reply.to_vec().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::Name;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    const FAKE: Found = Found::Fake(Fake { v4: Ipv4Addr::new(198, 18, 0, 1), v6: None });

    fn ask(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::query();
        message.queries.push(Query::query(Name::from_ascii(name).expect(name), kind));
        message.to_vec().expect("a packet")
    }

    fn reply(packet: &[u8], found: Found) -> Message {
        let bytes = match read(packet) {
            Read::Question(question) => question.answer(found).expect("an answer"),
            Read::Reply(bytes) => bytes,
            Read::Noise => panic!("noise"),
        };
        assert_eq!(bytes[..2], packet[..2], "the id");
        Message::from_vec(&bytes).expect("a message")
    }

    #[test]
    fn addresses_have_answers_and_other_types_are_empty() {
        let a = reply(&ask("Api.Example.com.", RecordType::A), FAKE);
        assert_eq!(a.answers.len(), 1);
        assert_eq!(a.answers[0].data, RData::A(A(Ipv4Addr::new(198, 18, 0, 1))));
        assert_eq!(a.queries[0].name.to_ascii(), "Api.Example.com.", "as it was asked");
        for kind in [RecordType::AAAA, RecordType::TXT, RecordType::MX, RecordType::SRV, RecordType::HTTPS] {
            let none = reply(&ask("api.example.com.", kind), FAKE);
            assert_eq!((none.answers.len(), none.metadata.response_code), (0, ResponseCode::NoError));
        }
        let text = RData::TXT(hickory_proto::rr::rdata::TXT::new(vec!["a=b".to_owned()]));
        let txt = reply(&ask("api.example.com.", RecordType::TXT), Found::Records(vec![text.clone()]));
        assert_eq!(txt.answers.iter().map(|record| record.data.clone()).collect::<Vec<_>>(), [text]);
        let Read::Question(question) = read(&ask("a.b.", RecordType::TXT)) else { panic!("a question") };
        let cut = Message::from_vec(&question.cut().expect("a reply")).expect("a message");
        assert!(cut.metadata.truncation && cut.answers.is_empty() && cut.queries.len() == 1);
        let no = reply(&ask("x.y.", RecordType::A), Found::Refused);
        assert_eq!(no.metadata.response_code, ResponseCode::NXDomain);
        let loopback = reply(&ask("localhost.", RecordType::AAAA), Found::Loopback);
        assert_eq!(loopback.answers[0].data, RData::AAAA(AAAA(std::net::Ipv6Addr::LOCALHOST)));
    }

    #[test]
    fn names_come_in_one_form() {
        let name = |text: &str| match read(&ask(text, RecordType::A)) {
            Read::Question(question) => question.name().map(str::to_owned),
            other => panic!("{other:?}"),
        };
        assert_eq!(name("API.Example.COM.").as_deref(), Some("api.example.com"));
        for none in [".", "1.2.3.4.", "0x7f.1."] {
            assert_eq!(name(none), None, "{none}");
        }
        for odd in ["a.b", "sp ace", "\0", "\n", "é", "a\\"] {
            let mut packet = ask(".", RecordType::A)[..12].to_vec();
            packet.push(u8::try_from(odd.len()).expect("a short label"));
            packet.extend(odd.bytes().chain(*b"\x07example\0\0\x01\0\x01"));
            let Read::Question(question) = read(&packet) else { panic!("{odd}") };
            assert_eq!(question.name(), None, "{odd}");
        }
    }

    #[test]
    fn odd_packets_are_refused_or_ignored() {
        let good = ask("a.example.", RecordType::A);
        let mut response = good.clone();
        response[2] |= 0x80;
        assert!(matches!(read(&response), Read::Noise));
        assert!(matches!(read(&good[..11]), Read::Noise));
        assert!(matches!(read(&vec![0; MAX_QUERY + 1]), Read::Noise));
        let code = |packet: &[u8]| reply(packet, FAKE).metadata.response_code;
        let mut two = good.clone();
        two[5] = 2;
        assert_eq!(code(&two), ResponseCode::FormErr);
        let mut update = good.clone();
        update[2] = 5 << 3;
        assert_eq!(code(&update), ResponseCode::NotImp);
        let mut chaos = good.clone();
        let last = chaos.len() - 1;
        chaos[last] = 3;
        assert_eq!(code(&chaos), ResponseCode::Refused);
        // A name that points at itself.
        let mut circle = good[..12].to_vec();
        circle.extend([0xc0, 12, 0, 1, 0, 1]);
        assert_eq!(code(&circle), ResponseCode::FormErr);
        assert_eq!(code(&good[..good.len() - 3]), ResponseCode::FormErr);
    }

    fn holds(packet: &[u8]) {
        let bytes = match read(packet) {
            Read::Question(question) => question.answer(FAKE),
            Read::Reply(bytes) => Some(bytes),
            Read::Noise => None,
        };
        if let Some(bytes) = bytes {
            assert!(bytes.len() <= MAX_PACKET, "{} bytes", bytes.len());
            assert_eq!(bytes[..2], packet[..2]);
            assert_eq!(bytes[2] & 0x80, 0x80, "a response");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_talk_long(packet in proptest::collection::vec(any::<u8>(), 0..600)) {
            holds(&packet);
        }

        #[test]
        fn nor_do_bytes_behind_a_good_header(tail in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut packet = ask(".", RecordType::A)[..12].to_vec();
            packet.extend(tail);
            holds(&packet);
        }

        #[test]
        fn nor_a_damaged_query(at in 0usize..60, byte: u8, cut in 0usize..60) {
            let mut packet = ask("some.long.name.of.a.host.example.com.", RecordType::A);
            let len = packet.len();
            packet[at % len] = byte;
            packet.truncate(len - cut % len);
            holds(&packet);
        }
    }
}
