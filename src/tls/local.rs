//! A certificate authority of this machine's own, for laptops: its root is trusted once by hand, and speaks for this
//! server's domains only.
use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SigningKey};

use super::pair::Facts;
use crate::base::fs::{make_dir, write_atomic};
use crate::base::{DataDir, Millis, Result, ResultExt as _};

const DAY: Millis = 24 * 3600 * 1000;
/// A root is trusted by hand: renewing it costs its owner a visit to every browser.
const ROOT_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 60;
/// A leaf this near to its end is made anew.
const LEAF_LEFT: Millis = 20 * DAY;
/// Clocks of one machine agree; those of a phone on the same network nearly.
const EARLIER: Millis = DAY;
/// Hosts whose leaf is kept. Making one takes well under a millisecond.
const MOST_LEAVES: usize = 4096;

/// Where the root is, for whoever wants to trust it.
#[derive(Clone, Debug)]
pub struct Root {
    pub path: PathBuf,
    pub facts: Facts,
    /// What it may speak for.
    pub domains: Vec<String>,
    /// Made just now: nobody trusts it yet.
    pub fresh: bool,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct LocalCa(Arc<Shared>);

struct Shared {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    /// One key for all leaves: it never leaves this process.
    leaf_key: KeyPair,
    signing: Arc<dyn SigningKey>,
    domains: Vec<String>,
    leaves: Mutex<HashMap<String, Leaf>>,
    shown: Root,
}

struct Leaf {
    certified: Arc<CertifiedKey>,
    until: Millis,
}

impl std::fmt::Debug for LocalCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalCa({})", self.0.shown.path.display())
    }
}

impl LocalCa {
    /// Reads the root of this data folder. One that does not speak for all of `domains` (with all below them), or
    /// ends within a month, is replaced.
    pub fn open(dir: &DataDir, domains: &[&str], now: Millis) -> Result<Self> {
        let folder = dir.tls();
        make_dir(&folder, 0o711).internal("while making the folder of certificates")?;
        let (certificate, key_file) = (folder.join("root.pem"), folder.join("root.key"));
        let mut wanted: Vec<String> = domains.iter().map(|domain| domain.to_ascii_lowercase()).collect();
        wanted.push("localhost".to_owned());
        wanted.sort();
        wanted.dedup();
        let note = folder.join("root.domains");
        let kept = fs::read_to_string(&note).unwrap_or_default();
        let kept: Vec<String> = kept.lines().map(str::to_owned).collect();
        let serves = wanted.iter().all(|domain| kept.contains(domain));
        let old = if serves { read(&certificate, &key_file, now) } else { None };
        let fresh = old.is_none();
        let (root, key) = match old {
            Some(old) => old,
            None => {
                let (root, key) = make_root(&wanted, now)?;
                write_atomic(&key_file, key.serialize_pem().as_bytes(), 0o600)
                    .and_then(|()| write_atomic(&certificate, root.pem().as_bytes(), 0o644))
                    .and_then(|()| write_atomic(&note, wanted.join("\n").as_bytes(), 0o644))
                    .internal("while writing the root certificate")?;
                (root.der().clone(), key)
            }
        };
        let facts = Facts::read(&root)?;
        let issuer = Issuer::from_ca_cert_der(&root, key).internal("while reading the root certificate")?;
        let leaf_key = KeyPair::generate().internal("while making a key")?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let signing = any_supported_type(&der).internal("while reading a key just made")?;
        let domains = if fresh { wanted } else { kept };
        let shown = Root { path: certificate, facts, domains: domains.clone(), fresh };
        let leaves = Mutex::default();
        Ok(Self(Arc::new(Shared { issuer, root, leaf_key, signing, domains, leaves, shown })))
    }

    pub fn root(&self) -> &Root {
        &self.0.shown
    }

    /// The root's, in DER.
    pub fn certificate(&self) -> &[u8] {
        &self.0.root
    }

    /// A certificate for a host the root speaks for; `None` for any other.
    pub fn leaf(&self, host: &str, now: Millis) -> Result<Option<Arc<CertifiedKey>>> {
        let below = |domain: &String| {
            host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if !self.0.domains.iter().any(below) {
            return Ok(None);
        }
        {
            let leaves = self.0.leaves.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(leaf) = leaves.get(host).filter(|leaf| leaf.until - LEAF_LEFT > now) {
                return Ok(Some(leaf.certified.clone()));
            }
        }
        let certified = Arc::new(self.make_leaf(host, now)?);
        let mut leaves = self.0.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if leaves.len() >= MOST_LEAVES {
            leaves.clear();
        }
        leaves.insert(host.to_owned(), Leaf { certified: certified.clone(), until: now + LEAF_DAYS * DAY });
        Ok(Some(certified))
    }

    fn make_leaf(&self, host: &str, now: Millis) -> Result<CertifiedKey> {
        let mut params =
            CertificateParams::new(vec![host.to_owned()]).internal("while naming a host in a certificate")?;
        if host == "localhost" {
            // Browsers name no host where the address bar has an IP address.
            params.subject_alt_names.extend([
                SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
                SanType::IpAddress(Ipv6Addr::LOCALHOST.into()),
            ]);
        }
        params.distinguished_name = DistinguishedName::new();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        between(&mut params, now, LEAF_DAYS)?;
        let made = params.signed_by(&self.0.leaf_key, &self.0.issuer).internal("while making a certificate")?;
        Ok(CertifiedKey::new(vec![made.der().clone(), self.0.root.clone()], self.0.signing.clone()))
    }
}

fn read(certificate: &Path, key: &Path, now: Millis) -> Option<(CertificateDer<'static>, KeyPair)> {
    let root = CertificateDer::from_pem_file(certificate).ok()?;
    let facts = Facts::read(&root).ok()?;
    let key = KeyPair::from_pem(&fs::read_to_string(key).ok()?).ok()?;
    (facts.not_after - 30 * DAY > now).then_some((root, key))
}

fn make_root(domains: &[String], now: Millis) -> Result<(rcgen::Certificate, KeyPair)> {
    let key = KeyPair::generate().internal("while making a key")?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Steady on this machine");
    // Two roots must not look alike: browsers find them by name.
    let mark = crate::base::secret::random_token(4);
    params.distinguished_name.push(DnType::CommonName, format!("Steady local root {mark}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Whoever steals the key of a root that is trusted must not be able to speak for the rest of the world.
    let mut permitted: Vec<_> = domains.iter().cloned().map(GeneralSubtree::DnsName).collect();
    permitted.push(GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(Ipv4Addr::LOCALHOST.into(), 32)));
    permitted.push(GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(Ipv6Addr::LOCALHOST.into(), 128)));
    params.name_constraints = Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: vec![] });
    between(&mut params, now, ROOT_DAYS)?;
    let root = params.self_signed(&key).internal("while making the root certificate")?;
    Ok((root, key))
}

fn between(params: &mut CertificateParams, now: Millis, days: i64) -> Result<()> {
    let since_1970 = |at: Millis| u64::try_from(at).map(Duration::from_millis).internal("while writing a date");
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_1970(now - EARLIER)?;
    params.not_after = epoch + since_1970(now + days * DAY)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_800_000_000_000;

    fn leaf(ca: &LocalCa, host: &str, now: Millis) -> Option<Facts> {
        let leaf = ca.leaf(host, now).unwrap()?;
        assert!(leaf.keys_match().is_ok());
        Some(Facts::read(&leaf.cert[0]).unwrap())
    }

    #[test]
    fn it_speaks_for_its_domains_and_no_others() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        let ca = LocalCa::open(&dir, &["Apps.example"], NOW).unwrap();
        assert_eq!(leaf(&ca, "a.apps.example", NOW).unwrap().names, ["a.apps.example"]);
        assert_eq!(leaf(&ca, "localhost", NOW).unwrap().names, ["localhost", "127.0.0.1", "::1"]);
        assert!(leaf(&ca, "x--d1.localhost", NOW).is_some() && leaf(&ca, "apps.example", NOW).is_some());
        for other in ["example", "evilapps.example", "bank.example", "", "localhost.example"] {
            assert!(leaf(&ca, other, NOW).is_none(), "{other}");
        }
    }

    #[test]
    fn the_root_stays_until_it_must_be_another() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        let open = |domains: &[&str], now| LocalCa::open(&dir, domains, now).unwrap();
        let first = open(&["localhost"], NOW);
        assert!(first.root().fresh && !open(&["localhost"], NOW).root().fresh);
        assert_eq!(open(&["localhost"], NOW + 3000 * DAY).0.root, first.0.root);
        assert!(open(&["localhost", "apps.example"], NOW).root().fresh, "another domain");
        assert!(!open(&["localhost"], NOW).root().fresh, "the wider root serves the narrower settings");
        assert!(open(&["localhost"], NOW + (ROOT_DAYS - 10) * DAY).root().fresh, "it nearly ended");
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(dir.tls().join("root.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_leaf_is_kept_and_made_anew_in_time() {
        let temp = tempfile::tempdir().unwrap();
        let ca = LocalCa::open(&DataDir::open(temp.path()).unwrap(), &[], NOW).unwrap();
        let at = |now| ca.leaf("a.localhost", now).unwrap().unwrap();
        assert!(Arc::ptr_eq(&at(NOW), &at(NOW + 39 * DAY)));
        let later = at(NOW + 41 * DAY);
        assert!(Facts::read(&later.cert[0]).unwrap().not_after > NOW + 100 * DAY);
    }
}
