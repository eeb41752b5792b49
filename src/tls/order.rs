//! One order: account, proof, request, chain.
use std::time::Duration;

use instant_acme::{
    AuthorizationStatus, CertificateIdentifier, ChallengeType, Identifier, NewOrder, Order, OrderStatus, Problem,
    RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::account::{Authority, Registrar};
use super::challenges::{Challenges, Posted};
use super::dns::Zones;
use super::options::Proof;
use super::pair::{self, Facts};
use crate::base::name::clip;
use crate::base::{Error, Kind, Result, ResultExt as _, Secret};
use crate::store::certs::{Outcome, Pair};

/// How long an authority may take to look, and to sign.
const POLLING: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.4).timeout(Duration::from_secs(60));

/// Repeats a request whose nonce the authority refused: it says so by design, and more often than the client
/// expects.
macro_rules! patient {
    ($request:expr) => {{
        let mut refused = 0;
        loop {
            match $request.await {
                Err(instant_acme::Error::Api(problem))
                    if problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:badNonce") && refused < 10 =>
                {
                    refused += 1;
                }
                other => break other,
            }
        }
    }};
}
pub(super) use patient;

/// Where answers are given.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    pub challenges: &'a Challenges,
    pub zones: Option<&'a Zones>,
}

pub(super) struct Job<'a> {
    /// A host or a wildcard.
    pub host: &'a str,
    pub proof: Proof,
    /// The certificate that it takes the place of, where the authority wants to know.
    pub replaces: Option<CertificateIdentifier<'static>>,
}

#[derive(Debug)]
pub(super) struct Issued {
    pub pair: Pair,
    pub facts: Facts,
}

/// Why there is no certificate.
#[derive(Debug)]
pub(super) struct Failure {
    /// `Unproved` or `Failed`.
    pub outcome: Outcome,
    pub error: Error,
    /// The authority has forgotten the account.
    pub stranger: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { outcome: Outcome::Failed, error, stranger: false }
    }
}

impl Failure {
    /// `what` was asked of the authority.
    pub fn of(authority: &str, what: &str, error: instant_acme::Error) -> Self {
        let name = host_of(authority);
        match error {
            instant_acme::Error::Api(problem) => {
                let stranger = kind(&problem) == "accountDoesNotExist";
                let public = format!("{name} refused {what}: {}", said(&problem));
                let error = Error::new(Kind::Conflict, public).because(problem);
                Self { outcome: Outcome::Failed, error, stranger }
            }
            instant_acme::Error::Timeout(_) => {
                Error::new(Kind::TimedOut, format!("{name} took too long over {what}")).into()
            }
            instant_acme::Error::Other(cause) => {
                let why = cause.downcast_ref::<Error>().map_or_else(|| cause.to_string(), |e| e.public.clone());
                Error::new(Kind::Busy, format!("{name} did not take {what}: {why}")).because(cause).into()
            }
            other => Error::new(Kind::Busy, format!("{name} did not take {what}: {other}")).because(other).into(),
        }
    }
}

/// Asks one authority for one certificate. The caller bounds the time.
pub(super) async fn order(
    authority: &Authority,
    registrar: &Registrar,
    desk: Desk<'_>,
    job: &Job<'_>,
) -> std::result::Result<Issued, Failure> {
    let account = authority.account(registrar).await?;
    let failed = |what: &'static str| move |error| Failure::of(&authority.url, what, error);
    let identifiers = [Identifier::Dns(job.host.to_owned())];
    let new = NewOrder::new(&identifiers);
    let mut replacing = NewOrder::new(&identifiers);
    if let Some(old) = &job.replaces {
        replacing = replacing.replaces(old.clone());
    }
    let mut order = match patient!(account.new_order(&replacing)) {
        // It was replaced already, or the authority knows it no more: then this is one like any other.
        Err(error) if job.replaces.is_some() => {
            tracing::info!(host = job.host, %error, "an order that replaces a certificate was not taken");
            patient!(account.new_order(&new))
        }
        other => other,
    }
    .map_err(failed("the order"))?;
    patient!(fetch(&mut order)).map_err(failed("the proof"))?;
    let posted = prove(&mut order, desk, job).await.map_err(|e| match e {
        // Some look at once, and answer with what they saw.
        Wrong::Acme(instant_acme::Error::Api(problem)) if is_of_proof(&problem) => not_seen(authority, job, problem),
        Wrong::Acme(error) => Failure::of(&authority.url, "the proof", error),
        Wrong::Own(error) => error.into(),
    })?;
    let ready = patient!(order.poll_ready(&POLLING));
    drop(posted);
    match ready {
        Ok(OrderStatus::Ready | OrderStatus::Valid | OrderStatus::Processing) => {}
        other => return Err(unproved(authority, job, &mut order, other.err()).await),
    }
    let key = KeyPair::generate().internal("while making a key")?;
    let mut params = CertificateParams::new([job.host.to_owned()]).internal("while writing the request")?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).internal("while writing the request")?;
    patient!(order.finalize_csr(request.der())).map_err(failed("the request"))?;
    let chain = patient!(order.poll_certificate(&POLLING)).map_err(failed("to sign"))?;
    Ok(check(job.host, chain, &key)?)
}

enum Wrong {
    Acme(instant_acme::Error),
    Own(Error),
}

/// Gets all authorizations, which the order then keeps: a stream of them that failed cannot be gone on with.
async fn fetch(order: &mut Order) -> std::result::Result<(), instant_acme::Error> {
    let mut all = order.authorizations();
    while let Some(one) = all.next().await {
        one?;
    }
    Ok(())
}

/// Answers every open question of the order, and tells the authority to look. The answers stand while what is
/// returned lives.
async fn prove(order: &mut Order, desk: Desk<'_>, job: &Job<'_>) -> std::result::Result<Vec<Posted>, Wrong> {
    let mut posted = Vec::new();
    let mut open = order.authorizations();
    while let Some(authorization) = open.next().await {
        let mut authorization = match authorization {
            Ok(authorization) => authorization,
            Err(error) => return Err(Wrong::Acme(error)),
        };
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let wanted = match job.proof {
            Proof::Http01 => ChallengeType::Http01,
            Proof::TlsAlpn01 => ChallengeType::TlsAlpn01,
            Proof::Dns01 => ChallengeType::Dns01,
        };
        let Some(mut challenge) = authorization.challenge(wanted) else {
            return Err(Wrong::Own(
                Error::new(Kind::Conflict, format!("the authority does not offer {} for {}", job.proof, job.host))
                    .hint("Choose another acme_challenge."),
            ));
        };
        let answer = challenge.key_authorization();
        match (job.proof, desk.zones) {
            (Proof::Http01, _) => posted.push(desk.challenges.post_http(&challenge.token, answer.as_str())),
            (Proof::TlsAlpn01, _) => {
                posted.push(desk.challenges.post_alpn(job.host, answer.digest().as_ref()).map_err(Wrong::Own)?);
            }
            // Taken away by the caller, who also ends orders that take too long.
            (Proof::Dns01, Some(zones)) => zones.place(job.host, &answer.dns_value()).await.map_err(Wrong::Own)?,
            (Proof::Dns01, None) => return Err(Wrong::Own(Error::internal("no zone for a proof by DNS"))),
        }
        patient!(challenge.set_ready()).map_err(Wrong::Acme)?;
    }
    Ok(posted)
}

/// What the authority says of a proof it did not accept.
async fn unproved(
    authority: &Authority,
    job: &Job<'_>,
    order: &mut Order,
    error: Option<instant_acme::Error>,
) -> Failure {
    let mut open = order.authorizations();
    while let Some(Ok(mut authorization)) = open.next().await {
        let Ok(state) = patient!(authorization.refresh()) else { continue };
        let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.clone()) else { continue };
        return not_seen(authority, job, problem);
    }
    match error {
        // Some say it of the order only.
        Some(instant_acme::Error::Api(problem)) if is_of_proof(&problem) => not_seen(authority, job, problem),
        error => Failure::of(&authority.url, "the proof", error.unwrap_or(instant_acme::Error::Timeout(None))),
    }
}

fn not_seen(authority: &Authority, job: &Job<'_>, problem: Problem) -> Failure {
    let name = host_of(&authority.url);
    let public = format!("{name} could not see that {} is served here: {}", job.host, said(&problem));
    let error = Error::new(Kind::Conflict, public).hint(hint(&problem, job)).because(problem);
    Failure { outcome: Outcome::Unproved, error, stranger: false }
}

fn is_of_proof(problem: &Problem) -> bool {
    ["caa", "connection", "dns", "incorrectResponse", "tls", "unauthorized"].contains(&kind(problem))
}

/// What is kept must be for that host, with that key, and good for a while.
fn check(host: &str, chain: String, key: &KeyPair) -> Result<Issued> {
    let certificates = pair::chain(chain.as_bytes())?;
    let facts = Facts::read(&certificates[0])?;
    if !facts.names.iter().any(|name| name == host) {
        return Err(Error::new(Kind::Conflict, format!("the certificate that came is not for {host}")));
    }
    let key = Secret::new(key.serialize_der());
    pair::certified(certificates, &key)?;
    Ok(Issued { pair: Pair { chain, key }, facts })
}

/// The last word of a problem's type.
fn kind(problem: &Problem) -> &str {
    problem.r#type.as_deref().unwrap_or_default().rsplit(':').next().unwrap_or_default()
}

/// The authority's sentence, which may quote what strangers sent.
fn said(problem: &Problem) -> String {
    let text = problem.detail.as_deref().filter(|detail| !detail.is_empty()).unwrap_or(kind(problem));
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    text.trim_end_matches('.').to_owned()
}

fn hint(problem: &Problem, job: &Job<'_>) -> String {
    let Job { host, proof, .. } = job;
    let port = if *proof == Proof::Http01 { 80 } else { 443 };
    match kind(problem) {
        _ if *proof == Proof::Dns01 => "See that the zone's public name servers show the TXT record.".to_owned(),
        "dns" => format!("Give {} an A or AAAA record that leads to this server.", clip(host)),
        "connection" => format!("Let port {port} through to this server, and see that {host} leads here."),
        "caa" => format!("A CAA record of {host} names other authorities: add this one, or set another in `acme`."),
        "tls" => format!("Something in front of this server answers TLS for {host}: set acme_challenge to http-01."),
        _ => format!("See that {host} leads to this server, and that nothing else answers on port {port}."),
    }
}

fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}
