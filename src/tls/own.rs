//! The owner's own certificate files: read, checked as a pair, and read again when they change.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::pair::Facts;
use crate::base::secret::sha256_hex;
use crate::base::{Error, Millis, Result};

/// Bytes of one file: a chain has a few thousand.
const MAX_FILE: u64 = 1 << 20;

/// A file with a certificate and its chain, and the file with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Pair {
    /// Errors: `BadInput` when one list is longer.
    pub fn zip(certificates: &[PathBuf], keys: &[PathBuf]) -> Result<Vec<Self>> {
        let (many, also) = (certificates.len(), keys.len());
        if many != also {
            return Err(Error::bad_input(format!("tls_cert names {many} files and tls_key {also}"))
                .hint("Each certificate needs the file of its key, at the same place of the list."));
        }
        let pairs = certificates.iter().zip(keys);
        Ok(pairs.map(|(certificate, key)| Self { certificate: certificate.clone(), key: key.clone() }).collect())
    }
}

/// One pair as it was last good.
#[derive(Clone, Debug)]
pub struct Own {
    pub pair: Pair,
    pub facts: Facts,
    pub certified: Arc<CertifiedKey>,
    /// A hash of what was read, to notice a change.
    read: String,
    /// Why the files as they are now cannot be used: then `certified` is older than they are.
    pub trouble: Option<String>,
}

/// All pairs. Cheap to clone; a look-up takes no lock.
#[derive(Clone, Debug, Default)]
pub struct OwnFiles(Arc<ArcSwap<Vec<Own>>>);

impl OwnFiles {
    /// Errors: `BadInput` naming file and reason.
    pub fn open(pairs: &[Pair], now: Millis) -> Result<Self> {
        let all = pairs.iter().map(|pair| load(pair, now)).collect::<Result<Vec<_>>>()?;
        Ok(Self(Arc::new(ArcSwap::from_pointee(all))))
    }

    /// The certificate for a host: one that names it before one with a star.
    pub fn find(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        let all = self.0.load();
        let exact = all.iter().find(|own| own.facts.names.iter().any(|name| name == host));
        exact.or_else(|| all.iter().find(|own| own.facts.covers(host))).map(|own| own.certified.clone())
    }

    pub fn all(&self) -> Arc<Vec<Own>> {
        self.0.load_full()
    }

    /// Reads files that changed. One that cannot be used leaves the old certificate in place and is returned, in a
    /// sentence, once; so is what was taken in.
    pub fn refresh(&self, now: Millis) -> Vec<Result<String, String>> {
        let mut said = Vec::new();
        let old = self.0.load_full();
        let fresh = old.iter().map(|own| match reread(own, now) {
            None => own.clone(),
            Some(Ok(fresh)) => {
                said.push(Ok(format!("{} was read again", own.pair.certificate.display())));
                fresh
            }
            Some(Err(error)) => {
                let why = error.public;
                if own.trouble.as_ref() != Some(&why) {
                    said.push(Err(format!("{why}; the certificate from before stays")));
                }
                Own { trouble: Some(why), ..own.clone() }
            }
        });
        let fresh: Vec<Own> = fresh.collect();
        self.0.store(Arc::new(fresh));
        said
    }
}

/// `None` when nothing has changed since it was last good.
fn reread(own: &Own, now: Millis) -> Option<Result<Own>> {
    let files = match read_pair(&own.pair) {
        Ok(files) => files,
        Err(error) => return Some(Err(error)),
    };
    if digest(&files) == own.read {
        // Also when it was changed back.
        return own.trouble.as_ref().map(|_| Ok(Own { trouble: None, ..own.clone() }));
    }
    Some(make(&own.pair, files, now))
}

fn load(pair: &Pair, now: Millis) -> Result<Own> {
    make(pair, read_pair(pair)?, now)
}

fn read_pair(pair: &Pair) -> Result<(Vec<u8>, Vec<u8>)> {
    Ok((read(&pair.certificate)?, read(&pair.key)?))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let cannot = |e: io::Error| {
        Error::bad_input(format!("{} cannot be read: {e}", path.display()))
            .hint("tls_cert and tls_key in steady.toml name these files; the user that Steady runs as must be able to read them.")
    };
    if fs::metadata(path).map_err(cannot)?.len() > MAX_FILE {
        return Err(Error::bad_input(format!("{} is larger than 1 MiB: it is no certificate", path.display())));
    }
    fs::read(path).map_err(cannot)
}

fn digest((certificate, key): &(Vec<u8>, Vec<u8>)) -> String {
    sha256_hex(&[certificate.as_slice(), b"\0", key].concat())
}

fn make(pair: &Pair, files: (Vec<u8>, Vec<u8>), now: Millis) -> Result<Own> {
    let file = pair.certificate.display();
    let read = digest(&files);
    let (certificate, key) = files;
    let chain = CertificateDer::pem_slice_iter(&certificate).collect::<Result<Vec<_>, _>>().unwrap_or_default();
    let Some(first) = chain.first() else {
        return Err(Error::bad_input(format!("{file} holds no certificate in PEM"))
            .hint("It begins with `-----BEGIN CERTIFICATE-----`: the host's own first, then those that signed it."));
    };
    let facts = Facts::read(first)
        .map_err(|e| Error { public: format!("the first certificate in {file} cannot be read"), ..e })?;
    if facts.names.is_empty() {
        return Err(Error::bad_input(format!("the first certificate in {file} names no host"))
            .hint("The host's own certificate stands first in the file, before those that signed it."));
    }
    if facts.not_after <= now {
        let end = crate::base::clock::rfc3339(facts.not_after);
        return Err(Error::bad_input(format!("the certificate in {file} ended on {}", end.get(..10).unwrap_or(&end)))
            .hint("Put a new one there."));
    }
    let key_file = pair.key.display();
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| {
        Error::bad_input(format!("{key_file} holds no private key in PEM"))
            .because(e)
            .hint("It begins with `-----BEGIN PRIVATE KEY-----`, and has no passphrase.")
    })?;
    let signing = any_supported_type(&key).map_err(|e| {
        Error::bad_input(format!("the key in {key_file} is of a kind that Steady does not know"))
            .because(e)
            .hint("Use ECDSA (P-256, P-384), Ed25519 or RSA of at least 2048 bits.")
    })?;
    let certified = CertifiedKey::new(chain, signing);
    certified.keys_match().map_err(|e| {
        Error::bad_input(format!("the key in {key_file} is not the one of the certificate in {file}")).because(e)
    })?;
    Ok(Own { pair: pair.clone(), facts, certified: Arc::new(certified), read, trouble: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs::write_atomic;

    const NOW: Millis = 1_700_000_000_000;

    fn write(folder: &Path, name: &str, hosts: &[&str], end: i32) -> Pair {
        let key = rcgen::KeyPair::generate().unwrap();
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(hosts).unwrap();
        params.not_after = rcgen::date_time_ymd(end, 1, 1);
        let pair = Pair { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
        let made = params.self_signed(&key).unwrap();
        write_atomic(&pair.certificate, made.pem().as_bytes(), 0o600).unwrap();
        write_atomic(&pair.key, key.serialize_pem().as_bytes(), 0o600).unwrap();
        pair
    }

    fn serial(found: Option<Arc<CertifiedKey>>) -> Vec<u8> {
        found.map(|found| found.cert[0].to_vec()).unwrap_or_default()
    }

    #[test]
    fn the_nearest_name_is_found() {
        let temp = tempfile::tempdir().unwrap();
        let star = write(temp.path(), "star", &["*.example.com", "example.com"], 2090);
        let one = write(temp.path(), "one", &["a.example.com"], 2090);
        let own = OwnFiles::open(&[star, one], NOW).unwrap();
        let [star, one] = [0, 1].map(|n| own.all()[n].certified.cert[0].to_vec());
        assert_eq!(serial(own.find("a.example.com")), one);
        assert_eq!(serial(own.find("b.example.com")), star);
        assert_eq!(serial(own.find("example.com")), star);
        assert!(own.find("a.b.example.com").is_none() && own.find("example.org").is_none());
    }

    #[test]
    fn a_bad_pair_is_named_with_its_reason() {
        let temp = tempfile::tempdir().unwrap();
        let good = write(temp.path(), "good", &["example.com"], 2090);
        let other = write(temp.path(), "other", &["example.com"], 2090);
        let ended = write(temp.path(), "ended", &["example.com"], 2001);
        let nameless = write(temp.path(), "nameless", &[], 2090);
        let missing = temp.path().join("missing.pem");
        for (certificate, key, said) in [
            (&missing, &good.key, "missing.pem cannot be read"),
            (&good.certificate, &missing, "missing.pem cannot be read"),
            (&good.key, &good.key, "holds no certificate"),
            (&good.certificate, &good.certificate, "holds no private key"),
            (&good.certificate, &other.key, "other.key is not the one of the certificate in"),
            (&ended.certificate, &ended.key, "ended on 2001-01-01"),
            (&nameless.certificate, &nameless.key, "names no host"),
        ] {
            let pair = Pair { certificate: certificate.clone(), key: key.clone() };
            let error = OwnFiles::open(&[pair], NOW).unwrap_err();
            assert!(error.public.contains(said), "{}", error.public);
        }
    }

    #[test]
    fn changed_files_are_taken_and_bad_ones_leave_the_old() {
        let temp = tempfile::tempdir().unwrap();
        let pair = write(temp.path(), "one", &["example.com"], 2090);
        let own = OwnFiles::open(std::slice::from_ref(&pair), NOW).unwrap();
        let first = serial(own.find("example.com"));
        assert!(own.refresh(NOW).is_empty(), "nothing changed");
        let old = fs::read(&pair.certificate).unwrap();

        write_atomic(&pair.certificate, b"half", 0o600).unwrap();
        let said = own.refresh(NOW);
        assert!(matches!(&said[..], [Err(why)] if why.contains("one.pem") && why.contains("stays")), "{said:?}");
        assert!(own.refresh(NOW).is_empty(), "said once");
        assert!(own.all()[0].trouble.is_some() && serial(own.find("example.com")) == first);

        write_atomic(&pair.certificate, &old, 0o600).unwrap();
        assert!(matches!(&own.refresh(NOW)[..], [Ok(_)]));
        assert!(own.all()[0].trouble.is_none());

        write(temp.path(), "one", &["example.com", "www.example.com"], 2090);
        assert!(matches!(&own.refresh(NOW)[..], [Ok(_)]));
        assert_ne!(serial(own.find("example.com")), first);
        assert!(own.find("www.example.com").is_some());
    }
}
