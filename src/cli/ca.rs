//! `steady ca`: the root of this machine's own authority, and how to make programs trust it.
use serde::Serialize;

use super::args::{Global, Serve};
use super::fail::Done;
use super::{local, out};
use crate::base::secret::sha256_hex;
use crate::base::{Clock, DataDir, Millis};
use crate::tls::local::{LocalCa, Root};

#[derive(Serialize)]
struct Shown<'a> {
    path: &'a std::path::Path,
    /// SHA-256 of the certificate.
    fingerprint: String,
    domains: &'a [String],
    expires: Millis,
}

/// Makes the root when there is none yet, as the server would.
pub fn run(global: &Global) -> Done {
    let config = local::load(&Serve::default(), global)?;
    let dir = DataDir::open(&config.data)?;
    let ca = LocalCa::open(&dir, &[&config.domain, config.editor_host()], Clock::System.now())?;
    let root = ca.root();
    let fingerprint = sha256_hex(ca.certificate());
    if global.json {
        return out::json(&Shown {
            path: &root.path,
            fingerprint,
            domains: &root.domains,
            expires: root.facts.not_after,
        });
    }
    out::fields(&[
        ("root", root.path.display().to_string()),
        ("sha-256", fingerprint),
        (
            "speaks for",
            format!("{}, and what is below; for nothing else, whoever has its key", root.domains.join(", ")),
        ),
        ("until", out::time(root.facts.not_after)),
    ])?;
    out::line(&how(root))?;
    if config.tls != "local" {
        out::note("note: it is used once steady.toml says tls = \"local\".");
    }
    Ok(())
}

fn how(root: &Root) -> String {
    let path = root.path.display();
    format!(
        "
Trust it once, on each machine that visits:

  Linux     sudo cp {path} /usr/local/share/ca-certificates/steady.crt && sudo update-ca-certificates
            (Fedora: sudo cp {path} /etc/pki/ca-trust/source/anchors/ && sudo update-ca-trust)
  Chromium  on Linux has a list of its own:
            certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n steady -i {path}
  Firefox   Settings, Privacy & Security, Certificates, View Certificates, Authorities, Import;
            on macOS and Windows it takes the system's list
  macOS     sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {path}
  Windows   certutil -addstore -f Root root.pem   (as administrator, with a copy of the file)
  curl      curl --cacert {path} https://…
  git       git config --global http.https://HOST/.sslCAInfo {path}"
    )
}
