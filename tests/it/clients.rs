//! Clients that others wrote: curl and h2load, over HTTP/1.1 and HTTP/2 with prior knowledge.
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use crate::support::{Steady, ok, output_within, text};

const VERSIONS: [(&str, &str); 2] = [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")];

const APP: &str = r#"
export default { async fetch(request: Request) {
  const { pathname, search } = new URL(request.url);
  if (pathname === "/sum") {
    const hash = new Bun.CryptoHasher("sha256");
    let size = 0;
    for await (const part of request.body ?? []) { hash.update(part); size += part.length; }
    return new Response(`${size} ${hash.digest("hex")}`);
  }
  if (pathname === "/big") return new Response("x".repeat(5_000_000));
  if (pathname === "/late") return new Response(async function* () {
    for (let n = 0; n < 5; n++) { yield "part " + n + "\n"; await Bun.sleep(20); }
  } as any);
  return new Response(`${request.method} ${pathname}${search} ${request.headers.get("host")}`);
} };"#;

/// Real curl, which resolves `*.localhost` itself.
fn curl(args: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "80", "--noproxy", "*"]).args(args).stdin(Stdio::null());
    command
}

fn said(args: &[&str]) -> String {
    ok(&output_within(&mut curl(args), None), &format!("curl {}", args.join(" ")))
}

fn world() -> (Steady, String) {
    let steady = Steady::start();
    let files = [("index.ts", APP), ("public/letters.txt", "abcdefghijklmnopqrstuvwxyz")];
    steady.push_new("foreign", &files);
    let url = format!("http://{}", steady.app_host("foreign"));
    said(&[&url]);
    (steady, url)
}

/// A file of three odd megabytes, and what the app must say of it.
fn upload(steady: &Steady) -> (PathBuf, String) {
    let bytes: Vec<u8> = (0..3_000_001u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let path = steady.dir().join("upload");
    File::create(&path).and_then(|mut file| file.write_all(&bytes)).expect("a file");
    (path, format!("{} {}", bytes.len(), hex::encode(Sha256::digest(&bytes))))
}

#[test]
fn curl_reads_over_both_versions() {
    let (steady, url) = world();
    let host = steady.app_host("foreign");
    for (flag, version) in VERSIONS {
        let shown = said(&[flag, "-w", " %{http_version} %{response_code}", &format!("{url}/a?b=c")]);
        assert_eq!(shown, format!("GET /a?b=c {host} {version} 200"));
        assert_eq!(said(&[flag, &format!("{url}/big")]).len(), 5_000_000);
        assert_eq!(said(&[flag, &format!("{url}/late")]), "part 0\npart 1\npart 2\npart 3\npart 4\n");
        // HEAD has the length of what GET would give, and nothing after it.
        let head = said(&[flag, "-I", &format!("{url}/x")]).to_ascii_lowercase();
        assert!(head.contains(" 200") && head.contains("content-length:") && head.ends_with("\r\n\r\n"), "{head}");
        let options = said(&[flag, "-X", "OPTIONS", &format!("{url}/o")]);
        assert_eq!(options, format!("OPTIONS /o {host}"));
    }
    // An offer of h2c is not taken; the answer comes all the same.
    assert_eq!(said(&["--http2", "-o", "/dev/null", "-w", "%{http_version} %{response_code}", &url]), "1.1 200");
    assert_eq!(said(&["--http1.0", &url]), format!("GET / {host}"));
}

#[test]
fn curl_uploads_over_both_versions() {
    let (steady, url) = world();
    let (file, expected) = upload(&steady);
    let (file, sum) = (file.display().to_string(), format!("{url}/sum"));
    for (flag, _) in VERSIONS {
        assert_eq!(said(&[flag, "-T", &file, &sum]), expected, "PUT {flag}");
        assert_eq!(said(&[flag, "--data-binary", &format!("@{file}"), &sum]), expected, "POST {flag}");
        // From a pipe, whose length nobody knows.
        let mut piped = curl(&[flag, "-T", "-", &sum]);
        piped.stdin(File::open(&file).expect("the file"));
        assert_eq!(ok(&output_within(&mut piped, None), "curl -T -"), expected, "PUT of a pipe {flag}");
        // A form with the file in it is larger than the file.
        let form = said(&[flag, "-F", &format!("file=@{file}"), &sum]);
        let size: usize = form.split(' ').next().and_then(|size| size.parse().ok()).expect("a size");
        assert!(size > 3_000_001, "{form}");
        assert!(said(&[flag, "-d", "", &sum]).starts_with("0 "));
    }
}

#[test]
fn curl_waits_for_100_continue() {
    let (steady, url) = world();
    let (file, expected) = upload(&steady);
    let (data, sum) = (format!("@{}", file.display()), format!("{url}/sum"));
    let args =
        ["-v", "--http1.1", "--expect100-timeout", "80", "-H", "Expect: 100-continue", "--data-binary", &data, &sum];
    let output = output_within(&mut curl(&args), None);
    assert_eq!(ok(&output, "curl with Expect"), expected);
    let verbose = text(&output.stderr);
    assert!(verbose.contains("< HTTP/1.1 100 Continue"), "{verbose}");
}

#[test]
fn curl_does_not_send_what_will_be_refused() {
    let mut steady = Steady::prepare(&[]);
    steady.env("STEADY_MAX_BODY_MB", "1");
    steady.add_user("dev", true);
    steady.token = steady.new_token("dev");
    steady.launch();
    steady.push_new("foreign", &[("index.ts", APP)]);
    let (file, _) = upload(&steady);
    let (data, url) = (format!("@{}", file.display()), format!("http://{}/sum", steady.app_host("foreign")));
    let shown = said(&[
        "--http1.1",
        "--expect100-timeout",
        "80",
        "-H",
        "Expect: 100-continue",
        "--data-binary",
        &data,
        "-o",
        "/dev/null",
        "-w",
        "%{response_code} %{size_upload}",
        &url,
    ]);
    assert_eq!(shown, "413 0");
}

#[test]
fn curl_takes_ranges_over_both_versions() {
    let (_steady, url) = world();
    let letters = format!("{url}/letters.txt");
    for (flag, _) in VERSIONS {
        for (range, status, part) in
            [("2-4", "206", "cde"), ("-3", "206", "xyz"), ("23-", "206", "xyz"), ("25-99", "206", "z")]
        {
            let shown = said(&[flag, "-r", range, "-w", " %{response_code}", &letters]);
            assert_eq!(shown, format!("{part} {status}"), "{range} {flag}");
        }
        assert_eq!(said(&[flag, "-r", "99-", "-o", "/dev/null", "-w", "%{response_code}", &letters]), "416");
    }
}

#[test]
fn curl_sees_trailers_as_the_app_sent_them() {
    let steady = Steady::start();
    let raw = r#"Bun.listen({ hostname: "0.0.0.0", port: Number(process.env.PORT), socket: { data(socket) {
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n");
    } } });"#;
    steady.push_new("trailing", &[("index.ts", raw)]);
    let url = format!("http://{}/", steady.app_host("trailing"));
    // Who says it understands them gets them.
    let shown =
        said(&["--http1.1", "--raw", "-i", "-H", "TE: trailers", "-H", "Connection: TE", &url]).to_ascii_lowercase();
    assert!(shown.contains("transfer-encoding: chunked\r\n") && shown.contains("trailer: x-sum\r\n"), "{shown}");
    assert!(shown.ends_with("5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n"), "{shown}");
    for (flag, _) in VERSIONS {
        assert_eq!(said(&[flag, &url]), "hello", "{flag}");
    }
}

/// Over HTTP/1.1: curl 7.88 breaks its own connection at the second request with prior knowledge of HTTP/2, with other
/// servers too. h2load asks that below.
#[test]
fn curl_asks_many_things_at_once() {
    let (_steady, url) = world();
    let urls: Vec<String> = (0..40).map(|n| format!("{url}/{}", ["big", "late", "a", "sum"][n % 4])).collect();
    for flags in [&["-Z", "--http1.1"][..], &["--http1.1"]] {
        let mut args = flags.to_vec();
        args.extend(["-w", "%{http_version} %{response_code}\\n"]);
        for url in &urls {
            args.extend(["-o", "/dev/null", url]);
        }
        let shown = said(&args);
        assert_eq!(shown.matches("1.1 200\n").count(), 40, "{shown}");
    }
}

/// h2load counts what failed; how fast it was is not asked here.
#[test]
fn h2load_has_no_failure() {
    let (steady, url) = world();
    for flags in [&["-m", "10"][..], &["-m", "1"], &["--h1"]] {
        let mut command = Command::new("h2load");
        command.args(["-n", "2000", "-c", "8"]).args(flags);
        command.arg(format!("--connect-to=127.0.0.1:{}", steady.port)).args([&format!("{url}/"), &format!("{url}/b")]);
        let shown = ok(&output_within(&mut command, None), "h2load (Debian: nghttp2-client)");
        assert!(shown.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{flags:?}: {shown}");
        assert!(shown.contains("status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{flags:?}: {shown}");
    }
}
