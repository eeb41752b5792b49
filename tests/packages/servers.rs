//! Real databases for clients in the jail: on the host's loopback, in a temporary folder, as nobody.
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};

/// Nobody and nogroup of Debian.
const NOBODY: u32 = 65_534;

/// One running server; ends with this value.
pub struct Server {
    pub port: u16,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Server {
    pub fn postgres() -> Result<Self, String> {
        let bin = newest_postgres()?;
        let (dir, port) = (folder()?, free_port()?);
        let (data, password) = (dir.path().join("data"), dir.path().join("password"));
        put(&password, "secret\n")?;
        let mut init = user(bin.join("initdb"), dir.path());
        init.args(["--username=app", "--auth=scram-sha-256", "--no-sync", "--no-locale", "--encoding=UTF8"]);
        finish(init.arg("--pwfile").arg(&password).arg("--pgdata").arg(&data))?;
        let mut server = user(bin.join("postgres"), dir.path());
        server.arg("-D").arg(&data).arg("-k").arg(dir.path()).args(["-h", "127.0.0.1", "-F", "-p", &port.to_string()]);
        let asked = move || finish(Command::new("pg_isready").args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]));
        Self::start(server, dir, port, move || asked().is_ok())
    }

    pub fn mariadb() -> Result<Self, String> {
        let (dir, port) = (folder()?, free_port()?);
        let (data, first) = (dir.path().join("data"), dir.path().join("first.sql"));
        put(&first, "CREATE DATABASE app;\nCREATE USER app IDENTIFIED BY 'secret';\nGRANT ALL ON app.* TO app;\n")?;
        let mut init = user("mariadb-install-db", dir.path());
        init.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        finish(init.arg(format!("--datadir={}", data.display())))?;
        let server_path = if Path::new("/usr/sbin/mariadbd").exists() { "/usr/sbin/mariadbd" } else { "mariadbd" };
        let mut server = user(server_path, dir.path());
        server.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve"]);
        server.arg(format!("--port={port}")).arg(format!("--datadir={}", data.display()));
        server.arg(format!("--socket={}", dir.path().join("sock").display()));
        server.arg(format!("--pid-file={}", dir.path().join("pid").display()));
        server.arg(format!("--init-file={}", first.display()));
        Self::start(server, dir, port, move || connects(port))
    }

    pub fn redis() -> Result<Self, String> {
        let (dir, port) = (folder()?, free_port()?);
        let mut server = user("redis-server", dir.path());
        server.args(["--bind", "127.0.0.1", "--save", "", "--requirepass", "secret", "--port", &port.to_string()]);
        server.arg("--dir").arg(dir.path());
        Self::start(server, dir, port, move || connects(port))
    }

    fn start(
        mut command: Command,
        dir: tempfile::TempDir,
        port: u16,
        ready: impl Fn() -> bool,
    ) -> Result<Self, String> {
        let log = dir.path().join("log");
        let file = std::fs::File::create(&log).map_err(|e| format!("a log: {e}"))?;
        let both = file.try_clone().map_err(|e| format!("a log: {e}"))?;
        command.stdin(Stdio::null()).stdout(both).stderr(file);
        let child = command.spawn().map_err(|e| format!("{command:?}: {e}; ./dev test installs it"))?;
        let mut server = Self { port, child, _dir: dir };
        for _ in 0..600 {
            if ready() {
                return Ok(server);
            }
            if server.child.try_wait().ok().flatten().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(format!("{command:?} does not serve:\n{}", std::fs::read_to_string(log).unwrap_or_default()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, Signal::INT));
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        for _ in 0..200 {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian keeps the server's programs apart by version.
fn newest_postgres() -> Result<PathBuf, String> {
    let all = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |path: &PathBuf| path.file_name().and_then(|n| n.to_str()?.parse::<u32>().ok());
    let newest = all.map(|entry| entry.path()).max_by_key(version);
    newest.map(|path| path.join("bin")).ok_or("PostgreSQL is missing: ./dev test installs it".into())
}

/// Databases refuse to run as root.
fn user(program: impl AsRef<std::ffi::OsStr>, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir);
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn folder() -> Result<tempfile::TempDir, String> {
    let dir = tempfile::tempdir().map_err(|e| format!("a folder: {e}"))?;
    own(dir.path())?;
    Ok(dir)
}

#[allow(clippy::disallowed_methods)] // throw-away test files
fn put(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    own(path)
}

fn own(path: &Path) -> Result<(), String> {
    let who = geteuid().is_root().then_some(NOBODY);
    chown(path, who, who).map_err(|e| format!("{}: {e}", path.display()))
}

/// Free a moment ago.
fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| format!("a port: {e}"))?;
    listener.local_addr().map(|at| at.port()).map_err(|e| format!("a port: {e}"))
}

fn connects(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn finish(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}; ./dev test installs it"))?;
    let said = || format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    output.status.success().then_some(()).ok_or_else(|| format!("{command:?}: {}", said()))
}
