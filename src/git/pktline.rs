//! The framing of git's wire protocol: four hex digits of length, then bytes. Pure.
use std::io::{self, Read, Write};

/// Longest packet, its four digits of length included.
pub const LONGEST: usize = 65_520;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    Data(Vec<u8>),
    /// `0000`
    Flush,
    /// `0001`, protocol version 2
    Delim,
    /// `0002`, protocol version 2
    End,
    /// The stream ended where a packet would begin.
    Eof,
}

impl Packet {
    /// The packet's text without the newline at its end, when it is data and UTF-8.
    pub fn text(&self) -> Option<&str> {
        let Packet::Data(data) = self else { return None };
        std::str::from_utf8(data).ok().map(|t| t.strip_suffix('\n').unwrap_or(t))
    }
}

/// Reads one packet. Errors: `InvalidData` for a bad length, `UnexpectedEof` inside a packet.
pub fn read(input: &mut dyn Read) -> io::Result<Packet> {
    let mut digits = [0u8; 4];
    let mut have = 0;
    while have < 4 {
        match input.read(&mut digits[have..]) {
            Ok(0) if have == 0 => return Ok(Packet::Eof),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "bad packet length");
    let mut length = 0usize;
    for digit in digits {
        let value = char::from(digit).to_digit(16).ok_or_else(bad)?;
        length = length * 16 + value as usize;
    }
    match length {
        0 => Ok(Packet::Flush),
        1 => Ok(Packet::Delim),
        2 => Ok(Packet::End),
        4..=LONGEST => {
            let mut data = vec![0; length - 4];
            input.read_exact(&mut data)?;
            Ok(Packet::Data(data))
        }
        _ => Err(bad()),
    }
}

/// Writes one data packet. Errors: `InvalidInput` when it is too long for one.
pub fn write(out: &mut dyn Write, data: &[u8]) -> io::Result<()> {
    if data.len() + 4 > LONGEST {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    write!(out, "{:04x}", data.len() + 4)?;
    out.write_all(data)
}

pub fn text(out: &mut dyn Write, line: &str) -> io::Result<()> {
    write(out, line.as_bytes())
}

pub fn flush(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"0000")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_at_the_edges() {
        for bad in ["0003", "fff1", "ffff", "00g4", "+004", " 004", "-001"] {
            let error = read(&mut bad.as_bytes()).expect_err(bad);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bad}");
        }
        assert_eq!(read(&mut &b"0004"[..]).unwrap(), Packet::Data(Vec::new()));
        assert_eq!(read(&mut &b""[..]).unwrap(), Packet::Eof);
        assert_eq!(read(&mut &b"00"[..]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read(&mut &b"0009ab"[..]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(write(&mut Vec::new(), &vec![0; LONGEST - 3]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(data in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let mut wire = Vec::new();
            write(&mut wire, &data).unwrap();
            prop_assert_eq!(read(&mut &wire[..]).unwrap(), Packet::Data(data));
        }

        #[test]
        fn junk_never_panics(junk in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut input = &junk[..];
            for _ in 0..100 {
                match read(&mut input) {
                    Ok(Packet::Eof) | Err(_) => break,
                    Ok(_) => {}
                }
            }
        }
    }
}
