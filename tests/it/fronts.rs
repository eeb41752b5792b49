//! Behind a proxy: whom Steady believes about who asks. With a real HAProxy and a real curl.
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use crate::support::{Steady, ok, output_within, text, until};

/// Answers with what an app is told of its visitor.
const APP: &str = r#"export default { fetch: (request: Request) => {
  const said = (name: string) => request.headers.get(name);
  const told = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"].map(said);
  return new Response(told.join(" "));
} };"#;

/// Trusted; the tests' own client is not.
const PROXY: &str = "127.0.0.3";

fn curl(steady: &Steady, more: &[&str]) -> Output {
    let url = format!("http://{}/", steady.app_host("told"));
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "20", "--noproxy", "*"]).args(more);
    if !more.contains(&"--resolve") {
        command.arg(url);
    }
    output_within(&mut command, None)
}

struct Haproxy {
    child: Child,
    port: u16,
}

impl Haproxy {
    /// Speaks to the server from the trusted address.
    fn start(steady: &Steady, http: &str, server: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let config = format!(
            "defaults\n  timeout connect 20s\n  timeout client 20s\n  timeout server 20s\n{http}\nlisten front\n  bind 127.0.0.1:{port}\n  \
             server steady 127.0.0.1:{} source {PROXY} {server}\n",
            steady.port
        );
        let file = steady.dir().join(format!("haproxy-{port}.cfg"));
        std::fs::write(&file, config).expect("a file");
        let program = ["/usr/sbin/haproxy", "haproxy"].into_iter().find(|p| Command::new(p).arg("-v").output().is_ok());
        let program = program.expect("HAProxy is installed: ./dev test does that");
        let mut child =
            Command::new(program).arg("-db").arg("-f").arg(&file).stdin(Stdio::null()).spawn().expect("HAProxy starts");
        until("HAProxy listens", || {
            assert!(child.try_wait().expect("wait").is_none(), "HAProxy ended");
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { child, port }
    }

    /// A visitor at 127.0.0.2.
    fn visit(&self, steady: &Steady, more: &[&str]) -> String {
        let host = steady.app_host("told");
        let name = host.split(':').next().expect("a name");
        let resolve = format!("{name}:{}:127.0.0.1", self.port);
        let url = format!("http://{name}:{}/", self.port);
        let mut all = vec!["--interface", "127.0.0.2", "--resolve", &resolve, &url];
        all.extend(more);
        ok(&curl(steady, &all), "curl through HAProxy")
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn server(proxy_protocol: bool) -> Steady {
    let mut steady = Steady::prepare(&[]);
    steady.env("STEADY_TRUSTED_PROXIES", &format!("{PROXY}, 2001:db8::/32"));
    steady.env("STEADY_PROXY_PROTOCOL", &proxy_protocol.to_string());
    steady.add_user("dev", true);
    steady.token = steady.new_token("dev");
    steady.launch();
    steady.push_new("told", &[("index.ts", APP)]);
    steady
}

#[test]
fn the_proxy_protocol_names_the_visitor() {
    let steady = server(true);
    for form in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"] {
        let haproxy = Haproxy::start(&steady, "  mode tcp", form);
        let host = format!("told.localhost:{}", haproxy.port);
        let told = haproxy.visit(&steady, &["-H", "x-forwarded-for: 6.6.6.6"]);
        assert_eq!(told, format!("127.0.0.2 http {host} "), "{form}");
        assert_eq!(haproxy.visit(&steady, &["--http2-prior-knowledge"]), told, "{form}");
    }
    // curl says its own address.
    let trusted = ["--interface", PROXY];
    let told = ok(&curl(&steady, &[&trusted[..], &["--haproxy-protocol"]].concat()), "curl --haproxy-protocol");
    assert!(told.starts_with("127.0.0.3 http told.localhost"), "{told}");
    // A proxy that says nothing is not served: its visitors would be the ones to speak.
    let silent = curl(&steady, &trusted);
    assert!(!silent.status.success() && silent.stdout.is_empty(), "{}", text(&silent.stdout));
    // Others need not say anything, and are not believed when they do.
    let other = ["--interface", "127.0.0.2"];
    assert!(ok(&curl(&steady, &other), "curl").starts_with("127.0.0.2 http"));
    let liar = curl(&steady, &[&other[..], &["--haproxy-protocol", "-o", "/dev/null", "-w", "%{http_code}"]].concat());
    assert_eq!(text(&liar.stdout), "400");
}

#[test]
fn forwarded_headers_of_a_trusted_proxy_are_believed() {
    let steady = server(false);
    let haproxy = Haproxy::start(&steady, "  mode http\n  option forwardfor", "");
    let told = haproxy.visit(&steady, &["-H", "x-forwarded-for: 6.6.6.6", "-H", "x-forwarded-proto: https"]);
    let host = format!("told.localhost:{}", haproxy.port);
    assert_eq!(told, format!("127.0.0.2 https {host} "), "the address is HAProxy's word, the scheme it let through");

    let trusted = ["--interface", PROXY, "-H"];
    let says = |headers: &[&str]| {
        let mut all = trusted.to_vec();
        all.extend(headers);
        ok(&curl(&steady, &all), "curl")
    };
    let host = steady.app_host("told");
    assert_eq!(
        says(&["forwarded: for=6.6.6.6, for=\"[2001:db9::1]:47\";proto=https"]),
        format!("2001:db9::1 https {host} ")
    );
    assert_eq!(says(&["x-forwarded-for: 6.6.6.6, 192.0.2.1, 2001:db8::7"]), format!("192.0.2.1 http {host} "));
    // Which app is meant, too.
    let inner = ["host: inner.example", "-H", "x-forwarded-host: told.localhost:9"];
    assert_eq!(says(&inner), "127.0.0.3 http told.localhost:9 ");
    // Not from anybody else.
    let other = ["--interface", "127.0.0.2", "-H", "x-forwarded-for: 6.6.6.6", "-H", "forwarded: for=6.6.6.6"];
    assert_eq!(ok(&curl(&steady, &other), "curl"), format!("127.0.0.2 http {host} "));
}

#[test]
fn the_proxy_protocol_needs_somebody_to_trust() {
    let mut steady = Steady::prepare(&[]);
    steady.env("STEADY_PROXY_PROTOCOL", "true");
    let output = steady.serve_output(&[]);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("trusted_proxies"), "{said}");
}
