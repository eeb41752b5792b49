//! Several requests on one connection: where one ends and the next begins.
use std::io::{Read as _, Write as _};

use super::world::{Line, World, statuses};

#[rustfmt::skip]
const LINES: &[Line] = &[
    ("9112 9.3.2", "three in one go", "GET ~ HTTP/1.1|Host: HOST||GET ~ HTTP/1.1|Host: HOST||GET ~ HTTP/1.1|Host: HOST|Connection: close||", &[200, 200, 200]),
    ("9112 9.3.2", "with bodies of each kind", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 2||hiPOST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||2|hi|0||GET ~ HTTP/1.1|Host: HOST|Connection: close||", &[200, 200, 200]),
    ("9112 2.2", "an empty line between them", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 2||hi|GET ~ HTTP/1.1|Host: HOST|Connection: close||", &[200, 200]),
    ("9112 9.3.2", "a bad one after a good one", "GET ~ HTTP/1.1|Host: HOST||GET ~ HTTP/1.1|Host : HOST||GET ~ HTTP/1.1|Host: HOST||", &[200, 400]),
    ("9112 9.6", "one after Connection: close", "GET ~ HTTP/1.1|Host: HOST|Connection: close||GET ~ HTTP/1.1|Host: HOST||", &[200]),
    ("9112 9.6", "one after Connection: close among others", "GET ~ HTTP/1.1|Host: HOST|Connection: x, Close||GET ~ HTTP/1.1|Host: HOST||", &[200]),
    ("9112 9.6", "a bad one after Connection: close", "GET ~ HTTP/1.1|Host: HOST|Connection: close||\0\0||", &[200]),
    ("9112 9.6", "one after a body and Connection: close", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 2|Connection: close||hiGET ~ HTTP/1.1|Host: HOST||", &[200]),
    ("9112 9.6", "one after chunks and Connection: close", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|Connection: close||0||GET ~ HTTP/1.1|Host: HOST||", &[200]),
    ("9112 6.3", "a request that is a body", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 36|Connection: close||GET /b HTTP/1.1|Host: hello.local|||x", &[200]),
    ("9112 6.3", "CL.TE", "POST ~ HTTP/1.1|Host: HOST|Content-Length: 6|Transfer-Encoding: chunked||0||GGET ~ HTTP/1.1|Host: HOST||", &[400]),
    ("9112 6.3", "TE.CL", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|Content-Length: 4||5c|GPOST ~ HTTP/1.1|Host: HOST|0||", &[400]),
    ("9112 6.3", "TE.TE", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked|Transfer-encoding: x||0||GET ~ HTTP/1.1|Host: HOST||", &[400]),
    ("9112 6.3", "CL.0 on a GET", "GET ~ HTTP/1.1|Host: HOST|Content-Length: 9|Connection: close||GET ~ HTT", &[200]),
    ("9112 7.1.3", "a request behind the last chunk", "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||0||GET ~ HTTP/1.1|Host: HOST|Connection: close||", &[200, 200]),
    ("9110 9.3.2", "a HEAD between", "HEAD ~ HTTP/1.1|Host: HOST||", &[]),
];

#[test]
fn sequences() {
    let world = World::new();
    let (head, rest) = LINES.split_last().unwrap();
    world.play("seq", rest);

    // The answer to HEAD has a length and no body: counting cannot know, so it is read by hand.
    let both = format!("{}GET ~ HTTP/1.1|Host: HOST|Connection: close||", head.2);
    let heard = world.talk(&world.bytes(&both, "/headx"), false).unwrap();
    let heard = String::from_utf8(heard).unwrap();
    assert_eq!(heard.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{heard}");
    assert_eq!(heard.matches("\r\n\r\nok").count(), 1, "{heard}");
}

/// Each of these has a body that would be a request of its own, were it not read as what it is.
#[test]
fn an_app_that_does_not_read_leaves_nothing_to_be_read_as_a_request() {
    let world = World::new();
    let smuggled = "GET ~ HTTP/1.1|Host: HOST|X: smuggled||";
    let length = world.bytes(smuggled, "/early/0x").len();
    for (n, request) in [
        format!("POST ~ HTTP/1.1|Host: HOST|Content-Length: {length}||{smuggled}"),
        format!("POST ~ HTTP/1.1|Host: HOST|Expect: 100-continue|Content-Length: {length}||{smuggled}"),
        format!("POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||{length:x}|{smuggled}|0||"),
        format!(
            "POST ~ HTTP/1.1|Host: HOST|Expect: 100-continue|Transfer-Encoding: chunked||{length:x}|{smuggled}|0||"
        ),
    ]
    .iter()
    .enumerate()
    {
        let path = format!("/early/{n}x");
        let mut stream = world.connect();
        let bytes = world.bytes(request, &path);
        let body = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        stream.write_all(&bytes[..body]).unwrap();
        let mut heard = vec![];
        let mut buffer = [0; 4096];
        while !heard.ends_with(b"ok") {
            let n = stream.read(&mut buffer).expect("an answer");
            assert!(n > 0, "closed before the answer: {:?}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&buffer[..n]);
        }
        // Now the body comes after all; it may be taken or refused, but it is no request.
        let _ = stream.write_all(&bytes[body..]);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut rest = vec![];
        let _ = stream.read_to_end(&mut rest);
        heard.extend(rest);
        assert_eq!(statuses(&heard), [200], "{request}: {:?}", String::from_utf8_lossy(&heard));
        let got = world.got(&path);
        assert!(got.iter().all(|one| one.starts_with("POST ")), "{request}: {got:?}");
    }
}

/// Two visitors on one upstream connection: what is wrong with one is not the other's.
#[test]
fn the_next_visitor_gets_their_own_answer() {
    let world = World::new();
    for n in 0..20 {
        let path = format!("/victim{n}x");
        let attack =
            "POST ~ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||5|hello|zz|GET /evil HTTP/1.1|Host: HOST||";
        assert_eq!(world.talk(&world.bytes(attack, &path), false).map(|heard| statuses(&heard)), Some(vec![400]));
        let mine = world.bytes("GET ~ HTTP/1.1|Host: HOST|Connection: close||", &path);
        assert_eq!(world.talk(&mine, false).map(|heard| statuses(&heard)), Some(vec![200]));
        let got = world.got(&path);
        assert!(got.len() == 1 && got[0].starts_with("GET "), "{got:?}");
    }
    assert!(world.got("/evil").is_empty());
}
