//! OCSP: the authority's signed word that a certificate is not revoked, fetched here and stapled to handshakes.
use http_body_util::Full;
use hyper::{Request, header};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};

use super::der::{BITS, BYTES, ENUM, INTEGER, NULL, OID, Reader, SEQUENCE, TIME, value};
use super::limits::{DAY, HOUR};
use super::web::Web;
use crate::base::{Error, Kind, Millis, Result, ResultExt as _};

/// It travels in every full handshake.
const MAX_STAPLE: usize = 16 * 1024;
/// How far the responder's clock may be ahead.
const AHEAD: Millis = 5 * 60_000;

const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
const RESPONDER: &str = "1.3.6.1.5.5.7.48.1";

/// What a responder said, checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    Good { from: Millis, until: Millis },
    Revoked,
}

impl Word {
    /// When to ask again: half way to its end.
    pub fn again(&self, now: Millis) -> Millis {
        match self {
            Self::Good { from, until } => (from + (until - from) / 2).clamp(now + HOUR / 6, now + 4 * DAY),
            Self::Revoked => now + HOUR,
        }
    }
}

/// Where a certificate says to ask; `None` for most.
pub(super) fn responder(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    parsed.iter_extensions().find_map(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else { return None };
        access.iter().find_map(|place| match &place.access_location {
            GeneralName::URI(url) if place.access_method.to_id_string() == RESPONDER && url.starts_with("http") => {
                Some((*url).to_owned())
            }
            _ => None,
        })
    })
}

/// Asks for the first certificate of the chain. The bytes are to be stapled when the word is good.
/// Errors: `Busy` when there is no answer that proves anything.
pub(super) async fn ask(web: &Web, chain: &[CertificateDer<'_>], now: Millis) -> Result<(Vec<u8>, Word)> {
    let [certificate, issuer, ..] = chain else { return Err(Error::internal("the chain has no issuer")) };
    let url = responder(certificate).ok_or_else(|| Error::internal("the certificate names no responder"))?;
    let id = identify(certificate, issuer)?;
    let request = value(SEQUENCE, &[&value(SEQUENCE, &[&value(SEQUENCE, &[&value(SEQUENCE, &[&id])])])]);
    let request = Request::post(&url)
        .header(header::CONTENT_TYPE, "application/ocsp-request")
        .body(Full::from(request))
        .or_error(Kind::BadInput, format!("`{url}` is no URL"))?;
    let answer = web.send(request).await?;
    if !answer.status().is_success() || answer.body().len() > MAX_STAPLE {
        return Err(Error::new(Kind::Busy, format!("the responder {url} answered {}", answer.status())));
    }
    let bytes = answer.body().to_vec();
    let word = read(&bytes, certificate, issuer, now)?;
    Ok((bytes, word))
}

/// Whether what was stapled may be for longer.
pub(super) fn still_good(staple: &[u8], chain: &[CertificateDer<'_>], now: Millis) -> bool {
    let [certificate, issuer, ..] = chain else { return false };
    matches!(read(staple, certificate, issuer, now), Ok(Word::Good { .. }))
}

/// Reads and checks an answer: for this certificate, signed by its issuer or by whom that named, and of now.
pub(super) fn read(
    answer: &[u8],
    certificate: &CertificateDer<'_>,
    issuer: &CertificateDer<'_>,
    now: Millis,
) -> Result<Word> {
    let wrong = |why: &str| Error::new(Kind::Busy, format!("the responder's answer cannot be used: {why}"));
    let id = identify(certificate, issuer)?;
    let parts = basic(answer).ok_or_else(|| wrong("it is not one, or it says that it has none"))?;
    let (_, issuer) = X509Certificate::from_der(issuer).or_error(Kind::Internal, "the issuer cannot be read")?;
    let by_issuer = verify(issuer.public_key().raw, parts.algorithm, parts.data, parts.signature);
    let delegated = || parts.certificates.iter().any(|der| delegate(der, &issuer, &parts, now));
    if !by_issuer && !delegated() {
        return Err(wrong("nobody that the issuer named has signed it"));
    }
    let single = find(parts.data, &id).ok_or_else(|| wrong("it is about another certificate"))?;
    let until = single.until.unwrap_or(single.from + DAY);
    if single.from > now + AHEAD || until <= now {
        return Err(wrong("it is not of now"));
    }
    match single.status {
        0x80 => Ok(Word::Good { from: single.from, until }),
        0xa1 => Ok(Word::Revoked),
        _ => Err(wrong("the responder does not know the certificate")),
    }
}

/// The certificate's name for responders: hashes of its issuer, and its number.
fn identify(certificate: &CertificateDer<'_>, issuer: &CertificateDer<'_>) -> Result<Vec<u8>> {
    let reading = "while reading a certificate";
    let (_, certificate) = X509Certificate::from_der(certificate).internal(reading)?;
    let (_, issuer) = X509Certificate::from_der(issuer).internal(reading)?;
    let hash = |bytes: &[u8]| value(BYTES, &[digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref()]);
    let algorithm = value(SEQUENCE, &[&value(OID, &[SHA1]), &value(NULL, &[])]);
    let name = hash(certificate.issuer().as_raw());
    let key = hash(&issuer.public_key().subject_public_key.data);
    Ok(value(SEQUENCE, &[&algorithm, &name, &key, &value(INTEGER, &[certificate.raw_serial()])]))
}

struct Basic<'a> {
    /// What is signed.
    data: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    certificates: Vec<&'a [u8]>,
}

fn basic(answer: &[u8]) -> Option<Basic<'_>> {
    let mut response = Reader(answer).inside(SEQUENCE)?;
    if response.take(ENUM)? != [0] {
        return None;
    }
    let mut bytes = response.inside(0xa0)?.inside(SEQUENCE)?;
    if bytes.take(OID)? != BASIC {
        return None;
    }
    let mut basic = bytes.inside(BYTES)?.inside(SEQUENCE)?;
    let (tag, _, data) = basic.any()?;
    let algorithm = basic.take(SEQUENCE)?;
    let (unused, signature) = basic.take(BITS)?.split_first()?;
    let mut certificates = Vec::new();
    if let Some(mut all) = basic.inside(0xa0).and_then(|mut all| all.inside(SEQUENCE)) {
        while let Some((_, _, whole)) = all.any() {
            certificates.push(whole);
        }
    }
    (tag == SEQUENCE && *unused == 0).then_some(Basic { data, algorithm, signature, certificates })
}

struct Single {
    status: u8,
    from: Millis,
    until: Option<Millis>,
}

/// What is said of one certificate.
fn find(data: &[u8], id: &[u8]) -> Option<Single> {
    let mut data = Reader(data).inside(SEQUENCE)?;
    // A version, which is the default anyway; who signed, which the signature shows; when.
    let _ = data.take(0xa0);
    data.any()?;
    data.take(TIME)?;
    let mut all = data.inside(SEQUENCE)?;
    while let Some(mut single) = all.inside(SEQUENCE) {
        let (_, _, found) = single.any()?;
        let (status, _, _) = single.any()?;
        let from = time(single.take(TIME)?)?;
        let until = match single.inside(0xa0) {
            Some(mut until) => Some(time(until.take(TIME)?)?),
            None => None,
        };
        if found == id {
            return Some(Single { status, from, until });
        }
    }
    None
}

fn time(text: &[u8]) -> Option<Millis> {
    let text = std::str::from_utf8(text).ok()?;
    let time = jiff::civil::DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// Whether a certificate was given to that responder by the issuer, and signed the answer.
fn delegate(der: &[u8], issuer: &X509Certificate<'_>, parts: &Basic<'_>, now: Millis) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    let for_ocsp = certificate.extended_key_usage().ok().flatten().is_some_and(|usage| usage.value.ocsp_signing);
    let validity = certificate.validity();
    let seconds = now / 1000;
    let valid = validity.not_before.timestamp() <= seconds && seconds <= validity.not_after.timestamp();
    let mut whole = Reader(der).inside(SEQUENCE);
    let mut signed = || {
        let whole = whole.as_mut()?;
        let (_, _, tbs) = whole.any()?;
        let algorithm = whole.take(SEQUENCE)?;
        let (_, signature) = whole.take(BITS)?.split_first()?;
        Some(verify(issuer.public_key().raw, algorithm, tbs, signature))
    };
    for_ocsp
        && valid
        && certificate.issuer() == issuer.subject()
        && signed() == Some(true)
        && verify(certificate.public_key().raw, parts.algorithm, parts.data, parts.signature)
}

/// `spki` is the whole public key info, `algorithm` the content of an algorithm identifier.
fn verify(spki: &[u8], algorithm: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = || {
        let mut info = Reader(spki).inside(SEQUENCE)?;
        let kind = info.take(SEQUENCE)?;
        let (_, key) = info.take(BITS)?.split_first()?;
        Some((kind, key))
    };
    let Some((kind, key)) = key() else { return false };
    default_provider().signature_verification_algorithms.all.iter().any(|known| {
        known.public_key_alg_id().as_ref() == kind
            && known.signature_alg_id().as_ref() == algorithm
            && known.verify_signature(key, message, signature).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pair::{self, tests::make};
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time(b"20260102040000Z"), Some(1_767_326_400_000));
        for bad in [&b"20260102040000"[..], b"2026", b"", b"20261302040000Z", b"\xff"] {
            assert_eq!(time(bad), None);
        }
    }

    #[test]
    fn asked_again_half_way() {
        let word = Word::Good { from: 0, until: 4 * DAY };
        assert_eq!(word.again(HOUR), 2 * DAY);
        assert_eq!(word.again(3 * DAY), 3 * DAY + HOUR / 6);
        assert_eq!(Word::Good { from: 0, until: 100 * DAY }.again(0), 4 * DAY);
    }

    proptest! {
        #[test]
        fn noise_proves_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (pem, _) = make(&["a.example"], 0, 1000);
            let chain = pair::chain(pem.as_bytes()).unwrap();
            prop_assert!(read(&bytes, &chain[0], &chain[0], 0).is_err());
        }
    }
}
