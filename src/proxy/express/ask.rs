//! A request's head that can only be read in one way, found in what a client sent. Pure. It refuses nothing: what it
//! does not know goes to the lane that knows everything.
use std::ops::Range;

use crate::proxy::door;
use crate::proxy::head::{Fate, request_fate};

/// What stands at the beginning of the bytes.
#[derive(Debug)]
pub enum Found {
    /// All is plain so far, and it is not complete.
    Part,
    /// Something for the other lane.
    Other,
    Plain(Ask),
}

/// Fields of a head; more is for the other lane.
const MOST_FIELDS: usize = 64;
/// Bytes of a field's name, so that it can be looked at in lower case.
pub const LONGEST_NAME: usize = 64;

/// One plain request, by places in the bytes it was found in.
#[derive(Debug)]
pub struct Ask {
    pub method: &'static str,
    pub target: Range<usize>,
    pub host: Range<usize>,
    /// What goes on to the app as it is.
    pub fields: Vec<(Range<usize>, Range<usize>)>,
    /// The head's bytes.
    pub head: usize,
    /// The body's length, if it says one.
    pub length: Option<usize>,
    /// What the client can unpack.
    pub encodings: Option<Range<usize>>,
    /// The client wants the connection closed afterwards.
    pub last: bool,
}

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "HEAD", "PATCH", "DELETE", "OPTIONS"];

/// Reads the head at the beginning of `bytes`, into `fields`' room.
pub fn find(bytes: &[u8], mut fields: Vec<(Range<usize>, Range<usize>)>) -> Found {
    fields.clear();
    let mut reader = Reader { bytes, at: 0 };
    match reader.head(fields) {
        Ok(ask) => Found::Plain(ask),
        Err(Stop::End) => Found::Part,
        Err(Stop::Odd) => Found::Other,
    }
}

enum Stop {
    End,
    Odd,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn head(&mut self, mut fields: Vec<(Range<usize>, Range<usize>)>) -> Result<Ask, Stop> {
        let method = self.run(|b| b.is_ascii_uppercase(), 8)?;
        let method = METHODS.into_iter().find(|known| known.as_bytes() == &self.bytes[method.clone()]);
        let method = method.ok_or(Stop::Odd)?;
        self.expect(b" ")?;
        let target = self.run(is_target, usize::MAX)?;
        if self.bytes.get(target.start) != Some(&b'/') {
            return Err(Stop::Odd);
        }
        self.expect(b" HTTP/1.1\r\n")?;
        let (mut host, mut length, mut encodings, mut last, mut cookie) = (None, None, None, false, false);
        loop {
            match self.bytes.get(self.at) {
                None => return Err(Stop::End),
                Some(b'\r') => break self.expect(b"\r\n")?,
                Some(_) => {}
            }
            let (name, value) = self.field()?;
            let mut lower = [0; LONGEST_NAME];
            let lower = lowered(&self.bytes[name.clone()], &mut lower).ok_or(Stop::Odd)?;
            let said = &self.bytes[value.clone()];
            match (request_fate(lower), lower) {
                (Fate::Drop, _) => continue,
                (Fate::Pass, b"accept-encoding") if encodings.is_some() => return Err(Stop::Odd),
                (Fate::Pass, b"accept-encoding") => encodings = Some(value.clone()),
                (Fate::Pass, _) => {}
                (Fate::Judge, b"host") if host.is_none() && !said.is_empty() => {
                    host = Some(value);
                    continue;
                }
                (Fate::Judge, b"content-length") if length.is_none() => {
                    length = Some(digits(said).ok_or(Stop::Odd)?);
                    continue;
                }
                (Fate::Judge, b"connection") if said.eq_ignore_ascii_case(b"keep-alive") => continue,
                (Fate::Judge, b"connection") if said.eq_ignore_ascii_case(b"close") => {
                    last = true;
                    continue;
                }
                // The papers of a door are no app's to see: the other lane takes them out.
                (Fate::Judge, b"cookie") if !cookie && !door::cookie::names_one(said) => cookie = true,
                (Fate::Judge, _) => return Err(Stop::Odd),
            }
            if fields.len() == MOST_FIELDS {
                return Err(Stop::Odd);
            }
            fields.push((name, value));
        }
        let host = host.ok_or(Stop::Odd)?;
        Ok(Ask { method, target, host, fields, head: self.at, length, encodings, last })
    }

    /// `Name: value`, with the spaces around the value left out.
    fn field(&mut self) -> Result<(Range<usize>, Range<usize>), Stop> {
        let name = self.run(is_name, LONGEST_NAME)?;
        if name.is_empty() {
            return Err(Stop::Odd);
        }
        self.expect(b":")?;
        let from = self.at;
        let value = self.run(is_value, usize::MAX)?;
        self.expect(b"\r\n")?;
        let text = &self.bytes[value];
        let lead = text.len() - text.trim_ascii_start().len();
        Ok((name, from + lead..from + lead + text.trim_ascii().len()))
    }

    /// Bytes of one kind up to the first of another; that many at most. Nothing is complete at the end of the bytes.
    fn run(&mut self, is: impl Fn(u8) -> bool, most: usize) -> Result<Range<usize>, Stop> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|b| !is(*b)).ok_or(rest.len());
        let (Ok(length) | Err(length)) = length;
        if length > most {
            return Err(Stop::Odd);
        }
        if length == rest.len() {
            return Err(Stop::End);
        }
        self.at += length;
        Ok(self.at - length..self.at)
    }

    fn expect(&mut self, text: &[u8]) -> Result<(), Stop> {
        let rest = &self.bytes[self.at..];
        if !rest.starts_with(text) {
            return Err(if text.starts_with(rest) { Stop::End } else { Stop::Odd });
        }
        self.at += text.len();
        Ok(())
    }
}

/// A name in lower case, if it is not too long.
pub fn lowered<'a>(name: &[u8], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let lower = room.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    Some(lower)
}

fn digits(value: &[u8]) -> Option<usize> {
    let plain = (1..=9).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| plain)?.parse().ok()
}

const NAME: u8 = 1;
const TARGET: u8 = 2;
const VALUE: u8 = 4;

/// What each byte may be a part of.
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut b = 0;
    while b < 128 {
        let c = b as u8;
        if c.is_ascii_alphanumeric() || c == b'-' {
            kinds[b] |= NAME;
        }
        if c.is_ascii_alphanumeric() {
            kinds[b] |= TARGET;
        }
        if c == b' ' || c == b'\t' || c.is_ascii_graphic() {
            kinds[b] |= VALUE;
        }
        b += 1;
    }
    let marks = b"-._~!$&'()*+,;=:@/%?";
    let mut n = 0;
    while n < marks.len() {
        kinds[marks[n] as usize] |= TARGET;
        n += 1;
    }
    kinds
};

/// `_` is left out: some readers take it for `-`.
fn is_name(b: u8) -> bool {
    KINDS[usize::from(b)] & NAME != 0
}

fn is_target(b: u8) -> bool {
    KINDS[usize::from(b)] & TARGET != 0
}

fn is_value(b: u8) -> bool {
    KINDS[usize::from(b)] & VALUE != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::wire::Wire;
    use proptest::prelude::*;

    fn plain(text: &str) -> Option<Ask> {
        match find(text.as_bytes(), vec![]) {
            Found::Plain(ask) => Some(ask),
            _ => None,
        }
    }

    #[test]
    fn a_plain_head_is_read() {
        let text = "POST /a/b?c=%20 HTTP/1.1\r\nHost: \t a.localhost:80 \r\nX-Forwarded-For: 1.1.1.1\r\nUser-Agent: x y\r\n\
                    Content-Length: 12\r\nConnection: close\r\n\r\nrest";
        let ask = plain(text).expect("plain");
        assert_eq!((ask.method, &text[ask.target], &text[ask.host]), ("POST", "/a/b?c=%20", "a.localhost:80"));
        assert_eq!((ask.length, ask.last, &text[ask.head..]), (Some(12), true, "rest"));
        let fields: Vec<_> =
            ask.fields.iter().map(|(name, value)| (&text[name.clone()], &text[value.clone()])).collect();
        assert_eq!(fields, [("User-Agent", "x y")]);
    }

    #[test]
    fn what_is_odd_goes_to_the_other_lane_at_once() {
        for (text, odd) in [
            ("GET / HTTP/1.0\r\n", true),
            ("GET / HTTP/1.1\n", true),
            ("GET  / HTTP/1.1\r\n", true),
            ("GET http://a/ HTTP/1.1\r\n", true),
            ("GET /\u{e9} HTTP/1.1\r\n", true),
            ("GET /# HTTP/1.1\r\n", true),
            ("PRI * HTTP/2.0\r\n", true),
            ("\r\nGET / HTTP/1.1\r\n", true),
            ("BREW / HTTP/1.1\r\n", true),
            ("GET / HTTP/1.1\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n", true),
            ("GET / HTTP/1.1\r\nHost:\r\n", true),
            ("GET / HTTP/1.1\r\nHost : a\r\n", true),
            ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n", true),
            ("GET / HTTP/1.1\r\nX: a\r\n b\r\n", true),
            ("GET / HTTP/1.1\r\nX: a\rb\r\n", true),
            ("GET / HTTP/1.1\r\nX: a\0b\r\n", true),
            ("GET / HTTP/1.1\r\nX_Y: a\r\n", true),
            ("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n", true),
            ("GET / HTTP/1.1\r\nContent-Length: +1\r\n", true),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", true),
            ("GET / HTTP/1.1\r\nConnection: upgrade\r\n", true),
            ("GET / HTTP/1.1\r\nUpgrade: websocket\r\n", true),
            ("GET / HTTP/1.1\r\nExpect: 100-continue\r\n", true),
            ("GET / HTTP/1.1\r\nTE: trailers\r\n", true),
            ("GET / HTTP/1.1\r\nCookie: a\r\nCookie: b\r\n", true),
            ("GET / HTTP/1.1\r\nCookie: a=1; steady-pass=x\r\n", true),
            ("GET / HTTP/1.1\r\nCookie: __Host-steady-knock=x\r\n", true),
            ("", false),
            ("GE", false),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r", false),
        ] {
            match find(text.as_bytes(), vec![]) {
                Found::Other => assert!(odd, "{text:?}"),
                Found::Part => assert!(!odd, "{text:?}"),
                Found::Plain(ask) => panic!("{text:?} is not plain: {ask:?}"),
            }
        }
    }

    fn head() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            8 => "[A-Za-z][A-Za-z0-9-]{0,9}:[ \t]?[ -~]{0,12}\r\n",
            2 => Just("Content-Length: 3\r\n".to_owned()),
            1 => "[ -~\r\n\t]{0,12}\r\n",
            1 => Just("Transfer-Encoding: chunked\r\n".to_owned()),
            1 => Just("Host: b\r\n".to_owned()),
        ];
        let start = prop_oneof![
            6 => "(GET|POST|PUT) /[a-z0-9?/]{0,8} HTTP/1\\.1\r\n",
            1 => "[A-Z]{1,4} [ -~]{0,8} HTTP/1\\.[01]\r\n",
        ];
        (start, proptest::collection::vec(line, 0..6), ".{0,4}")
            .prop_map(|(start, lines, rest)| format!("{start}Host: a\r\n{}\r\n{rest}", lines.concat()))
    }

    proptest! {
        /// What is plain here is a request by the strict rules, of the same length; what they refuse is never plain.
        #[test]
        fn plain_is_what_the_strict_rules_take(text in head(), cut in any::<prop::sample::Index>()) {
            if let Some(ask) = plain(&text) {
                let mut wire = Wire::default();
                prop_assert!(wire.follow(&text.as_bytes()[..ask.head]).is_ok(), "{text:?}");
                let mut headers = [httparse::EMPTY_HEADER; 32];
                let mut request = httparse::Request::new(&mut headers);
                let parsed = request.parse(text.as_bytes()).expect("a head");
                prop_assert_eq!(parsed, httparse::Status::Complete(ask.head));
                prop_assert_eq!((request.method, request.path), (Some(ask.method), Some(&text[ask.target.clone()])));
                let hosts: Vec<_> = request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("host")).collect();
                prop_assert!(hosts.len() == 1 && hosts[0].value == &text.as_bytes()[ask.host.clone()]);
                // A part of it is not something else.
                let cut = cut.index(ask.head);
                prop_assert!(matches!(find(&text.as_bytes()[..cut], vec![]), Found::Part), "{:?}", &text[..cut]);
            }
        }
    }
}
