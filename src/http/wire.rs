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
    /// Takes the next bytes. `Err` has the place of the first byte that must not be read any more.
    ///
    /// Refused: line ends without CR, lone CRs, folded lines, both `Content-Length` and `Transfer-Encoding`,
    /// either of them twice or in an unusual form, no `Host` or two, transfer codings but `chunked`, chunk
    /// sizes with anything but hexadecimal digits and extensions.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match &mut self.state {
                State::Other => return Ok(()),
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
            State::Fresh if line == b"PRI * HTTP/2.0" => State::Other,
            // A server should forgive an empty line before a request.
            State::Fresh | State::Between if line.is_empty() => State::Between,
            State::Fresh | State::Between => {
                self.head = Head { is_11: line.ends_with(b" HTTP/1.1"), ..Head::default() };
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
            other => other,
        };
        Some(())
    }
}

impl Head {
    fn read(&mut self, line: &[u8]) -> Option<()> {
        let colon = line.iter().position(|b| *b == b':')?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
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

fn digits(value: &[u8]) -> Option<u64> {
    let plain = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| plain)?.parse().ok()
}

/// `1a;extension` → 26
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|b| *b == b';').unwrap_or(line.len());
    let size = std::str::from_utf8(&line[..end]).ok()?;
    let plain = (1..=15).contains(&size.len()) && size.bytes().all(|b| b.is_ascii_hexdigit());
    u64::from_str_radix(size, 16).ok().filter(|_| plain && line.len() <= 1024)
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
