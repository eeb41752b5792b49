//! HTTP to authorities: bounded in size and time, trusting the system's roots or given ones.
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response, StatusCode, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::pair;
use crate::base::{Clock, Error, Kind, Millis, Result, ResultExt as _};

/// One request and its whole answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest answers are certificate chains.
const MAX_ANSWER: usize = 1 << 20;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Web(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Web {
    /// `roots` is a PEM file that takes the place of the system's.
    /// Errors: `BadInput` when it cannot be read, or the system has no roots.
    pub fn new(roots: Option<&Path>) -> Result<Self> {
        let builder = match roots {
            Some(path) => HttpsConnectorBuilder::new().with_tls_config(trusting(path)?),
            None => HttpsConnectorBuilder::new()
                .try_with_platform_verifier()
                .or_error(Kind::BadInput, "the system's trusted root certificates cannot be read")
                .map_err(|error| error.hint("Install the package `ca-certificates`, or set acme_ca_roots."))?,
        };
        let connector = builder.https_or_http().enable_http1().enable_http2().build();
        let mut client = Client::builder(TokioExecutor::new());
        Ok(Self(client.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(30)).build(connector)))
    }

    /// Errors: `TimedOut`, `Busy`.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>> {
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let answer = async {
            let response =
                self.0.request(request).await.or_error(Kind::Busy, format!("{host} could not be reached"))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body.or_error(Kind::Busy, format!("{host} did not answer in whole"))?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        let late = || Error::new(Kind::TimedOut, format!("{host} did not answer in {} s", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, answer).await.map_err(|_| late())?
    }

    /// A JSON document.
    pub async fn json(&self, url: &str) -> Result<(serde_json::Value, Option<Duration>)> {
        let request = Request::get(url).body(Full::default());
        let request = request.or_error(Kind::BadInput, format!("`{url}` is no URL"))?;
        let answer = self.send(request).await?;
        if !answer.status().is_success() {
            return Err(Error::new(Kind::Busy, format!("{url} answered {}", answer.status())));
        }
        let json = serde_json::from_slice(answer.body());
        Ok((json.or_error(Kind::Busy, format!("{url} did not answer with JSON"))?, retry_after(&answer)))
    }
}

/// The seconds that an answer says to wait.
fn retry_after<B>(answer: &Response<B>) -> Option<Duration> {
    let seconds = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn trusting(path: &Path) -> Result<ClientConfig> {
    let wrong = |error: Error| {
        Error::bad_input(format!("{} cannot be used as root certificates", path.display()))
            .hint("acme_ca_roots must name a PEM file with at least one certificate.")
            .because(error)
    };
    let pem = std::fs::read(path).internal("while reading it").map_err(wrong)?;
    let mut roots = RootCertStore::empty();
    for root in pair::chain(&pem).map_err(wrong)? {
        roots.add(root).internal("while taking one in").map_err(wrong)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .internal("while setting up TLS")?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// How the ACME client speaks to one authority.
pub(super) struct Line {
    pub web: Web,
    pub clock: Clock,
    /// Until then the authority wants to hear nothing.
    pub quiet: Arc<AtomicI64>,
}

impl HttpClient for Line {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = std::result::Result<BytesResponse, instant_acme::Error>> + Send>> {
        let (web, quiet, now) = (self.web.clone(), self.quiet.clone(), self.clock.now());
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let request = Request::from_parts(parts, Full::new(body.to_bytes()));
            let answer = web.send(request).await.map_err(|error| instant_acme::Error::Other(Box::new(error)))?;
            let status = answer.status();
            if [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&status)
                && let Some(wait) = retry_after(&answer)
            {
                let wait = Millis::try_from(wait.as_millis()).unwrap_or(Millis::MAX);
                quiet.fetch_max(now.saturating_add(wait), Ordering::Relaxed);
            }
            // A gateway's page in place of a problem document would be told as broken JSON.
            let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let json = kind.is_some_and(|kind| kind.contains("json"));
            if !status.is_success() && !json {
                let said = Error::new(Kind::Busy, format!("the authority answered {status}"));
                return Err(instant_acme::Error::Other(Box::new(said)));
            }
            let (parts, body) = answer.into_parts();
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}
