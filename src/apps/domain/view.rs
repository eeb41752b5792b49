//! A custom domain as it is shown.
use serde::{Deserialize, Serialize};

use super::found::{Found, RecordView, Wanted};
use crate::apps::Apps;
use crate::base::{Millis, Result};
use crate::store::domains::DomainRow;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DomainState {
    /// DNS does not prove it yet.
    Waiting,
    /// Proved, and its visitors do not come here (any more).
    Elsewhere,
    /// Proved; its certificate is not there yet.
    Certificate,
    Live,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DomainView {
    pub host: String,
    /// As its owner would write it: `bücher.example`.
    pub shown: String,
    pub url: String,
    /// Visitors are sent to this host.
    pub redirect: Option<String>,
    pub state: DomainState,
    /// The state in words, with what to do.
    pub note: String,
    pub verified: Option<Millis>,
    pub checked: Option<Millis>,
    /// What DNS had at the last look, in words.
    pub found: String,
    /// What to set: an alias or the addresses, and the proof.
    pub records: Vec<RecordView>,
}

impl Apps {
    pub(super) fn domain_view(&self, row: &DomainRow, names: &[String]) -> Result<DomainView> {
        // Written by an older Steady, or never looked at.
        let found: Found = serde_json::from_str(&row.found).unwrap_or_default();
        let wanted = Wanted { host: &row.host, token: &row.token, names };
        let certificates = &self.options().certificates;
        let has_certificate = (certificates.has)(row.host.as_str());
        let leads = row.checked.and(found.leads_here(&wanted));
        let state = match (row.verified, leads) {
            (None, _) => DomainState::Waiting,
            (Some(_), Some(false)) => DomainState::Elsewhere,
            (Some(_), _) if has_certificate => DomainState::Live,
            (Some(_), _) => DomainState::Certificate,
        };
        let options = self.options();
        let port = options.apps_host.split_once(':').map_or(String::new(), |(_, port)| format!(":{port}"));
        Ok(DomainView {
            host: row.host.to_string(),
            shown: row.host.shown(),
            url: format!("{}://{}{port}", options.scheme, row.host),
            redirect: row.redirect.as_ref().map(ToString::to_string),
            state,
            note: note(state, leads, &found, certificates.are_ordered),
            verified: row.verified,
            checked: row.checked,
            found: if row.checked.is_some() { found.words() } else { "not looked yet".to_owned() },
            records: found.records(&wanted),
        })
    }
}

fn note(state: DomainState, leads: Option<bool>, found: &Found, ordered: bool) -> String {
    match (state, leads) {
        (DomainState::Waiting, _) if found.trouble.is_some() => {
            format!("Not proved: {}.", found.trouble.as_deref().unwrap_or_default())
        }
        (DomainState::Waiting, Some(true)) => "It leads here, and is not proved: set the TXT record.".to_owned(),
        (DomainState::Waiting, _) => {
            "Waiting for DNS: set the CNAME record, which also proves that it is yours; or the addresses and the TXT \
             record, where a name cannot be an alias."
                .to_owned()
        }
        (DomainState::Elsewhere, _) => {
            format!("It is proved, and does not lead here: DNS has {}. Set the CNAME or the addresses.", found.words())
        }
        (DomainState::Certificate, _) if ordered => {
            "Proved. Its certificate is got when somebody first visits it by https.".to_owned()
        }
        (DomainState::Certificate, _) => {
            "Proved. This server has no certificate for it, and gets none by itself: its owner adds one to tls_cert."
                .to_owned()
        }
        (DomainState::Live, None) => "Proved. Whether visitors come here, this server cannot see.".to_owned(),
        (DomainState::Live, _) => "Visitors come here.".to_owned(),
    }
}
