//! Answers to authorities' questions that are open right now: the plain listener and TLS handshakes give them.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::base::{Result, ResultExt as _};

/// The protocol of a handshake that asks for [`Challenges::alpn`] (RFC 8737).
pub const ACME_TLS: &[u8] = b"acme-tls/1";

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Challenges(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    /// Token → key authorization.
    http: HashMap<String, String>,
    /// Host → the certificate that proves it.
    alpn: HashMap<String, Arc<CertifiedKey>>,
}

impl Challenges {
    /// The body of `/.well-known/acme-challenge/TOKEN`, when an order of ours waits for that question.
    pub fn http01(&self, token: &str) -> Option<String> {
        self.open().http.get(token).cloned()
    }

    /// The certificate for a handshake that offers only [`ACME_TLS`]; `host` as in the handshake.
    pub fn alpn(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        let open = self.open();
        // Nothing is open nearly always, and then nothing is copied.
        if open.alpn.is_empty() { None } else { open.alpn.get(&host.to_ascii_lowercase()).cloned() }
    }

    /// Answers until the guard is dropped.
    pub(super) fn post_http(&self, token: &str, authorization: &str) -> Posted {
        self.open().http.insert(token.to_owned(), authorization.to_owned());
        Posted { challenges: self.clone(), http: Some(token.to_owned()), alpn: None }
    }

    /// The same; `digest` is SHA-256 of the key authorization.
    pub(super) fn post_alpn(&self, host: &str, digest: &[u8]) -> Result<Posted> {
        let making = "while making a certificate that proves a host";
        let key = KeyPair::generate().internal(making)?;
        let mut params = CertificateParams::new([host.to_owned()]).internal(making)?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let certificate = params.self_signed(&key).internal(making)?;
        // Not checked as a pair: the checker knows no certificate with that (critical) extension.
        let signing = any_supported_type(&PrivatePkcs8KeyDer::from(key.serialize_der()).into()).internal(making)?;
        let proof = CertifiedKey::new(vec![certificate.der().clone()], signing);
        self.open().alpn.insert(host.to_owned(), Arc::new(proof));
        Ok(Posted { challenges: self.clone(), http: None, alpn: Some(host.to_owned()) })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer given while this lives.
pub(super) struct Posted {
    challenges: Challenges,
    http: Option<String>,
    alpn: Option<String>,
}

impl Drop for Posted {
    fn drop(&mut self) {
        let mut open = self.challenges.open();
        if let Some(token) = &self.http {
            open.http.remove(token);
        }
        if let Some(host) = &self.alpn {
            open.alpn.remove(host);
        }
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::*;

    use super::*;

    #[test]
    fn answers_while_the_guard_lives() {
        let challenges = Challenges::default();
        let posted = challenges.post_http("token", "token.thumb");
        assert_eq!(challenges.http01("token").as_deref(), Some("token.thumb"));
        assert_eq!(challenges.http01("toke"), None);
        drop(posted);
        assert_eq!(challenges.http01("token"), None);

        let posted = challenges.post_alpn("a.example", &[7; 32]).unwrap();
        let proof = challenges.alpn("A.example").unwrap();
        let (_, certificate) = X509Certificate::from_der(&proof.cert[0]).unwrap();
        let identifier =
            certificate.extensions().iter().find(|e| e.oid.to_id_string() == "1.3.6.1.5.5.7.1.31").unwrap();
        assert!(identifier.critical);
        assert_eq!(identifier.value, [&[4, 32][..], &[7; 32]].concat());
        drop(posted);
        assert!(challenges.alpn("a.example").is_none());
    }
}
