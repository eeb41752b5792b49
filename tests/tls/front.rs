//! An authority as newer ones are, made of Pebble: it suggests when to renew (RFC 9773), which Debian's does not yet.
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

type Web = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

#[derive(Default)]
pub struct Seen {
    /// What it suggests, as text; nothing yet is a 404.
    pub window: Option<(String, String)>,
    /// Certificates asked about.
    pub asked: Vec<String>,
    /// Certificates that orders said they replace.
    pub replaced: Vec<String>,
}

#[derive(Clone)]
struct Front {
    seen: Arc<Mutex<Seen>>,
    web: Web,
    pebble: SocketAddr,
    port: u16,
}

/// Its directory, and what it saw. `folder` has the certificate that all authorities here show.
pub async fn start(folder: &std::path::Path, pebble: SocketAddr) -> (String, Arc<Mutex<Seen>>) {
    let chain = vec![CertificateDer::from_pem_file(folder.join("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(chain[0].clone()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let connector = HttpsConnectorBuilder::new().with_tls_config(client).https_only().enable_http1().build();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let web = Client::builder(TokioExecutor::new()).build(connector);
    let front = Front { seen: Arc::default(), web, pebble, port };
    let (seen, acceptor) = (front.seen.clone(), TlsAcceptor::from(Arc::new(server)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (front, acceptor) = (front.clone(), acceptor.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let serve = service_fn(move |request| front.clone().answer(request));
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await;
            });
        }
    });
    (format!("https://127.0.0.1:{port}/dir"), seen)
}

impl Front {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let path = request.uri().path().to_owned();
        if let Some(id) = path.strip_prefix("/renewal/") {
            return Ok(self.renewal(id));
        }
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let replaces = replaces(&body);
        if let Some(id) = &replaces
            && self.seen.lock().unwrap().replaced.contains(id)
        {
            let problem = r#"{"type":"urn:ietf:params:acme:error:alreadyReplaced","detail":"once is enough"}"#;
            return Ok(json(StatusCode::CONFLICT, problem.to_owned()));
        }
        // The Host header stays: Pebble writes its URLs with it.
        parts.uri = format!("https://{}{path}", self.pebble).parse::<Uri>().unwrap();
        let answer = self.web.request(Request::from_parts(parts, Full::new(body))).await.expect("pebble answers");
        let (mut parts, body) = answer.into_parts();
        let mut body = body.collect().await?.to_bytes();
        if path == "/dir" {
            let mut directory: serde_json::Value = serde_json::from_slice(&body).unwrap();
            directory["renewalInfo"] = format!("https://127.0.0.1:{}/renewal", self.port).into();
            body = directory.to_string().into();
        } else if let Some(id) = replaces.filter(|_| parts.status.is_success()) {
            self.seen.lock().unwrap().replaced.push(id.clone());
            let mut order: serde_json::Value = serde_json::from_slice(&body).unwrap();
            order["replaces"] = id.into();
            body = order.to_string().into();
        }
        parts.headers.remove(header::CONTENT_LENGTH);
        Ok(Response::from_parts(parts, Full::new(body)))
    }

    fn renewal(&self, id: &str) -> Response<Full<Bytes>> {
        let mut seen = self.seen.lock().unwrap();
        seen.asked.push(id.to_owned());
        let Some((start, end)) = &seen.window else { return json(StatusCode::NOT_FOUND, "{}".to_owned()) };
        let info = serde_json::json!({ "suggestedWindow": { "start": start, "end": end } });
        let mut answer = json(StatusCode::OK, info.to_string());
        answer.headers_mut().insert(header::RETRY_AFTER, "3600".parse().unwrap());
        answer
    }
}

/// What a signed request says that its order replaces.
fn replaces(body: &Bytes) -> Option<String> {
    let signed: serde_json::Value = serde_json::from_slice(body).ok()?;
    let payload = URL_SAFE_NO_PAD.decode(signed["payload"].as_str()?).ok()?;
    let payload: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    payload["replaces"].as_str().map(str::to_owned)
}

fn json(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    Response::builder().status(status).header(header::CONTENT_TYPE, kind).body(Full::from(body)).unwrap()
}
