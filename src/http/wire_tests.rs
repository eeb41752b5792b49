use super::*;
use proptest::prelude::*;

fn follow(text: &str) -> Result<State, usize> {
    let mut wire = Wire::default();
    wire.follow(text.as_bytes())?;
    Ok(wire.state)
}

const GOOD: &[(&str, State)] = &[
    ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", State::Between),
    ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", State::Between),
    ("GET / HTTP/1.0\r\n\r\n", State::Between),
    ("GET / HTTP/1.1\r\nHost: a\r\nX:", State::Headers),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", State::Sized(3)),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n\n\nGET / HTTP/1.1\r\n", State::Headers),
    ("POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n", State::ChunkSize),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nA;x=y\r\n01234567", State::Chunk(2)),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\nX: y\r\n\r\nGET", State::Between),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a;b=c;d=\"\\\";é\"\r\n", State::Chunk(1)),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\n", State::Other),
];

const BAD: &[(&str, &str)] = &[
    ("a fragment in the target", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a high byte in the target", "GET /ä HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a space at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    ("two versions", "GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("no version", "GET /\r\nHost: a\r\n\r\n"),
    ("another version", "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    ("the preface, late", "GET / HTTP/1.1\r\nHost: a\r\n\r\nPRI * HTTP/2.0\r\n\r\n"),
    ("bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
    ("bare LF after a header", "GET / HTTP/1.1\r\nHost: a\n\r\n"),
    ("bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    ("bare LF first", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("lone CR", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rContent-Length: 5\r\n\r\n"),
    ("NUL", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0\r\n\r\n"),
    ("obs-fold", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"),
    ("obs-fold with a tab", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n"),
    ("space before the first header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    ("no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
    ("CL and TE", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("TE and CL", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
    ("two CLs", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"),
    ("the same CL twice", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"),
    ("CL list", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n"),
    ("CL with a sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n"),
    ("CL in hex", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n"),
    ("CL empty", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
    ("CL beyond all", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"),
    ("TE twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("TE list", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
    ("TE other", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n"),
    ("TE identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
    ("TE with a vertical tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n"),
    ("TE in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("no host", "GET / HTTP/1.1\r\nX: a\r\n\r\n"),
    ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    ("chunk size sign", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\n"),
    ("chunk size 0x", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n"),
    ("chunk size empty", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n"),
    ("chunk size with a space", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\n"),
    ("chunk size overflow", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\n"),
    ("chunk size bare LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\n"),
    ("chunk extension LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\n"),
    ("chunk longer than said", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"),
    ("chunk end bare LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\n"),
    ("trailer bare LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n"),
    ("trailer without colon", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX\r\n\r\n"),
    ("trailer CL", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n"),
    (
        "trailer TE",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    ("trailer Host", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nhOST: b\r\n\r\n"),
    (
        "escape in a chunk extension",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\u{1b}\r\na\r\n",
    ),
    (
        "open quote in a chunk extension",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a=\"\r\nb\r\n",
    ),
    ("chunk extension without name", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\r\nb\r\n"),
    (
        "junk behind a chunk extension",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a=\"b\"c\r\nb\r\n",
    ),
    ("trailer fold", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n z\r\n\r\n"),
];

#[test]
fn good_requests_are_followed() {
    for (text, state) in GOOD {
        assert_eq!(follow(text), Ok(*state), "{text:?}");
    }
}

#[test]
fn ambiguous_requests_are_refused() {
    for (what, text) in BAD {
        assert!(follow(text).is_err(), "{what}");
    }
}

#[test]
fn a_line_without_end_is_refused() {
    let mut wire = Wire::default();
    let endless = [b'a'; 1000];
    assert!((0..100).any(|_| wire.follow(&endless).is_err()));
}

proptest! {
    /// How the network cuts the bytes must not matter.
    #[test]
    fn cuts_do_not_matter(which in 0..GOOD.len() + BAD.len(), cuts in proptest::collection::vec(1..9usize, 1..200)) {
        let text = GOOD.iter().map(|(t, _)| *t).chain(BAD.iter().map(|(_, t)| *t)).nth(which).unwrap();
        let mut cut = Wire::default();
        let (mut at, mut outcome, mut sizes) = (0, Ok(()), cuts.iter().cycle());
        while at < text.len() && outcome.is_ok() {
            let end = (at + sizes.next().unwrap()).min(text.len());
            outcome = cut.follow(&text.as_bytes()[at..end]).map_err(|wrong| at + wrong);
            at = end;
        }
        prop_assert_eq!(outcome.map(|()| cut.state), follow(text));
    }

    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut wire = Wire::default();
        if let Err(wrong) = wire.follow(&bytes) {
            prop_assert!(wrong < bytes.len());
        }
    }
}
