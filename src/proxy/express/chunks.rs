//! A chunked body as an app sends it, taken apart. Pure.
use std::ops::Range;

/// Bytes of trailers, and of one chunk's extensions.
const MOST: usize = 16 << 10;

/// Follows one body.
#[derive(Debug, Default)]
pub struct Chunks {
    state: State,
    /// Of the chunk: still to be read, or as far as its size was read.
    size: u64,
    /// Bytes of what has a limit.
    extra: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Size,
    /// Behind the size, up to the end of the line.
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a line of the trailers.
    Line,
    Trailer,
    LastLf,
    Done,
}

/// It is not chunked as it should be.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong;

impl Chunks {
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Reads `bytes` from `at` on, up to the next piece of the body itself, which is returned, or to the end. Nothing is
    /// read behind the last chunk. The second number is where to go on.
    pub fn next(&mut self, bytes: &[u8], mut at: usize) -> Result<(Option<Range<usize>>, usize), Wrong> {
        while let Some(b) = bytes.get(at).copied() {
            match (self.state, b) {
                (State::Done, _) => break,
                (State::Data, _) => {
                    let left = usize::try_from(self.size).unwrap_or(usize::MAX);
                    let end = at.saturating_add(left).min(bytes.len());
                    self.size -= (end - at) as u64;
                    if self.size == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok((Some(at..end), end));
                }
                (State::Start | State::Size, b) if b.is_ascii_hexdigit() => {
                    let digit = u64::from(char::from(b).to_digit(16).unwrap_or(0));
                    self.size = self.size.checked_mul(16).ok_or(Wrong)? + digit;
                    self.state = State::Size;
                }
                (State::Size | State::Extension, b'\r') => self.state = State::SizeLf,
                (State::Size, b' ' | b'\t' | b';') => (self.state, self.extra) = (State::Extension, 0),
                (State::Extension, b) if b != b'\n' => self.count()?,
                (State::SizeLf, b'\n') if self.size == 0 => (self.state, self.extra) = (State::Line, 0),
                (State::SizeLf, b'\n') => self.state = State::Data,
                (State::DataCr, b'\r') => self.state = State::DataLf,
                (State::DataLf, b'\n') => self.state = State::Start,
                (State::Line, b'\r') => self.state = State::LastLf,
                (State::LastLf, b'\n') => self.state = State::Done,
                (State::Trailer, b'\n') => self.state = State::Line,
                (State::Line | State::Trailer, _) => {
                    self.count()?;
                    self.state = State::Trailer;
                }
                _ => return Err(Wrong),
            }
            at += 1;
        }
        Ok((None, at))
    }

    fn count(&mut self) -> Result<(), Wrong> {
        self.extra += 1;
        if self.extra > MOST { Err(Wrong) } else { Ok(()) }
    }
}

/// Writes one chunk. Of no bytes it would be the last.
pub fn write(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// What stands behind the last chunk.
pub const END: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The body, where it ended, and whether it is whole; `None` when it is wrong.
    fn read(bytes: &[u8], size: usize) -> Option<(Vec<u8>, usize, bool)> {
        let (mut chunks, mut body, mut used) = (Chunks::default(), vec![], 0);
        for part in bytes.chunks(size) {
            let mut at = 0;
            loop {
                let (data, next) = chunks.next(part, at).ok()?;
                at = next;
                match data {
                    Some(data) => body.extend_from_slice(&part[data]),
                    None => break,
                }
            }
            used += at;
            if chunks.is_done() {
                break;
            }
        }
        Some((body, used, chunks.is_done()))
    }

    #[test]
    fn forms_of_chunks() {
        for size in [1, 2, 3, 100] {
            let whole = |text: &str| read(text.as_bytes(), size);
            assert_eq!(whole("5\r\nhello\r\n0\r\n\r\nrest"), Some((b"hello".to_vec(), 15, true)));
            assert_eq!(whole("A;x=y \r\n0123456789\r\n00\r\nT: u\r\n\r\n"), Some((b"0123456789".to_vec(), 32, true)));
            assert_eq!(whole("5\r\nhello\r\n0\r\n"), Some((b"hello".to_vec(), 13, false)));
            for wrong in [
                "\r\n",
                "5\nhello",
                "5\r\nhello!!",
                "-1\r\n",
                "g\r\n",
                "5\r\nhello\r\nzz",
                "5;\n",
                "1\r\na\r\n0\r\n\r\r",
            ] {
                assert_eq!(whole(wrong), None, "{wrong:?}");
            }
        }
        assert_eq!(read(b"fffffffffffffffff\r\n", 9), None);
        assert_eq!(read(&[b"0\r\n".as_slice(), &[b'x'; 20_000]].concat(), 999), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(parts in proptest::collection::vec("[a-z\r\n]{0,30}", 0..5), size in 1usize..50) {
            let mut out = vec![];
            parts.iter().for_each(|part| write(&mut out, part.as_bytes()));
            out.extend_from_slice(END);
            prop_assert_eq!(read(&out, size), Some((parts.concat().into_bytes(), out.len(), true)));
        }
    }
}
