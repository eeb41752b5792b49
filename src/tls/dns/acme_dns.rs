//! The HTTP API of acme-dns: a name server for nothing but these records, to which `_acme-challenge` is an alias.
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::{Request, header};

use super::super::web::Web;
use super::DnsProvider;
use crate::base::{Error, Kind, Result, ResultExt as _, Secret};

pub(super) struct AcmeDns {
    pub web: Web,
    pub url: String,
    pub user: String,
    pub password: Secret<String>,
    pub subdomain: String,
}

impl DnsProvider for AcmeDns {
    fn set_txt<'a>(&'a self, _name: &'a str, value: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.update(value))
    }

    /// It keeps the last two values of a subdomain by itself, and has no call for less.
    fn clear_txt<'a>(&'a self, _name: &'a str, _value: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

impl AcmeDns {
    async fn update(&self, value: &str) -> Result<()> {
        let body = serde_json::json!({ "subdomain": self.subdomain, "txt": value }).to_string();
        // The password is exposed to be sent.
        let request = Request::post(format!("{}/update", self.url.trim_end_matches('/')))
            .header(header::CONTENT_TYPE, "application/json")
            .header("X-Api-User", &self.user)
            .header("X-Api-Key", self.password.expose())
            .body(Full::from(body))
            .or_error(Kind::BadInput, "the acme-dns settings cannot be sent: one has odd characters")?;
        let answer = self.web.send(request).await?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(Error::new(Kind::Forbidden, format!("acme-dns at {} answered {}", self.url, answer.status()))
            .hint("See that user, password and subdomain are those it gave when it was registered."))
    }
}
