//! Dynamic updates (RFC 2136): one value is added or taken away, whatever else the name carries.
use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};

use super::DnsProvider;
use super::ask::{message, name, tcp, zone};
use super::tsig::Signer;
use crate::base::{Clock, Error, Kind, Result, ResultExt as _};

/// Seconds: it lives for a minute or two.
const TTL: u32 = 30;

pub(super) struct Updates {
    pub server: SocketAddr,
    pub signer: Signer,
    pub clock: Clock,
}

impl DnsProvider for Updates {
    fn set_txt<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.update(name, value, DNSClass::IN, TTL))
    }
    fn clear_txt<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<()>> {
        // Class NONE names one record to delete; ANY would delete all of the name.
        Box::pin(self.update(name, value, DNSClass::NONE, 0))
    }
}

impl Updates {
    async fn update(&self, record: &str, value: &str, class: DNSClass, ttl: u32) -> Result<()> {
        let (owner, zone) = zone(self.server, &name(record)?, false).await?;
        let mut change = Record::from_rdata(owner, ttl, RData::TXT(TXT::new(vec![value.to_owned()])));
        change.dns_class = class;
        let mut update = Message::new(rand::random(), MessageType::Query, OpCode::Update);
        update.queries.push(Query::query(zone.clone(), RecordType::SOA));
        update.authorities.push(change);
        let packet = update.to_vec().internal("while writing a DNS update")?;
        let seconds = u64::try_from(self.clock.now() / 1000).unwrap_or_default();
        let answer = message(&tcp(self.server, &self.signer.sign(packet, seconds)).await?)?;
        if answer.metadata.id != update.metadata.id {
            return Err(Error::new(Kind::Busy, format!("the name server {} answers something else", self.server)));
        }
        match answer.metadata.response_code {
            ResponseCode::NoError => Ok(()),
            code => {
                let refused = format!("the name server {} does not take changes of {zone}: {code}", self.server);
                Err(Error::new(Kind::Forbidden, refused)
                    .hint("See that it knows the key under that name, lets it change TXT records, and has the time."))
            }
        }
    }
}
