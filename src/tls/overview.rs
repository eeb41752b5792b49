//! All certificates of a server, for whoever owns it.
use serde::{Deserialize, Serialize};

use super::limits::Count;
use super::view::View;
use crate::base::Millis;

/// Written by the API, read by the command line.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Overview {
    /// `off`, `files`, `local` or `auto`.
    pub mode: String,
    pub certificates: Vec<CertificateView>,
    /// What authorities allow, and how much of it is used.
    pub limits: Vec<LimitView>,
}

/// One certificate, or a host that has none yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CertificateView {
    /// The hosts it names; a root: the domains it may speak for.
    pub hosts: Vec<String>,
    /// `file`, `local root` or `authority`.
    pub source: String,
    /// Who signed it; `None` when there is none yet.
    pub issuer: Option<String>,
    /// The file of the owner's own one, or of the root.
    pub file: Option<String>,
    pub expires: Option<Millis>,
    pub renews: Option<Millis>,
    /// What is wrong with it, or happens to it now.
    pub trouble: Option<String>,
    pub ordering: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LimitView {
    pub authority: String,
    /// Empty where it is the whole server's.
    pub domain: String,
    pub what: String,
    pub used: usize,
    pub most: usize,
}

impl From<View> for CertificateView {
    fn from(view: View) -> Self {
        let there = view.issuer.is_some();
        Self {
            hosts: vec![view.host],
            source: "authority".to_owned(),
            issuer: view.issuer,
            file: None,
            expires: there.then_some(view.not_after),
            renews: there.then_some(view.renew_at),
            trouble: view.last_error,
            ordering: view.ordering,
        }
    }
}

impl From<Count> for LimitView {
    fn from(count: Count) -> Self {
        let Count { authority, domain, limit, used, most } = count;
        Self { authority, domain, what: limit.to_string(), used, most }
    }
}
