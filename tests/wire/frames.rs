//! HTTP/2 spoken by hand, so that it can say what no library would.
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

/// How a request on the first stream went.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Status(u16),
    /// The stream was reset, with this code.
    Reset(u32),
    /// The connection was given up, with this code.
    GoAway(u32),
    Closed,
    /// It says nothing.
    Silent,
}

impl Outcome {
    /// RFC 9113 section 8.1.1 allows an answer of 4xx or 5xx in place of a reset.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status, 400 | 404 | 405 | 413 | 431 | 501),
            Self::Reset(_) | Self::GoAway(_) | Self::Closed => true,
            Self::Silent => false,
        }
    }
}

pub struct Http2(TcpStream);

impl Http2 {
    /// Prior knowledge: preface and settings.
    pub fn new(stream: TcpStream) -> Self {
        let mut connection = Self(stream);
        connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        connection.frame(4, 0, 0, &[]);
        connection
    }

    /// A server that has given up may have closed already.
    fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.send(&frame);
    }

    /// Reads until the first stream has its outcome.
    pub fn outcome(&mut self) -> Outcome {
        loop {
            let mut head = [0; 9];
            if let Err(error) = self.0.read_exact(&mut head) {
                let silent = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                return if silent { Outcome::Silent } else { Outcome::Closed };
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let mut payload = vec![0; length];
            if self.0.read_exact(&mut payload).is_err() {
                return Outcome::Closed;
            }
            let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().expect("four bytes"));
            match (head[3], stream) {
                (HEADERS, 1) => match status(&payload) {
                    100..200 => {}
                    status => return Outcome::Status(status),
                },
                (RST_STREAM, 1) => return Outcome::Reset(code(0)),
                // No error: the connection ends gracefully, and the stream may still be answered.
                (GOAWAY, 0) if code(4) != 0 => return Outcome::GoAway(code(4)),
                _ => {}
            }
        }
    }
}

/// Fields, none of them indexed and none compressed (RFC 7541 section 6.2.2).
pub fn block(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut block = vec![];
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let mut length = text.len();
            if length < 127 {
                block.push(u8::try_from(length).expect("below 127"));
            } else {
                block.push(127);
                length -= 127;
                while length >= 128 {
                    block.push(u8::try_from(length % 128).expect("below 128") | 128);
                    length /= 128;
                }
                block.push(u8::try_from(length).expect("below 128"));
            }
            block.extend_from_slice(text);
        }
    }
    block
}

/// The status in the first response block of a connection; it comes first.
fn status(block: &[u8]) -> u16 {
    // A change of the table's size may stand before it.
    let start = block.iter().position(|byte| byte & 0xe0 != 0x20).expect("a field");
    match &block[start..] {
        [indexed @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        [0x08 | 0x18 | 0x48, length, text @ ..] if length & 0x80 == 0 => {
            std::str::from_utf8(&text[..usize::from(*length)]).expect("digits").parse().expect("a status")
        }
        [0x08 | 0x18 | 0x48, length, text @ ..] => digits(&text[..usize::from(length & 0x7f)]),
        other => panic!("no status first in {other:x?}"),
    }
}

/// Three digits in the code of RFC 7541 appendix B: 0 to 2 have five bits, 3 to 9 six.
fn digits(text: &[u8]) -> u16 {
    let mut bits = text.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte)) << (64 - 8 * text.len());
    let mut number = 0;
    for _ in 0..3 {
        let (digit, length) = match bits >> 59 {
            short @ 0..=2 => (short, 5),
            _ => ((bits >> 58) - 0b01_1001 + 3, 6),
        };
        bits <<= length;
        number = number * 10 + u16::try_from(digit).expect("a digit");
    }
    number
}

#[test]
fn statuses_are_read_in_every_form() {
    assert_eq!(status(&[0x88]), 200);
    assert_eq!(status(&[0x20, 0x8c]), 400);
    assert_eq!(status(&[0x48, 3, b'4', b'2', b'1']), 421);
    // Of RFC 7541 appendix C.6: 302 and 307.
    assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), 302);
    assert_eq!(status(&[0x48, 0x83, 0x64, 0x0e, 0xff]), 307);
}
