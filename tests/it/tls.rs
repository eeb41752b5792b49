//! TLS of Steady's own, through the real program: curl, openssl, git and the command line as clients.
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::support::http::connect;
use crate::support::{Request, Steady, ok, output_within, signal, text, until};

const ECHO: &str = r#"export default {
  fetch(request: Request) {
    const { pathname } = new URL(request.url);
    const headers: Record<string, string> = pathname === "/strict" ? { "strict-transport-security": "max-age=7" } : {};
    return Response.json({ url: request.url, method: request.method, proto: request.headers.get("x-forwarded-proto"),
                           host: request.headers.get("host") }, { headers });
  },
};"#;

/// A Steady that speaks TLS, and the certificate to trust it by.
pub struct Tls {
    pub steady: Steady,
    pub port: u16,
    pub root: PathBuf,
}

impl Tls {
    /// `tls = "local"`, with the app `hello`.
    fn local(env: &[(&str, &str)]) -> Self {
        let mut tls = Self::prepare("local", env);
        tls.root = tls.steady.data().join("tls/root.pem");
        tls.begin();
        tls
    }

    pub fn prepare(mode: &str, env: &[(&str, &str)]) -> Self {
        let mut steady = Steady::prepare(&[]);
        let port = free_port();
        steady.env("STEADY_TLS", mode);
        steady.env("STEADY_TLS_LISTEN", &format!("127.0.0.1:{port}"));
        env.iter().for_each(|(name, value)| steady.env(name, value));
        Self { steady, port, root: PathBuf::new() }
    }

    pub fn begin(&mut self) {
        self.steady.add_user("dev", true);
        self.steady.token = self.steady.new_token("dev");
        self.steady.launch();
        self.deploy("hello", ECHO);
    }

    /// By the command line, over TLS.
    pub fn deploy(&self, name: &str, code: &str) {
        let folder = self.steady.dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("index.ts"), code).expect("a file");
        let args = ["deploy", ".", "--app", &format!("dev/{name}")];
        ok(&output_within(self.client(&folder).args(args), None), "deploy");
    }

    pub fn client(&self, cwd: &Path) -> Command {
        let mut command = self.steady.client(cwd);
        command.env("STEADY_URL", format!("https://localhost:{}", self.port)).env("SSL_CERT_FILE", &self.root);
        command
    }

    pub fn cli(&self, args: &[&str]) -> String {
        ok(&output_within(self.client(self.steady.dir()).args(args), None), &args.join(" "))
    }

    /// Real curl that trusts the root, and finds any name on this machine.
    pub fn curl(&self, args: &[&str]) -> std::process::Output {
        let root = self.root.display().to_string();
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60", "--noproxy", "*", "--cacert", &root]);
        command.args(["--connect-to", &format!("::127.0.0.1:{}", self.port)]);
        output_within(command.args(args), None)
    }

    fn fetch(&self, args: &[&str]) -> String {
        ok(&self.curl(args), &format!("curl {}", args.join(" ")))
    }

    fn url(&self, label: &str, path: &str) -> String {
        format!("https://{label}.localhost:{}{path}", self.port)
    }

    /// What `openssl s_client` says of a handshake.
    pub fn handshake(&self, args: &[&str]) -> String {
        let at = format!("127.0.0.1:{}", self.port);
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &at]).args(args);
        let output = output_within(&mut command, Some(""));
        text(&output.stdout) + &text(&output.stderr)
    }
}

pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 1800).expect("below 1800");
    for _ in 0..1000 {
        let port = 30_000 + start + NEXT.fetch_add(1, Ordering::Relaxed);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 30000 and 32768");
}

/// A pair for these names, signed by itself: the certificate is also what to trust.
pub fn pair(folder: &Path, file: &str, names: &[&str]) -> (PathBuf, PathBuf) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let (certificate, key) = (folder.join(format!("{file}.pem")), folder.join(format!("{file}.key")));
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a key");
    std::fs::write(&certificate, made.cert.pem()).expect("a certificate");
    (certificate, key)
}

#[test]
fn the_local_authority_serves_every_app_over_both_http_versions() {
    let tls = Tls::local(&[]);
    let port = tls.port;
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let said = tls.fetch(&[flag, "-w", "\n%{http_version}", &tls.url("hello", "/a?b=c")]);
        let (body, spoken) = said.rsplit_once('\n').expect("two lines");
        assert_eq!(spoken, version);
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["proto"], "https");
        assert_eq!(body["host"], format!("hello.localhost:{port}").as_str());
    }
    let page = tls.fetch(&["-L", &format!("https://localhost:{port}/")]);
    assert!(page.contains("Sign in"), "{page}");
    // By address there is no name in the handshake: the editor's certificate, which names the loopback too.
    assert!(tls.fetch(&["-L", &format!("https://127.0.0.1:{port}/")]).contains("Sign in"));
    let status = tls.cli(&["status", "dev/hello", "--json"]);
    assert!(status.contains(&format!("https://hello.localhost:{port}")), "{status}");

    let log = tls.steady.log();
    assert!(log.contains(&format!("tls     on 127.0.0.1:{port}")) && log.contains("`steady ca`"), "{log}");
    assert!(log.contains(&format!("editor  https://localhost:{port}")), "{log}");
    let shown = ok(&tls.steady.local(&["ca"], ""), "ca");
    assert!(shown.contains(&tls.root.display().to_string()) && shown.contains("update-ca-certificates"), "{shown}");

    // git, with the root given by hand.
    let url = format!("https://dev:{}@localhost:{port}/dev/hello.git", tls.steady.token);
    let mut git = Command::new("git");
    git.args(["ls-remote", &url]).env("GIT_SSL_CAINFO", &tls.root).env("GIT_CONFIG_NOSYSTEM", "1");
    assert!(ok(&output_within(&mut git, None), "git ls-remote").contains("refs/heads/main"));
}

#[test]
fn versions_names_and_strangers() {
    let tls = Tls::local(&[]);
    let root = tls.root.display().to_string();
    let hello = ["-servername", "hello.localhost", "-CAfile", &root];
    for (flag, spoken) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = tls.handshake(&[&hello[..], &[flag, "-alpn", "h2,http/1.1"]].concat());
        assert!(said.contains("Verify return code: 0 (ok)") && said.contains(spoken), "{said}");
        assert!(said.contains("ALPN protocol: h2"), "{said}");
    }
    for old in ["-tls1", "-tls1_1"] {
        let said = tls.handshake(&[&hello[..], &[old, "-cipher", "DEFAULT@SECLEVEL=0"]].concat());
        assert!(said.contains("alert") && !said.contains("Verify return code: 0 (ok)\n---\nR"), "{old}: {said}");
        assert!(!said.contains("BEGIN CERTIFICATE"), "{old} is refused: {said}");
    }
    for stranger in ["nobody-here.localhost", "bank.example", "a.b.localhost", "localhost.evil.example"] {
        let said = tls.handshake(&["-servername", stranger]);
        assert!(said.contains("unrecognized name") && !said.contains("BEGIN CERTIFICATE"), "{stranger}: {said}");
    }
    let said = tls.handshake(&["-noservername", "-CAfile", &root, "-verify_hostname", "localhost"]);
    assert!(said.contains("Verify return code: 0 (ok)"), "the editor's certificate: {said}");
    // A ticket brings back the session.
    let file = tls.steady.dir().join("session");
    let kept = file.display().to_string();
    let first = tls.handshake(&[&hello[..], &["-tls1_2", "-sess_out", &kept]].concat());
    assert!(first.contains("New, TLSv1.2"), "{first}");
    let again = tls.handshake(&[&hello[..], &["-tls1_2", "-sess_in", &kept]].concat());
    assert!(again.contains("Reused, TLSv1.2"), "{again}");
}

#[test]
fn a_request_for_another_host_is_misdirected() {
    let tls = Tls::local(&[]);
    tls.deploy("other", ECHO);
    let status = |host: &str, url: &str| {
        tls.fetch(&["-o", "/dev/null", "-w", "%{http_code}", "-H", &format!("host: {host}"), url])
    };
    let hello = tls.url("hello", "/");
    assert_eq!(status("hello.localhost", &hello), "200");
    assert_eq!(status("HELLO.localhost.:443", &hello), "200");
    assert_eq!(status("other.localhost", &hello), "421");
    assert_eq!(status("localhost", &hello), "421");

    drop(tls);

    // One certificate for both: browsers use one connection for both, and so they may.
    let mut tls = Tls::prepare("files", &[]);
    let names = ["localhost", "hello.localhost", "other.localhost"];
    let (certificate, key) = pair(tls.steady.dir(), "all", &names);
    tls.steady.env("STEADY_TLS_CERT", &certificate.display().to_string());
    tls.steady.env("STEADY_TLS_KEY", &key.display().to_string());
    tls.root = certificate;
    tls.begin();
    tls.deploy("other", ECHO);
    let hello = tls.url("hello", "/");
    let said = tls.fetch(&["-H", "host: other.localhost", &hello]);
    assert!(said.contains("other.localhost"), "{said}");
}

#[test]
fn plain_http_leads_to_https_and_wakes_nothing() {
    let tls = Tls::local(&[]);
    let (plain, port) = (tls.steady.port, tls.port);
    tls.cli(&["restart", "dev/hello"]);
    for (host, target, location) in [
        ("hello.localhost", "/a%20b?c=d", format!("https://hello.localhost:{port}/a%20b?c=d")),
        ("HELLO.localhost.:80", "/", format!("https://hello.localhost:{port}/")),
        ("localhost", "/dev/hello", format!("https://localhost:{port}/dev/hello")),
        ("127.0.0.1", "/", format!("https://127.0.0.1:{port}/")),
    ] {
        for method in ["GET", "POST"] {
            let reply = Request::new(plain, method, host, target).send();
            assert_eq!((reply.status, reply.header("location")), (308, Some(location.as_str())), "{method} {host}");
            assert!(reply.header("strict-transport-security").is_none(), "not over plain HTTP");
        }
    }
    for stranger in ["nobody-here.localhost", "evil.example", "a.b.localhost"] {
        assert_eq!(Request::get(plain, stranger, "/").send().status, 404, "{stranger}");
    }
    assert_eq!(tls.steady_state(), "asleep", "redirects wake nothing");
    // `scheme = "https"` says that somebody else's TLS stands in front of the plain listener.
    drop(tls);
    let tls = Tls::local(&[("STEADY_SCHEME", "https")]);
    let reply = Request::get(tls.steady.port, "hello.localhost", "/").send();
    assert_eq!(reply.json()["proto"], "https");
}

impl Tls {
    fn steady_state(&self) -> String {
        let status: serde_json::Value =
            serde_json::from_str(&self.cli(&["status", "dev/hello", "--json"])).expect("JSON");
        status["state"].as_str().unwrap_or_default().to_owned()
    }
}

#[test]
fn browsers_are_told_to_come_back_by_https() {
    let hsts = |tls: &Tls, path: &str| {
        let head = tls.fetch(&["-D", "-", "-o", "/dev/null", &tls.url("hello", path)]);
        let line = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("strict-transport-security: ").map(str::to_owned));
        line.map(|line| line.trim().to_owned())
    };
    let tls = Tls::local(&[]);
    assert_eq!(hsts(&tls, "/"), None, "not with the local authority");
    assert_eq!(hsts(&tls, "/strict").as_deref(), Some("max-age=7"));
    drop(tls);
    let mut tls = Tls::local(&[("STEADY_HSTS", "on")]);
    assert_eq!(hsts(&tls, "/").as_deref(), Some("max-age=300"), "at first for minutes");
    assert_eq!(hsts(&tls, "/strict").as_deref(), Some("max-age=7"), "an app's own stays");
    let head = tls.fetch(&["-D", "-", "-o", "/dev/null", &format!("https://localhost:{}/signin", tls.port)]);
    assert_eq!(head.to_ascii_lowercase().matches("strict-transport-security: max-age=300").count(), 1, "{head}");
    // A month later, and after a restart.
    let since = tls.steady.data().join("tls/https-since");
    std::fs::write(&since, "1700000000000").expect("a time");
    tls.steady.restart();
    assert_eq!(hsts(&tls, "/").as_deref(), Some("max-age=31536000"));
}

#[test]
fn own_files_are_read_again_and_bad_ones_do_no_harm() {
    let mut tls = Tls::prepare("files", &[]);
    let (certificate, key) = pair(tls.steady.dir(), "own", &["localhost", "hello.localhost"]);
    tls.steady.env("STEADY_TLS_CERT", &certificate.display().to_string());
    // A start with what cannot work names file and reason.
    let refused = text(&tls.steady.serve_output(&[]).stderr);
    assert!(refused.contains("tls_cert names 1 files and tls_key 0"), "{refused}");
    let (_, other) = pair(tls.steady.dir(), "other", &["localhost"]);
    tls.steady.env("STEADY_TLS_KEY", &other.display().to_string());
    let refused = text(&tls.steady.serve_output(&[]).stderr);
    assert!(refused.contains("other.key is not the one of the certificate in"), "{refused}");
    tls.steady.env("STEADY_TLS_KEY", &key.display().to_string());
    tls.root = certificate.clone();
    tls.begin();
    let hello = tls.url("hello", "/");
    assert!(tls.fetch(&[&hello]).contains("https"));

    // Half a file: the old one stays, and the log says why.
    let good = std::fs::read(&certificate).expect("the certificate");
    tls.root = tls.steady.dir().join("trusted.pem");
    std::fs::write(&tls.root, &good).expect("a copy");
    std::fs::write(&certificate, "-----BEGIN CERTIFICATE-----\n").expect("half a file");
    signal(tls.steady.pid(), "HUP");
    until("the log names the bad file", || tls.steady.log().contains("own.pem holds no certificate").then_some(()));
    assert!(tls.fetch(&[&hello]).contains("https"));

    // A new pair, without a restart and without a signal.
    let (fresh, _) = pair(tls.steady.dir(), "own", &["localhost", "hello.localhost", "later.localhost"]);
    tls.root = fresh;
    until("the new certificate is served", || tls.curl(&[&hello]).status.success().then_some(()));
    // A host that no file names has no certificate.
    tls.deploy("nameless", ECHO);
    let said = tls.handshake(&["-servername", "nameless.localhost"]);
    assert!(said.contains("internal error") && !said.contains("BEGIN CERTIFICATE"), "{said}");
}

#[test]
fn websockets_speak_over_tls() {
    let tls = Tls::local(&[]);
    let code = r#"Bun.serve({ port: 3000,
      fetch: (request, server) => server.upgrade(request) ? undefined : new Response("no"),
      websocket: { message: (socket, text) => { socket.send("heard " + text); } } });"#;
    tls.deploy("talk", code);
    let script = format!(
        r#"
        const socket = new WebSocket("wss://127.0.0.1:{}/", {{
          headers: {{ host: "talk.localhost" }},
          tls: {{ ca: await Bun.file("{}").text(), serverName: "talk.localhost" }},
        }});
        socket.onopen = () => socket.send("a".repeat(70000));
        socket.onmessage = (event) => {{ console.log(event.data.length); process.exit(0); }};
        socket.onerror = (event) => {{ console.log("error", event.message); process.exit(1); }};
        "#,
        tls.port,
        tls.root.display()
    );
    let bun = Path::new(env!("CARGO_MANIFEST_DIR")).join("node_modules/.bin/bun");
    assert_eq!(ok(&output_within(Command::new(bun).args(["-e", &script]), None), "bun -e").trim(), "70006");
}

#[test]
fn whoever_is_slow_or_speaks_no_tls_is_let_go() {
    let tls = Tls::local(&[]);
    // Plain HTTP to the TLS port gets a sentence.
    let mut stream = connect(tls.port).expect("connect");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: hello.localhost\r\n\r\n").expect("send");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
    // The first bytes of a handshake, and then nothing: closed without a word, while others are served.
    let mut slow = connect(tls.port).expect("connect");
    slow.write_all(&[22, 3, 1, 2, 0, 1]).expect("send");
    assert!(tls.fetch(&[&tls.url("hello", "/")]).contains("https"));
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).expect("it is closed");
    assert!(rest.is_empty(), "{rest:?}");
}
