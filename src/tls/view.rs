//! What is shown of certificates.
use serde::Serialize;

use crate::base::Millis;

/// One host or wildcard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    pub host: String,
    /// Who signed it, for people; `None` when there is no certificate yet.
    pub issuer: Option<String>,
    /// The directory's URL.
    pub authority: String,
    pub not_before: Millis,
    pub not_after: Millis,
    /// When it will be renewed; the authority may have chosen it.
    pub renew_at: Millis,
    /// The authority chose the time of renewal.
    pub suggested: bool,
    /// Handshakes carry the authority's word that it is not revoked.
    pub stapled: bool,
    /// It is being ordered right now.
    pub ordering: bool,
    /// Why the last try failed; `None` after a success.
    pub last_error: Option<String>,
    /// Failed tries in a row.
    pub failures: u32,
    /// Not tried before; 0 when it may be at once.
    pub next_try: Millis,
}
