//! What a version asks for, what it may have without a yes, and the difference. Pure.
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::limit::{LIMITS, Limit};
use crate::runner::Limits;
use crate::runner::egress::{HostRule, Net, Reach};

/// How a package whose scripts may run is shown.
const SCRIPTS: &str = "install scripts";

/// `permissions` and `limits` of a manifest; also, as the sum of such, what owners have approved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// `None` = the server's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net: Option<Reach>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub udp: Vec<HostRule>,
    /// Hosts of the server's owner's own network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private: Vec<HostRule>,
    /// Packages whose scripts run when they are installed: `trustedDependencies` of package.json.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scripts: BTreeSet<String>,
    /// In the units of the manifest. What is not here is the server's setting.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<Limit, u64>,
}

/// The server's terms: what every app has, and the most that can be approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub net: Reach,
    /// Hosts of the owner's own network that can be approved.
    pub private: Vec<HostRule>,
    pub limits: Limits,
    pub most: Limits,
}

impl Terms {
    /// For looking at a project away from any server's settings: nothing is too much.
    pub fn boundless() -> Self {
        let mut most = Limits::default();
        LIMITS.iter().for_each(|limit| limit.set(&mut most, u64::from(u32::MAX)));
        Self { net: Reach::None, private: Vec::new(), limits: Limits::default(), most }
    }

    /// Whether the server's owner lets apps ask for this host of the private network.
    pub fn offers(&self, rule: &HostRule) -> bool {
        self.private.iter().any(|offered| offered.covers(rule))
    }
}

impl Ask {
    /// Every limit, in the manifest's unit, as it would be under these terms.
    fn limit(&self, limit: Limit, terms: &Terms) -> u64 {
        self.limits.get(&limit).copied().unwrap_or_else(|| limit.of(&terms.limits))
    }

    fn net(&self, terms: &Terms) -> Net {
        let tcp = self.net.clone().unwrap_or_else(|| terms.net.clone());
        Net { tcp, udp: self.udp.clone(), private: self.private.clone() }
    }

    /// What this asks for that neither the server's settings nor `approved` give, in the words of steady.json;
    /// empty when nothing.
    pub fn beyond(&self, approved: &Self, terms: &Terms) -> Vec<String> {
        let mut more = self.net(terms).beyond(&approved.granted(terms));
        more.extend(self.scripts.difference(&approved.scripts).map(|name| format!("{SCRIPTS}: {name}")));
        more.extend(LIMITS.into_iter().filter_map(|limit| {
            let (asked, had) = (self.limit(limit, terms), approved.at_most(limit, terms));
            (asked > had).then(|| format!("limits: {} {asked}, up from {had}", limit.name()))
        }));
        more
    }

    /// All of it, in the words of steady.json: what a person reads before saying yes.
    pub fn words(&self) -> Vec<String> {
        let mut words = match &self.net {
            None => Vec::new(),
            Some(Reach::None) => vec!["net: none".to_owned()],
            Some(Reach::Public) => vec!["net: public".to_owned()],
            Some(Reach::Hosts(rules)) => rules.iter().map(|rule| format!("net: {rule}")).collect(),
        };
        words.extend(self.udp.iter().map(|rule| format!("udp: {rule}")));
        words.extend(self.private.iter().map(|rule| format!("private: {rule}")));
        words.extend(self.scripts.iter().map(|name| format!("{SCRIPTS}: {name}")));
        words.extend(self.limits.iter().map(|(limit, value)| format!("limits: {} {value}", limit.name())));
        words
    }

    /// What it gets of what it asks for: no more than the server's settings and `approved` give.
    pub fn within(&self, approved: &Self, terms: &Terms) -> (Net, Limits) {
        let granted = approved.granted(terms);
        let asked = self.net(terms);
        let known = |rule: &HostRule| {
            let one = Net { tcp: Reach::Hosts(vec![rule.clone()]), ..Net::default() };
            one.beyond(&granted).is_empty()
        };
        let tcp = match (asked.tcp, &granted.tcp) {
            (Reach::Public, less) => less.clone(),
            (Reach::Hosts(mut rules), _) => {
                rules.retain(known);
                if rules.is_empty() { Reach::None } else { Reach::Hosts(rules) }
            }
            (Reach::None, _) => Reach::None,
        };
        let of = |asked: Vec<HostRule>, granted: &[HostRule]| -> Vec<HostRule> {
            asked.into_iter().filter(|rule| granted.iter().any(|known| known.covers(rule))).collect()
        };
        let (udp, private) = (of(asked.udp, &granted.udp), of(asked.private, &granted.private));
        let mut limits = terms.limits;
        for limit in LIMITS {
            limit.set(&mut limits, self.limit(limit, terms).min(approved.at_most(limit, terms)));
        }
        (Net { tcp, udp, private }, limits)
    }

    /// Both together: what is approved after one more yes.
    #[must_use]
    pub fn and(&self, more: &Self) -> Self {
        let net = match (&self.net, &more.net) {
            (None | Some(Reach::None), other) | (other, None | Some(Reach::None)) => other.clone(),
            (Some(Reach::Public), _) | (_, Some(Reach::Public)) => Some(Reach::Public),
            (Some(Reach::Hosts(a)), Some(Reach::Hosts(b))) => Some(Reach::Hosts(joined(a, b))),
        };
        let mut limits = self.limits.clone();
        for (limit, value) in &more.limits {
            limits.entry(*limit).and_modify(|old| *old = (*old).max(*value)).or_insert(*value);
        }
        Self {
            net,
            udp: joined(&self.udp, &more.udp),
            private: joined(&self.private, &more.private),
            scripts: self.scripts.union(&more.scripts).cloned().collect(),
            limits,
        }
    }

    /// As an approval: the network of it or of the server's settings, whichever a rule is found in. Private hosts
    /// must be in both: the server's owner may have thought better of one.
    fn granted(&self, terms: &Terms) -> Net {
        let default = Self { net: Some(terms.net.clone()), ..Self::default() };
        let mut granted = self.and(&default).net(terms);
        granted.private.retain(|rule| terms.offers(rule));
        granted
    }

    fn at_most(&self, limit: Limit, terms: &Terms) -> u64 {
        self.limits.get(&limit).copied().unwrap_or(0).max(limit.of(&terms.limits)).min(limit.of(&terms.most))
    }
}

fn joined(a: &[HostRule], b: &[HostRule]) -> Vec<HostRule> {
    let mut all = a.to_vec();
    all.extend(b.iter().filter(|rule| !a.contains(rule)).cloned());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(list: &[&str]) -> Ask {
        let rules = list.iter().map(|text| HostRule::parse(text).expect(text)).collect();
        Ask { net: Some(Reach::Hosts(rules)), ..Ask::default() }
    }

    fn limit(limit: Limit, value: u64) -> Ask {
        Ask { limits: [(limit, value)].into(), ..Ask::default() }
    }

    fn terms(net: Reach) -> Terms {
        let mut most = Limits::default();
        Limit::MemoryMb.set(&mut most, 2048);
        Terms { net, private: vec![], limits: Limits::default(), most }
    }

    #[test]
    fn nothing_asked_is_never_more() {
        for net in [Reach::None, Reach::Public] {
            let terms = terms(net.clone());
            assert!(Ask::default().beyond(&Ask::default(), &terms).is_empty());
            let (given, limits) = Ask::default().within(&Ask::default(), &terms);
            assert_eq!((given.tcp, limits), (net, Limits::default()));
        }
    }

    #[test]
    fn what_the_server_gives_needs_no_yes() {
        let open = terms(Reach::Public);
        let public = Ask { net: Some(Reach::Public), ..Ask::default() };
        assert!(public.beyond(&Ask::default(), &open).is_empty());
        assert!(hosts(&["a.example"]).beyond(&Ask::default(), &open).is_empty());
        assert_eq!(hosts(&["a.example"]).within(&Ask::default(), &open).0.tcp, hosts(&["a.example"]).net.unwrap());
        assert!(limit(Limit::MemoryMb, 100).beyond(&Ask::default(), &open).is_empty());
        assert_eq!(limit(Limit::MemoryMb, 100).within(&Ask::default(), &open).1.memory_bytes, 100 << 20);
    }

    #[test]
    fn more_is_named_and_not_given_before_the_yes() {
        let terms = terms(Reach::None);
        let asked = hosts(&["a.example", "b.example:5432"]).and(&limit(Limit::MemoryMb, 1024));
        let none = Ask::default();
        let said = asked.beyond(&none, &terms);
        assert_eq!(said, ["net: a.example", "net: b.example:5432", "limits: memory_mb 1024, up from 512"]);
        assert_eq!(asked.within(&none, &terms), (Net::default(), Limits::default()));
        let one = none.and(&hosts(&["*.b.example"]).and(&hosts(&["a.example"])));
        assert_eq!(asked.beyond(&one, &terms).len(), 2, "a star is below, and the port another");
        assert_eq!(asked.within(&one, &terms).0.tcp, hosts(&["a.example"]).net.unwrap());
        let all = one.and(&asked);
        assert!(asked.beyond(&all, &terms).is_empty());
        let (net, limits) = asked.within(&all, &terms);
        assert_eq!((Some(net.tcp), limits.memory_bytes), (asked.net.clone(), 1024 << 20));
    }

    #[test]
    fn an_approval_does_not_outgrow_the_server() {
        let mut terms = terms(Reach::None);
        let asked = limit(Limit::MemoryMb, 2048);
        assert!(asked.beyond(&asked, &terms).is_empty());
        // The owner of the server lowered what can be approved since.
        Limit::MemoryMb.set(&mut terms.most, 1000);
        assert_eq!(asked.beyond(&asked, &terms), ["limits: memory_mb 2048, up from 1000"]);
        assert_eq!(asked.within(&asked, &terms).1.memory_bytes, 1000 << 20);
    }

    #[test]
    fn udp_is_asked_for_by_itself() {
        let rule = HostRule::parse("ntp.example:123").unwrap();
        let asked = Ask { udp: vec![rule.clone()], ..Ask::default() };
        let terms = terms(Reach::Public);
        assert_eq!(asked.beyond(&Ask::default(), &terms), ["udp: ntp.example:123"]);
        assert!(asked.within(&Ask::default(), &terms).0.udp.is_empty());
        assert_eq!(asked.within(&asked, &terms).0.udp, [rule]);
        assert_eq!(asked.words(), ["udp: ntp.example:123"]);
    }

    #[test]
    fn a_private_host_takes_both_owners() {
        let rule = |text: &str| HostRule::parse(text).unwrap();
        let asked = Ask { private: vec![rule("db.internal:5432"), rule("10.0.0.5:6379")], ..Ask::default() };
        let mut terms = terms(Reach::Public);
        terms.private = vec![rule("db.internal:5432"), rule("10.0.0.5:6379")];
        assert_eq!(asked.beyond(&Ask::default(), &terms), ["private: db.internal:5432", "private: 10.0.0.5:6379"]);
        assert!(asked.within(&Ask::default(), &terms).0.private.is_empty());
        let one = Ask { private: vec![rule("10.0.0.5:6379")], ..Ask::default() };
        let approved = Ask::default().and(&one);
        assert_eq!(asked.beyond(&approved, &terms), ["private: db.internal:5432"]);
        assert_eq!(asked.within(&approved, &terms).0.private, [rule("10.0.0.5:6379")]);
        assert_eq!(one.words(), ["private: 10.0.0.5:6379"]);
        // The server's owner takes it back: the approval is still there, and gives nothing.
        terms.private = vec![rule("db.internal:5432")];
        assert_eq!(one.beyond(&approved, &terms), ["private: 10.0.0.5:6379"]);
        assert!(one.within(&approved, &terms).0.private.is_empty());
        terms.private = vec![rule("*.internal.example:5432")];
        let below = Ask { private: vec![rule("db.internal.example:5432")], ..Ask::default() };
        assert!(below.beyond(&below, &terms).is_empty());
    }

    #[test]
    fn a_packages_scripts_are_approved_by_name() {
        let scripts = |names: &[&str]| Ask { scripts: names.iter().map(|&n| n.to_owned()).collect(), ..Ask::default() };
        let (asked, terms) = (scripts(&["esbuild", "@b/c"]), terms(Reach::Public));
        assert_eq!(asked.beyond(&scripts(&["esbuild"]), &terms), ["install scripts: @b/c"]);
        let both = scripts(&["esbuild"]).and(&scripts(&["@b/c"]));
        assert!(asked.beyond(&both, &terms).is_empty());
        assert_eq!(both.words(), ["install scripts: @b/c", "install scripts: esbuild"]);
    }

    #[test]
    fn it_survives_being_stored() {
        let private = Ask { private: vec![HostRule::parse("db.internal:5432").unwrap()], ..Ask::default() };
        let asked = hosts(&["[2001:db8::1]:443"]).and(&limit(Limit::Processes, 300)).and(&private);
        let text = serde_json::to_string(&asked).unwrap();
        assert_eq!(serde_json::from_str::<Ask>(&text).unwrap(), asked, "{text}");
        assert_eq!(serde_json::from_str::<Ask>("{}").unwrap(), Ask::default());
    }
}
