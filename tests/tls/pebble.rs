//! Pebble and its name server, on free ports, ended when dropped.
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process of this test.
pub struct Running(Child);

impl Running {
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        Self(child.unwrap_or_else(|e| panic!("{program}: {e}; `./dev test` installs what the tests need")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody has, for TCP and UDP.
pub fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = tcp.local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

pub fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

pub fn wait_for(port: u16, what: &str, log: &Path) {
    let end = Instant::now() + Duration::from_secs(30);
    while std::net::TcpStream::connect(at(port)).is_err() {
        let said = || std::fs::read_to_string(log).unwrap_or_default();
        assert!(Instant::now() < end, "{what} does not listen on port {port}:\n{}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What an authority is like.
pub struct Likes {
    /// Percent of good nonces that are refused.
    pub nonces_refused: u32,
    /// Percent of proofs that are taken again without looking.
    pub proofs_kept: u32,
    /// Domains it signs nothing for.
    pub blocked: Vec<String>,
    /// Key id and base64 key of the only customer.
    pub customer: Option<(String, String)>,
    pub ocsp: String,
    /// Of what it signs.
    pub seconds: u64,
}

impl Default for Likes {
    fn default() -> Self {
        Self {
            nonces_refused: 50,
            proofs_kept: 0,
            blocked: Vec::new(),
            customer: None,
            ocsp: String::new(),
            seconds: 90 * 86_400,
        }
    }
}

pub struct Pebble {
    _process: Running,
    pub port: u16,
    pub management: u16,
    pub log: PathBuf,
}

/// Every name leads to 127.0.0.1.
pub struct Names {
    _process: Running,
    pub port: u16,
    /// Where records are set.
    pub management: u16,
}

impl Names {
    pub fn start(folder: &Path) -> Self {
        let (port, management) = (free_port(), free_port());
        let log = folder.join("names.log");
        let process = Running::start(
            Command::new("pebble-challtestsrv")
                .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""])
                .args(["-dns01", &at(port).to_string(), "-management", &at(management).to_string()]),
            &log,
        );
        wait_for(management, "pebble-challtestsrv", &log);
        Self { _process: process, port, management }
    }
}

impl Pebble {
    /// Looks at hosts on the given ports; `names` is its name server.
    pub fn start(folder: &Path, likes: &Likes, names: SocketAddr, http: u16, tls: u16) -> Self {
        let (port, management) = (free_port(), free_port());
        let folder = folder.join(format!("pebble-{port}"));
        std::fs::create_dir(&folder).unwrap();
        let (log, settings) = (folder.join("log"), folder.join("config.json"));
        let root = folder.parent().unwrap();
        let mut pebble = serde_json::json!({
            "listenAddress": at(port), "managementListenAddress": at(management),
            "certificate": root.join("server.pem"), "privateKey": root.join("server.key"),
            "httpPort": http, "tlsPort": tls, "ocspResponderURL": likes.ocsp,
            "domainBlocklist": likes.blocked, "certificateValidityPeriod": likes.seconds,
        });
        if let Some((kid, key)) = &likes.customer {
            pebble["externalAccountBindingRequired"] = true.into();
            pebble["externalAccountMACKeys"] = serde_json::json!({ kid: key });
        }
        std::fs::write(&settings, serde_json::json!({ "pebble": pebble }).to_string()).unwrap();
        let process = Running::start(
            Command::new("pebble")
                .arg("-config")
                .arg(&settings)
                .args(["-strict", "-dnsserver", &names.to_string()])
                .env("PEBBLE_VA_NOSLEEP", "1")
                .env("PEBBLE_WFE_NONCEREJECT", likes.nonces_refused.to_string())
                .env("PEBBLE_AUTHZREUSE", likes.proofs_kept.to_string()),
            &log,
        );
        wait_for(port, "pebble", &log);
        Self { _process: process, port, management, log }
    }

    pub fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// How often its log has that text.
    pub fn logged(&self, text: &str) -> usize {
        std::fs::read_to_string(&self.log).unwrap().matches(text).count()
    }
}
