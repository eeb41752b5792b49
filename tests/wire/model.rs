//! A second reader of HTTP/1, written from the grammar of RFC 9112 and from nothing else: it takes the whole input at
//! once, is strict, and is slow. What the real one lets through must be read here as the same requests.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub method: String,
    pub target: String,
    pub body: Vec<u8>,
    /// `Connection: close`, or HTTP/1.0 without keep-alive: nothing after it is a request.
    pub is_last: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing is left.
    Clean,
    /// More bytes are needed.
    Unfinished,
    Wrong,
}

enum Stop {
    Unfinished,
    Wrong,
}

type Read<T> = Result<T, Stop>;

/// All messages up to the first thing that is wrong or missing.
pub fn read(mut input: &[u8]) -> (Vec<Message>, End) {
    let mut messages = vec![];
    loop {
        // A robust server ignores empty lines before a request line (section 2.2).
        while let Some(rest) = input.strip_prefix(b"\r\n") {
            input = rest;
        }
        if input.is_empty() {
            return (messages, End::Clean);
        }
        match message(&mut input) {
            Ok(message) => messages.push(message),
            Err(Stop::Unfinished) => return (messages, End::Unfinished),
            Err(Stop::Wrong) => return (messages, End::Wrong),
        }
        if messages.last().is_some_and(|message| message.is_last) {
            return (messages, End::Clean);
        }
    }
}

fn check(right: bool) -> Read<()> {
    if right { Ok(()) } else { Err(Stop::Wrong) }
}

/// A line without its CRLF. CR and LF stand nowhere else, and NUL nowhere at all.
fn line<'a>(input: &mut &'a [u8]) -> Read<&'a [u8]> {
    let end = input.iter().position(|b| matches!(b, b'\r' | b'\n' | 0)).ok_or(Stop::Unfinished)?;
    check(input[end] == b'\r')?;
    check(input.get(end + 1).ok_or(Stop::Unfinished)? == &b'\n')?;
    let (line, rest) = (&input[..end], &input[end + 2..]);
    *input = rest;
    Ok(line)
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// `name: value`, the value trimmed of spaces and tabs.
fn field(line: &[u8]) -> Read<(String, &[u8])> {
    let colon = line.iter().position(|b| *b == b':').ok_or(Stop::Wrong)?;
    check(is_token(&line[..colon]))?;
    let mut value = &line[colon + 1..];
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    check(value.iter().all(|b| *b == b'\t' || (*b >= b' ' && *b != 0x7f)))?;
    Ok((String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase(), value))
}

fn fields<'a>(input: &mut &'a [u8]) -> Read<Vec<(String, &'a [u8])>> {
    let mut all = vec![];
    loop {
        match line(input)? {
            b"" => return Ok(all),
            line => all.push(field(line)?),
        }
    }
}

fn message(input: &mut &[u8]) -> Read<Message> {
    let start = line(input)?;
    let parts: Vec<&[u8]> = start.split(|b| *b == b' ').collect();
    let [method, target, version] = parts[..] else { return Err(Stop::Wrong) };
    let is_11 = version == b"HTTP/1.1";
    check(is_11 || version == b"HTTP/1.0")?;
    check(is_token(method) && !target.is_empty() && target.iter().all(|b| (0x21..0x7f).contains(b) && *b != b'#'))?;
    let fields = fields(input)?;
    let all = |name: &str| fields.iter().filter(|(n, _)| n == name).map(|(_, value)| *value).collect::<Vec<_>>();
    let (hosts, lengths, codings) = (all("host"), all("content-length"), all("transfer-encoding"));
    check(hosts.len() <= 1 && (hosts.len() == 1 || !is_11))?;
    let body = match (&lengths[..], &codings[..]) {
        ([], []) => vec![],
        ([length], []) => {
            check(!length.is_empty() && length.iter().all(u8::is_ascii_digit) && length.len() <= 18)?;
            let length: usize = String::from_utf8_lossy(length).parse().map_err(|_| Stop::Wrong)?;
            let body = input.get(..length).ok_or(Stop::Unfinished)?.to_vec();
            *input = &input[length..];
            body
        }
        ([], [coding]) if is_11 && coding.eq_ignore_ascii_case(b"chunked") => chunks(input)?,
        _ => return Err(Stop::Wrong),
    };
    let says = |what: &str| {
        let connection = all("connection");
        let mut options = connection.iter().flat_map(|value| value.split(|b| *b == b','));
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(what.as_bytes()))
    };
    Ok(Message {
        method: String::from_utf8_lossy(method).into_owned(),
        target: String::from_utf8_lossy(target).into_owned(),
        body,
        is_last: says("close") || !is_11 && !says("keep-alive"),
    })
}

fn chunks(input: &mut &[u8]) -> Read<Vec<u8>> {
    let mut body = vec![];
    loop {
        let line = line(input)?;
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        check((1..=15).contains(&digits) && line.len() <= 1024)?;
        extensions(&line[digits..])?;
        let size = usize::from_str_radix(&String::from_utf8_lossy(&line[..digits]), 16).map_err(|_| Stop::Wrong)?;
        if size == 0 {
            let trailers = fields(input)?;
            let forbidden = ["content-length", "transfer-encoding", "host"];
            check(trailers.iter().all(|(name, _)| !forbidden.contains(&name.as_str())))?;
            return Ok(body);
        }
        body.extend_from_slice(input.get(..size).ok_or(Stop::Unfinished)?);
        *input = &input[size..];
        for end in *b"\r\n" {
            check(*input.first().ok_or(Stop::Unfinished)? == end)?;
            *input = &input[1..];
        }
    }
}

/// Splits at what stands outside of quotes; each part is then looked at alone.
fn extensions(text: &[u8]) -> Read<()> {
    let (mut parts, mut in_quotes, mut escaped) = (vec![vec![]], false, false);
    for b in text {
        check(!b.is_ascii_control() || (*b == b'\t' && !escaped))?;
        if *b == b';' && !in_quotes {
            parts.push(vec![]);
            continue;
        }
        in_quotes ^= *b == b'"' && !escaped;
        escaped = in_quotes && *b == b'\\' && !escaped;
        parts.last_mut().expect("one part").push(*b);
    }
    check(!in_quotes && parts[0].is_empty())?;
    parts[1..].iter().try_for_each(|part| {
        let mut halves = part.splitn(2, |b| *b == b'=');
        check(is_token(halves.next().unwrap_or_default()))?;
        let Some(value) = halves.next() else { return Ok(()) };
        let inside = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        let bare = |text: &[u8]| {
            let mut escaped = false;
            text.iter().all(|b| {
                let right = *b != b'"' || escaped;
                escaped = *b == b'\\' && !escaped;
                right
            })
        };
        check(is_token(value) || inside.is_some_and(bare))
    })
}

#[test]
fn the_model_reads_the_grammar() {
    let (messages, end) =
        read(b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nhi\r\n0\r\n\r\nGET");
    assert_eq!(
        (messages[0].method.as_str(), messages[0].body.as_slice(), end),
        ("POST", b"hi".as_slice(), End::Unfinished)
    );
    assert_eq!(read(b"GET / HTTP/1.0\r\n\r\nrest").1, End::Clean);
    assert_eq!(read(b"GET / HTTP/1.1\r\n\r\n").1, End::Wrong);
    assert_eq!(read(b"GET / HTTP/1.1\nHost: h\r\n\r\n").1, End::Wrong);
}
