//! A chain and its key: read, checked to fit, and what they say of themselves.
use tokio_rustls::rustls as tls;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::base::{Error, Kind, Millis, Result, ResultExt as _, Secret};

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Host names, also wildcards, in lower case; addresses as text.
    pub names: Vec<String>,
    /// Who signed it, for people: organisation and common name.
    pub issuer: String,
    pub not_before: Millis,
    pub not_after: Millis,
}

impl Facts {
    /// Errors: `BadInput` when it is no certificate.
    pub fn read(certificate: &CertificateDer<'_>) -> Result<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .or_error(Kind::BadInput, "the certificate cannot be read: it is not an X.509 certificate")?;
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let part = |found: Option<&str>| found.unwrap_or_default().to_owned();
        let issuer = parsed.issuer();
        let organization = part(issuer.iter_organization().next().and_then(|o| o.as_str().ok()));
        let common = part(issuer.iter_common_name().next().and_then(|c| c.as_str().ok()));
        Ok(Self {
            names: names
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                    GeneralName::IPAddress(bytes) => address(bytes),
                    _ => None,
                })
                .collect(),
            issuer: [organization, common].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "),
            not_before: parsed.validity().not_before.timestamp().saturating_mul(1000),
            not_after: parsed.validity().not_after.timestamp().saturating_mul(1000),
        })
    }
}

impl Facts {
    /// Whether one of the names is this host's. `host` is lower case, without port.
    pub fn covers(&self, host: &str) -> bool {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            // A star stands for exactly one label.
            Some(below) => parent == Some(below),
            None => name == host || address == Some(name),
        })
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(std::net::Ipv4Addr::from).map(|ip| ip.to_string());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(std::net::Ipv6Addr::from).map(|ip| ip.to_string())).ok()
}

/// The certificates of a PEM file, in its order.
/// Errors: `BadInput` when there are none or one is broken.
pub fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<std::result::Result<Vec<_>, _>>();
    let all = all.or_error(Kind::BadInput, "the certificates cannot be read as PEM")?;
    if all.is_empty() {
        return Err(Error::bad_input("there is no certificate in the PEM text"));
    }
    Ok(all)
}

/// Errors: `BadInput` when the key is not the certificate's, or of a kind TLS does not know.
pub fn certified(chain: Vec<CertificateDer<'static>>, key: &Secret<Vec<u8>>) -> Result<CertifiedKey> {
    // The key is exposed to be loaded for handshakes.
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.expose().clone()));
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|cause| {
        let public = match &cause {
            tls::Error::InconsistentKeys(_) => "the private key does not belong to the certificate".to_owned(),
            other => format!("the certificate or its key cannot be used: {other}"),
        };
        Error::bad_input(public).because(cause)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A self-signed pair for tests: PEM and PKCS #8.
    pub fn make(names: &[&str], not_before: Millis, not_after: Millis) -> (String, Secret<Vec<u8>>) {
        let mut params =
            rcgen::CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_millis(not_before as u64);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_millis(not_after as u64);
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Test");
        params.distinguished_name.push(rcgen::DnType::CommonName, "Self");
        let key = rcgen::KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), Secret::new(key.serialize_der()))
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let (pem, _) = make(&["*.example.com", "example.com", "127.0.0.1", "::1"], 0, 1000);
        let facts = Facts::read(&chain(pem.as_bytes()).unwrap()[0]).unwrap();
        for host in ["example.com", "a.example.com", "127.0.0.1", "[::1]"] {
            assert!(facts.covers(host), "{host}");
        }
        for host in ["a.b.example.com", "example.org", "com", "*.example.org", "xexample.com", "", ".example.com.x"] {
            assert!(!facts.covers(host), "{host}");
        }
    }

    #[test]
    fn read_and_checked() {
        let (pem, key) = make(&["a.example", "*.B.example"], 1_700_000_000_000, 1_800_000_000_000);
        let certificates = chain(pem.as_bytes()).unwrap();
        let facts = Facts::read(&certificates[0]).unwrap();
        assert_eq!(facts.names, ["a.example", "*.b.example"]);
        assert_eq!((facts.not_before, facts.not_after), (1_700_000_000_000, 1_800_000_000_000));
        assert_eq!(facts.issuer, "Test Self");
        assert!(certified(certificates.clone(), &key).is_ok());
        let (_, other) = make(&["a.example"], 0, 1000);
        assert!(certified(certificates, &other).unwrap_err().public.contains("does not belong"));
        assert!(chain(b"nothing").is_err() && chain(b"-----BEGIN CERTIFICATE-----\nx").is_err());
    }
}
