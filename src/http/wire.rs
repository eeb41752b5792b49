//! The shape of HTTP/1 on the wire, checked more strictly than the parser behind it does: two programs that
//! read the same bytes must see the same requests. Pure; follows framing, keeps nothing but unfinished lines.

/// Follows one connection's incoming bytes.
#[derive(Debug, Default)]
pub struct Wire {
    state: State,
    /// The unfinished line.
    line: Vec<u8>,
    head: Head,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing has been read of this connection.
    #[default]
    Fresh,
    /// Before a request line.
    Between,
    Headers,
    /// Bytes of a sized body still to come.
    Sized(u64),
    ChunkSize,
    /// Bytes of a chunk still to come.
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// Bytes of HTTP/2's preface still to come.
    Preface(u8),
    /// HTTP/2, which frames differently: not followed.
    Other,
}

/// What decides how long a request is and whom it is for.
#[derive(Debug, Default)]
struct Head {
    is_11: bool,
    hosts: u8,
    length: Option<u64>,
    chunked: bool,
}

/// Bytes one line may have; the parser's own limit on a head is of the same size.
const MAX_LINE: usize = 64 << 10;

impl Wire {
    /// For a connection that has had requests of HTTP/1 already: it cannot become HTTP/2 any more.
    pub fn after_requests() -> Self {
        Self { state: State::Between, ..Self::default() }
    }

    /// Takes the next bytes. `Err` has the place of the first byte that must not be read any more.
    ///
    /// Refused: request lines in another form than RFC 9112 section 3 gives, line ends without CR, lone CRs, folded
    /// lines, both `Content-Length` and `Transfer-Encoding`, either of them twice or in an unusual form, no `Host`
    /// or two, transfer codings but `chunked`, chunk sizes with anything but hexadecimal digits and well-formed
    /// extensions, trailers that decide what only heads may.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match &mut self.state {
                State::Other => return Ok(()),
                State::Preface(left) => {
                    let taken = usize::from(*left).min(rest.len());
                    *left -= u8::try_from(taken).unwrap_or(*left);
                    at += taken;
                    if *left == 0 {
                        self.state = State::Other;
                    }
                }
                State::Sized(left) | State::Chunk(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= taken as u64;
                    at += taken;
                    match self.state {
                        State::Sized(0) => self.state = State::Between,
                        State::Chunk(0) => self.state = State::ChunkEnd,
                        _ => {}
                    }
                }
                _ => at += self.take_line(rest).map_err(|wrong| at + wrong)?,
            }
        }
        Ok(())
    }

    /// Whether a client has shown what it speaks: a first request line, or that this is HTTP/2.
    pub fn has_begun(&self) -> bool {
        !matches!(self.state, State::Fresh | State::Preface(_))
    }

    /// Takes bytes up to the end of a line, or all.
    fn take_line(&mut self, bytes: &[u8]) -> Result<usize, usize> {
        let folded = matches!(self.state, State::Headers | State::Trailers);
        if self.line.is_empty() && folded && matches!(bytes[0], b' ' | b'\t') {
            return Err(0);
        }
        let Some(end) = bytes.iter().position(|b| *b == b'\n') else {
            if self.line.len() + bytes.len() > MAX_LINE {
                return Err(0);
            }
            self.line.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        let line = if self.line.is_empty() {
            self.finish(&bytes[..end])
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&bytes[..end]);
            let result = self.finish(&line);
            line.clear();
            self.line = line;
            result
        };
        line.map(|()| end + 1).ok_or(end)
    }

    /// One line, without its LF. `None` refuses it.
    fn finish(&mut self, line: &[u8]) -> Option<()> {
        let line = line.strip_suffix(b"\r")?;
        if line.contains(&b'\r') || line.contains(&0) {
            return None;
        }
        self.state = match self.state {
            State::Fresh if line == b"PRI * HTTP/2.0" => State::Preface(8),
            // A server should forgive an empty line before a request.
            State::Fresh | State::Between if line.is_empty() => State::Between,
            State::Fresh | State::Between => {
                self.head = Head { is_11: request_line(line)?, ..Head::default() };
                State::Headers
            }
            State::Headers if line.is_empty() => self.head.body()?,
            State::Headers => {
                self.head.read(line)?;
                State::Headers
            }
            State::ChunkSize => match chunk_size(line)? {
                0 => State::Trailers,
                size => State::Chunk(size),
            },
            State::ChunkEnd => line.is_empty().then_some(State::ChunkSize)?,
            State::Trailers if line.is_empty() => State::Between,
            State::Trailers => {
                let (name, _) = field(line)?;
                let decides = HEAD_ONLY.iter().any(|only| name.eq_ignore_ascii_case(only));
                (!decides).then_some(State::Trailers)?
            }
            other => other,
        };
        Some(())
    }
}

impl Head {
    fn read(&mut self, line: &[u8]) -> Option<()> {
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let fresh = self.length.is_none() && !self.chunked;
            self.length = Some(digits(value).filter(|_| fresh)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let fresh = self.length.is_none() && !self.chunked;
            (fresh && self.is_11 && value.eq_ignore_ascii_case(b"chunked")).then_some(())?;
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
            (self.hosts == 1).then_some(())?;
        }
        Some(())
    }

    fn body(&self) -> Option<State> {
        (self.hosts == 1 || !self.is_11).then_some(())?;
        Some(match (self.chunked, self.length) {
            (true, _) => State::ChunkSize,
            (false, Some(length)) if length > 0 => State::Sized(length),
            (false, _) => State::Between,
        })
    }
}

/// Trailers with these names would be read as framing or routing by whoever merges them into the head.
const HEAD_ONLY: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"host"];

/// `GET /path HTTP/1.1` → whether it is 1.1 and not 1.0.
fn request_line(line: &[u8]) -> Option<bool> {
    let mut parts = line.split(|b| *b == b' ');
    let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
    // A fragment never leaves the client; parsers that drop it and parsers that keep it see two targets.
    let visible = |b: &u8| b.is_ascii_graphic() && *b != b'#';
    let plain = !method.is_empty() && !target.is_empty() && parts.next().is_none() && target.iter().all(visible);
    match version {
        b"HTTP/1.1" if plain => Some(true),
        b"HTTP/1.0" if plain => Some(false),
        _ => None,
    }
}

/// `Name: value`, without spaces around the value.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|b| *b == b':')?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

fn digits(value: &[u8]) -> Option<u64> {
    let plain = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| plain)?.parse().ok()
}

/// `1a;extension` → 26
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|b| *b == b';').unwrap_or(line.len());
    let size = std::str::from_utf8(&line[..end]).ok()?;
    let plain = (1..=15).contains(&size.len()) && size.bytes().all(|b| b.is_ascii_hexdigit());
    u64::from_str_radix(size, 16).ok().filter(|_| plain && line.len() <= 1024 && extensions(&line[end..]))
}

/// Whether these are extensions of a chunk by RFC 9112 section 7.1.1: `;name`, `;name=value`, `;name="value"`. A
/// quote that stays open would let another reader take the next line for a part of it.
fn extensions(mut rest: &[u8]) -> bool {
    while let Some(after) = rest.strip_prefix(b";") {
        let Some(after) = token(after) else { return false };
        rest = match after.strip_prefix(b"=") {
            None => after,
            Some(value) => match value.strip_prefix(b"\"").map_or_else(|| token(value), quoted) {
                Some(after) => after,
                None => return false,
            },
        };
    }
    rest.is_empty()
}

/// What follows a token of at least one character.
fn token(text: &[u8]) -> Option<&[u8]> {
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    let end = text.iter().position(|b| !is_part(b)).unwrap_or(text.len());
    (end > 0).then(|| &text[end..])
}

/// What follows the closing quote.
fn quoted(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = match text {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', escaped, rest @ ..] if !escaped.is_ascii_control() => rest,
            [b'\\', ..] => return None,
            [plain, rest @ ..] if !plain.is_ascii_control() || *plain == b'\t' => rest,
            _ => return None,
        };
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
