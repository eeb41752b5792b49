//! Whether somebody may come in: by a pass, a token, a password or a link. Whoever may not is told how they could.
use axum::body::Body;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, HeaderValue, LOCATION, SET_COOKIE, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};

use super::super::route::Route;
use super::super::trouble::{Asker, Refusal};
use super::ask::{self, Shown};
use super::gcra::{self, Rate};
use super::judge::{Claim, Keeper};
use super::ticket::{Holder, Knock, Paper, Pass, Ticket, state_of};
use super::{Door, Password, Wall, clients, cookie};
use crate::base::secret::{random_token, same, sha256_hex};
use crate::base::{Error, Kind, Millis, Result, Secret};
use crate::http::problem::{self, Detail};

/// Wrong passwords and tokens of one network at one app: ten at once, then one in five seconds.
const TRIES: (u64, u64) = (5_000_000_000, 10);
/// The same for the machine's own address: everybody, when a proxy in front does not say whom it speaks for.
const SHARED_TRIES: (u64, u64) = (500_000_000, 100);
/// How long a cookie lasts at most. It ends earlier with what it was given for. Milliseconds.
const MEMBER_MS: Millis = 30 * DAY;
const LINK_MS: Millis = 30 * DAY;
const PASSWORD_MS: Millis = DAY / 2;
const DAY: Millis = 24 * 60 * 60 * 1000;
/// Seconds.
const KNOCK_SECONDS: i64 = 900;

/// One request before one door.
pub(super) struct Visitor<'a> {
    pub keeper: &'a Keeper,
    pub door: &'a Door,
    pub route: &'a Route,
    pub asker: Asker<'a>,
    pub peer: std::net::IpAddr,
    pub scheme: &'a str,
    /// Host and public port; `None` when a browser cannot be sent back to it.
    pub home: Option<String>,
    pub now: Millis,
}

/// Somebody who is in.
#[derive(Debug, Default)]
pub(super) struct Entered {
    /// The user's name, behind a wall of people.
    pub user: Option<String>,
    /// They asked to pass during maintenance, and may.
    pub bypass: bool,
    /// What they are to show from now on, when they came by a password just now.
    pub cookie: Option<HeaderValue>,
}

/// An answer in the app's place; boxed, because it is rare.
type Turned = Box<Refusal>;

impl Visitor<'_> {
    /// Through the wall, or the answer.
    pub async fn enter(&self, request: &mut Request<Incoming>) -> Result<Entered, Turned> {
        if matches!(*request.method(), Method::GET | Method::HEAD)
            && let Some(answer) = self.exchange(request)
        {
            return Err(answer);
        }
        if let Some(entered) = self.by_pass(request).await? {
            self.keep_from_app(request);
            return Ok(entered);
        }
        if self.door.wall.is_public() {
            return Ok(Entered::default());
        }
        let shown = ask::shown(request.headers());
        let refused = match (&self.door.wall, shown) {
            (Wall::Members | Wall::Users, Some(Shown::Token(token))) => match self.by_token(token).await? {
                Some(entered) => {
                    self.keep_from_app(request);
                    return Ok(entered);
                }
                None => Some("the token is not valid, or its user may not come to this app"),
            },
            (Wall::Password(password), Some(Shown::Password(given))) => {
                match self.by_password(password, given).await? {
                    true => {
                        self.keep_from_app(request);
                        return Ok(Entered { cookie: self.password_cookie(password), ..Entered::default() });
                    }
                    false => Some("the password is wrong"),
                }
            }
            _ => None,
        };
        Err(self.turn_away(request, refused))
    }

    /// What the address brings along is taken for a cookie, and the browser sent to the address without it.
    fn exchange(&self, request: &Request<Incoming>) -> Option<Turned> {
        let uri = request.uri();
        if let Some(secret) = ask::word(uri, ask::LINK).filter(|_| !self.door.wall.is_public()) {
            let hash = sha256_hex(secret.as_bytes());
            let Some(link) = self.door.link(self.now, |link| same(link.hash.as_bytes(), hash.as_bytes())) else {
                return Some(self.no(StatusCode::FORBIDDEN, "this link is not valid any more", "Ask for a new one."));
            };
            let until = link.until.unwrap_or(Millis::MAX).min(self.now + LINK_MS);
            return Some(self.pass_for(Holder::Link { id: link.id }, until, request));
        }
        if self.door.maintenance.is_none() && self.door.wall.of_people().is_none() {
            return None; // nobody signs in here
        }
        match ask::word(uri, ask::TICKET) {
            Some(text) => Some(self.by_ticket(text, request)),
            None => ask::has(uri, ask::ENTER).then(|| self.knock(request)).flatten(),
        }
    }

    fn by_ticket(&self, text: &str, request: &Request<Incoming>) -> Turned {
        let states: Vec<String> =
            self.cookies(request, cookie::KNOCK).into_iter().map(|value| state_of(&value)).collect();
        let home = self.home.as_deref().unwrap_or_default();
        let ticket = Ticket::opened(&*self.keeper.judge, text)
            .filter(|ticket| ticket.fits(self.door.app, home, &states, &self.keeper.run, self.now))
            .filter(|ticket| self.keeper.used.first(ticket, self.now));
        match ticket {
            Some(Ticket { user, session, bypass, .. }) => {
                self.pass_for(Holder::Member { user, session, bypass }, self.now + MEMBER_MS, request)
            }
            None if states.is_empty() => self.no(
                StatusCode::FORBIDDEN,
                "your browser did not keep the cookie that this app's door needs",
                "Allow cookies for this site, and open its address again.",
            ),
            None => self.no(
                StatusCode::FORBIDDEN,
                "this way in was used already, is over, or was meant for another app or browser",
                "Open the app's address again, without what stands after the question mark.",
            ),
        }
    }

    /// By a cookie that an earlier visit was given.
    async fn by_pass(&self, request: &Request<Incoming>) -> Result<Option<Entered>, Turned> {
        let home = self.home.as_deref().unwrap_or_default();
        for value in self.cookies(request, cookie::PASS) {
            let pass = Pass::opened(&*self.keeper.judge, &value);
            let Some(pass) = pass.filter(|pass| pass.fits(self.door.app, home, self.now)) else { continue };
            match pass.holder {
                Holder::Link { id } if self.door.link(self.now, |link| link.id == id).is_some() => {
                    return Ok(Some(Entered::default()));
                }
                Holder::Password { of } => {
                    if matches!(&self.door.wall, Wall::Password(password) if id_of(&password.hash) == of) {
                        return Ok(Some(Entered::default()));
                    }
                }
                Holder::Member { user, session, bypass } => {
                    let bypass = bypass && self.door.maintenance.is_some();
                    let users = self.door.wall.of_people();
                    // A pass of a wall of people opens no other; in maintenance it only shows an owner.
                    if users.is_none() && !bypass {
                        continue;
                    }
                    let claim = Claim::Session { user, session };
                    let Some(member) = self.judged(claim, users.unwrap_or(false)).await? else { continue };
                    let bypass = bypass && member.owner;
                    if users.is_some() || bypass {
                        let user = users.is_some().then_some(member.name);
                        return Ok(Some(Entered { user, bypass, cookie: None }));
                    }
                }
                Holder::Link { .. } => {}
            }
        }
        Ok(None)
    }

    async fn by_token(&self, token: Secret<String>) -> Result<Option<Entered>, Turned> {
        let rate = self.count_try()?;
        let users = self.door.wall.of_people().unwrap_or(false);
        let member = self.judged(Claim::Token(token), users).await?;
        if member.is_some() {
            self.keeper.clients.give_back(self.tries(), rate);
        }
        Ok(member.map(|member| Entered { user: Some(member.name), ..Entered::default() }))
    }

    /// Argon2 until somebody has known it; from then on a digest, so that a right one costs nothing and a wrong one
    /// cannot take a processor.
    async fn by_password(&self, password: &Password, given: Secret<String>) -> Result<bool, Turned> {
        let rate = self.count_try()?;
        let digest = self.keeper.digest(&password.hash, &given);
        let right = match password.proven.get() {
            Some(proven) => same(proven.as_bytes(), digest.as_bytes()),
            None => {
                let right = self.keeper.password(&password.hash, given).await.map_err(|error| self.fail(&error))?;
                if right {
                    let _ = password.proven.set(digest);
                }
                right
            }
        };
        if right {
            self.keeper.clients.give_back(self.tries(), rate);
        }
        Ok(right)
    }

    async fn judged(&self, claim: Claim, users: bool) -> Result<Option<super::Member>, Turned> {
        let answer = self.keeper.member(self.door.app, claim, users, self.now).await;
        answer.map_err(|error| self.fail(&error))
    }

    fn tries(&self) -> (&'static str, i64, std::net::IpAddr) {
        ("tries", self.door.app, clients::network(self.peer))
    }

    /// Counted before it is known how it ends: many at once cannot slip past.
    fn count_try(&self) -> Result<Rate, Turned> {
        let (interval, burst) = if self.peer.to_canonical().is_loopback() { SHARED_TRIES } else { TRIES };
        let rate = Rate::new(interval, burst);
        let wait = match self.keeper.clients.take(self.tries(), rate, self.keeper.elapsed()) {
            Ok(()) => return Ok(rate),
            Err(wait) => gcra::seconds(wait),
        };
        let error = Error::new(Kind::TooMany, "too many wrong tries came from your network")
            .hint("Wait a little and try again.");
        let detail = Detail { retry_after: Some(wait), ..Detail::default() };
        let response = problem::page_with(&error, self.asker.request_id, self.asker.accept, &detail);
        Err(Box::new(Refusal { stage: "access: too many tries", response }))
    }

    fn turn_away(&self, request: &Request<Incoming>, refused: Option<&'static str>) -> Turned {
        let visit = refused.is_none() && ask::is_visit(request.method(), request.headers());
        if self.door.wall.of_people().is_some()
            && visit
            && let Some(knock) = self.knock(request)
        {
            return knock;
        }
        let realm = &self.route.project;
        let (status, what, hint, challenge) = match &self.door.wall {
            Wall::Password(_) => (
                StatusCode::UNAUTHORIZED,
                refused.unwrap_or("this app asks for a password"),
                "Its owner knows it; any user name will do.",
                Some(format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")),
            ),
            Wall::Links => (StatusCode::FORBIDDEN, "this app opens with a link only", "Ask its owner for one.", None),
            _ => (
                StatusCode::UNAUTHORIZED,
                refused.unwrap_or("only people who are signed in and may use this app get in"),
                "Open it in a browser, or send a token as `Authorization: Bearer TOKEN`.",
                Some(format!("Bearer realm=\"{realm}\"")),
            ),
        };
        let mut turned = self.no(status, what, hint);
        if let Some(challenge) = challenge.and_then(|text| HeaderValue::from_str(&text).ok()) {
            turned.response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        turned
    }

    /// To the editor's host, which knows who is signed in. The browser gets a cookie that the way back is bound to.
    fn knock(&self, request: &Request<Incoming>) -> Option<Turned> {
        let home = self.home.clone()?;
        let known = self.cookies(request, cookie::KNOCK).into_iter().find(|value| value.len() == 22);
        let cookie = known.unwrap_or_else(|| random_token(16));
        let knock = Knock {
            app: self.door.app,
            home,
            scheme: self.scheme.to_owned(),
            to: ask::way_back(request.uri()),
            state: state_of(&cookie),
            bypass: ask::has(request.uri(), ask::ENTER) && self.door.maintenance.is_some(),
            run: self.keeper.run.clone(),
            made: self.now,
        };
        let to = format!("{}/enter?at={}", self.asker.editor_url, knock.sealed(&*self.keeper.judge));
        let cookie = cookie::set(cookie::KNOCK, &cookie, KNOCK_SECONDS, self.secure());
        Some(self.redirect(&to, cookie.into_iter().collect()))
    }

    fn pass_for(&self, holder: Holder, until: Millis, request: &Request<Incoming>) -> Turned {
        let home = self.home.clone().unwrap_or_default();
        let to = format!("{}://{home}{}", self.scheme, ask::clean(request.uri()));
        self.redirect(&to, self.pass_cookie(holder, until).into_iter().collect())
    }

    fn pass_cookie(&self, holder: Holder, until: Millis) -> Option<HeaderValue> {
        let home = self.home.clone()?;
        let pass = Pass { app: self.door.app, home, holder, until };
        let seconds = (until - self.now) / 1000;
        cookie::set(cookie::PASS, &pass.sealed(&*self.keeper.judge), seconds, self.secure())
    }

    /// For whoever came by the password: further requests need not carry it, so that the app can use the header itself.
    fn password_cookie(&self, password: &Password) -> Option<HeaderValue> {
        self.pass_cookie(Holder::Password { of: id_of(&password.hash) }, self.now + PASSWORD_MS)
    }

    /// The app gets no secret of the door's.
    fn keep_from_app(&self, request: &mut Request<Incoming>) {
        let ours = match (ask::shown(request.headers()), &self.door.wall) {
            (Some(Shown::Token(_)), wall) => !wall.is_public(),
            (Some(Shown::Password(_)), Wall::Password(_)) => true,
            _ => false,
        };
        if ours {
            request.headers_mut().remove(AUTHORIZATION);
        }
    }

    fn cookies(&self, request: &Request<Incoming>, name: &str) -> Vec<String> {
        cookie::values(request.headers(), name, self.secure()).into_iter().map(str::to_owned).collect()
    }

    fn secure(&self) -> bool {
        self.scheme == "https"
    }

    fn redirect(&self, to: &str, cookies: Vec<HeaderValue>) -> Turned {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SEE_OTHER;
        let headers = response.headers_mut();
        headers.extend(HeaderValue::from_str(to).ok().map(|to| (LOCATION, to)));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // What the address held is for nobody else.
        headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
        for cookie in cookies {
            headers.append(SET_COOKIE, cookie);
        }
        Box::new(Refusal { stage: "access: on the way in", response })
    }

    fn no(&self, status: StatusCode, what: &str, hint: &str) -> Turned {
        let kind = if status == StatusCode::UNAUTHORIZED { Kind::Unauthorized } else { Kind::Forbidden };
        let error = Error::new(kind, what).hint(hint);
        Box::new(Refusal { stage: "access", response: self.page(&error) })
    }

    fn fail(&self, error: &Error) -> Turned {
        Box::new(Refusal { stage: "access", response: self.page(error) })
    }

    fn page(&self, error: &Error) -> Response<Body> {
        problem::page(error, self.asker.request_id, self.asker.accept)
    }
}

/// Names a password without saying anything of it.
fn id_of(hash: &str) -> String {
    sha256_hex(hash.as_bytes())[..16].to_owned()
}
