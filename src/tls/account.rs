//! An authority, and the account there: kept in the store, made at the first order.
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use instant_acme::{Account, AccountBuilder, AccountCredentials, ExternalAccountKey, NewAccount};
use tokio::sync::{Mutex, OnceCell};

use super::options::ExternalAccount;
use super::order::{Failure, patient};
use super::web::{Line, Web};
use crate::base::{Clock, Error, Millis, Result, ResultExt as _, Secret};
use crate::store::seal::Key;
use crate::store::{Store, certs};

pub(super) struct Authority {
    /// Of its directory.
    pub url: String,
    pub web: Web,
    clock: Clock,
    quiet: Arc<AtomicI64>,
    /// While one order makes it, the others wait.
    account: Mutex<Option<Account>>,
    /// Where it tells when to renew; `None` when it does not.
    renewal_info: OnceCell<Option<String>>,
}

/// What an account is made with and kept in.
pub(super) struct Registrar {
    pub store: Store,
    pub key: Key,
    pub email: Option<String>,
    pub external: Option<ExternalAccount>,
}

impl Authority {
    pub fn new(url: String, web: Web, clock: Clock) -> Self {
        Self { url, web, clock, quiet: Arc::default(), account: Mutex::default(), renewal_info: OnceCell::new() }
    }

    /// Until then it wants to hear nothing.
    pub fn quiet_until(&self) -> Millis {
        self.quiet.load(Ordering::Relaxed)
    }

    pub async fn renewal_info(&self) -> Result<Option<&str>> {
        let read = async || {
            let (directory, _) = self.web.json(&self.url).await?;
            Ok::<_, Error>(directory["renewalInfo"].as_str().map(str::to_owned))
        };
        Ok(self.renewal_info.get_or_try_init(read).await?.as_deref())
    }

    /// The account, from the store or made now.
    pub async fn account(&self, registrar: &Registrar) -> std::result::Result<Account, Failure> {
        let mut known = self.account.lock().await;
        if let Some(account) = &*known {
            return Ok(account.clone());
        }
        let account = match registrar.store.read(|db| certs::account(db, &registrar.key, &self.url))? {
            Some((email, credentials)) => self.restore(registrar, &email, &credentials).await?,
            None => self.register(registrar).await?,
        };
        *known = Some(account.clone());
        Ok(account)
    }

    /// The authority does not know the account (any more): the next order makes one.
    pub async fn forget(&self, registrar: &Registrar) -> Result<()> {
        *self.account.lock().await = None;
        tracing::warn!(authority = self.url, "the authority does not know our account: a new one is made");
        registrar.store.write(|db| certs::remove_account(db, &self.url))
    }

    async fn restore(
        &self,
        registrar: &Registrar,
        email: &str,
        credentials: &Secret<Vec<u8>>,
    ) -> std::result::Result<Account, Failure> {
        // The credentials are exposed to sign with.
        let parsed: AccountCredentials =
            serde_json::from_slice(credentials.expose()).internal("while reading an account")?;
        let account =
            self.builder().from_credentials(parsed).await.map_err(|e| Failure::of(&self.url, "the account", e))?;
        let wanted = registrar.email.as_deref().unwrap_or_default();
        if wanted != email {
            let contact = contact(wanted);
            let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
            patient!(account.update_contacts(&contact)).map_err(|e| Failure::of(&self.url, "the address", e))?;
            let now = self.clock.now();
            registrar.store.write(|db| certs::put_account(db, &registrar.key, &self.url, wanted, credentials, now))?;
        }
        Ok(account)
    }

    async fn register(&self, registrar: &Registrar) -> std::result::Result<Account, Failure> {
        let external = self.external(registrar).await?;
        let email = registrar.email.as_deref().unwrap_or_default();
        let contact = contact(email);
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let made = patient!(self.builder().create(&new, self.url.clone(), external.as_ref()));
        let (account, credentials) = made.map_err(|e| Failure::of(&self.url, "a new account", e))?;
        let credentials = Secret::new(serde_json::to_vec(&credentials).internal("while writing an account")?);
        let now = self.clock.now();
        registrar.store.write(|db| certs::put_account(db, &registrar.key, &self.url, email, &credentials, now))?;
        tracing::info!(authority = self.url, "an account was made at the authority");
        Ok(account)
    }

    /// The binding to an account elsewhere, for an authority that asks for one.
    async fn external(&self, registrar: &Registrar) -> Result<Option<ExternalAccountKey>> {
        let (directory, _) = self.web.json(&self.url).await?;
        if directory["meta"]["externalAccountRequired"] != true {
            return Ok(None);
        }
        let hint = "Set acme_eab_kid and acme_eab_key to what the authority shows in your account there.";
        let Some(external) = &registrar.external else {
            return Err(
                Error::bad_input(format!("{} only serves accounts that are bound to one there", self.url)).hint(hint)
            );
        };
        // The key is exposed to sign the binding.
        let text = external.key.expose().trim();
        let bytes = URL_SAFE_NO_PAD.decode(text).or_else(|_| URL_SAFE.decode(text));
        let bytes = bytes.map_err(|e| Error::bad_input("acme_eab_key is not base64").because(e).hint(hint))?;
        Ok(Some(ExternalAccountKey::new(external.kid.clone(), &bytes)))
    }

    fn builder(&self) -> AccountBuilder {
        let line = Line { web: self.web.clone(), clock: self.clock.clone(), quiet: self.quiet.clone() };
        Account::builder_with_http(Box::new(line))
    }
}

fn contact(email: &str) -> Option<String> {
    (!email.is_empty()).then(|| format!("mailto:{email}"))
}
