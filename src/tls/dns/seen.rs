//! Whether a record shows: authorities look once, so they are told only when it does.
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::{Name, RData, RecordType};

use super::super::options::Dns;
use super::ask::{ask, follow, name, zone};
use crate::base::{Clock, Error, Kind, Result};

/// Name servers of one zone that are asked.
const MOST_SERVERS: usize = 8;

/// Waits until every server has the value.
/// Errors: `TimedOut`.
pub async fn wait(dns: &Dns, record: &str, value: &str) -> Result<()> {
    let record = name(record)?;
    let began = Clock::stopwatch();
    let mut pause = Duration::from_millis(200);
    loop {
        let missing = match servers(dns, &record).await {
            Ok((record, servers)) => missing(&servers, &record, value).await,
            Err(error) => Some(error.public),
        };
        let Some(missing) = missing else { return Ok(()) };
        if began.elapsed() + pause > dns.patience {
            return Err(Error::new(Kind::TimedOut, format!("the TXT record of {record} does not show: {missing}"))
                .hint("See that the zone's name servers take the change, or give them more time: acme_dns_seconds."));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// The record's name after aliases, and who must have it.
async fn servers(dns: &Dns, record: &Name) -> Result<(Name, Vec<SocketAddr>)> {
    if !dns.servers.is_empty() {
        return Ok((record.clone(), dns.servers.clone()));
    }
    let resolver = resolver()?;
    let (owner, zone) = zone(resolver, record, true).await?;
    let listed = ask(resolver, &zone, RecordType::NS, true).await?;
    let mut servers = Vec::new();
    for entry in listed.answers {
        let RData::NS(server) = &entry.data else { continue };
        for kind in [RecordType::A, RecordType::AAAA] {
            let Ok(answer) = ask(resolver, &server.0, kind, true).await else { continue };
            let address = |data: &RData| match data {
                RData::A(a) => Some(IpAddr::V4(a.0)),
                RData::AAAA(a) => Some(IpAddr::V6(a.0)),
                _ => None,
            };
            servers.extend(answer.answers.iter().find_map(|r| address(&r.data)).map(|ip| SocketAddr::new(ip, 53)));
        }
    }
    servers.truncate(MOST_SERVERS);
    if servers.is_empty() {
        return Err(Error::new(Kind::Busy, format!("the name servers of {zone} were not found")));
    }
    Ok((owner, servers))
}

/// Who does not have it. A server that cannot be reached (by IPv6, where there is none) does not count as long as
/// another can.
async fn missing(servers: &[SocketAddr], record: &Name, value: &str) -> Option<String> {
    let mut reached = 0;
    let mut why = None;
    for server in servers {
        match ask(*server, record, RecordType::TXT, false).await {
            Ok(answer) => {
                reached += 1;
                // Given servers may know the record by an alias.
                let owner = follow(&answer, record.clone());
                let has = answer.answers.iter().any(|r| match &r.data {
                    RData::TXT(txt) if r.name == owner => txt.txt_data.concat() == value.as_bytes(),
                    _ => false,
                });
                if !has {
                    return Some(format!("{server} does not have it"));
                }
            }
            Err(error) => why = Some(error.public),
        }
    }
    if reached > 0 { None } else { why.or_else(|| Some("there is no name server to ask".to_owned())) }
}

/// The first resolver of this machine.
fn resolver() -> Result<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut addresses = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok());
    addresses.next().map(|ip: IpAddr| SocketAddr::new(ip, 53)).ok_or_else(|| {
        Error::bad_input("this machine has no resolver in /etc/resolv.conf")
            .hint("Set acme_dns_servers to the zone's name servers.")
    })
}
