//! A small server that answers challenges and shows the certificates, as the real listeners do.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use steady::tls::{ACME_TLS, Certs};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{Acceptor, ResolvesServerCertUsingSni};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};

#[derive(Default)]
pub struct Counts {
    /// Questions to be left without a right answer.
    pub refuse: AtomicUsize,
    /// Questions asked.
    pub http: AtomicUsize,
    pub alpn: AtomicUsize,
}

impl Counts {
    fn refused(&self) -> bool {
        self.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

pub struct Server {
    pub http: u16,
    pub tls: u16,
    pub counts: Arc<Counts>,
    serving: Vec<JoinHandle<()>>,
}

impl Server {
    /// Listens first, serves when there is an engine to ask.
    pub async fn bind() -> (Self, TcpListener, TcpListener) {
        let http = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let tls = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = |l: &TcpListener| l.local_addr().unwrap().port();
        (Self { http: port(&http), tls: port(&tls), counts: Arc::default(), serving: Vec::new() }, http, tls)
    }

    pub fn serve(&mut self, certs: &Certs, http: TcpListener, tls: TcpListener) {
        let (engine, counts) = (certs.clone(), self.counts.clone());
        self.serving.push(tokio::spawn(async move {
            while let Ok((stream, _)) = http.accept().await {
                tokio::spawn(plain(engine.clone(), counts.clone(), stream));
            }
        }));
        let (engine, counts) = (certs.clone(), self.counts.clone());
        self.serving.push(tokio::spawn(async move {
            while let Ok((stream, _)) = tls.accept().await {
                tokio::spawn(handshake(engine.clone(), counts.clone(), stream));
            }
        }));
    }

    pub async fn stop(&mut self) {
        for task in self.serving.drain(..) {
            task.abort();
            let _ = task.await;
        }
    }

    pub async fn rebind(&self) -> (TcpListener, TcpListener) {
        let bind = async |port| TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        (bind(self.http).await, bind(self.tls).await)
    }
}

async fn plain(certs: Certs, counts: Arc<Counts>, mut stream: TcpStream) {
    let mut head = vec![0; 4096];
    let read = stream.read(&mut head).await.unwrap_or(0);
    let head = String::from_utf8_lossy(&head[..read]).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let token = path.strip_prefix("/.well-known/acme-challenge/").unwrap_or_default();
    counts.http.fetch_add(1, Ordering::SeqCst);
    let answer = if counts.refused() { None } else { certs.challenges().http01(token) };
    let answer = match answer {
        Some(body) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()),
        None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
    };
    let _ = stream.write_all(answer.as_bytes()).await;
}

async fn handshake(certs: Certs, counts: Arc<Counts>, stream: TcpStream) {
    let Ok(start) = LazyConfigAcceptor::new(Acceptor::default(), stream).await else { return };
    let hello = start.client_hello();
    let Some(host) = hello.server_name().map(str::to_owned) else { return };
    let proof = hello.alpn().is_some_and(|mut all| all.any(|name| name == ACME_TLS));
    let found: Option<Arc<CertifiedKey>> = if proof {
        counts.alpn.fetch_add(1, Ordering::SeqCst);
        if counts.refused() { None } else { certs.challenges().alpn(&host) }
    } else {
        certs.want(&host).await.ok()
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = match found {
        Some(found) => builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::clone(&found)))),
        None => builder.with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new())),
    };
    if proof {
        config.alpn_protocols = vec![ACME_TLS.to_vec()];
    }
    let Ok(mut stream) = start.into_stream(Arc::new(config)).await else { return };
    let _ = stream.write_all(b"hello").await;
    let _ = stream.shutdown().await;
}
