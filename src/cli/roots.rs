//! Which certificate authorities the command line trusts: this machine's, so that one added by hand counts.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ureq::tls::{PemItem, RootCerts, parse_pem};

/// Where systems keep all of them in one file: Debian and Alpine, Fedora, SUSE, macOS and the BSDs.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// `SSL_CERT_FILE` goes first, as with other programs; where there is nothing, the list that came with Steady.
pub fn trusted() -> RootCerts {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let all = named.as_deref().into_iter().chain(BUNDLES.iter().map(Path::new));
    first(all).unwrap_or(RootCerts::WebPki)
}

fn first<'a>(files: impl Iterator<Item = &'a Path>) -> Option<RootCerts> {
    files.filter_map(|file| std::fs::read(file).ok()).find_map(|text| {
        let certificate = |item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        };
        let all: Vec<_> = parse_pem(&text).filter_map(certificate).collect();
        (!all.is_empty()).then(|| RootCerts::Specific(Arc::new(all)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs::write_atomic;

    #[test]
    fn the_first_file_with_a_certificate_counts() {
        let temp = tempfile::tempdir().unwrap();
        let [none, empty, good] = ["none", "empty", "good"].map(|name| temp.path().join(name));
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        write_atomic(&empty, b"# nothing yet\n", 0o600).unwrap();
        write_atomic(&good, [made.cert.pem(), made.cert.pem()].concat().as_bytes(), 0o600).unwrap();
        let count = |files: &[&PathBuf]| match first(files.iter().map(|file| file.as_path())) {
            Some(RootCerts::Specific(all)) => all.len(),
            _ => 0,
        };
        assert_eq!((count(&[&none, &empty, &good]), count(&[&none, &empty])), (2, 0));
    }
}
