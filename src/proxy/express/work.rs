//! From a client's bytes to a request that is on its way.
use std::cell::Cell;
use std::sync::Arc;

use hyper::header::ACCEPT;

use super::answer::line;
use super::ask::{self, Ask, Found, lowered};
use super::buf::Sheet;
use super::{Fields, Host, Lane, Named};
use crate::base::Millis;
use crate::http::{host, request_id};
use crate::proxy::compress;
use crate::proxy::head::{self, REQUEST_ID};
use crate::proxy::journal::Journal;
use crate::proxy::route::{Route, Target};
use crate::runner::AppKey;
use crate::runner::upstream::Upstream;

thread_local! {
    static FIELDS: Cell<Fields> = const { Cell::new(Vec::new()) };
}

pub(super) enum Begun {
    /// There is no whole head yet.
    Part,
    Other,
    Work(Work),
}

/// A request that was let in, with what the app is to be sent.
pub(super) struct Work {
    pub route: Arc<Route>,
    pub upstream: Upstream,
    pub journal: Journal,
    pub id: String,
    pub at: Millis,
    pub request: Sheet,
    pub is_head: bool,
    /// It can be said again, should the connection turn out to have just closed.
    pub again: bool,
    /// The client wants no more.
    pub last: bool,
}

impl Work {
    pub fn key(&self) -> Option<&AppKey> {
        match &self.route.target {
            Target::App { key, .. } => Some(key),
            _ => None,
        }
    }

    /// What the client said it takes, for pages.
    pub fn accept(&self) -> Option<&str> {
        let head = std::str::from_utf8(&self.request).ok()?;
        let fields = head.lines().take_while(|line| !line.is_empty());
        fields.filter_map(|line| line.split_once(": ")).find(|(name, _)| *name == ACCEPT.as_str()).map(|(_, said)| said)
    }
}

impl<T, S: Fn(&str) -> Option<Named>> Lane<'_, T, S> {
    /// Begins what the bytes read so far ask for. Unless that is work they are all still there.
    pub(super) fn begin(&mut self) -> Begun {
        let bytes = self.input.data();
        let ask = match ask::find(bytes, FIELDS.take()) {
            Found::Part => return Begun::Part,
            Found::Other => return Begun::Other,
            Found::Plain(ask) => ask,
        };
        let length = ask.length.unwrap_or(0);
        let whole = ask.head + length;
        let shared = &self.proxy.0;
        let fits = bytes.len() >= whole && length as u64 <= shared.options.max_body;
        let Some(text) = std::str::from_utf8(&bytes[ask.host.clone()]).ok().filter(|_| fits) else {
            return Begun::Other;
        };
        if self.host.text != text {
            match Host::find(text, &self.site, self.peer, &shared.options.scheme) {
                Some(host) => self.host = host,
                None => return Begun::Other,
            }
        }
        let Some(route) = shared.routes.get(&self.host.label) else { return Begun::Other };
        let target = std::str::from_utf8(&bytes[ask.target.clone()]).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let packs = ask.encodings.as_ref().filter(|_| !route.manners.uncompressed);
        let packs = packs.is_some_and(|lines| compress::may_compress(&bytes[lines.clone()]));
        if packs || !route.is_plain() || !route.target.surely_no_file(path) {
            return Begun::Other;
        }
        let Target::App { key, .. } = &route.target else { return Begun::Other };
        let Some(upstream) = shared.runner.admit_now(key) else { return Begun::Other };
        let (id, at) = (request_id(), shared.clock.now());
        let mut journal = self.proxy.journal_of(&id, at, key, &route.version, ask.method, path);
        journal.admitted(&upstream.version, upstream.gate_us, upstream.boot_us);
        journal.received(length as u64);
        let mut request = Sheet::take();
        write(&mut request, bytes, &ask, &self.host, &id);
        let again = length == 0 && !matches!(ask.method, "POST" | "PATCH");
        let work =
            Work { upstream, journal, id, at, request, is_head: ask.method == "HEAD", again, last: ask.last, route };
        FIELDS.set(ask.fields);
        self.input.used(whole);
        Begun::Work(work)
    }
}

/// The request as the app gets it.
fn write(out: &mut Vec<u8>, bytes: &[u8], ask: &Ask, host: &Host, id: &str) {
    out.extend_from_slice(ask.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(&bytes[ask.target.clone()]);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    out.extend_from_slice(&host.told);
    line(out, REQUEST_ID.as_bytes(), id.as_bytes());
    if let Some(length) = ask.length {
        line(out, b"content-length", length.to_string().as_bytes());
    }
    for (name, value) in &ask.fields {
        let mut lower = [0; ask::LONGEST_NAME];
        line(out, lowered(&bytes[name.clone()], &mut lower).unwrap_or_default(), &bytes[value.clone()]);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&bytes[ask.head..ask.head + ask.length.unwrap_or(0)]);
}

impl Host {
    fn find(text: &str, site: impl Fn(&str) -> Option<Named>, peer: std::net::IpAddr, scheme: &str) -> Option<Self> {
        let Named { label, fields } = site(text)?;
        let mut says = vec![];
        for (name, value) in &fields {
            line(&mut says, name.as_str().as_bytes(), value.as_bytes());
        }
        let mut told = vec![];
        for (name, said) in head::told(peer, text, scheme) {
            line(&mut told, name.as_bytes(), said.as_bytes());
        }
        let parent = host::after_label(text, &label).map(str::to_owned);
        Some(Self { text: text.to_owned(), label, parent, told, says })
    }
}
