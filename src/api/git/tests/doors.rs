//! Requests no git would send, and clients that leave in the middle.
use super::{Bench, PROJECT, until};

/// One request by hand; gives status and body.
fn request(bench: &Bench, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
    use std::io::{Read as _, Write as _};
    let host = bench.url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let mut stream = std::net::TcpStream::connect(&host).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer[9..12].parse().unwrap(), answer)
}

#[test]
fn doors_are_narrow() {
    let bench = Bench::new();
    let ask = |path: &str| request(&bench, "GET", path, "", b"");
    assert_eq!(ask("/dev/hello/info/refs?service=git-upload-pack").0, 200, "with and without .git");
    assert_eq!(ask("/dev/hello.git/info/refs").0, 403, "the dumb protocol");
    assert_eq!(ask("/dev/hello.git/info/refs?service=git-evil").0, 403);
    for path in ["/dev/none.git", "/..%2f/hello.git", "/dev/%2e%2e", "/dev/hello%00.git", "/DEV/hello.git"] {
        assert_eq!(ask(&format!("{path}/info/refs?service=git-upload-pack")).0, 404, "{path}");
    }
    for path in ["config", "HEAD", "objects/info/packs", "hooks/x"] {
        assert_eq!(ask(&format!("/dev/hello.git/{path}")).0, 404, "{path}");
    }
    let (status, _) =
        request(&bench, "POST", "/dev/hello.git/git-receive-pack", "content-type: text/plain\r\n", b"0000");
    assert_eq!(status, 415);
    let push = "content-type: application/x-git-receive-pack-request\r\n";
    let (status, answer) = request(&bench, "POST", "/dev/hello.git/git-receive-pack", push, b"0000");
    assert!(status == 200 && answer.contains("no-cache, max-age=0, must-revalidate"), "the probe: {answer}");
    for junk in ["", "zzzz", "0003", "0032want x", "0009done\n", "fff0"] {
        for service in ["upload", "receive"] {
            let kind = format!("content-type: application/x-git-{service}-pack-request\r\n");
            let path = format!("/dev/hello.git/git-{service}-pack");
            assert_eq!(request(&bench, "POST", &path, &kind, junk.as_bytes()).0, 200, "{junk} to {service}");
        }
    }
    // A request that inflates to more than a fetch can have to say.
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..4096 {
        std::io::Write::write_all(&mut zip, &[&b"fff0"[..], &[b'x'; 65_516]].concat()).unwrap();
    }
    let fetch = "content-type: application/x-git-upload-pack-request\r\ncontent-encoding: gzip\r\n";
    let (_, answer) = request(&bench, "POST", "/dev/hello.git/git-upload-pack", fetch, &zip.finish().unwrap());
    assert!(answer.contains("ERR this is not a fetch"), "{answer}");
    let refs = bench.url.replace("hello", "copy");
    assert_eq!(bench.clone_to("still-here", &[]).ok(&["ls-remote", &refs]), "");
    bench.sound();
}

#[test]
fn a_client_that_leaves_stops_nothing() {
    let bench = Bench::new();
    let work = bench.work("work");
    let place = bench.path("");
    let slow = work.commit("a", b"1", &format!("wait in {}", place.display()));
    // It leaves while the push is decided: the push goes on.
    let mut child = work.command(&["push", "-q", "origin", "main"]).spawn().unwrap();
    until(|| place.join("deciding").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let mut next = {
        work.commit("a", b"2", "next");
        work.command(&["push", "-q", "origin", "main:other"]).spawn().unwrap()
    };
    std::fs::File::create(place.join("go")).unwrap();
    until(|| bench.tip("main") == Some(slow.clone()));
    assert!(next.wait().unwrap().success(), "a push that waited its turn");
    // It leaves in the middle of its pack: nothing stays.
    let mut noise = vec![0u8; 20 << 20];
    crate::base::secret::fill_random(&mut noise);
    work.commit("noise", &noise, "noise");
    let host = bench.url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let mut stream = std::net::TcpStream::connect(&host).unwrap();
    let command = format!("{} {} refs/heads/half\0report-status", "0".repeat(40), work.id("HEAD"));
    let head = format!(
        "POST /dev/hello.git/git-receive-pack HTTP/1.1\r\nhost: {host}\r\ncontent-length: 20000000\r\n\
         content-type: application/x-git-receive-pack-request\r\n\r\n{:04x}{command}0000PACK",
        command.len() + 4
    );
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    let objects = bench.repos.path(PROJECT).join("objects");
    let incoming = || {
        let entries = std::fs::read_dir(&objects).unwrap();
        entries.flatten().any(|e| e.file_name().to_string_lossy().starts_with("incoming-"))
    };
    until(incoming);
    drop(stream);
    until(|| !incoming());
    assert_eq!(bench.tip("half"), None);
    bench.sound();
}
