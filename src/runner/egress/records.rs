//! What an app may know of a name beside its addresses, which mean nothing outside: SRV, TXT and MX. Where the answer
//! leads elsewhere, only what the manifest allows is passed on; and it leads to names, which are looked up and judged
//! like any other when they are used.
use std::sync::Arc;

use hickory_proto::rr::rdata::{MX, SRV};
use hickory_proto::rr::{Name, RData, RecordType};

use super::dns::Found;
use super::policy::{Host, Policy, Transport, shown};
use super::rule::normal;
use super::site::Site;

/// Labels such as `_mongodb._tcp` in front of a host's name.
const SERVICE_LABELS: usize = 2;
/// Bytes of all that one answer says.
const MAX: usize = 8 << 10;

/// The host that a service's name is about: `db.example.com` of `_postgresql._tcp.db.example.com`.
pub fn host(name: &str) -> &str {
    (0..SERVICE_LABELS).fold(name, |name, _| match name.split_once('.') {
        Some((label, rest)) if label.starts_with('_') => rest,
        _ => name,
    })
}

/// Asks outside. What moves counts as the app's traffic: a name can carry a message.
pub async fn find(site: &Arc<Site>, name: &str, kind: RecordType) -> Found {
    let what = format!("{name} ({kind})");
    if let Some(why) = site.bounds.budget.exhausted() {
        site.refusals.refused(&what, &why);
        return Found::Failed;
    }
    let all = match site.dialer.records(name, kind).await {
        Ok(Some(all)) => all,
        Ok(None) => return Found::Refused,
        Err(error) => {
            site.refusals.failed(&what, &format!("Looking up its name failed: {error}."));
            return Found::Failed;
        }
    };
    site.count.moved(name.len(), all.iter().map(size).sum());
    site.bounds.budget.spend(name.len() + all.iter().map(size).sum::<usize>());
    let (kept, refused) = judge(&site.policy, all);
    for (what, why) in refused {
        site.refusals.refused(&what, &why);
    }
    Found::Records(kept)
}

/// What is passed on; and how to name what is not, with why.
fn judge(policy: &Policy, all: Vec<RData>) -> (Vec<RData>, Vec<(String, String)>) {
    let (mut kept, mut refused, mut room) = (Vec::new(), Vec::new(), MAX);
    for data in all {
        let decided = match &data {
            // "There is no such service here", in both.
            RData::SRV(SRV { target: none, .. }) | RData::MX(MX { exchange: none, .. }) if none.is_root() => Ok(()),
            RData::SRV(service) => named(&service.target).and_then(|target| {
                let host = Host::Name(target.as_str().into());
                let may = |by| policy.decide(&host, service.port, by);
                let decided = may(Transport::Tcp).or_else(|why| may(Transport::Udp).map_err(|_| why));
                decided.map(drop).map_err(|why| (shown(&host, service.port), why))
            }),
            RData::MX(mail) => named(&mail.exchange)
                .and_then(|exchange| policy.may_resolve(&exchange).map_err(|why| (exchange.clone(), why))),
            _ => Ok(()),
        };
        match (decided, room.checked_sub(size(&data))) {
            (Ok(()), Some(left)) => {
                room = left;
                kept.push(data);
            }
            (Err(why), _) => refused.push(why),
            (Ok(()), None) => {}
        }
    }
    (kept, refused)
}

fn named(target: &Name) -> Result<String, (String, String)> {
    let text = target.to_ascii();
    normal(&text).ok_or_else(|| (text.escape_debug().to_string(), "It is no host name.".to_owned()))
}

/// Bytes, about.
fn size(data: &RData) -> usize {
    match data {
        RData::TXT(text) => text.txt_data.iter().map(|part| part.len() + 1).sum::<usize>() + 12,
        RData::SRV(service) => service.target.len() + 18,
        RData::MX(mail) => mail.exchange.len() + 14,
        _ => 12,
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::TXT;

    use super::super::policy::Purpose;
    use super::super::rule::{HostRule, Net, Reach};
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect(text)
    }

    fn srv(target: &str, port: u16) -> RData {
        RData::SRV(SRV::new(0, 0, port, name(target)))
    }

    #[test]
    fn a_services_name_is_about_its_host() {
        for (asked, about) in [
            ("_mongodb._tcp.c.example.com", "c.example.com"),
            ("_dmarc.example.com", "example.com"),
            ("a._b.example.com", "a._b.example.com"),
            ("_a._b._c.example.com", "_c.example.com"),
            ("example.com", "example.com"),
            ("_a", "_a"),
        ] {
            assert_eq!(host(asked), about);
        }
    }

    #[test]
    fn only_what_is_allowed_is_passed_on() {
        let rules = ["*.c.example.com:27017", "mail.example.com:25"].map(|text| HostRule::parse(text).expect(text));
        let net = Net { tcp: Reach::Hosts(rules.to_vec()), ..Net::default() };
        let policy = Policy { net, trusted: vec![], offered: vec![], purpose: Purpose::App };
        let mx = |exchange: &str| RData::MX(MX::new(1, name(exchange)));
        let text = RData::TXT(TXT::new(vec!["replicaSet=a".into()]));
        let all = vec![
            srv("S0.c.example.com.", 27017),
            srv("s1.c.example.com.", 27018),
            srv("evil.example.", 27017),
            srv("10.0.0.1.", 27017),
            srv(".", 0),
            mx("mail.example.com."),
            mx("mail.evil.example."),
            text.clone(),
        ];
        let (kept, refused) = judge(&policy, all);
        assert_eq!(kept, [srv("S0.c.example.com.", 27017), srv(".", 0), mx("mail.example.com."), text]);
        let refused: Vec<&str> = refused.iter().map(|(what, _)| what.as_str()).collect();
        assert_eq!(refused, ["s1.c.example.com:27018", "evil.example:27017", "10.0.0.1.", "mail.evil.example"]);
    }

    #[test]
    fn it_is_never_long() {
        let net = Net { tcp: Reach::Public, ..Net::default() };
        let policy = Policy { net, trusted: vec![], offered: vec![], purpose: Purpose::App };
        let text = RData::TXT(TXT::new(vec!["x".repeat(255); 8]));
        let (kept, _) = judge(&policy, vec![text; 32]);
        assert!(kept.iter().map(size).sum::<usize>() <= MAX && kept.len() == 3, "{}", kept.len());
    }
}
