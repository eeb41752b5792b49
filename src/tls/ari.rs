//! Renewal information (RFC 9773): when the authority wants a certificate to be renewed.
use std::time::Duration;

use instant_acme::CertificateIdentifier;
use tokio_rustls::rustls::pki_types::{CertificateDer, Der};
use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate};

use super::account::Authority;
use super::limits::{DAY, HOUR};
use crate::base::{Error, Kind, Millis, Result};

/// Asked again after this long, where the authority does not say.
const USUALLY: Millis = 6 * HOUR;
const SOONEST: Millis = 60_000;

pub(super) struct Suggestion {
    /// Start and end; `None` when the authority suggests nothing.
    pub window: Option<(Millis, Millis)>,
    /// When to ask again, from now.
    pub again: Millis,
}

/// What the authority suggests for that certificate.
pub(super) async fn ask(authority: &Authority, certificate: &CertificateDer<'_>) -> Result<Suggestion> {
    let nothing = Suggestion { window: None, again: DAY };
    let (Some(url), Some(id)) = (authority.renewal_info().await?, identifier(certificate)) else { return Ok(nothing) };
    let (info, wait) = authority.web.json(&format!("{}/{id}", url.trim_end_matches('/'))).await?;
    read(&info, wait).ok_or_else(|| Error::new(Kind::Busy, format!("{} suggests a time that is none", authority.url)))
}

fn read(info: &serde_json::Value, wait: Option<Duration>) -> Option<Suggestion> {
    let at = |key: &str| {
        let text = info["suggestedWindow"][key].as_str()?;
        text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
    };
    let (start, end) = (at("start")?, at("end")?);
    let again = wait.map_or(USUALLY, |wait| Millis::try_from(wait.as_millis()).unwrap_or(DAY));
    (start < end).then(|| Suggestion { window: Some((start, end)), again: again.clamp(SOONEST, DAY) })
}

/// What the authority calls that certificate. `None` for one without the key identifier of its issuer.
pub(super) fn identifier(certificate: &CertificateDer<'_>) -> Option<CertificateIdentifier<'static>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let key = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(key) => key.key_identifier.as_ref().map(|key| key.0),
        _ => None,
    })?;
    Some(CertificateIdentifier::new(Der::from_slice(key), Der::from_slice(parsed.raw_serial())).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn windows() {
        let info = |start: &str, end: &str| serde_json::json!({ "suggestedWindow": { "start": start, "end": end } });
        let good = info("2026-01-02T04:00:00Z", "2026-01-03T04:00:00+01:00");
        let read_good = |wait| read(&good, wait).unwrap();
        assert_eq!(read_good(None).window, Some((1_767_326_400_000, 1_767_409_200_000)));
        assert_eq!(read_good(None).again, 6 * HOUR);
        assert_eq!(read_good(Some(Duration::ZERO)).again, SOONEST);
        assert_eq!(read_good(Some(Duration::from_secs(u64::MAX))).again, DAY);
        for bad in [
            info("2026-01-03T04:00:00Z", "2026-01-03T04:00:00Z"),
            info("2026-01-03T04:00:00Z", "2026-01-02T04:00:00Z"),
            info("soon", "later"),
            serde_json::json!({ "suggestedWindow": [] }),
            serde_json::json!(null),
        ] {
            assert!(read(&bad, None).is_none(), "{bad}");
        }
    }

    /// The example of RFC 9773, section 4.1, in the parts that go into it.
    #[test]
    fn the_name_of_a_certificate() {
        let key = hex::decode("69885b6b8746404aa98c3d9d27abf9c8c1f8b1d1").unwrap();
        let id = CertificateIdentifier::new(Der::from_slice(&key), Der::from_slice(&[0, 0x87, 0x65, 0x43, 0x21]));
        assert_eq!(id.serial, "AIdlQyE");
        assert!(identifier(&CertificateDer::from_slice(b"no certificate")).is_none());
    }

    proptest! {
        #[test]
        fn any_time_may_be_given(start in ".{0,30}", end in ".{0,30}", wait in any::<u64>()) {
            let info = serde_json::json!({ "suggestedWindow": { "start": start, "end": end } });
            if let Some(found) = read(&info, Some(Duration::from_millis(wait))) {
                prop_assert!((SOONEST..=DAY).contains(&found.again));
            }
        }
    }
}
