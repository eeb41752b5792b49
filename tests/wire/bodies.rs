//! How long a request is: Content-Length, Transfer-Encoding, chunks and trailers.
use super::world::{Line, World};

#[rustfmt::skip]
const LINES: &[Line] = &[
    // --- Content-Length
    ("9112 6.3", "a length", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 5|Connection: close||hello", &[200]),
    ("9112 6.3", "no length, no body", "POST ~ HTTP/1.1|Host: HOST|Connection: close||", &[200]),
    ("9112 6.3", "no length, so what follows is no body", "POST ~ HTTP/1.1|Host: HOST||hello||", &[200, 400]),
    ("9110 8.6", "zero", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 0|Connection: close||", &[200]),
    ("9110 8.6", "leading zeros", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 0005|Connection: close||hello", &[200]),
    ("9110 8.6", "a body of a GET", "GET ~ HTTP/1.1|Host: HOST|Content-Length: 5|Connection: close||hello", &[200]),
    ("9110 8.6", "a body of a DELETE in HTTP/1.0", "DELETE ~ HTTP/1.0|Host: HOST|Content-Length: 5||hello", &[200]),
    ("9110 8.6", "bytes beyond the length", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 5|Connection: close||helloPOST ~ HTTP/1.1|Host: HOST||", &[200]),
    ("9112 6.3", "two different ones", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 5|Content-Length: 6||hello!", &[400]),
    ("9112 6.3", "zero and five", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 0|Content-Length: 5||hello", &[400]),
    ("9110 8.6", "the same one twice", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 5|Content-Length: 5||hello", &[400]),
    ("9110 8.6", "a list of the same", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 5, 5||hello", &[400]),
    ("9112 6.3", "a list of different ones", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 5, 6||hello!", &[400]),
    ("9110 8.6", "a plus", "POST ~ HTTP/1.1|Host: HOST|Content-Length: +5||hello", &[400]),
    ("9110 8.6", "a minus", "POST ~ HTTP/1.1|Host: HOST|Content-Length: -5||hello", &[400]),
    ("9110 8.6", "minus zero", "POST ~ HTTP/1.1|Host: HOST|Content-Length: -0||", &[400]),
    ("9110 8.6", "a space inside", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 1 0||0123456789", &[400]),
    ("9110 8.6", "hexadecimal", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 0x5||hello", &[400]),
    ("9110 8.6", "a letter", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 5a||hello", &[400]),
    ("9110 8.6", "a fraction", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 5.0||hello", &[400]),
    ("9110 8.6", "an exponent", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 5e0||hello", &[400]),
    ("9110 8.6", "quotes", "POST ~ HTTP/1.1|Host: HOST|Content-Length: \"5\"||hello", &[400]),
    ("9110 8.6", "nothing", "POST ~ HTTP/1.1|Host: HOST|Content-Length:||hello", &[400]),
    ("9110 8.6", "digits that are not ASCII", "POST ~ HTTP/1.1|Host: HOST|Content-Length: \u{d9}\u{a5}||hello", &[400]),
    ("9110 8.6", "beyond 64 bits", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 18446744073709551621||hello", &[400]),
    ("9110 8.6", "beyond any bits", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 99999999999999999999999999999||hello", &[400]),
    ("9110 8.6", "more than an app may get", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 999999999999999999||hello", &[413]),
    ("9112 5.1", "a space before its colon", "POST ~ HTTP/1.1|Host: HOST|Content-Length : 5||hello", &[400]),
    ("9112 5.2", "folded", "POST ~ HTTP/1.1|Host: HOST|Content-Length:| 5||hello", &[400]),
    ("9112 5.2", "hidden in a fold", "POST ~ HTTP/1.1|Host: HOST|X: y| Content-Length: 5||hello", &[400]),
    ("9112 5.1", "a vertical tab before its digits", "POST ~ HTTP/1.1|Host: HOST|Content-Length: \u{b}5||hello", &[400]),
    ("9112 5.1", "a form feed after its digits", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 5\u{c}||hello", &[400]),
    ("9112 5.1", "a no-break space before its digits", "POST ~ HTTP/1.1|Host: HOST|Content-Length: \u{a0}5||hello", &[400]),
    ("9110 5.6.3", "spaces and tabs around it", "POST ~ HTTP/1.1|Host: HOST|Content-Length: \t 5 \t|Connection: close||hello", &[200]),
    ("9110 5.1", "its name in any case", "POST ~ HTTP/1.1|Host: HOST|cOnTeNt-lEnGtH:5|Connection: close||hello", &[200]),
    ("9110 5.1", "an underscore is another name", "POST ~ HTTP/1.1|Host: HOST|Content_Length: 5||hello||", &[200, 400]),
    // --- Transfer-Encoding
    ("9112 7.1", "chunks", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|Connection: close||5|hello|0||", &[200]),
    ("9112 7", "in any case", "POST ~ HTTP/1.1|Host: HOST|TRANSFER-ENCODING:CHUNKED|Connection: close||5|hello|0||", &[200]),
    ("9112 6.1", "of a GET", "GET ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|Connection: close||5|hello|0||", &[200]),
    ("9112 6.1", "with a length before it", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 5|Transfer-Encoding: chunked||0||", &[400]),
    ("9112 6.1", "with a length after it", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|Content-Length: 5||0||", &[400]),
    ("9112 6.1", "with a length of zero", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 0|Transfer-Encoding: chunked||0||", &[400]),
    ("9112 6.1", "with a length and another coding", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 5|Transfer-Encoding: cow||hello", &[400]),
    ("9112 6.1", "a length hidden in Connection", "POST ~ HTTP/1.1|Host: HOST|Connection: close, content-length|Content-Length: 5|Transfer-Encoding: chunked||0||", &[400]),
    ("9112 6.1", "twice", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|Transfer-Encoding: chunked||0||", &[400]),
    ("9112 6.1", "chunked and then another", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|Transfer-Encoding: cow||0||", &[400]),
    ("9112 6.1", "another and then chunked", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: cow|Transfer-Encoding: chunked||0||", &[400]),
    ("9112 6.1", "chunked twice in a list", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked, chunked||0||", &[400]),
    ("9112 6.3", "chunked not last", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked, gzip||0||", &[400]),
    ("9112 6.1", "a coding that is not understood", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: gzip, chunked||0||", &[400]),
    ("9112 6.1", "identity", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: identity||", &[400]),
    ("9112 6.1", "almost chunked", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: xchunked||0||", &[400]),
    ("9112 6.1", "chunked with a parameter", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked;q=1||0||", &[400]),
    ("9112 6.1", "chunked in quotes", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: \"chunked\"||0||", &[400]),
    ("9112 6.1", "nothing", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding:||0||", &[400]),
    ("9110 5.6.1", "an empty member", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: ,chunked||0||", &[400]),
    ("9112 5.1", "a vertical tab before it", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: \u{b}chunked||0||", &[400]),
    ("9112 5.1", "NUL after it", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked\0||0||", &[400]),
    ("9112 5.1", "a space before its colon", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding : chunked||0||", &[400]),
    ("9112 5.1", "a space before its name", "POST ~ HTTP/1.1|Host: HOST| Transfer-Encoding: chunked||0||", &[400]),
    ("9112 5.2", "folded", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding:| chunked||0||", &[400]),
    ("9112 2.2", "behind a bare LF", "POST ~ HTTP/1.1|Host: HOST|X: y\nTransfer-Encoding: chunked||0||", &[400]),
    ("9112 2.2", "behind a bare CR", "POST ~ HTTP/1.1|Host: HOST|X: y\rTransfer-Encoding: chunked||0||", &[400]),
    ("9112 6.1", "in HTTP/1.0", "POST ~ HTTP/1.0|Host: HOST|Transfer-Encoding: chunked||0||", &[400]),
    ("9112 6.1", "in HTTP/1.0 with a length", "POST ~ HTTP/1.0|Host: HOST|Transfer-Encoding: chunked|Content-Length: 5||0||", &[400]),
    ("9110 5.1", "an underscore is another name", "POST ~ HTTP/1.1|Host: HOST|Transfer_Encoding: chunked|Content-Length: 5|Connection: close||0||", &[200]),
    // --- chunks
    ("9112 7.1", "several, in both cases of letters", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|Connection: close||a|0123456789|A|0123456789|0||", &[200]),
    ("9112 7.1", "leading zeros", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|Connection: close||0005|hello|000||", &[200]),
    ("9112 7.1", "a plus", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||+5|hello|0||", &[400]),
    ("9112 7.1", "a minus", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||-5|hello|0||", &[400]),
    ("9112 7.1", "0x", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||0x5|hello|0||", &[400]),
    ("9112 7.1", "a space before", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|| 5|hello|0||", &[400]),
    ("9112 7.1", "a space after", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5 |hello|0||", &[400]),
    ("9112 7.1", "a tab after", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5\t|hello|0||", &[400]),
    ("9112 7.1", "an underscore", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||1_0|0123456789012345|0||", &[400]),
    ("9112 7.1", "no digit", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|||hello|0||", &[400]),
    ("9112 7.1", "another letter", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||g|hello|0||", &[400]),
    ("9112 7.1", "beyond 64 bits", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||10000000000000005|hello|0||", &[400]),
    ("9112 7.1", "the top bit", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||8000000000000005|hello|0||", &[400]),
    ("9112 7.1", "all bits", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||ffffffffffffffff|hello|0||", &[400]),
    ("9112 7.1", "a hundred zeros and a five", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||0000000000000000000000000000000000000005|hello|0||", &[400]),
    ("9112 7.1", "bare LF after the size", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5\nhello|0||", &[400]),
    ("9112 7.1", "bare CR after the size", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5\rhello|0||", &[400]),
    ("9112 7.1", "bare LF after the data", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5|hello\n0||", &[400]),
    ("9112 7.1", "nothing after the data", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5|hello0||", &[400]),
    ("9112 7.1", "two empty lines after the data", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5|hello||0||", &[400]),
    ("9112 7.1", "more data than said", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||4|hello|0||", &[400]),
    ("9112 7.1", "less data than said", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||6|hello|0||", &[400]),
    ("9112 7.1", "bare LF for the last line", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||0|\n", &[400]),
    // --- chunk extensions
    ("9112 7.1.1", "an extension", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|Connection: close||5;a|hello|0;b=c||", &[200]),
    ("9112 7.1.1", "a quoted one", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|Connection: close||5;a=\"b;c\"|hello|0||", &[200]),
    ("9112 7.1.1", "bare LF in it", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5;\nhello|0||", &[400]),
    ("9112 7.1.1", "bare CR in it", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5;a\rb|hello|0||", &[400]),
    ("9112 7.1.1", "CRLF in its quotes", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5;a=\"|hello|0||", &[400]),
    ("9112 7.1.1", "NUL in it", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5;a\0|hello|0||", &[400]),
    ("9112 7.1.1", "an escape in it", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5;a=\u{1b}|hello|0||", &[400]),
    ("9112 7.1.1", "a space before it", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5 ;a|hello|0||", &[400]),
    // --- trailers
    ("9112 7.1.2", "a trailer", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|Connection: close||5|hello|0|X-Sum: 1||", &[200]),
    ("9110 6.5.1", "Content-Length", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5|hello|0|Content-Length: 5||", &[400]),
    ("9110 6.5.1", "Transfer-Encoding", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5|hello|0|Transfer-Encoding: chunked||", &[400]),
    ("9110 6.5.1", "Host", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5|hello|0|Host: evil.example||", &[400]),
    ("9112 5.2", "a folded trailer", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||0|X: y| z||", &[400]),
    ("9112 5.1", "a space before its colon", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||0|X : y||", &[400]),
    ("9112 5.1", "no colon", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||0|X||", &[400]),
    ("9112 2.2", "bare LF after it", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||0|X: y\n||", &[400]),
    ("9110 5.5", "NUL in it", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||0|X: \0||", &[400]),
    ("9112 7.1.2", "a request line for a trailer", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||0|GET ~ HTTP/1.1|Host: HOST||", &[400]),
];

#[test]
fn bodies() {
    let world = World::new();
    world.play("body", LINES);
    // What the app gets is framed anew: no extension, no claim in a trailer, and the true length.
    for (request, has, lacks) in [
        ("POST ~ HTTP/1.1|Host: HOST|Content-Length: 0005|Connection: close||hello", "content-length: 5\r\n", "0005"),
        ("POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|Connection: close||5;ext=1|hello|0||", "hello", "ext"),
        (
            "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|Connection: close||0|X-Real-IP: 6.6.6.6||",
            "0\r\n",
            "6.6.6.6",
        ),
    ] {
        let path = format!("/framed-{}x", lacks.replace('.', ""));
        assert!(world.talk(&world.bytes(request, &path), false).is_some(), "{request}");
        let got = world.got(&path).concat().replace(&path, "");
        assert!(got.contains(has) && !got.contains(lacks), "{request} became {got:?}");
    }
}

#[test]
fn endless_chunk_extensions_are_refused() {
    let world = World::new();
    let head = "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||";
    let one_long = format!("{head}5;{}|hello|0||", "x".repeat(100_000));
    let many = format!("{head}{}0||", format!("1;{}|x|", "x".repeat(500)).repeat(200));
    for (request, path) in [(one_long, "/ext-onex"), (many, "/ext-manyx")] {
        let heard = world.talk(&world.bytes(&request, path), false).unwrap_or_default();
        let seen = super::world::statuses(&heard);
        assert!(seen.is_empty() || seen == [400], "{path}: {seen:?}");
        assert!(world.got(path).is_empty(), "{path} reached the app");
    }
}
