//! The TLS listener's side of a connection: the handshake, bounded in time, and what it said.
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::server::{Acceptor, ClientHello};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{AlertDescription, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::crowd::Counted;
use crate::base::{Result, ResultExt as _};
use crate::http::host;
use crate::tls::ACME_TLS;
use crate::tls::pair::Facts;
use crate::tls::resolver::{Answer, Resolver};

/// From the first byte to the last of a handshake, not counting the wait for a certificate.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a handshake waits for the certificate of a host that has none yet. Browsers wait longer.
const ORDERED: Duration = Duration::from_secs(45);

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Tls(Arc<Shared>);

struct Shared {
    resolver: Resolver,
    /// What all connections have in common: versions, tickets, protocols.
    common: ServerConfig,
}

/// What the handshake of one connection said.
#[derive(Debug)]
pub(super) struct Secured {
    /// The host the client named, lower case; none when it named none.
    named: Option<String>,
    shown: CertificateDer<'static>,
}

impl Tls {
    pub(super) fn new(resolver: Resolver) -> Result<Self> {
        let mut common = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .internal("while setting up TLS")?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Nobody));
        common.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        common.ticketer = ring::Ticketer::new().internal("while making keys for session tickets")?;
        common.send_tls13_tickets = 2;
        Ok(Self(Arc::new(Shared { resolver, common })))
    }

    /// `None` when there was no handshake: the client is gone, or was told why.
    pub(super) async fn handshake(&self, socket: Counted) -> Option<(TlsStream<Counted>, Secured)> {
        let done = match in_time(socket.first_byte()).await {
            Ok(byte) if byte.is_ascii_uppercase() => in_time(plain_spoken(socket)).await.map(|()| None),
            Ok(_) => self.shake(socket).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(done) => done,
            Err(error) => {
                tracing::debug!(%error, "no handshake");
                None
            }
        }
    }

    async fn shake(&self, socket: Counted) -> io::Result<Option<(TlsStream<Counted>, Secured)>> {
        let start = in_time(LazyConfigAcceptor::new(Acceptor::default(), socket)).await?;
        let hello = start.client_hello();
        let named = hello.server_name().map(str::to_ascii_lowercase);
        let asks_proof = hello.alpn().is_some_and(|mut all| all.next() == Some(ACME_TLS) && all.next().is_none());
        if asks_proof {
            return self.prove(start, named.as_deref()).await;
        }
        let answer = tokio::time::timeout(ORDERED, self.0.resolver.answer(named.as_deref()));
        let certified = match answer.await {
            Ok(Answer::Certificate(certified)) => certified,
            Ok(Answer::Unknown) => return refuse(start.io, AlertDescription::UnrecognisedName).await,
            Ok(Answer::Missing) | Err(_) => return refuse(start.io, AlertDescription::InternalError).await,
        };
        let shown = certified.cert.first().cloned().ok_or(io::ErrorKind::InvalidData)?;
        let stream = in_time(start.into_stream(self.config(certified))).await?;
        Ok(Some((stream, Secured { named, shown })))
    }

    /// An authority looks whether a host is served here: it is shown the proof, and nothing is said (RFC 8737).
    async fn prove<N>(&self, start: StartHandshake<Counted>, host: Option<&str>) -> io::Result<Option<N>> {
        let proof = host.zip(self.0.resolver.challenges()).and_then(|(host, challenges)| challenges.alpn(host));
        let Some(proof) = proof else { return refuse(start.io, AlertDescription::UnrecognisedName).await };
        let mut config = self.0.common.clone();
        config.alpn_protocols = vec![ACME_TLS.to_vec()];
        config.cert_resolver = Arc::new(SingleCertAndKey::from(proof));
        let mut stream = in_time(start.into_stream(Arc::new(config))).await?;
        in_time(stream.shutdown()).await?;
        Ok(None)
    }

    /// A copy holds references only: tickets and their keys are shared by all connections.
    fn config(&self, certified: Arc<CertifiedKey>) -> Arc<ServerConfig> {
        let mut config = self.0.common.clone();
        config.cert_resolver = Arc::new(SingleCertAndKey::from(certified));
        Arc::new(config)
    }
}

impl Secured {
    /// Whether a request for `host` may come over this connection: it is the host of the handshake, or the certificate
    /// shown names it too (browsers then send requests for both over one connection). `host` is as in the request.
    pub(super) fn speaks_for(&self, host: &str) -> bool {
        let name = host.split_once(':').map_or(host, |(name, _)| name);
        if self.named.as_deref().is_some_and(|named| named.eq_ignore_ascii_case(name)) {
            return true;
        }
        // What is no host name is refused for that.
        let Some(name) = host::spelled(host) else { return true };
        Facts::read(&self.shown).is_ok_and(|facts| facts.covers(&name))
    }
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(HANDSHAKE, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Somebody typed `http://` and the port of TLS.
async fn plain_spoken(mut socket: Counted) -> io::Result<()> {
    let text = "This port speaks TLS: write https:// in front of the address.\n";
    let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{text}", text.len());
    socket.write_all(answer.as_bytes()).await?;
    socket.shutdown().await?;
    // Closing with unread bytes would take the answer with it.
    tokio::io::copy(&mut socket.take(64 << 10), &mut tokio::io::sink()).await?;
    Ok(())
}

/// Ends a handshake before Steady has said anything: a fatal alert as it stands on the wire.
async fn refuse<N>(mut socket: Counted, why: AlertDescription) -> io::Result<Option<N>> {
    const ALERT: u8 = 21;
    const FATAL: u8 = 2;
    let alert = [ALERT, 3, 3, 0, 2, FATAL, u8::from(why)];
    in_time(async {
        socket.write_all(&alert).await?;
        socket.shutdown().await
    })
    .await?;
    Ok(None)
}

/// Before the host is known there is no certificate.
#[derive(Debug)]
struct Nobody;

impl tokio_rustls::rustls::server::ResolvesServerCert for Nobody {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}
